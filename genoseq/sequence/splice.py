"""A transcript cut out of its genome."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from genoseq.errors import RecordError, SequenceError
from genoseq.sequence.alphabet import reverse_complement
from genoseq.sequence.genetic_code import GeneticCode, genetic_code
from genoseq.sequence.record import UnifiedSequence
from genoseq.sequence.residues import STOP
from genoseq.sequence.transcripts import Transcript
from genoseq.sequence.translate import coding_part


def splice(
    transcript: Transcript,
    fetch: Callable[[str, int, int], str],
    *,
    code: int | str | GeneticCode | None = None,
    partial: bool = False,
) -> UnifiedSequence:
    """The coding sequence of a transcript, its parts joined, on the sense strand, with its genomic positions.

    Args:
        fetch: letters of [start, end) of a chromosome, as `genoseq.data.Fasta.fetch`.
        code: NCBI's number or name; None takes that of the annotation, else the standard code.
        partial: take a coding sequence that is cut off at its end although the annotation does not say so.

    Raises:
        RecordError: no whole number of codons, where the annotation calls the end complete; a stop before the
            end; letters that are no nucleotides; a recoded codon that is not there.
        ConfigError: there is no such code.
    """
    name, phase = transcript.name, transcript.phase
    rising = "".join(fetch(transcript.chromosome, start, end) for start, end in transcript.parts).upper()
    try:
        sense = rising if transcript.strand == "+" else reverse_complement(rising)
    except SequenceError as error:
        raise RecordError(name, "unknown base", str(error)) from error
    recoded, tail = _recoded(transcript)
    # A stop that the poly(A) tail completes is no whole codon of the genome.
    partial_end = partial or transcript.partial_end or tail
    return UnifiedSequence(
        name=name,
        letters=sense,
        modality="dna",
        coding=coding_part(len(sense), frame=phase, partial_end=partial_end, name=name),
        code=genetic_code(code if code is not None else transcript.code or 1),
        recoded=recoded,
        partial_start=transcript.partial_start or phase > 0,
        partial_end=partial_end,
        transcript=transcript,
    )


def _recoded(transcript: Transcript) -> tuple[dict[int, str], bool]:
    """Residues by number of codon, and whether the last codon is cut off and a stop."""
    if not transcript.recoded:
        return {}, False
    positions = transcript.positions
    whole = (len(positions) - transcript.phase) // 3
    recoded: dict[int, str] = {}
    for position, residue in transcript.recoded:
        (found,) = np.nonzero(positions == position)
        offset = int(found[0]) - transcript.phase if len(found) else -1
        if offset < 0 or offset % 3:
            raise RecordError(
                transcript.name,
                "recoding",
                f"the codon at {transcript.chromosome}:{position} (0-based), said to be {residue!r}, is none "
                "of its codons. Check the place and the phase.",
            )
        recoded[offset // 3] = residue
    tail = recoded.get(whole) == STOP
    return {codon: residue for codon, residue in recoded.items() if codon != whole or not tail}, tail
