"""Splice sites of an annotation against decoys, as a labelled table."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Literal, NamedTuple, get_args

import numpy as np
import pandas as pd

from genoseq.data.fasta import Fasta
from genoseq.errors import ConfigError, DataError, require_choice
from genoseq.sequence import Strand, Transcript, encode_bases, reverse_complement

SpliceSite = Literal["donor", "acceptor"]

_DINUCLEOTIDES: dict[SpliceSite, tuple[str, ...]] = {"donor": ("GT", "GC"), "acceptor": ("AG",)}


class _Site(NamedTuple):
    """Attributes:
    border: the place between exon and intron: bases [0, border) of the chromosome lie before it.
    """

    chromosome: str
    strand: Strand
    border: int


def splice_sites(
    transcripts: Sequence[Transcript],
    genome: Fasta,
    *,
    site: SpliceSite,
    flank: int = 80,
    block: int | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """The donors or acceptors of the introns between coding parts, and as many decoys.

    Sites are the annotated ones with the usual dinucleotide (GT or GC, AG), each once. To each belongs a
    decoy: the same dinucleotide at a random place between the first and the last coding base of the same
    gene, on its strand, that no transcript has for a site of this kind. A decoy may be a site that nobody has
    annotated.

    Args:
        transcripts: of the genome, as `genoseq.data.read_transcripts` gives them.
        genome: with the chromosomes named as there.
        site: "donor" (the 5' end of an intron) or "acceptor" (its 3' end).
        flank: bases on either side of the border of exon and intron.
        block: cut chromosomes into blocks of so many bases, which are the groups; a site whose bases lie in
            two of them is left out. None: whole chromosomes are the groups.
        seed: of the decoys.

    Returns:
        Columns `sequence` (2 flank letters on the strand of the gene, the border in the middle), `label` (1 a
        site, 0 a decoy), `group` (the chromosome, or its block), `name` (chromosome:border(strand), where
        [0, border) are the bases before the border). Sites without the dinucleotide, without room for their
        flanks, or with an N are left out, and so are those whose gene has no decoy.

    Raises:
        ConfigError: an unknown kind of site, or a flank or block that holds none.
        DataError: there is no site.
    """
    require_choice("site", site, get_args(SpliceSite))
    if flank < 2 or (block is not None and block < 2 * flank):
        raise ConfigError(
            f"flank={flank}, block={block}: a flank has 2 bases or more, and a block two of them."
        )
    generator = np.random.default_rng(seed)
    known = _annotated(transcripts, site)
    rows: dict[_Site, int] = {}
    for transcript in transcripts:
        sense = _Sense(genome, transcript, flank)
        decoys = _candidates(sense, site, known[transcript.chromosome, transcript.strand])
        for border in _borders(transcript, site):
            found = _Site(transcript.chromosome, transcript.strand, border)
            dinucleotide = sense.dinucleotide(border, site)
            if found in rows or dinucleotide not in _DINUCLEOTIDES[site] or not sense.is_whole(border, block):
                continue
            free = [place for place in decoys[dinucleotide] if sense.is_whole(place, block)]
            free = [place for place in free if found._replace(border=place) not in rows]
            if free:
                rows[found] = 1
                rows[found._replace(border=int(generator.choice(free)))] = 0
    if not rows:
        raise DataError(f"no {site} of the annotation has its dinucleotide and {flank} bases on either side.")
    return _table(rows, genome, flank, block)


def _annotated(
    transcripts: Iterable[Transcript], site: SpliceSite
) -> defaultdict[tuple[str, Strand], set[int]]:
    known: defaultdict[tuple[str, Strand], set[int]] = defaultdict(set)
    for transcript in transcripts:
        known[transcript.chromosome, transcript.strand].update(_borders(transcript, site))
    return known


def _borders(transcript: Transcript, site: SpliceSite) -> list[int]:
    """Borders of the introns, in rising order. The donor of "-" is where its intron ends on the genome."""
    first = (site == "donor") == (transcript.strand == "+")
    pairs = pairwise(transcript.parts)
    return [left[1] if first else right[0] for left, right in pairs if left[1] < right[0]]


class _Sense:
    """A gene and its flanks on its strand, in upper-case letters."""

    def __init__(self, genome: Fasta, transcript: Transcript, flank: int) -> None:
        length = genome.lengths.get(transcript.chromosome, 0)
        self._flank, self._forward = flank, transcript.strand == "+"
        self.first, self.last = transcript.parts[0][0], transcript.parts[-1][1]
        self._start, self._end = max(self.first - flank, 0), min(self.last + flank, length)
        letters = genome.fetch(transcript.chromosome, self._start, self._end).upper()
        self.letters = letters if self._forward else reverse_complement(letters)

    def offset(self, border: int) -> int:
        """Letters before a border."""
        return border - self._start if self._forward else self._end - border

    def border(self, offset: int) -> int:
        """The border after so many letters."""
        return self._start + offset if self._forward else self._end - offset

    def dinucleotide(self, border: int, site: SpliceSite) -> str:
        """The two letters of the intron at its border."""
        start = self.offset(border) - (2 if site == "acceptor" else 0)
        return self.letters[start : start + 2]

    def is_whole(self, border: int, block: int | None) -> bool:
        """Whether both flanks are there, without an N and in one block."""
        offset, flank = self.offset(border), self._flank
        letters = self.letters[max(offset - flank, 0) : offset + flank]
        apart = block is not None and (border - flank) // block != (border + flank - 1) // block
        return len(letters) == 2 * flank and "N" not in letters and not apart


def _candidates(sense: _Sense, site: SpliceSite, known: set[int]) -> dict[str, list[int]]:
    """Borders inside of a gene that are no sites of it, by their dinucleotide."""
    codes = encode_bases(sense.letters)
    found = {}
    for dinucleotide in _DINUCLEOTIDES[site]:
        first, second = encode_bases(dinucleotide)
        starts = np.flatnonzero((codes[:-1] == first) & (codes[1:] == second))
        borders = [sense.border(int(start) + (2 if site == "acceptor" else 0)) for start in starts]
        inside = [place for place in borders if sense.first < place < sense.last]
        found[dinucleotide] = [place for place in inside if place not in known]
    return found


def _table(rows: dict[_Site, int], genome: Fasta, flank: int, block: int | None) -> pd.DataFrame:
    sites = sorted(rows, key=lambda place: (list(genome.lengths).index(place.chromosome), *place[1:]))
    sequences = []
    for chromosome, strand, border in sites:
        letters = genome.fetch(chromosome, border - flank, border + flank).upper()
        sequences.append(letters if strand == "+" else reverse_complement(letters))
    return pd.DataFrame(
        {
            "sequence": sequences,
            "label": [rows[place] for place in sites],
            "group": [
                place.chromosome if block is None else f"{place.chromosome}:{place.border // block}"
                for place in sites
            ],
            "name": [f"{place.chromosome}:{place.border}({place.strand})" for place in sites],
        }
    )
