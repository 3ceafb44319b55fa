"""Coding sequences: of a genome, spliced, and what lies between its genes; or of a table, with proteins."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator

from genoseq.data.annotation import Phases, read_transcripts
from genoseq.data.fasta import Fasta
from genoseq.data.tables import read_table, require_columns
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
    unify_dna,
    unify_pair,
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
        fasta: the genome, plain, bgzip or gzip, with the chromosomes named as in the annotation.
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


def read_coding_pairs(
    table: str | os.PathLike[str],
    *,
    code: int | str | GeneticCode = 1,
    on_error: OnError = "raise",
    name_column: str = "locus",
    cds_column: str = "cds",
    protein_column: str = "protein",
) -> Kept[UnifiedSequence]:
    """The coding sequences of a table that has their proteins, which they are checked to give.

    Args:
        table: as `read_table` takes it. A sequence may be cut off at its ends, as `unify_pair` reads it.
        code: NCBI's number or name of the genetic code.
        on_error: "raise" ends at the first row that cannot be read; "skip" leaves those out, counted and
            named.
        name_column, cds_column, protein_column: of the table.

    Raises:
        RecordError: with "raise": the coding sequence gives another protein, or one of the two is none.
        DataError: the table cannot be read, or lacks a column.
        ConfigError: there is no such code.
    """
    rows = read_table(table)
    columns = [name_column, cds_column, protein_column]
    require_columns(rows, columns, table)
    chosen = genetic_code(code)

    def pair(row: tuple[str, str, str]) -> UnifiedSequence:
        return unify_pair(*row, code=chosen, partial=True)

    return keep(pair, rows[columns].itertuples(index=False, name=None), on_error)


def read_between_genes(
    records: Iterable[UnifiedSequence], fasta: str | os.PathLike[str], *, length: int, least: int
) -> Iterator[UnifiedSequence]:
    """What lies outside of all transcripts, introns being inside, on the strand of the FASTA.

    Args:
        records: the coding sequences of the genome, as `read_coding_sequences` gives them. What was skipped
            there is taken for no gene.
        fasta: their genome.
        length: bases of a piece; the last of a stretch is shorter.
        least: pieces of fewer known bases are left out.
    """
    genome = Fasta(fasta)
    genes = defaultdict(list)
    for record in records:
        assert record.transcript is not None, "the records come from the genome"
        parts = record.transcript.parts
        genes[record.transcript.chromosome].append((parts[0][0], parts[-1][1]))
    for chromosome, end in genome.lengths.items():
        place = 0
        for gene_start, gene_end in [*sorted(genes[chromosome]), (end, end)]:
            for start in range(place, gene_start, length):
                stop = min(start + length, gene_start)
                letters = genome.fetch(chromosome, start, stop)
                if sum(letters.upper().count(base) for base in "ACGT") >= least:
                    yield unify_dna(f"{chromosome}:{start}-{stop}", letters)
            place = max(place, gene_end)
