"""The sequences of intervals, in their order and on their strands."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, get_args

import numpy as np
from torch.utils.data import Dataset

from genoseq.data.fasta import Fasta
from genoseq.data.loading import ExampleKey
from genoseq.errors import ConfigError, DataError, IntervalError, require_choice
from genoseq.sequence import Anchor, Interval, reverse_complement
from genoseq.tokenizers import Tokenizer

EdgePolicy = Literal["error", "pad", "drop"]

_log = logging.getLogger(__name__)


class IntervalSequences(Dataset[dict[str, Any]]):
    """Intervals of a FASTA as they are named in a BED file: its order, its names, its strands.

    An interval on "-" is read on that strand; one on "." as on "+".

    Args:
        fasta: the genome.
        intervals: from `read_bed` or by hand.
        tokenizer: makes ids, with its special tokens.
        width: resize every interval to this many bases; None leaves them as they are.
        anchor: what stays in place: "center", "start", "end" (fields of the interval) or "summit".
        summits: offset of the summit from the start of each interval, for that anchor; see `read_summits`.
        edge: for intervals that reach beyond their chromosome: "error", "pad" with N, or "drop".

    Attributes:
        intervals: those that are left, in order, resized as far as their chromosomes go.

    Raises:
        ConfigError: settings that contradict each other.
        DataError: the FASTA lacks a chromosome, or no interval is left.
        IntervalError: an interval reaches beyond its chromosome under "error", or has no summit.
    """

    strand: Literal["stranded"] = "stranded"
    groups = None

    def __init__(
        self,
        fasta: Fasta,
        intervals: Sequence[Interval],
        tokenizer: Tokenizer,
        *,
        width: int | None = None,
        anchor: Anchor = "center",
        summits: Sequence[int] | None = None,
        edge: EdgePolicy = "error",
    ) -> None:
        require_choice("edge", edge, get_args(EdgePolicy))
        if anchor == "summit" and (summits is None or len(summits) != len(intervals)):
            raise ConfigError(
                "anchor=summit needs a summit for each interval, as column 10 of narrowPeak has it."
            )
        self._fasta = fasta
        self._tokenizer = tokenizer
        self.intervals: list[Interval] = []
        self._padding: list[tuple[int, int]] = []
        for number, interval in enumerate(intervals):
            summit = summits[number] if summits is not None else None
            bounds = (interval.start, interval.end)
            if width is not None:
                bounds = interval.resized_bounds(width, anchor, summit)
            self._add(interval, *bounds, edge)
        if not self.intervals:
            raise DataError("no interval is left: none was given, or edge=drop dropped all.")
        if len(self.intervals) < len(intervals):
            dropped = len(intervals) - len(self.intervals)
            _log.warning("%d of %d intervals reach beyond their chromosome: dropped", dropped, len(intervals))

    @property
    def names(self) -> list[str]:
        """The name of each interval, or its place where it has none."""
        return [str(item) if item.name == "." else item.name for item in self.intervals]

    def __len__(self) -> int:
        return len(self.intervals)

    def __getitem__(self, key: ExampleKey) -> dict[str, Any]:
        ids = self._tokenizer.encode(self.sequence(key.index))
        return {"input_ids": np.asarray(ids), "index": key.index, "counted": key.counted}

    def sequence(self, index: int) -> str:
        """Letters of an interval on its strand, padded with N where it reaches beyond its chromosome."""
        interval = self.intervals[index]
        before, after = self._padding[index]
        letters = self._fasta.fetch(interval.chromosome, interval.start, interval.end)
        letters = "N" * before + letters + "N" * after
        return reverse_complement(letters) if interval.strand == "-" else letters

    def _add(self, interval: Interval, start: int, end: int, edge: EdgePolicy) -> None:
        if interval.chromosome not in self._fasta.lengths:
            # The message that names the chromosomes there are.
            self._fasta.fetch(interval.chromosome, 0, 0)
        length = self._fasta.lengths[interval.chromosome]
        inside = max(start, 0), min(end, length)
        if inside != (start, end) and edge == "drop":
            return
        if inside[0] >= inside[1] or (inside != (start, end) and edge == "error"):
            raise IntervalError(
                f"{interval} reaches to {interval.chromosome}:{start}-{end}, beyond its chromosome of bases "
                f"0-{length} in {self._fasta.path}. Give a smaller width, or edge=pad or edge=drop."
            )
        self.intervals.append(replace(interval, start=inside[0], end=inside[1]))
        self._padding.append((inside[0] - start, end - inside[1]))
