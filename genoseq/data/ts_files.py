"""The `.ts` files of the UEA and UCR archives: many short series, each with a label."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, NoReturn

import numpy as np

from genoseq.data.time_series import PathLike
from genoseq.errors import DataError
from genoseq.paths import require_file

_MISSING = ("?", "NaN", "nan", "")


class SeriesExample(NamedTuple):
    """Attributes:
    values: (L, C) float32, NaN where nothing was observed.
    label: its class or number, as the file has it; empty where it has none.
    """

    values: np.ndarray
    label: str


@dataclass
class SeriesFile:
    """Attributes:
    examples: in the order of the file; their lengths may differ, their channels do not.
    classes: as the header lists them; empty where labels are numbers, or there are none.
    numeric: labels are numbers to be predicted.
    """

    examples: list[SeriesExample] = field(default_factory=list)
    classes: tuple[str, ...] = ()
    numeric: bool = False

    @property
    def num_channels(self) -> int:
        """C."""
        return self.examples[0].values.shape[1]


def read_ts(path: PathLike) -> SeriesFile:
    """Read a `.ts` file, plain or .gz.

    Raises:
        DataError: it is missing, truncated or no such file; a series has no label or one that the header does
            not list, another number of channels than the first, or channels of different lengths; or its
            values carry time stamps.
    """
    located = require_file(path, "series")
    opened = gzip.open if located.suffix == ".gz" else open
    try:
        with opened(located, "rt", encoding="utf-8") as handle:
            return _parse(located, enumerate(handle, start=1))
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise DataError(f"{located} cannot be read: {error}") from error


def _parse(path: Path, lines: Iterable[tuple[int, str]]) -> SeriesFile:
    lines = iter(lines)
    file, labelled = _header(path, lines)
    for number, line in lines:
        text = line.strip()
        if not text:
            continue
        *channels, label = text.split(":") if labelled else [*text.split(":"), ""]
        if not channels:
            _refuse(path, number, "there is no label behind a colon")
        if file.classes and label not in file.classes:
            _refuse(path, number, f"the label {label!r} is none of {', '.join(file.classes[:20])}")
        values = _values(path, number, channels)
        if file.examples and values.shape[1] != file.num_channels:
            _refuse(path, number, f"there are {values.shape[1]} channels, and {file.num_channels} before")
        file.examples.append(SeriesExample(values, label))
    if not file.examples:
        raise DataError(f"{path} holds no series behind @data.")
    return file


def _header(path: Path, lines: Iterator[tuple[int, str]]) -> tuple[SeriesFile, bool]:
    file, labelled = SeriesFile(), False
    for number, line in lines:
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        key = words[0].lower()
        if key == "@data":
            return file, labelled
        if not key.startswith("@"):
            break
        truth = len(words) > 1 and words[1].lower() == "true"
        if key == "@timestamps" and truth:
            _refuse(path, number, "values with time stamps are not read; give series on a regular grid")
        if key in ("@classlabel", "@targetlabel") and truth:
            labelled, file.numeric, file.classes = True, key == "@targetlabel", tuple(words[2:])
    raise DataError(f"{path} has no @data: it is no .ts file, or is truncated.")


def _values(path: Path, number: int, channels: list[str]) -> np.ndarray:
    rows = []
    for text in channels:
        fields = [field.strip() for field in text.split(",")]
        try:
            rows.append([np.nan if value in _MISSING else float(value) for value in fields])
        except ValueError as error:
            _refuse(path, number, f"{error}")
    if len({len(row) for row in rows}) > 1:
        _refuse(path, number, f"its channels have {sorted({len(row) for row in rows})} values")
    return np.array(rows, dtype=np.float32).T


def _refuse(path: Path, number: int, what: str) -> NoReturn:
    raise DataError(f"{path}, line {number}: {what}. Mend the line, or take it out.")
