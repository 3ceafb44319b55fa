"""Intervals from BED files and from text."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from genoseq.data.lines import numbered_lines
from genoseq.errors import DataError, IntervalError
from genoseq.paths import require_file
from genoseq.sequence import Interval, Strand

_NO_DATA = ("#", "track", "browser")
_SUMMIT = 9
_PLACE = re.compile(r"(?P<chromosome>.+):(?P<start>[\d,]+)-(?P<end>[\d,]+)(?:\((?P<strand>[+.-])\))?")


def read_bed(path: str | os.PathLike[str]) -> list[Interval]:
    """The intervals of a BED file of 3 or more columns (gzip too), in its order.

    Raises:
        DataError: the file is missing, unreadable or holds no interval, or a line is no BED.
        IntervalError: an interval is empty, reversed or negative, or has an unknown strand.
    """
    located = require_file(path, "the BED file")
    return [_interval(line) for line in _lines(located)]


def read_summits(path: str | os.PathLike[str]) -> list[int]:
    """The summit of each interval of a narrowPeak file, as an offset from its start; -1 where there is none.

    Raises:
        DataError: as `read_bed`, or a line has no column 10 with a whole number.
    """
    located = require_file(path, "the narrowPeak file")
    return [_summit(line) for line in _lines(located)]


def parse_interval(text: str) -> Interval:
    """An interval from `chr:start-end` or `chr:start-end(strand)`, 0-based and half-open as everywhere here.

    Raises:
        IntervalError: the text has another form, or the interval holds no base.
    """
    match = _PLACE.fullmatch(text.strip())
    if match is None:
        raise IntervalError(
            f"{text!r} is no interval: wanted chromosome:start-end, such as chr1:1000-2000 (0-based, "
            "half-open)."
        )
    start, end = (int(match[bound].replace(",", "")) for bound in ("start", "end"))
    return Interval(match["chromosome"], start, end, _strand(match["strand"] or "."))


@dataclass(frozen=True)
class _Line:
    path: Path
    number: int
    fields: list[str]

    @property
    def place(self) -> str:
        return f"{self.path}, line {self.number}"


def _lines(path: Path) -> Iterator[_Line]:
    found = False
    for number, text in numbered_lines(path, "a BED file"):
        if text.strip() and not text.startswith(_NO_DATA):
            found = True
            # Names may hold spaces where the columns are apart by tabs.
            yield _Line(path, number, text.split("\t") if "\t" in text else text.split())
    if not found:
        raise DataError(
            f"{path} holds no interval. Give a BED file with at least one line: chromosome, start, end."
        )


def _interval(line: _Line) -> Interval:
    if len(line.fields) < 3:
        raise DataError(
            f"{line.place} has {len(line.fields)} columns; a BED line has at least 3: chromosome, start, "
            "end, apart by tabs."
        )
    chromosome, start, end, name, score, strand = (line.fields + ["."] * 3)[:6]
    try:
        bounds = int(start), int(end)
    except ValueError:
        raise DataError(
            f"{line.place}: start {start!r} and end {end!r} must be whole numbers. Remove a header line, or "
            "begin it with #."
        ) from None
    try:
        return Interval(chromosome, *bounds, _strand(strand), name, score)
    except IntervalError as error:
        raise IntervalError(f"{line.place}: {error}") from error


def _strand(text: str) -> Strand:
    # Interval itself refuses what is none.
    return text  # type: ignore[return-value]


def _summit(line: _Line) -> int:
    try:
        return int(line.fields[_SUMMIT])
    except (IndexError, ValueError):
        raise DataError(
            f"{line.place} has no summit: narrowPeak holds its offset from start in column 10. Use another "
            "anchor for a plain BED file."
        ) from None
