"""From reads to their places.

Source: Holur et al. 2025, "Embed-Search-Align": candidates by the nearest vectors, then an exact alignment.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from genoseq.data.fasta import Fasta
from genoseq.data.reads import Read
from genoseq.errors import ConfigError, SequenceError
from genoseq.inference.align.encoders import ReadEncoder
from genoseq.inference.align.index import GenomeIndex
from genoseq.inference.align.store import VectorStore
from genoseq.models.chunks import batches
from genoseq.sequence import Strand, decode_bases, reverse_complement

_SURE = 60
_A_DIFFERENCE = 6
_FLANK = 0.12


@dataclass(frozen=True)
class AlignSettings:
    """Attributes:
    candidates: windows of each strand of a read that are aligned to.
    max_error: the most errors a base; a read with more is left unmapped.
    batch_size: reads at a time.

    Raises:
        ConfigError: a setting is outside its range.
    """

    candidates: int = 10
    max_error: float = 0.15
    batch_size: int = 512

    def __post_init__(self) -> None:
        if self.candidates < 1 or self.batch_size < 1:
            raise ConfigError(
                f"candidates={self.candidates}, batch_size={self.batch_size}: both are 1 or more."
            )
        if not 0 <= self.max_error < 0.5:
            raise ConfigError(f"max_error={self.max_error}: give 0 to less than 0.5 errors a base.")


@dataclass(frozen=True)
class Aligned:
    """Where a read belongs.

    Attributes:
        chromosome, start, end: of the genome, 0-based and half-open.
        strand: of the genome that the read is of.
        distance: edits between the read and the genome there.
        cigar: along the genome, with = X I D.
        quality: 0 where another place is as good, to 60; six for each edit that the second-best has more.
        similarity: cosine of the read's vector and that of the nearest window there.
    """

    chromosome: str
    start: int
    end: int
    strand: Strand
    distance: int
    cigar: str
    quality: int
    similarity: float


class _Region(NamedTuple):
    """A stretch that candidates of one strand lie in, windows that overlap joined."""

    chromosome: str
    start: int
    end: int
    strand: Strand
    similarity: float


class _Hit(NamedTuple):
    """The best place of a read in a region."""

    region: _Region
    start: int
    end: int
    distance: int


def align(
    encoder: ReadEncoder,
    index: GenomeIndex,
    store: VectorStore,
    fasta: Fasta,
    reads: Iterable[Read],
    settings: AlignSettings = AlignSettings(),
) -> Iterator[tuple[Read, Aligned | None]]:
    """Find the place of each read, in their order; None where there is none.

    A read and its reverse complement are both searched for among the windows of the given strand, and the
    read is aligned, whole, to the nearest windows of either by edit distance.

    Raises:
        ConfigError: edlib is not installed.
        SequenceError: a read that is empty, longer than the encoder takes, or no nucleotides.
        DeviceError: a batch does not fit in memory.
    """
    edlib = _edlib()
    for batch in batches(reads, settings.batch_size):
        for read in batch:
            if not read.sequence:
                raise SequenceError(f"{read.name}: the read has no base. Remove it.")
        forward = [read.sequence.upper() for read in batch]
        both = [forward, [reverse_complement(text) for text in forward]]
        found = [store.search(encoder(texts), settings.candidates) for texts in both]
        for row, read in enumerate(batch):
            candidates = [(products[row], numbers[row]) for products, numbers in found]
            regions = _regions(index, candidates, len(read.sequence))
            texts = {"+": both[0][row], "-": both[1][row]}
            yield read, _best(edlib, fasta, texts, regions, settings.max_error)


def _edlib() -> Any:
    try:
        import edlib
    except ImportError as error:
        raise ConfigError("aligning needs edlib: pip install .[align].") from error
    return edlib


def _regions(
    index: GenomeIndex, candidates: Sequence[tuple[np.ndarray, np.ndarray]], read_length: int
) -> list[_Region]:
    """Stretches around the candidates of both strands, the most similar first."""
    flank = max(int(_FLANK * read_length), 1)
    found: list[_Region] = []
    for strand, (products, numbers) in zip(("+", "-"), candidates, strict=True):
        merged: list[_Region] = []
        for product, number in sorted(zip(products, numbers, strict=True), key=lambda pair: int(pair[1])):
            if number < 0:
                continue
            name, start, end = index.window(int(number))
            last = merged[-1] if merged else None
            if last is not None and last.chromosome == name and start <= last.end:
                best = max(last.similarity, float(product))
                merged[-1] = last._replace(end=max(end, last.end), similarity=best)
            else:
                merged.append(_Region(name, start, end, strand, float(product)))  # type: ignore[arg-type]
        found += merged
    lengths = dict(zip(index.names, index.lengths, strict=True))
    wide = [
        region._replace(
            start=max(region.start - flank, 0), end=min(region.end + flank, lengths[region.chromosome])
        )
        for region in found
    ]
    return sorted(wide, key=lambda region: -region.similarity)


def _best(
    edlib: Any, fasta: Fasta, texts: dict[str, str], regions: Sequence[_Region], max_error: float
) -> Aligned | None:
    limit = int(max_error * len(texts["+"]))
    hits = [hit for region in regions for hit in _hits(edlib, fasta, texts[region.strand], region, limit)]
    if not hits:
        return None
    best = min(hits, key=lambda hit: hit.distance)
    others = [hit.distance for hit in hits if _elsewhere(hit, best)]
    # What is found nowhere else has at least one edit more than was looked for.
    second = min(others, default=limit + 1)
    quality = min(_A_DIFFERENCE * (second - best.distance), _SURE)
    path = edlib.align(
        texts[best.region.strand],
        _genome(fasta, best.region.chromosome, best.start, best.end),
        mode="NW",
        task="path",
    )
    region = best.region
    return Aligned(
        region.chromosome,
        best.start,
        best.end,
        region.strand,
        best.distance,
        path["cigar"],
        quality,
        region.similarity,
    )


def _hits(edlib: Any, fasta: Fasta, text: str, region: _Region, limit: int) -> list[_Hit]:
    """The best places of a read in a region: several where they are equally good."""
    genome = _genome(fasta, region.chromosome, region.start, region.end)
    result = edlib.align(text, genome, mode="HW", task="locations", k=limit)
    if result["editDistance"] < 0:
        return []
    return [
        _Hit(region, region.start + start, region.start + end + 1, result["editDistance"])
        for start, end in result["locations"]
    ]


def _elsewhere(hit: _Hit, best: _Hit) -> bool:
    """Whether two places are not one: half a read apart, or on another strand or chromosome."""
    if (hit.region.chromosome, hit.region.strand) != (best.region.chromosome, best.region.strand):
        return True
    return abs(hit.start - best.start) > (best.end - best.start) // 2


def _genome(fasta: Fasta, chromosome: str, start: int, end: int) -> str:
    return decode_bases(fasta.codes(chromosome, start, end))
