"""Hidden states of the codons of coding sequences, whatever the tokens of a model are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from genoseq.inference.changes import encode_coding
from genoseq.inference.devices import explain_full_memory
from genoseq.inference.records import require_tokenizer
from genoseq.models.base import SequenceModel
from genoseq.models.chunks import batches
from genoseq.models.modes import evaluating
from genoseq.sequence import CODON


def codon_states(
    model: SequenceModel, sequences: Sequence[str], *, layer: int = -1, batch_size: int = 8
) -> Iterator[np.ndarray]:
    """The state of each codon: the mean over the tokens that have a base of it.

    A causal model has read nothing behind a base when it gives its state.

    Args:
        model: with a tokenizer; one of codons is told that they begin with the first base.
        sequences: coding sequences, whole codons.
        layer: of the backbone's hidden states; -1 for the last.
        batch_size: sequences at a time.

    Yields:
        (C, D) float32 of each sequence, in order.

    Raises:
        CheckpointError: there is no tokenizer. DeviceError: a batch does not fit in memory.
    """
    for batch in batches(sequences, batch_size):
        with explain_full_memory(batch_size):
            yield from _of_batch(model, batch, layer)


@torch.inference_mode()
def _of_batch(model: SequenceModel, sequences: Sequence[str], layer: int) -> list[np.ndarray]:
    tokenizer = require_tokenizer(model)
    ids = [encode_coding(tokenizer, sequence) for sequence in sequences]
    tokens = tokenizer.pad(ids)
    mask = None if tokens.attention_mask.all() else tokens.attention_mask.to(model.device)
    with evaluating(model):
        output = model.backbone(tokens.input_ids.to(model.device), mask, output_hidden_states=True)
    hidden = output.hidden_states[layer].float().cpu().numpy()
    found = []
    for sequence, row_ids, states, is_real in zip(
        sequences, ids, hidden, tokens.attention_mask.numpy(), strict=True
    ):
        offsets = tokenizer.offsets(row_ids, len(sequence))
        found.append(_pooled(states[is_real], offsets, len(sequence) // CODON))
    return found


def _pooled(states: np.ndarray, offsets: np.ndarray, count: int) -> np.ndarray:
    """(C, D) means of states (L, D) over the tokens that have a base of each codon."""
    letters = offsets[:, 1] > offsets[:, 0]
    first, last = offsets[letters, 0] // CODON, (offsets[letters, 1] - 1) // CODON
    spans = last - first + 1
    rows = np.repeat(np.flatnonzero(letters), spans)
    codons = np.repeat(first, spans) + np.arange(len(rows)) - np.repeat(np.cumsum(spans) - spans, spans)
    inside = codons < count
    sums = np.zeros((count, states.shape[1]), dtype=np.float32)
    np.add.at(sums, codons[inside], states[rows[inside]])
    return sums / np.bincount(codons[inside], minlength=count).astype(np.float32)[:, None]
