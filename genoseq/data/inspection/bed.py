"""What is in a BED file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import groupby, pairwise
from pathlib import Path

from genoseq.data.bed import read_bed
from genoseq.data.fasta import Fasta
from genoseq.data.inspection.findings import Findings, Options, Value, some, spread
from genoseq.sequence import Interval

_STRANDS = {"+": "forward", "-": "reverse", ".": "without"}


def inspect_bed(path: Path, options: Options) -> Findings:
    """Intervals by chromosome, width and strand, checked against the genome where it is given.

    Raises:
        DataError, IntervalError: a file is missing or broken.
    """
    intervals = read_bed(path)
    by_chromosome = Counter(interval.chromosome for interval in intervals)
    by_strand = Counter(interval.strand for interval in intervals)
    named = sum(interval.name != "." for interval in intervals)
    facts: dict[str, Value] = {
        "intervals": len(intervals),
        "chromosomes": some(f"{name} ({count:,})" for name, count in by_chromosome.items()),
        "widths": spread(interval.width for interval in intervals),
        "bases": sum(interval.width for interval in intervals),
        "strands": ", ".join(f"{by_strand[sign]:,} {word}" for sign, word in _STRANDS.items()),
        "named": named,
        "overlap the one before": _overlaps(intervals),
        "in the order of places": "yes" if _in_order(intervals) else "no",
    }
    remarks = [] if options.fasta is None else _misfits(intervals, Fasta(options.fasta))
    genome = options.fasta or "GENOME"
    source = f"checkpoint=DIR fasta={genome} bed={path} out=FILE"
    uses = {
        f"genoseq embed {source}": f"{len(intervals):,} vectors",
        f"genoseq predict {source}": f"{len(intervals):,} predictions",
    }
    return Findings("BED", {"intervals": facts}, tuple(remarks), uses)


def _in_order(intervals: Sequence[Interval]) -> bool:
    runs = [name for name, _ in groupby(interval.chromosome for interval in intervals)]
    sorted_inside = all(
        one.start <= other.start for one, other in pairwise(intervals) if one.chromosome == other.chromosome
    )
    return len(runs) == len(set(runs)) and sorted_inside


def _overlaps(intervals: Sequence[Interval]) -> int:
    """How many share a base with one that begins before them."""
    count, chromosome, furthest = 0, "", 0
    for interval in sorted(intervals, key=lambda found: (found.chromosome, found.start)):
        if interval.chromosome != chromosome:
            chromosome, furthest = interval.chromosome, 0
        count += interval.start < furthest
        furthest = max(furthest, interval.end)
    return count


def _misfits(intervals: Sequence[Interval], fasta: Fasta) -> list[str]:
    unknown = sorted({interval.chromosome for interval in intervals} - set(fasta.lengths))
    beyond = [
        str(interval)
        for interval in intervals
        if interval.chromosome in fasta.lengths and interval.end > fasta.lengths[interval.chromosome]
    ]
    remarks = []
    if unknown:
        remarks.append(f"The genome has no {some(unknown)}; it has {some(fasta.names)}.")
    if beyond:
        remarks.append(f"{len(beyond):,} intervals go beyond their chromosome: {some(beyond, 3)}.")
    return remarks
