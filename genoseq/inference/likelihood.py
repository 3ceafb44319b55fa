"""How probable a causal language model finds each base of sequences of any length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from genoseq.inference.devices import explain_full_memory
from genoseq.inference.records import Record, naming, tokenize
from genoseq.models.base import SequenceModel
from genoseq.models.chunks import batches, plan_reading
from genoseq.models.generation import require_language_model
from genoseq.models.likelihood import base_table, next_token_log_probs

_NATS_PER_BIT = float(np.log(2.0))


def score_bases(
    model: SequenceModel,
    records: Iterable[Record],
    *,
    batch_size: int = 8,
    chunk_length: int | None = None,
    context: int | None = None,
) -> Iterator[pd.DataFrame]:
    """Natural log-probability of each base given those before it.

    `SequenceModel.log_prob` and `log_prob_chunks`, for any number of sequences.

    Args:
        model: a causal language model with a tokenizer of single nucleotides.
        records: named sequences.
        batch_size: sequences at a time; of sequences read in windows that overlap, windows at a time.
        chunk_length, context: how sequences longer than fit are read, one by one, at most a chunk of each in
            memory; see `genoseq.models.chunks.plan_reading`. Without them each is read at once.

    Yields:
        In order, tables of consecutive bases with the columns `name` and those of `log_prob`: `position`
        (counted from 0 along the sequence), `base`, `log_prob` (NaN for N, and for a first base unless the
        tokenizer puts a token before it), and `log_prob_A`, `_C`, `_G`, `_T`.

    Raises:
        ConfigError: the model is no causal language model, or does not read so.
        SequenceError: a sequence that is empty, too long or no nucleotides.
        DeviceError: a batch does not fit in memory.
    """
    require_language_model(model, "scoring bases")
    plan_reading(model, chunk_length=chunk_length, context=context)
    if chunk_length is None:
        yield from _whole(model, records, batch_size)
        return
    for record in records:
        with naming(record), explain_full_memory(batch_size):
            tables = model.log_prob_chunks(
                record.sequence, chunk_length=chunk_length, context=context, batch_size=batch_size
            )
            for table in tables:
                yield _named(record.name, table)


def bits_per_base(tables: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """A row a sequence.

    Args:
        tables: of `score_bases`.

    Yields:
        In order, tables with the columns `name`, `num_bases`, `num_scored` (those with a log-probability) and
        `bits_per_base`, the mean over these: 2 is a guess among four, NaN is of none.
    """
    tally = None
    for table in tables:
        # Neighbours may be called alike; the position tells where one begins.
        for _, part in table.groupby((table["position"] == 0).cumsum()):
            if part["position"].iloc[0] == 0:
                if tally is not None:
                    yield tally.row()
                tally = _Tally(part["name"].iloc[0])
            assert tally is not None
            tally.add(part["log_prob"].to_numpy())
    if tally is not None:
        yield tally.row()


@dataclass
class _Tally:
    """What was read of one sequence."""

    name: str
    num_bases: int = 0
    num_scored: int = 0
    nats: float = 0.0

    def add(self, scores: np.ndarray) -> None:
        """Count log-probabilities (L,), NaN where there is none."""
        self.num_bases += len(scores)
        self.num_scored += int(np.isfinite(scores).sum())
        self.nats -= float(np.nansum(scores, dtype=np.float64))

    def row(self) -> pd.DataFrame:
        """See `bits_per_base`."""
        bits = self.nats / self.num_scored / _NATS_PER_BIT if self.num_scored else float("nan")
        columns = {"num_bases": [self.num_bases], "num_scored": [self.num_scored], "bits_per_base": [bits]}
        return pd.DataFrame({"name": [self.name]} | columns)


def _whole(model: SequenceModel, records: Iterable[Record], batch_size: int) -> Iterator[pd.DataFrame]:
    tokenizer = require_language_model(model, "scoring bases")
    for batch in batches(records, batch_size):
        tokens = tokenize(batch, model)
        with explain_full_memory(len(batch)):
            scores = next_token_log_probs(model, tokens.input_ids, tokens.mask).cpu().numpy()
        tables = []
        for record, row, ids, is_letter in zip(
            batch, scores, tokens.input_ids.cpu().numpy(), tokens.letters.cpu().numpy(), strict=True
        ):
            places = np.flatnonzero(is_letter)
            # The row before a place is of what it expects; before a first token there is none.
            expected = np.vstack([np.full((1, row.shape[1]), np.nan, row.dtype), row])[places]
            if not len(tokenizer.prefix_ids):
                expected[0] = np.nan
            tables.append(_named(record.name, base_table(tokenizer, ids[places], expected, 0)))
        yield pd.concat(tables, ignore_index=True)


def _named(name: str, table: pd.DataFrame) -> pd.DataFrame:
    table.insert(0, "name", name)
    return table
