"""Where the codons of genomes are, for tokenizers that read them."""

from __future__ import annotations

import logging
import os
from collections import defaultdict
from collections.abc import Sequence
from functools import partial

import numpy as np

from genoseq.data.annotation import Phases, read_transcripts
from genoseq.data.genomes import Genomes
from genoseq.errors import ConfigError, RecordError
from genoseq.sequence import CODON, CodingRegion, OnError, Transcript, find_codons, keep

_log = logging.getLogger(__name__)

PathLike = str | os.PathLike[str]


class GenomeCoding:
    """The codons that an annotation says there are, in one frame whatever window they are seen in.

    A base belongs to one codon at most: where coding sequences overlap, to that of the one that begins
    first. A codon that an intron divides is none.

    Args:
        genomes: those that are annotated.
        annotations: GFF3 or GTF, one a genome, with the chromosomes named as in its FASTA.
        on_error: "raise" ends at the first transcript that cannot be read, or is not in its genome; "skip"
            leaves those out, and the log counts them.
        phases: see `read_transcripts`.

    Raises:
        ConfigError: another number of annotations than of genomes.
        RecordError: with "raise", and named by the transcript.
        DataError, IntervalError: a file cannot be read.
    """

    def __init__(
        self,
        genomes: Genomes,
        annotations: Sequence[PathLike],
        *,
        on_error: OnError = "raise",
        phases: Phases = "check",
    ) -> None:
        if len(annotations) != genomes.count:
            raise ConfigError(
                f"annotation names {len(annotations)} files, fasta {genomes.count}: give one annotation for "
                "each genome, in the same order."
            )
        regions: dict[str, list[CodingRegion]] = defaultdict(list)
        for number, path in enumerate(annotations):
            transcripts = read_transcripts(path, on_error=on_error, phases=phases)
            placed = keep(partial(_placed, genomes, number), transcripts.records, on_error)
            for chromosome, found in placed.records:
                regions[chromosome] += found
            for kept in (transcripts, placed):
                if kept.skipped:
                    _log.warning("%s: %s", path, kept)
        self._codons = {name: find_codons(each, genomes.lengths[name]) for name, each in regions.items()}

    def within(self, chromosome: str, start: int, end: int) -> list[CodingRegion]:
        """The codons that lie in [start, end) whole, as disjoint regions of that stretch, in rising order."""
        if chromosome not in self._codons:
            return []
        starts, backward = self._codons[chromosome]
        first, last = np.searchsorted(starts, [start, end - CODON + 1])
        starts, backward = starts[first:last] - start, backward[first:last]
        if not len(starts):
            return []
        begins = np.append(True, (np.diff(starts) != CODON) | (backward[1:] != backward[:-1]))
        firsts = np.flatnonzero(begins)
        lasts = np.append(firsts[1:], len(starts)) - 1
        return [
            CodingRegion(int(starts[one]), int(starts[other]) + CODON, "-" if backward[one] else "+")
            for one, other in zip(firsts, lasts, strict=True)
        ]


def _placed(genomes: Genomes, number: int, transcript: Transcript) -> tuple[str, list[CodingRegion]]:
    """What the genomes call a transcript's chromosome, and its parts there."""
    known = genomes.chromosomes(number)
    if transcript.chromosome not in known:
        raise RecordError(
            transcript.name,
            "not in the FASTA",
            f"the FASTA has no sequence {transcript.chromosome!r}; it has {', '.join(list(known)[:5])}. Name "
            "the chromosomes alike in both files.",
        )
    name, end = known[transcript.chromosome], transcript.parts[-1][1]
    if end > genomes.lengths[name]:
        raise RecordError(
            transcript.name,
            "not in the FASTA",
            f"it ends at base {end:,} of {transcript.chromosome}, which has {genomes.lengths[name]:,} in the "
            "FASTA: the annotation is of another version.",
        )
    parts = zip(transcript.read_parts, transcript.phases, strict=True)
    return name, [CodingRegion(*part, transcript.strand, phase) for part, phase in parts]
