"""Which recordings a folder holds, of whom, and what its layout says of them.

Layouts of the Temple University Hospital corpora, by their AAREADME files:

- TUAB v3: `edf/{train,eval}/{normal,abnormal}/01_tcp_ar/SUBJECT_sNNN_tNNN.edf`
- TUAR v3: `edf/{01_tcp_ar,...}/SUBJECT_sNNN_tNNN.edf`, and beside each a `.csv` of
  `channel,start_time,stop_time,label,confidence`
- TUSL v2: `edf/SUBJECT/SESSION/MONTAGE/SUBJECT_sNNN_tNNN.edf`, with such a `.csv`, or a `.tse` of
  `start stop label confidence`

The corpora are handed out on request and are not here: the reader is tested on files made in these layouts.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import pandas as pd

from genoseq.data.recordings.opening import FORMATS, SETS, Source, read_trials
from genoseq.data.tables import read_table, require_columns
from genoseq.errors import DataError, require_choice
from genoseq.paths import locate

PathLike = str | os.PathLike[str]
Layout = Literal["plain", "tuab", "tuar", "tusl"]

_TUH_NAME = re.compile(r"(?P<subject>[a-z0-9]+)_s\d+_t\d+")
_EEGMMIDB = re.compile(r"(?P<subject>S\d{3})R\d{2}")
_BIDS = re.compile(r"(?P<subject>sub-[A-Za-z0-9]+)(_|$)")
_PARTS = {"train": "train", "eval": "test"}
# What stands for a channel where an annotation is of all of them.
_ALL_CHANNELS = ("", "TERM")


@dataclass(frozen=True)
class Recording:
    """A recording and what is known of it beside its samples.

    Attributes:
        source: where it is.
        subject: what must stay together; the recording itself where nothing says whose it is.
        split: train or test where the layout says so.
        label: of the whole recording, where there is one.
        intervals: file of labelled stretches beside it, where there is one.
    """

    source: Source
    subject: str
    split: str | None = None
    label: str | None = None
    intervals: Path | None = None


def find_recordings(
    path: PathLike, layout: Layout = "plain", table: PathLike | None = None
) -> list[Recording]:
    """The recordings of a folder, or of one file, sorted by path.

    Args:
        path: a folder, searched whole, or a file; an `.rda` of trials gives one recording a trial.
        layout: what its folders and names mean. In a "plain" one the subject is what a name of TUH, EEGMMIDB
            or BIDS says, else the folder below `path`, else the file.
        table: a table with a column `path` (below the folder), and any of `subject`, `split`, `label`, which
            then count; it names the recordings to take.

    Raises:
        DataError: there is none, the layout does not fit, or the table names one that is not there.
    """
    require_choice("layout", layout, get_args(Layout))
    root = locate(path)
    if not root.exists():
        raise DataError(f"{root} does not exist: give a folder of recordings, or one.")
    files = [root] if root.is_file() else _files(root)
    if table is not None:
        return _by_table(root, table)
    found = [recording for file in files for recording in _read(root, file, layout)]
    if not found:
        raise DataError(f"{root} holds no recording: their names end in {', '.join((*FORMATS, *SETS))}.")
    return found


def read_intervals(path: Path) -> pd.DataFrame:
    """Labelled stretches of a recording: `onset`, `duration` in seconds, `description`, and `channels`, a
    tuple of labels as the file has them, empty where it means all.

    Raises:
        DataError: the file is not in the form that TUH gives it.
    """
    try:
        if path.suffix == ".csv":
            frame = pd.read_csv(path, comment="#")
            start, stop, label, channel = (
                frame[name] for name in ("start_time", "stop_time", "label", "channel")
            )
        else:
            lines = [line.split() for line in path.read_text().splitlines()]
            rows = [
                (float(line[0]), float(line[1]), line[2])
                for line in lines
                if len(line) >= 3 and line[0] != "version"
            ]
            frame = pd.DataFrame(rows, columns=["start", "stop", "label"])
            start, stop, label, channel = (
                frame["start"],
                frame["stop"],
                frame["label"],
                pd.Series("", frame.index),
            )
        onset, end = start.astype(float), stop.astype(float)
    except (KeyError, ValueError, IndexError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path} holds no intervals: {error}. It wants start_time, stop_time, label and channel (.csv), "
            "or lines of start, stop, label (.tse)."
        ) from error
    names = channel.fillna("").astype(str).str.strip()
    channels = [() if name in _ALL_CHANNELS else (name,) for name in names]
    return pd.DataFrame(
        {"onset": onset, "duration": end - onset, "description": label.astype(str), "channels": channels}
    )


def _files(root: Path) -> list[Path]:
    endings = (*FORMATS, *SETS)
    return sorted(
        file for file in root.rglob("*") if file.suffix.lower() in endings and not file.name.startswith(".")
    )


def _read(root: Path, file: Path, layout: Layout) -> list[Recording]:
    if file.suffix.lower() in SETS:
        trials = read_trials(file)
        pairs = zip(trials.subjects, trials.labels, strict=True)
        return [
            Recording(Source(file, number), who, label=label) for number, (who, label) in enumerate(pairs)
        ]
    if layout == "plain":
        return [Recording(Source(file), _plain_subject(root, file), intervals=_beside(file))]
    match = _TUH_NAME.fullmatch(file.stem)
    if match is None:
        raise DataError(f"{file}: a recording of {layout} is called SUBJECT_s001_t000.edf. Say layout=plain.")
    subject = match["subject"]
    if layout != "tuab":
        return [Recording(Source(file), subject, intervals=_beside(file))]
    parts = file.relative_to(root).parts[:-1]
    split = next((_PARTS[part] for part in parts if part in _PARTS), None)
    label = next((part for part in parts if part in ("normal", "abnormal")), None)
    if split is None or label is None:
        raise DataError(
            f"{file}: in tuab it lies under train or eval, and normal or abnormal. Give the folder above."
        )
    return [Recording(Source(file), subject, split, label)]


def _beside(file: Path) -> Path | None:
    return next((other for ending in (".csv", ".tse") if (other := file.with_suffix(ending)).is_file()), None)


def _plain_subject(root: Path, file: Path) -> str:
    for pattern in (_TUH_NAME, _EEGMMIDB):
        if (match := pattern.fullmatch(file.stem)) is not None:
            return match["subject"]
    if (match := _BIDS.match(file.stem)) is not None:
        return match["subject"]
    parts = file.relative_to(root).parts if root.is_dir() else ()
    return parts[0] if len(parts) > 1 else file.name


def _by_table(root: Path, table: PathLike) -> list[Recording]:
    rows = read_table(table)
    require_columns(rows, ["path"], table)
    found = []
    for row in rows.astype(str).to_dict("records"):
        file = root / row["path"]
        if not file.is_file():
            raise DataError(f"{table} names {file}, which is not there.")
        subject = row.get("subject") or _plain_subject(root, file)
        found.append(
            Recording(
                Source(file), subject, row.get("split") or None, row.get("label") or None, _beside(file)
            )
        )
    return found
