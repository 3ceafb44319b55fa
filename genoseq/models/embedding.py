"""A vector for each sequence."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, get_args

import torch

from genoseq.errors import ConfigError, require_choice
from genoseq.models.heads import PlainPooling, pool
from genoseq.models.modes import evaluating
from genoseq.models.strand_use import require_room_for_two
from genoseq.sequence import StrandPolicy, Strands, strand_policy
from genoseq.tokenizers import encode_passes, pad_passes

if TYPE_CHECKING:
    from genoseq.models.base import SequenceModel

# What there is to choose where nothing is predicted.
_STRANDS = ("none", "echo", "repeat")


def embed(
    model: SequenceModel,
    sequences: str | Sequence[str],
    *,
    layer: int = -1,
    pooling: PlainPooling = "mean",
    strands: Strands = "none",
) -> torch.Tensor:
    """Hidden states of one layer, pooled over the letters of each sequence: no special tokens, no padding.

    Args:
        model: any model with a tokenizer; its head is not asked, nor what it was trained with.
        sequences: one text or several, all computed at once.
        layer: see `embed_tokens`.
        pooling: `mean`, `max`, `first` or `last`.
        strands: `none` gives each sequence once. `repeat` gives it twice, without anything between, and pools
            over the second time, so that every position has seen all of it; `echo` likewise with its reverse
            complement as the second. See `StrandPolicy`.

    Returns:
        (B, D) float32.

    Raises:
        ConfigError: there is no such layer, pooling or policy, or the model has no tokenizer.
        SequenceError: a sequence that is no nucleotides, or longer than the model takes, both passes counted.
    """
    if model.tokenizer is None:
        raise ConfigError("this model has no tokenizer: give it one, or call its backbone with token ids.")
    policy = require_embedding(model, layer, pooling, strands)
    encode = partial(model.tokenizer.encode, add_special_tokens=False)
    texts = [sequences] if isinstance(sequences, str) else sequences
    passes = [encode_passes(model.tokenizer, encode(text), policy) for text in texts]
    input_ids, mask, second_pass, letters = pad_passes(model.tokenizer, passes)
    if second_pass is not None:
        require_room_for_two(model, input_ids, mask)
    device = model.device
    return embed_tokens(model, input_ids.to(device), mask.to(device), letters.to(device), layer, pooling)


@torch.inference_mode()
def embed_tokens(
    model: SequenceModel,
    input_ids: torch.Tensor,
    mask: torch.Tensor | None,
    letters: torch.Tensor,
    layer: int,
    pooling: PlainPooling,
) -> torch.Tensor:
    """Hidden states of one layer, pooled.

    Args:
        model: its backbone is asked.
        input_ids: (B, L) integers.
        mask: (B, L) bool, False at padding; None where there is none.
        letters: (B, L) bool, the positions that are pooled.
        layer: one of `num_layers + 2`. 0 is the token embeddings, i the output of block i, `num_layers + 1`
            that of the last block after the final norm; negative counts from the end, so that -1 is the last
            hidden state and -2 the output of the last block.
        pooling: `mean`, `max`, `first` or `last`.

    Returns:
        (B, D) float32.
    """
    with evaluating(model):
        states = model.backbone(input_ids, mask, output_hidden_states=True).hidden_states
    assert len(states) == _num_states(model)
    return pool(states[layer].float(), letters, pooling)


def require_embedding(model: SequenceModel, layer: int, pooling: str, strands: Strands) -> StrandPolicy:
    """Check the settings of an embedding, before anything is computed, and give its policy of strands.

    Raises:
        ConfigError: the model has no such layer, or there is no such pooling or policy.
    """
    require_choice("pooling", pooling, get_args(PlainPooling))
    require_choice("strands", strands, _STRANDS)
    count = _num_states(model)
    if not -count <= layer < count:
        raise ConfigError(f"layer={layer}: this model has the layers 0 to {count - 1}, or -1 to {-count}.")
    return strand_policy(strands)


def _num_states(model: SequenceModel) -> int:
    """The embeddings, each block, and the last block after the norm."""
    return model.backbone.num_layers + 2
