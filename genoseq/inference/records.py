"""Named sequences as a verb is given them: a FASTA, the intervals of a BED in a FASTA, or a table."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import NamedTuple

import numpy as np
import torch

from genoseq.data.bed import read_bed
from genoseq.data.fasta import Fasta
from genoseq.data.stretch import Stretch
from genoseq.data.tables import read_table, require_columns
from genoseq.errors import CheckpointError, ConfigError, SequenceError
from genoseq.models.base import SequenceModel
from genoseq.models.chunks import require_bases
from genoseq.paths import locate
from genoseq.sequence import AS_GIVEN, Interval, Letters, Strand, StrandPolicy
from genoseq.tokenizers import Tokenizer, encode_passes, pad_passes

_TABLES = (".csv", ".tsv", ".txt", ".parquet")
PathLike = str | os.PathLike[str]


class Tokens(NamedTuple):
    """A padded batch of sequences.

    Attributes:
        input_ids: (B, L) int64.
        mask: (B, L) bool, False at padding; None where there is no padding and a mask would only cost time.
        letters: (B, L) bool, True at letters: not at special tokens or padding, nor in a first of two passes.
        second_pass: (B, L) bool, where each sequence is given the second time; None where it is given once.
    """

    input_ids: torch.Tensor
    mask: torch.Tensor | None
    letters: torch.Tensor
    second_pass: torch.Tensor | None


class Record(NamedTuple):
    """A sequence and what it is called.

    Attributes:
        name: as its source has it.
        sequence: a text, or letters that are read when they are asked for.
    """

    name: str
    sequence: Letters


def read_records(
    input: PathLike | None = None,
    *,
    fasta: PathLike | None = None,
    bed: PathLike | None = None,
    sequence_column: str = "sequence",
    name_column: str | None = None,
    lazily: bool = False,
) -> Iterator[Record]:
    """Stream the sequences of one source, in its order and with its names.

    Args:
        input: a FASTA or a table (CSV, TSV, Parquet; compressed too), told apart by the name's ending.
        fasta: a FASTA: all its sequences, or with `bed` those intervals of it, on their strands.
        bed: the intervals; one without a name is called by its place, `chr:start-end(strand)`.
        sequence_column: column of a table that holds the sequences.
        name_column: column of a table that holds the names; without one rows are numbered from 0.
        lazily: do not hold sequences of a FASTA in memory: they are read when they are asked for.

    Raises:
        ConfigError: no source, or two.
        DataError, IntervalError: a source that is missing, broken or empty, or does not fit the other.
    """
    if (input is None) == (fasta is None):
        raise ConfigError("give one source of sequences: input=FILE, fasta=FILE, or fasta=FILE bed=FILE.")
    if bed is not None and fasta is None:
        raise ConfigError(
            f"bed={bed} holds places only: give the genome they are in as fasta=FILE, not input=."
        )
    if input is not None and _is_table(input):
        return _from_table(input, sequence_column, name_column)
    source = input if fasta is None else fasta
    assert source is not None
    records = _from_fasta(source) if bed is None else _from_bed(source, bed)
    return records if lazily else (Record(name, letters[:]) for name, letters in records)


@contextmanager
def naming(record: Record) -> Iterator[None]:
    """Put the name of a sequence before what is wrong with it.

    Raises:
        SequenceError: something is.
    """
    try:
        yield
    except SequenceError as error:
        raise SequenceError(f"{record.name}: {error}") from error


def require_tokenizer(model: SequenceModel) -> Tokenizer:
    """The model's tokenizer.

    Raises:
        CheckpointError: it has none.
    """
    if model.tokenizer is None:
        raise CheckpointError("this checkpoint has no tokenizer.json: it cannot read sequences. Add it.")
    return model.tokenizer


def tokenize(
    records: Sequence[Record],
    model: SequenceModel,
    policy: StrandPolicy = AS_GIVEN,
    strand: Strand = "+",
) -> Tokens:
    """One padded batch as the model reads it, on its device.

    Args:
        records: what to read.
        model: its tokenizer and its longest sequence are asked.
        policy: whether each sequence is given twice.
        strand: "-" where the sequences were turned: a model of codons is told that theirs are.

    Raises:
        SequenceError: a sequence that is empty, too long or no nucleotides, or, for a model of codons, no
            whole number of them; the message names it.
        CheckpointError: the model has no tokenizer.
    """
    tokenizer, longest = require_tokenizer(model), model.backbone.l_max
    encoded = []
    for record, ids in zip(records, _letter_ids(records, model, strand), strict=True):
        passes = encode_passes(tokenizer, ids, policy)
        if longest is not None and len(passes.input_ids) > longest:
            raise SequenceError(
                f"{record.name}: {len(passes.input_ids):,} tokens{policy.remark}; this model takes at most "
                f"{longest:,}. Cut the sequence into pieces, use a model for longer ones, or, to embed or "
                "score bases, read it in windows: give chunk_length= and context=."
            )
        encoded.append(passes)
    batch = pad_passes(tokenizer, encoded)
    device, mask, second = model.device, batch.attention_mask, batch.second_pass
    alike = len({len(passes.input_ids) for passes in encoded}) == 1
    return Tokens(
        batch.input_ids.to(device),
        None if alike else mask.to(device),
        batch.letters.to(device),
        None if second is None else second.to(device),
    )


def _letter_ids(records: Sequence[Record], model: SequenceModel, strand: Strand) -> list[np.ndarray]:
    """What `SequenceModel.encode` gives for each, all at once where that is possible."""
    sequences = [record.sequence[:] for record in records]
    with suppress(SequenceError):
        if all(sequences):
            return model.encode_each(sequences, strand)
    ids = []
    for record, sequence in zip(records, sequences, strict=True):
        # One by one the message says of which sequence it is.
        with naming(record):
            require_bases(sequence)
            ids.append(model.encode(sequence, strand))
    return ids


def _is_table(path: PathLike) -> bool:
    name = locate(path).name.lower().removesuffix(".gz")
    return name.endswith(_TABLES)


def _from_fasta(path: PathLike) -> Iterator[Record]:
    fasta = Fasta(path)
    for name, length in fasta.lengths.items():
        # An interval holds a base or more.
        yield Record(name, Stretch(fasta, Interval(name, 0, length)) if length else "")


def _from_bed(fasta_path: PathLike, bed_path: PathLike) -> Iterator[Record]:
    fasta = Fasta(fasta_path)
    for interval in read_bed(bed_path):
        yield Record(str(interval) if interval.name == "." else interval.name, Stretch(fasta, interval))


def _from_table(path: PathLike, sequence_column: str, name_column: str | None) -> Iterator[Record]:
    table = read_table(path)
    require_columns(table, [sequence_column] if name_column is None else [sequence_column, name_column], path)
    names = table[name_column].astype(str) if name_column else map(str, range(len(table)))
    for name, sequence in zip(names, table[sequence_column], strict=True):
        yield Record(name, sequence if isinstance(sequence, str) else "")
