"""Exons and coding parts of transcripts, to be drawn under a track."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from genoseq.data.contigs import ContigNames
from genoseq.data.features import Feature, read_features
from genoseq.paths import require_file
from genoseq.sequence import Interval

_DRAWN = ("exon", "CDS")
_NAMES = ("gene_name", "transcript_id", "gene_id", "Name", "Parent", "ID")


@dataclass(frozen=True)
class GeneModel:
    """One transcript, 0-based and half-open.

    Attributes:
        name: of its gene where the annotation has one.
        strand: as the annotation has it.
        exons, coding: parts, in order; exons are the coding parts where the annotation has no others.
    """

    name: str
    strand: str
    exons: tuple[tuple[int, int], ...]
    coding: tuple[tuple[int, int], ...]

    @property
    def start(self) -> int:
        """First base."""
        return self.exons[0][0]

    @property
    def end(self) -> int:
        """Behind the last base."""
        return max(end for _, end in self.exons)


def read_gene_models(
    path: str | os.PathLike[str], intervals: Sequence[Interval]
) -> dict[Interval, list[GeneModel]]:
    """The transcripts of a GTF or GFF3 (gzip too) that lie in intervals, by their first bases.

    Args:
        path: the annotation; `chr9` and `9` are known to be one chromosome.
        intervals: where to look.

    Raises:
        DataError, IntervalError: the file cannot be read, or a line is no feature.
    """
    names = ContigNames({interval.chromosome: interval.end for interval in intervals})
    file = read_features(require_file(path, "the annotation"), lambda kind, _: kind in _DRAWN, _NAMES)
    parts: dict[tuple[str, str], list[Feature]] = defaultdict(list)
    for feature in file.features:
        chromosome = names.find(feature.chromosome)
        transcript = feature.first("transcript_id") or feature.first("Parent") or feature.first("ID")
        if chromosome is not None and transcript is not None:
            parts[chromosome, transcript].append(feature)
    models = [(chromosome, _model(name, lines)) for (chromosome, name), lines in parts.items()]
    return {
        interval: sorted(
            (
                model
                for chromosome, model in models
                if chromosome == interval.chromosome
                and model.start < interval.end
                and model.end > interval.start
            ),
            key=lambda model: (model.start, model.end),
        )
        for interval in intervals
    }


def _model(transcript: str, lines: Sequence[Feature]) -> GeneModel:
    coding, exons = (
        tuple(sorted({(line.start, line.end) for line in lines if line.kind == kind}))
        for kind in ("CDS", "exon")
    )
    name = lines[0].first("gene_name") or lines[0].first("Name") or transcript
    return GeneModel(name, lines[0].strand, exons or coding, coding)
