"""Files of recordings, opened and checked: their length, their units, their time.

Units follow MNE: voltages are in volts inside of a Raw. Nothing of a patient is read, kept or shown.
"""

from __future__ import annotations

import os
import struct
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from genoseq.data.recordings.extra import mne, rdata
from genoseq.errors import DataError
from genoseq.paths import require_file

FORMATS = (".edf", ".bdf", ".fif", ".set")
SETS = (".rda",)

_VOLTS = {"V": 1.0, "mV": 1e-3, "µV": 1e-6, "uV": 1e-6, "nV": 1e-9}


@dataclass(frozen=True)
class Source:
    """One recording: a file, or a member of a file that holds several.

    Attributes:
        path: of the file.
        member: its number in a set, from 0; None for a file of one.
    """

    path: Path
    member: int | None = None

    def __str__(self) -> str:
        return str(self.path) if self.member is None else f"{self.path}, number {self.member}"


def open_recording(source: Source) -> Any:
    """A recording as MNE's Raw, its samples still on disk where the format allows.

    Raises:
        DataError: it is missing, truncated, corrupt or of no known format.
        ConfigError: MNE is not installed.
    """
    path = require_file(source.path, "the recording")
    kind = path.suffix.lower()
    if kind in SETS:
        return _member(source)
    if kind not in FORMATS:
        raise DataError(f"{path}: a recording ends in {', '.join(FORMATS)}; or give it as one of these.")
    if kind in (".edf", ".bdf"):
        require_whole(path)
    readers = {
        ".edf": mne().io.read_raw_edf,
        ".bdf": mne().io.read_raw_bdf,
        ".fif": mne().io.read_raw_fif,
        ".set": mne().io.read_raw_eeglab,
    }
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            raw = readers[kind](path, preload=False, verbose="ERROR")
            # Names, birthdays, recording dates: nothing below this line can show them.
            raw.anonymize(verbose="ERROR")
            return raw
    except Exception as error:  # whatever a reader trips over, the file is what is wrong
        raise DataError(
            f"{path} cannot be read as {kind[1:].upper()}: {type(error).__name__}: {error}. It is corrupt, "
            "or of another kind than its name says."
        ) from error


def require_whole(path: Path) -> None:
    """Check that an EDF or BDF file has as many bytes as its header promises.

    Raises:
        DataError: its header is not one, or its end is missing.

    Source: Kemp and Olivan 2003, Clinical Neurophysiology 114:1755 (EDF+).
    """
    width = 3 if path.suffix.lower() == ".bdf" else 2
    with path.open("rb") as file:
        fixed = file.read(256)
        try:
            header, records, signals = int(fixed[184:192]), int(fixed[236:244]), int(fixed[252:256])
            file.seek(256 + 216 * signals)
            samples = sum(int(file.read(8)) for _ in range(signals))
        except (ValueError, struct.error) as error:
            raise DataError(f"{path} is corrupt: its first bytes are no EDF or BDF header.") from error
    if header != 256 * (signals + 1) or signals < 1 or samples < 1:
        raise DataError(f"{path} is corrupt: its header of {header} bytes does not fit {signals} signals.")
    there = (os.path.getsize(path) - header) // (width * samples)
    if there < max(records, 1):
        raise DataError(
            f"{path} is truncated: its header promises {max(records, 1)} data records, {max(there, 0)} are "
            "there. Restore it from a copy, or leave it out."
        )


def units_of(raw: Any, declared: Mapping[str, str]) -> dict[str, str]:
    """The unit of each channel as `declared` says of labels or of all (`"*"`), else as its file says."""
    said = getattr(raw, "_orig_units", None) or {}
    return {label: declared.get(label, declared.get("*", said.get(label, ""))) for label in raw.ch_names}


def volts(
    raw: Any,
    labels: list[str],
    declared: Mapping[str, str],
    source: Source,
    *,
    start: int = 0,
    stop: int | None = None,
) -> np.ndarray:
    """Samples [start, stop) of channels, (C, T) float64, in volts.

    MNE takes numbers of an unknown unit for volts. Where a unit is declared it counts instead.

    Raises:
        DataError: a channel has a unit that is no voltage, or the file cannot be read to its end.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            data = raw.get_data(picks=labels, start=start, stop=stop, verbose="ERROR")
    except Exception as error:
        raise DataError(f"{source} cannot be read to its end: {error}") from error
    said = getattr(raw, "_orig_units", None) or {}
    for row, label in enumerate(labels):
        unit = declared.get(label, declared.get("*"))
        written = said.get(label)
        if unit is not None:
            data[row] *= _factor(unit, label, source) / _VOLTS.get(written or "V", 1.0)
        elif written is not None:
            _factor(written, label, source)
    return data


def require_plausible(microvolts: np.ndarray, source: Source) -> None:
    """Check that EEG has the size of EEG: what reads a thousand times too large or small has a wrong unit.

    Args:
        microvolts: (C, T).
        source: for the message.

    Raises:
        DataError: the median spread of the channels is below 0.05 or above 5,000 µV.
    """
    low, high = np.nanquantile(microvolts, [0.25, 0.75], axis=1)
    spread = float(np.nanmedian(high - low))
    if not 0.05 <= spread <= 5_000:
        raise DataError(
            f"{source}: half of the samples of its EEG lie within {spread:.3g} µV, which no EEG does: the "
            "units do not match. Say which they are, units={'*': uV} (V, mV, uV, nV), or check_units=false."
        )


def annotations_of(source: Source, raw: Any) -> pd.DataFrame:
    """Annotations of a recording as its file has them: `onset`, `duration` in seconds, `description`, and
    `channels`, a tuple of labels, empty for all.

    MNE cuts those of a Raw at its ends and drops what lies beyond. These are as they were written.

    Raises:
        DataError: they cannot be read.
    """
    if source.member is not None or source.path.suffix.lower() == ".set":
        found = raw.annotations
    else:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = mne().read_annotations(source.path)
        except Exception as error:
            if "No annotations found" in str(error) or source.path.suffix.lower() == ".fif":
                found = raw.annotations
            else:
                raise DataError(f"{source}: its annotations cannot be read: {error}") from error
    return pd.DataFrame(
        {
            "onset": found.onset,
            "duration": found.duration,
            "description": [str(text) for text in found.description],
            "channels": [tuple(map(str, labels)) for labels in found.ch_names],
        }
    )


@dataclass(frozen=True)
class TrialSet:
    """Trials of equal form in one file: the `eegdata` of R's eegkitdata, and what is laid out like it.

    Attributes:
        microvolts: (N, C, T) float32.
        channels: (C,) labels.
        rate: samples a second.
        subjects: (N,) who.
        labels: (N,) of the trials.
    """

    microvolts: np.ndarray
    channels: list[str]
    rate: float
    subjects: list[str]
    labels: list[str]


@lru_cache(maxsize=2)
def read_trials(path: Path, rate: float = 256.0) -> TrialSet:
    """An R data frame of `subject`, `group`, `trial`, `channel`, `time`, `voltage` (µV), a row a sample.

    Raises:
        DataError: it is unreadable, lacks a column, or its rows are not whole trials in order.

    Source: Zhang et al. 1995, Brain Research Bulletin 38:531 (the recordings); one second at 256 Hz.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            frames = [item for item in rdata().read_rda(path).values() if isinstance(item, pd.DataFrame)]
    except Exception as error:
        raise DataError(f"{path} cannot be read as R data: {error}") from error
    wanted = ("subject", "group", "channel", "time", "voltage")
    if not frames or any(name not in frames[0] for name in wanted):
        raise DataError(f"{path} holds no data frame with the columns {', '.join(wanted)}.")
    frame = frames[0]
    channels = list(dict.fromkeys(frame["channel"].astype(str)))
    length = int(frame["time"].max()) + 1
    shape = (-1, len(channels), length)
    if len(frame) % (shape[1] * length):
        raise DataError(
            f"{path}: {len(frame):,} rows are no whole trials of {shape[1]} channels x {length} samples."
        )
    times = frame["time"].to_numpy(dtype=np.int64).reshape(shape)
    names = frame["channel"].astype(str).to_numpy().reshape(shape)
    if (times != np.arange(length)).any() or (names != np.array(channels)[:, None]).any():
        raise DataError(f"{path}: its rows are not in the order of trial, channel and time, each time once.")
    first = frame.iloc[:: shape[1] * length]
    return TrialSet(
        frame["voltage"].to_numpy(dtype=np.float32).reshape(shape),
        channels,
        rate,
        first["subject"].astype(str).tolist(),
        first["group"].astype(str).tolist(),
    )


def _member(source: Source) -> Any:
    trials = read_trials(source.path)
    assert source.member is not None, "a set is opened by its members"
    info = mne().create_info(trials.channels, trials.rate, "eeg")
    return mne().io.RawArray(
        trials.microvolts[source.member].astype(np.float64) * 1e-6, info, verbose="ERROR"
    )


def _factor(unit: str, label: str, source: Source) -> float:
    if unit not in _VOLTS:
        raise DataError(
            f"{source}: the unit of the channel {label!r}, {unit!r}, is no voltage (V, mV, uV, nV). Leave it "
            f"out, ignore_channels=[{label!r}], or say what it is, units={{{label!r}: uV}}."
        )
    return _VOLTS[unit]
