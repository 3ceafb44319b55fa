"""Coding sequences of a genome: an annotation and a FASTA, spliced."""

from __future__ import annotations

import os

from genoseq.data.annotation import Phases, read_transcripts
from genoseq.data.fasta import Fasta
from genoseq.errors import DataError, IntervalError, RecordError
from genoseq.sequence import (
    GeneticCode,
    Kept,
    OnError,
    Transcript,
    UnifiedSequence,
    genetic_code,
    keep,
    splice,
)


def read_coding_sequences(
    annotation: str | os.PathLike[str],
    fasta: str | os.PathLike[str],
    *,
    code: int | str | GeneticCode | None = None,
    on_error: OnError = "raise",
    phases: Phases = "check",
    partial: bool = False,
) -> Kept[UnifiedSequence]:
    """The spliced coding sequences of a genome, with the genomic position of every base.

    Args:
        annotation: GFF3 or GTF; see `read_transcripts`.
        fasta: the genome, plain or bgzip, with the chromosomes named as in the annotation.
        code: NCBI's number or name of the genetic code; None takes that of the annotation, else the standard
            one.
        on_error: "raise" ends at the first transcript that cannot be read; "skip" leaves those out, and the
            result counts and names them.
        phases: see `read_transcripts`.
        partial: take coding sequences that are cut off at their end although the annotation does not say so.

    Raises:
        RecordError: with "raise", and named by the transcript: as `read_transcripts` and `splice`, or it is
            not in the FASTA.
        DataError, IntervalError: a file cannot be read; these cannot be skipped.
        ConfigError: there is no such code.
    """
    chosen = None if code is None else genetic_code(code)
    genome = Fasta(fasta)
    transcripts = read_transcripts(annotation, on_error=on_error, phases=phases)

    def cut(transcript: Transcript) -> UnifiedSequence:
        for start, end in transcript.parts:
            try:
                genome.require_inside(transcript.chromosome, start, end)
            except (DataError, IntervalError) as error:
                raise RecordError(transcript.name, "not in the FASTA", str(error)) from error
        return splice(transcript, genome.fetch, code=chosen, partial=partial)

    sequences = keep(cut, transcripts.records, on_error)
    return Kept(sequences.records, transcripts.skipped + sequences.skipped)
