"""What an inspection gives, and what it may be told."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Value = str | int | float


@dataclass(frozen=True)
class Options:
    """What a reader may be told beside the path; each looks at what concerns it.

    Attributes:
        fasta: the genome that intervals or variants are in; they are then checked against it.
        sequence_column: column of a table that holds sequences.
        label_column: column of a table that holds labels.
        recordings: of a folder of recordings: `layout`, `table`, and what `Preparation` takes.
    """

    fasta: str | os.PathLike[str] | None = None
    sequence_column: str = "sequence"
    label_column: str = "label"
    recordings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Findings:
    """What was found.

    Attributes:
        kind: of file, as people call it: "FASTA".
        sections: facts by name, under a title each.
        remarks: what a user should look at before a run, a sentence each.
        uses: command lines that take this file, with what they would do with it.
        table: a row for each of many things, all with the same columns.
        names: of these rows, for the screen alone: files may be called after people.
    """

    kind: str
    sections: dict[str, dict[str, Value]]
    remarks: tuple[str, ...] = ()
    uses: dict[str, str] = field(default_factory=dict)
    table: tuple[dict[str, Value], ...] = ()
    names: tuple[str, ...] = ()


def spread(values: Iterable[int]) -> str:
    """Smallest, middle and largest of some lengths, in words."""
    numbers = np.fromiter(values, dtype=np.int64)
    if not len(numbers):
        return "none"
    low, middle, high = numbers.min(), np.median(numbers), numbers.max()
    return f"{low:,}" if low == high else f"{low:,} to {high:,}, median {middle:,.0f}"


def some(names: Iterable[str], count: int = 8) -> str:
    """The first names of many, and how many more there are."""
    listed = list(names)
    rest = f" and {len(listed) - count:,} more" if len(listed) > count else ""
    return ", ".join(listed[:count]) + rest
