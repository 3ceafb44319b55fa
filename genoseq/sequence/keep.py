"""Records that cannot be read: an error, or, where the user says so, left out, counted and reported."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar, get_args

from genoseq.errors import RecordError, require_choice

OnError = Literal["raise", "skip"]
Given = TypeVar("Given")
Made = TypeVar("Made")


@dataclass(frozen=True)
class Kept(Generic[Made]):
    """What was read, and what was not.

    Attributes:
        records: in the order they were given.
        skipped: the error of each record that was left out, in order.
    """

    records: list[Made]
    skipped: list[RecordError]

    @property
    def counts(self) -> dict[str, int]:
        """How many were skipped for each problem, most frequent first."""
        return dict(Counter(error.problem for error in self.skipped).most_common())

    def __str__(self) -> str:
        read = f"{len(self.records):,} records read"
        if not self.skipped:
            return f"{read}, none skipped"
        counts = ", ".join(f"{count:,} {problem}" for problem, count in self.counts.items())
        return f"{read}, {len(self.skipped):,} skipped: {counts}; the first: {self.skipped[0]}"


def keep(make: Callable[[Given], Made], given: Iterable[Given], on_error: OnError = "raise") -> Kept[Made]:
    """`make` of each.

    Args:
        make: gives a record or raises `RecordError`.
        given: what to make them of.
        on_error: "raise" ends at the first mistake, "skip" leaves such records out and keeps their errors.

    Raises:
        RecordError: a record cannot be made, with "raise".
        ConfigError: `on_error` is neither.
    """
    require_choice("on_error", on_error, get_args(OnError))
    records: list[Made] = []
    skipped: list[RecordError] = []
    for item in given:
        try:
            records.append(make(item))
        except RecordError as error:
            if on_error == "raise":
                raise
            skipped.append(error)
    return Kept(records, skipped)
