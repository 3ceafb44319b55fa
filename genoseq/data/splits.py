"""Which part of the data is for fitting, which for choosing, and which is opened once."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import numpy as np

from genoseq.data.bed import parse_interval, read_bed
from genoseq.data.leaks import LeakPolicy, overlapping
from genoseq.errors import ConfigError, DataError, IntervalError, LeakError, require_choice
from genoseq.sequence import Interval

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)


class GenomeSplit(ABC):
    """A way to cut genomes into train, validation and test."""

    @abstractmethod
    def regions(self, lengths: Mapping[str, int], split: Split) -> list[Interval]:
        """The disjoint intervals of a split.

        Args:
            lengths: bases of each chromosome.
            split: the part asked for.

        Raises:
            DataError: the split has no base, or names a chromosome that is not there.
        """


class BlockSplit(GenomeSplit):
    """Each chromosome in three contiguous blocks: train, validation, test, in this order.

    Args:
        train, validation, test: fractions that add up to 1.

    Raises:
        ConfigError: they do not.
    """

    def __init__(self, *, train: float = 0.7, validation: float = 0.1, test: float = 0.2) -> None:
        fractions = (train, validation, test)
        if min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-6:
            raise ConfigError(
                f"train={train}, validation={validation}, test={test} are no fractions that add up to 1, as "
                "0.7, 0.1, 0.2 do."
            )
        self._ends = dict(zip(SPLITS, np.cumsum(fractions), strict=True))
        self._begins = dict(zip(SPLITS, (0.0, *np.cumsum(fractions)[:2]), strict=True))

    def regions(self, lengths: Mapping[str, int], split: Split) -> list[Interval]:
        """One block a chromosome; none where the chromosome is too short to have one."""
        found = []
        for name, length in lengths.items():
            start, end = (round(length * bound[split]) for bound in (self._begins, self._ends))
            if start < end:
                found.append(Interval(name, start, end))
        return _require_some(found, split)


class ChromosomeSplit(GenomeSplit):
    """Whole chromosomes: those named are for validation and test, all others for training.

    Args:
        validation, test: names of chromosomes.

    Raises:
        ConfigError: one is in both.
    """

    def __init__(self, *, validation: Sequence[str], test: Sequence[str]) -> None:
        # A chromosome 1 may come from YAML as a number.
        self._named: dict[str, list[str]] = {
            "validation": [str(name) for name in validation],
            "test": [str(name) for name in test],
        }
        shared = set(self._named["validation"]) & set(self._named["test"])
        if shared:
            raise ConfigError(
                f"{', '.join(sorted(shared))} cannot be both for validation and for test: name other "
                "chromosomes."
            )

    def regions(self, lengths: Mapping[str, int], split: Split) -> list[Interval]:
        """One interval a chromosome."""
        named = [name for names in self._named.values() for name in names]
        missing = sorted(set(named) - set(lengths))
        if missing:
            raise DataError(
                f"the split names {', '.join(missing)}, which the genome does not have; it has "
                f"{', '.join(list(lengths)[:30])}."
            )
        names = [name for name in lengths if name not in named] if split == "train" else self._named[split]
        return _require_some([Interval(name, 0, lengths[name]) for name in names if lengths[name]], split)


class IntervalSplit(GenomeSplit):
    """Intervals by name: each split is a BED file or a list of `chromosome:start-end`.

    Args:
        train, validation, test: the intervals. Those of one split that overlap or touch are joined.
        leaks: what to do where intervals of different splits overlap: "error"; "report": allow it; "drop":
            leave out the whole interval of the earlier of train, validation and test.

    Raises:
        DataError, IntervalError: as `read_bed`. LeakError: intervals of two splits overlap.
    """

    def __init__(
        self,
        *,
        train: str | os.PathLike[str] | Sequence[str],
        validation: str | os.PathLike[str] | Sequence[str],
        test: str | os.PathLike[str] | Sequence[str],
        leaks: LeakPolicy = "error",
    ) -> None:
        require_choice("leaks", leaks, get_args(LeakPolicy))
        given = {"train": train, "validation": validation, "test": test}
        self._intervals = {name: _read_intervals(source) for name, source in given.items()}
        if leaks != "report":
            self._resolve_leaks(leaks)
        self._intervals = {name: _joined(intervals) for name, intervals in self._intervals.items()}

    def regions(self, lengths: Mapping[str, int], split: Split) -> list[Interval]:
        """The intervals, joined and sorted by place.

        Raises:
            IntervalError: an interval goes beyond its chromosome.
        """
        for interval in self._intervals[split]:
            if interval.chromosome not in lengths:
                raise DataError(
                    f"{interval} is on no chromosome of the genome, which has "
                    f"{', '.join(list(lengths)[:30])}."
                )
            if interval.end > lengths[interval.chromosome]:
                raise IntervalError(
                    f"{interval} goes beyond its chromosome, which has bases "
                    f"0-{lengths[interval.chromosome]}."
                )
        return _require_some(self._intervals[split], split)

    def _resolve_leaks(self, leaks: LeakPolicy) -> None:
        for earlier, later in (("train", "validation"), ("train", "test"), ("validation", "test")):
            found = overlapping(self._intervals[later], self._intervals[earlier])
            if leaks == "error" and found.any():
                raise LeakError(
                    f"{int(found.sum())} intervals for {earlier} overlap with those for {later}, the first "
                    f"{self._intervals[earlier][int(np.argmax(found))]}. Mend them, or say leaks=drop to "
                    "leave them out or leaks=report to keep them."
                )
            kept = zip(self._intervals[earlier], found, strict=True)
            self._intervals[earlier] = [interval for interval, leaked in kept if not leaked]


def split_groups(groups: np.ndarray, fractions: Mapping[Split, float], *, seed: int) -> np.ndarray:
    """Cut rows into train, validation and test so that no group is in two of them.

    Groups are drawn at random into a part as long as they fit in; where none does, the smallest goes there.
    The largest group is always in train.

    Args:
        groups: (N,) the group of each row.
        fractions: share of the rows that each part is to have; a part of 0 gets none.
        seed: of the draw.

    Returns:
        (N,) names of splits.

    Raises:
        DataError: there are fewer groups than parts.
    """
    names, group_of_row, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    wanted = {part: share for part, share in fractions.items() if share > 0}
    if len(names) <= len(wanted):
        raise DataError(
            f"{len(names)} group(s) cannot be cut into train, {' and '.join(wanted)}: a group is never "
            "divided. Give data of more groups, a file for each split, or no group column."
        )
    part_of_group = np.full(len(names), "train", dtype="<U10")
    order = np.random.default_rng(seed).permutation(len(names))
    remaining = order[order != sizes.argmax()].tolist()
    for number, (part, share) in enumerate(wanted.items(), start=1):
        # One group at least is kept for each part that comes after.
        most = len(remaining) - (len(wanted) - number)
        taken = _draw(remaining, sizes, round(share * len(groups)), most)
        part_of_group[taken] = part
        drawn = set(taken)
        remaining = [group for group in remaining if group not in drawn]
    return part_of_group[group_of_row]


def _draw(order: Sequence[int], sizes: np.ndarray, target: int, most: int) -> list[int]:
    taken: list[int] = []
    rows = 0
    for group in order:
        if rows + sizes[group] <= target and len(taken) < most:
            taken.append(group)
            rows += sizes[group]
    return taken or [min(order, key=lambda group: sizes[group])]


def _require_some(regions: list[Interval], split: str) -> list[Interval]:
    if not regions:
        raise DataError(
            f"the {split} split holds no base. Give it a fraction above 0, or chromosomes or intervals."
        )
    return regions


def _read_intervals(source: str | os.PathLike[str] | Sequence[str]) -> list[Interval]:
    if isinstance(source, str | os.PathLike):
        return read_bed(source)
    return [parse_interval(text) for text in source]


def _joined(intervals: Sequence[Interval]) -> list[Interval]:
    joined: list[Interval] = []
    for interval in sorted(intervals, key=lambda item: (item.chromosome, item.start)):
        last = joined[-1] if joined else None
        if last and last.chromosome == interval.chromosome and interval.start <= last.end:
            joined[-1] = Interval(last.chromosome, last.start, max(last.end, interval.end))
        else:
            joined.append(Interval(interval.chromosome, interval.start, interval.end))
    return joined
