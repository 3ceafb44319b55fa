"""A vector for each sequence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pandas as pd

from genoseq.inference.devices import explain_full_memory
from genoseq.inference.records import Record, batches, tokenize
from genoseq.models.base import SequenceModel
from genoseq.models.embedding import embed_tokens, require_embedding
from genoseq.models.heads import PlainPooling
from genoseq.sequence import Strands


def embed(
    model: SequenceModel,
    records: Iterable[Record],
    *,
    layer: int = -1,
    pooling: PlainPooling = "mean",
    strands: Strands = "none",
    batch_size: int = 8,
) -> Iterator[pd.DataFrame]:
    """Hidden states of one layer, pooled over the letters of each sequence: no special tokens, no padding.

    `SequenceModel.embed`, for any number of sequences.

    Args:
        model: any model with a tokenizer; its head is not asked.
        records: named sequences.
        layer: 0 is the token embeddings, 1 the first block, ...; negative counts from the end, -2 is the last
            block, -1 the last block after its norm.
        pooling: over the letters of a sequence.
        strands: `none`, or `repeat` or `echo` to give each sequence twice and pool over the second time; see
            `SequenceModel.embed`.
        batch_size: sequences at a time.

    Yields:
        Batches, in order, with the columns `name` and `embedding` ((D,) float32).

    Raises:
        ConfigError: the model has no such layer, or there is no such pooling or policy.
        SequenceError: a sequence that is empty, too long or no nucleotides.
        DeviceError: a batch does not fit in memory.
    """
    policy = require_embedding(model, layer, pooling, strands)
    for batch in batches(records, batch_size):
        tokens = tokenize(batch, model, policy)
        with explain_full_memory(len(batch)):
            vectors = embed_tokens(model, tokens.input_ids, tokens.mask, tokens.letters, layer, pooling)
        names = [record.name for record in batch]
        yield pd.DataFrame({"name": names, "embedding": list(vectors.cpu().numpy())})
