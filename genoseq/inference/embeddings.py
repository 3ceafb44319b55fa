"""A vector for each sequence, or for each window of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pandas as pd

from genoseq.errors import ConfigError
from genoseq.inference.devices import explain_full_memory
from genoseq.inference.records import Record, naming, tokenize
from genoseq.models.base import SequenceModel
from genoseq.models.chunks import Reading, batches, plan_reading
from genoseq.models.embedding import (
    Pooled,
    embed_tokens,
    hidden_states,
    pool_parts,
    require_embedding,
    require_one_pass,
)
from genoseq.models.heads import PlainPooling
from genoseq.sequence import StrandPolicy, Strands

_ROWS = 1024


def embed(
    model: SequenceModel,
    records: Iterable[Record],
    *,
    layer: int = -1,
    pooling: PlainPooling = "mean",
    strands: Strands = "none",
    batch_size: int = 8,
    chunk_length: int | None = None,
    context: int | None = None,
    window: int | None = None,
) -> Iterator[pd.DataFrame]:
    """Hidden states of one layer, pooled over the letters of each sequence: no special tokens, no padding.

    `SequenceModel.embed`, for any number of sequences of any length.

    Args:
        model: any model with a tokenizer; its head is not asked.
        records: named sequences.
        layer: 0 is the token embeddings, 1 the first block, ...; negative counts from the end, -2 is the last
            block, -1 the last block after its norm.
        pooling: over the letters of a sequence.
        strands: `none`, or `repeat` or `echo` to give each sequence twice and pool over the second time; see
            `SequenceModel.embed`.
        batch_size: sequences at a time; of sequences read in windows that overlap, windows at a time.
        chunk_length, context: how sequences longer than fit are read, one by one, at most a chunk of each in
            memory; see `genoseq.models.chunks.plan_reading`. Without them each is read at once.
        window: letters that are pooled to one vector, of sequences read one by one; None for all of a
            sequence.

    Returns:
        In order, tables with the columns `name` and `embedding` ((D,) float32). With `window` there are also
        `start` and `end`, the letters of the row counted from 0; the last row of a sequence may have fewer.

    Raises:
        ConfigError: the model has no such layer, there is no such pooling or policy, or it does not read so.
        SequenceError: a sequence that is empty, too long or no nucleotides.
        DeviceError: a batch does not fit in memory.
    """
    policy = require_embedding(model, layer, pooling, strands)
    if window is not None and window < 1:
        raise ConfigError(f"window={window}: give 1 base or more, or leave it out for whole sequences.")
    reading = plan_reading(model, chunk_length=chunk_length, context=context)
    if reading is None and window is None:
        return _whole(model, records, layer, pooling, policy, batch_size)
    require_one_pass(policy)
    return _in_parts(model, records, reading, layer, pooling, window, batch_size)


def _in_parts(
    model: SequenceModel,
    records: Iterable[Record],
    reading: Reading | None,
    layer: int,
    pooling: PlainPooling,
    window: int | None,
    batch_size: int,
) -> Iterator[pd.DataFrame]:
    for record in records:
        with naming(record), explain_full_memory(batch_size):
            parts = hidden_states(model, record.sequence, reading, layer=layer, batch_size=batch_size)
            for rows in batches(pool_parts(parts, pooling, window=window), _ROWS):
                yield _table(record.name, rows, places=window is not None)


def _whole(
    model: SequenceModel,
    records: Iterable[Record],
    layer: int,
    pooling: PlainPooling,
    policy: StrandPolicy,
    batch_size: int,
) -> Iterator[pd.DataFrame]:
    for batch in batches(records, batch_size):
        tokens = tokenize(batch, model, policy)
        with explain_full_memory(len(batch)):
            vectors = embed_tokens(model, tokens.input_ids, tokens.mask, tokens.letters, layer, pooling)
        names = [record.name for record in batch]
        yield pd.DataFrame({"name": names, "embedding": list(vectors.cpu().numpy())})


def _table(name: str, rows: list[Pooled], *, places: bool) -> pd.DataFrame:
    columns: dict[str, object] = {"name": [name] * len(rows)}
    if places:
        columns |= {"start": [row.start for row in rows], "end": [row.end for row in rows]}
    return pd.DataFrame(columns | {"embedding": [row.vector.numpy() for row in rows]})
