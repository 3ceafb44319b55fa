"""What is in a folder of recordings, and what a run would do with each."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from genoseq.data.inspection.findings import Findings, Options, Value, some, spread
from genoseq.data.recordings import Preparation, Recording, find_recordings, open_recording
from genoseq.data.recordings.channels import explain
from genoseq.data.recordings.folders import read_intervals
from genoseq.data.recordings.opening import annotations_of, units_of
from genoseq.data.recordings.preparation import DroppedRecordingError
from genoseq.data.recordings.subjects import numbered
from genoseq.data.recordings.windows import require_inside
from genoseq.errors import DataError

# What annotations say in one word is a code; anything longer may name people, and is counted only.
_CODE = re.compile(r"[\w./+:-]{1,24}")


def inspect_recordings(path: Path, options: Options) -> Findings:
    """Channels, rates, units, lengths, annotations and subjects of recordings, a row each.

    Subjects are numbers, and nothing is read of patients. Samples are read, all of them, as a run would.

    Raises:
        DataError: there is no recording, or the layout does not fit.
        ConfigError: the settings of the recordings are none.
    """
    settings = dict(options.recordings)
    found = find_recordings(path, settings.pop("layout", "plain"), settings.pop("table", None))
    given = {name: value for name, value in settings.items() if value is not None}
    preparation = Preparation(**given) if "channels" in given else None
    numbers = numbered([recording.subject for recording in found])
    rows = [
        {"recording": number + 1, "subject": int(numbers[number]), **_row(recording, given, preparation)}
        for number, recording in enumerate(found)
    ]
    names = tuple(_name(path, recording) for recording in found)
    return Findings(
        "recordings",
        {"recordings": _facts(rows, numbers)},
        _remarks(rows, preparation),
        _uses(path, preparation),
        table=tuple(rows),
        names=names,
    )


def _row(recording: Recording, given: Mapping[str, Any], preparation: Preparation | None) -> dict[str, Value]:
    try:
        raw = open_recording(recording.source)
        aliases = given.get("aliases", {})
        kinds = {label: explain(label, aliases) for label in raw.ch_names}
        eeg = [label for label, channel in kinds.items() if channel is not None and channel.kind == "eeg"]
        units = units_of(raw, given.get("units", {}))
        seconds = raw.n_times / raw.info["sfreq"]
        return {
            "EEG": len(eeg),
            "other": sum(channel is not None and channel.kind == "other" for channel in kinds.values()),
            "unknown": some([label for label, channel in kinds.items() if channel is None]),
            "Hz": float(raw.info["sfreq"]),
            "units": some(sorted({units[label] or "V" for label in eeg})),
            "seconds": round(seconds, 3),
            "label": recording.label or "",
            "split": recording.split or "",
            "annotations": _marks(recording, raw, seconds),
            "a run": _outcome(recording, preparation),
        }
    except DataError as error:
        blank: dict[str, Value] = dict.fromkeys(("EEG", "other", "Hz", "seconds"), 0)
        texts: dict[str, Value] = dict.fromkeys(("unknown", "units", "label", "split", "annotations"), "")
        return {**blank, **texts, "a run": f"stops: {_why(error, recording)}"}


def _marks(recording: Recording, raw: Any, seconds: float) -> str:
    marks = (
        annotations_of(recording.source, raw)
        if recording.intervals is None
        else read_intervals(recording.intervals)
    )
    require_inside(marks, seconds, float(raw.info["sfreq"]), recording.source)
    codes = Counter(text if _CODE.fullmatch(text) else "free text" for text in marks["description"])
    return some(f"{name} x {count}" for name, count in codes.most_common())


def _outcome(recording: Recording, preparation: Preparation | None) -> str:
    if preparation is None:
        return "not asked: give recordings.channels="
    try:
        seen = preparation.examine(recording.source)
    except DroppedRecordingError as error:
        return f"leaves it out: {_why(error, recording)}"
    except DataError as error:
        return f"stops: {_why(error, recording)}"
    done = [f"reads {len(seen.there)} electrodes"]
    if seen.missing:
        words = {"mask": "masks", "interpolate": "interpolates"}[preparation.missing_channels]
        done.append(f"{words} {some(seen.missing)}")
    if preparation.rate is not None and preparation.rate != seen.rate:
        done.append(f"resamples to {preparation.rate:g} Hz")
    return ", ".join(done)


def _why(error: DataError, recording: Recording) -> str:
    """The message without the name of the file, which its row has."""
    return str(error).replace(str(recording.source), "").replace(str(recording.source.path), "").lstrip(": ,")


def _name(path: Path, recording: Recording) -> str:
    file = recording.source.path
    name = str(file.relative_to(path)) if path.is_dir() else file.name
    return name if recording.source.member is None else f"{name}, number {recording.source.member}"


def _facts(rows: list[dict[str, Value]], numbers: Any) -> dict[str, Value]:
    readable = [row for row in rows if row["Hz"]]
    return {
        "recordings": len(rows),
        "subjects": len(set(numbers)),
        "seconds": spread(int(row["seconds"]) for row in readable),
        "hours in all": round(sum(float(row["seconds"]) for row in readable) / 3600, 2),
        "rates, Hz": some(f"{rate:g}" for rate in sorted({float(row["Hz"]) for row in readable})),
        "EEG channels": spread(int(row["EEG"]) for row in readable),
    }


def _remarks(rows: list[dict[str, Value]], preparation: Preparation | None) -> tuple[str, ...]:
    remarks = []
    for word, what in (("stops", "would stop a run"), ("leaves it out", "would be left out")):
        hit = [str(row["recording"]) for row in rows if str(row["a run"]).startswith(word)]
        if hit:
            remarks.append(f"{len(hit):,} of {len(rows):,} {what}: {some(hit)}.")
    unknown = sorted({label for row in rows if row["unknown"] for label in str(row["unknown"]).split(", ")})
    if unknown:
        remarks.append(f"No alias explains {some(unknown)}: give aliases, or ignore_channels.")
    rates = {row["Hz"] for row in rows if row["Hz"]}
    if len(rates) > 1 and (preparation is None or preparation.rate is None):
        remarks.append("Rates differ: a run wants preparation.rate.")
    return tuple(remarks)


def _uses(path: Path, preparation: Preparation | None) -> dict[str, str]:
    channels = "ten_twenty" if preparation is None else "as given here"
    return {
        f"genoseq train experiment=recordings_masked data.path={path}": f"pretraining, channels {channels}",
        f"genoseq train experiment=recordings data.path={path}": "classes of windows, by subject",
    }
