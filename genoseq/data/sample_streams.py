"""Samples as they come: from standard input or a file, some at a time, in memory that does not grow."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

import numpy as np
import pandas as pd

from genoseq.data.recordings.opening import Source, open_recording, volts
from genoseq.errors import ConfigError, DataError
from genoseq.paths import require_file

Pieces = Iterator[np.ndarray]

STANDARD_INPUT = "-"
_RECORDINGS = (".edf", ".bdf", ".fif")


def open_samples(
    source: str, channels: Sequence[str], *, samples: int, sampling_rate: float | None, header: bool = True
) -> Pieces:
    """Samples of some channels, piece by piece.

    Args:
        source: `-` for text on standard input, commas between numbers, a line a sample; or a file: the same
            as .csv (.gz); .npy of (L, C); .hea of a WFDB record; .edf, .bdf, .fif of a recording (in µV).
        channels: names in the order of the model, as columns or channels have them. A .npy has no names: its
            columns are taken as they come, and so are those of text without a header.
        samples: of a piece; the last may have fewer.
        sampling_rate: what the model wants, which a file that has one must have; None for any.
        header: text begins with a line of names.

    Yields:
        (n, C) float64, NaN where a field is empty.

    Raises:
        DataError: a file is missing or broken, a channel is not there, a field is no number, or the rate is
            another.
        ConfigError: the ending says no format, or there is no sample in a piece.
    """
    if samples < 1:
        raise ConfigError(f"samples={samples}: give one or more at a time.")
    if source == STANDARD_INPUT:
        return _read_lines(sys.stdin, "standard input", channels, samples, header)
    path = require_file(source, "the samples")
    kind = path.suffix.lower() if path.suffix.lower() != ".gz" else Path(path.stem).suffix.lower()
    readers: dict[str, Callable[[], Pieces]] = {
        ".csv": lambda: _read_csv(path, channels, samples, header),
        ".npy": lambda: _read_npy(path, channels, samples),
        ".hea": lambda: _read_wfdb(path, channels, samples, sampling_rate),
        **dict.fromkeys(_RECORDINGS, lambda: _read_recording(path, channels, samples, sampling_rate)),
    }
    if kind not in readers:
        raise ConfigError(f"input={source}: give - for standard input, or one of {', '.join(readers)}.")
    return readers[kind]()


def _read_lines(file: IO[str], name: str, channels: Sequence[str], samples: int, header: bool) -> Pieces:
    rows = csv.reader(file)
    columns = list(range(len(channels)))
    if header:
        columns = _columns(next(rows, []), channels, name)
    piece: list[list[float]] = []
    for number, row in enumerate(rows, start=1 + header):
        try:
            piece.append([float(row[column]) if row[column].strip() else np.nan for column in columns])
        except (ValueError, IndexError) as error:
            raise DataError(
                f"{name}, line {number}: {','.join(row)[:80]!r} holds not {len(channels)} numbers for "
                f"{', '.join(channels)} ({error})."
            ) from error
        if len(piece) == samples:
            yield np.array(piece)
            piece = []
    if piece:
        yield np.array(piece)


def _read_csv(path: Path, channels: Sequence[str], samples: int, header: bool) -> Pieces:
    try:
        with pd.read_csv(path, header=0 if header else None, chunksize=samples) as reader:
            for piece in reader:
                names = list(map(str, piece.columns))
                columns = _columns(names, channels, path) if header else list(range(len(channels)))
                yield piece.iloc[:, columns].to_numpy(dtype=np.float64)
    except (ValueError, OSError, EOFError, IndexError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} holds not {len(channels)} columns of numbers: {error}") from error


def _read_npy(path: Path, channels: Sequence[str], samples: int) -> Pieces:
    try:
        values = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise DataError(f"{path} is no array: {error}") from error
    if values.ndim != 2 or values.shape[1] != len(channels):
        raise DataError(f"{path} has the shape {values.shape}: give (samples, {len(channels)} channels).")
    for start in range(0, len(values), samples):
        # A fresh map for each piece: pages of the last would stay in memory.
        part = np.load(path, mmap_mode="r", allow_pickle=False)[start : start + samples]
        yield np.array(part, dtype=np.float64)


def _read_wfdb(path: Path, channels: Sequence[str], samples: int, sampling_rate: float | None) -> Pieces:
    from genoseq.data.wfdb_records import library

    wfdb, name = library(), str(path.with_suffix(""))
    try:
        header = wfdb.rdheader(name)
        _require_rate(float(header.fs), sampling_rate, path)
        columns = _columns(header.sig_name, channels, path)
        for start in range(0, header.sig_len, samples):
            stop = min(start + samples, header.sig_len)
            yield wfdb.rdrecord(name, sampfrom=start, sampto=stop, channels=columns).p_signal
    except DataError:
        raise
    except Exception as error:  # whatever a broken file makes the library raise
        raise DataError(f"{path} cannot be read as a WFDB record: {error}") from error


def _read_recording(path: Path, channels: Sequence[str], samples: int, sampling_rate: float | None) -> Pieces:
    source = Source(path)
    raw = open_recording(source)
    _require_rate(float(raw.info["sfreq"]), sampling_rate, path)
    labels = [raw.ch_names[column] for column in _columns(raw.ch_names, channels, path)]
    for start in range(0, raw.n_times, samples):
        stop = min(start + samples, raw.n_times)
        yield volts(raw, labels, {}, source, start=start, stop=stop).T * 1e6


def _columns(names: Sequence[str], channels: Sequence[str], source: object) -> list[int]:
    stripped = [name.strip() for name in names]
    missing = [channel for channel in channels if channel not in stripped]
    if missing:
        raise DataError(
            f"{source} has no {', '.join(missing)}; it has {', '.join(stripped[:30]) or 'nothing'}. Name the "
            "channels with channels=, in the order of the model's, or say header=false where there is no "
            "line of names."
        )
    return [stripped.index(channel) for channel in channels]


def _require_rate(given: float, wanted: float | None, source: object) -> None:
    if wanted is not None and abs(given - wanted) > 1e-6 * wanted:
        raise DataError(
            f"{source} has {given:g} samples a second, and the model was trained on {wanted:g}. Resample it "
            "first: a stream cannot look ahead, as resampling does."
        )
