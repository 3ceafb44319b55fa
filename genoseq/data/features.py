"""Lines of GFF3 and GTF as features: nine columns and their attributes, not what they mean together."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from genoseq.data.lines import numbered_lines
from genoseq.errors import DataError, IntervalError

_PHASES = {"0": 0, "1": 1, "2": 2, ".": None}
_GTF = re.compile(r'\s*([^\s;"=]+)\s+(?:"([^"]*)"|([^\s";]+))\s*(?:;|$)')


@dataclass(frozen=True, slots=True)
class Feature:
    """One line of an annotation; start and end are 0-based and half-open.

    Attributes:
        line: its number in the file, counted from 1.
        phase: None where the file has ".".
        attributes: by name; each a list, for names that stand twice and for lists in GFF3.
    """

    line: int
    chromosome: str
    kind: str
    start: int
    end: int
    strand: str
    phase: int | None
    attributes: dict[str, list[str]]

    def first(self, attribute: str) -> str | None:
        """The first value of an attribute; None where there is none."""
        values = self.attributes.get(attribute)
        return values[0] if values else None


@dataclass(frozen=True)
class FeatureFile:
    """Features of a file.

    Attributes:
        features: those that were wanted, in the order of the file.
        is_gtf: GTF, in which each line names its transcript, and not GFF3, in which it names its parent.
    """

    features: list[Feature]
    is_gtf: bool


def read_features(
    path: Path, wanted: Callable[[str, bool], bool], attributes: Collection[str]
) -> FeatureFile:
    """Features of a GFF3 or GTF file, plain or gzip; which of the two, its attributes tell.

    Args:
        wanted: whether a feature is kept, given its kind and whether the file is GTF. All are checked.
        attributes: names of those that are kept: the annotation of a large genome has gigabytes of others.

    Raises:
        DataError: the file cannot be read, holds no feature, or a line is none.
        IntervalError: a feature has no base or begins before its chromosome.
    """
    features: list[Feature] = []
    is_gtf: bool | None = None
    seen = False
    for number, fields in _rows(path):
        place = f"{path}, line {number}"
        if len(fields) != 9:
            raise DataError(
                f"{place} has {len(fields)} columns; a line of GFF3 or GTF has 9, apart by tabs. Is it cut "
                "off?"
            )
        if is_gtf is None and fields[8].strip() not in ("", "."):
            is_gtf = bool(_GTF.match(fields[8]))
        seen = True
        bounds, phase = _checked(fields, place)
        if wanted(fields[2], bool(is_gtf)):
            parsed = _gtf_attributes(fields[8]) if is_gtf else _gff3_attributes(fields[8])
            kept = {name: values for name, values in parsed.items() if name in attributes}
            chromosome, kind, strand = (
                sys.intern(field) for field in (unquote(fields[0]), fields[2], fields[6])
            )
            features.append(Feature(number, chromosome, kind, *bounds, strand, phase, kept))
    if not seen:
        raise DataError(f"{path} holds no feature. Give a GFF3 or GTF file with genes.")
    return FeatureFile(features, bool(is_gtf))


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    for number, text in numbered_lines(path, "GFF3 or GTF"):
        if text.startswith(("##FASTA", ">")):
            return
        if text.strip() and not text.startswith("#"):
            yield number, text.split("\t")


def _checked(fields: list[str], place: str) -> tuple[tuple[int, int], int | None]:
    """Bounds, 0-based and half-open, and the phase."""
    start, end, strand, phase = fields[3], fields[4], fields[6], fields[7]
    try:
        bounds = int(start) - 1, int(end)
    except ValueError:
        raise DataError(f"{place}: start {start!r} and end {end!r} must be whole numbers.") from None
    if not 0 <= bounds[0] < bounds[1]:
        raise IntervalError(
            f"{place}: {start}-{end} holds no base. GFF counts from 1 and includes the end: start must be 1 "
            "or more, and no more than end."
        )
    if strand not in ("+", "-", ".", "?"):
        raise DataError(f"{place}: the strand {strand!r} is none of '+', '-', '.' and '?'.")
    if phase not in _PHASES:
        raise DataError(f"{place}: the phase {phase!r} is none of 0, 1, 2 and '.'.")
    return bounds, _PHASES[phase]


def _gff3_attributes(text: str) -> dict[str, list[str]]:
    attributes: dict[str, list[str]] = {}
    for item in text.split(";"):
        name, separator, value = item.strip().partition("=")
        if separator:
            # Commas apart values; one inside of a value is escaped.
            attributes[unquote(name)] = [unquote(part) for part in value.split(",")]
    return attributes


def _gtf_attributes(text: str) -> dict[str, list[str]]:
    attributes: dict[str, list[str]] = {}
    for name, quoted, bare in _GTF.findall(text):
        attributes.setdefault(name, []).append(quoted or bare)
    return attributes
