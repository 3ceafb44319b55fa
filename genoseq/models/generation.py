"""New sequences from a causal language model, base by base."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch

from genoseq.errors import ConfigError, SequenceError
from genoseq.models.backbone import StreamingBackbone
from genoseq.models.modes import evaluating
from genoseq.tokenizers import Tokenizer

if TYPE_CHECKING:
    from genoseq.models.base import SequenceModel


@torch.inference_mode()
def generate(
    model: SequenceModel,
    prompt: str | None = None,
    *,
    length: int,
    num_sequences: int = 1,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int = 0,
    first_index: int = 0,
) -> list[str]:
    """Sequences of A, C, G and T that start with a prompt.

    Sequence i is drawn with random numbers of (seed, first_index + i) alone, so that batches of any size
    give the same sequences.

    Args:
        model: a causal language model with a tokenizer of single nucleotides.
        prompt: letters that every sequence starts with; without one the first base is drawn evenly.
        length: bases of each sequence, the prompt included.
        num_sequences: how many.
        temperature: below 1 the likely bases more often, above 1 less; 0 always the likeliest.
        top_k: draw only from the k likeliest bases.
        top_p: draw only from the fewest likeliest bases that have this probability together.
        seed: of the random numbers.
        first_index: number of the first sequence.

    Returns:
        `num_sequences` texts of `length` letters.

    Raises:
        ConfigError: the model is no causal language model, or a setting is outside its range.
        SequenceError: the prompt is no sequence, is longer than `length`, or `length` is beyond the model's
            l_max.
    """
    tokenizer = require_language_model(model, "generation")
    backbone = model.backbone
    if not isinstance(backbone, StreamingBackbone):
        raise ConfigError(f"generation needs a backbone with a state; {type(backbone).__name__} has none.")
    _check(length, num_sequences, temperature, top_k, top_p)
    numbers = [np.random.default_rng([seed, first_index + i]).random(length) for i in range(num_sequences)]
    uniforms = torch.from_numpy(np.stack(numbers)).to(model.device)
    base_ids = torch.from_numpy(tokenizer.base_ids).to(model.device)
    given = np.concatenate([tokenizer.prefix_ids, tokenizer.encode(prompt or "", add_special_tokens=False)])
    wanted = length + len(tokenizer.prefix_ids)
    if len(given) > wanted:
        raise SequenceError(
            f"the prompt has {len(prompt or ''):,} bases, more than length={length:,}: raise it."
        )
    if len(given):
        tokens = torch.from_numpy(given).to(model.device).expand(num_sequences, -1)
    else:
        tokens = base_ids[(uniforms[:, :1] * len(base_ids)).long()]

    def draw(hidden: torch.Tensor, position: int) -> torch.Tensor:
        logits = model.head(hidden)[:, base_ids]
        # Columns count from the end: special tokens before the sequence use no random numbers.
        column = uniforms[:, position - wanted]
        return base_ids[choose(logits, column, temperature=temperature, top_k=top_k, top_p=top_p)]

    with evaluating(model):
        tokens = _continue(backbone, tokens, wanted, draw)
    return [tokenizer.decode(row) for row in tokens]


def choose(
    logits: torch.Tensor,
    uniforms: torch.Tensor,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> torch.Tensor:
    """Draw one index a row by inverting the cumulative distribution.

    Args:
        logits: (B, N).
        uniforms: (B,) in [0, 1).
        temperature, top_k, top_p: as in `generate`; ties in probability go to the smaller index.

    Returns:
        (B,) int64.
    """
    if temperature == 0:
        return logits.argmax(-1)
    probabilities = torch.softmax(logits.double() / temperature, dim=-1)
    ordered, order = probabilities.sort(dim=-1, descending=True, stable=True)
    if top_k is not None:
        ordered[:, top_k:] = 0
    if top_p is not None:
        total = ordered.sum(-1, keepdim=True)
        ordered[ordered.cumsum(-1) - ordered >= top_p * total] = 0
    cumulative = ordered.cumsum(-1)
    threshold = uniforms.double().unsqueeze(-1) * cumulative[:, -1:]
    drawn = (cumulative <= threshold).sum(-1, keepdim=True)
    # Rounding may push the last threshold onto the total.
    drawn = torch.minimum(drawn, (ordered > 0).sum(-1, keepdim=True) - 1)
    return order.gather(-1, drawn).squeeze(-1)


def _continue(
    backbone: StreamingBackbone,
    tokens: torch.Tensor,
    wanted: int,
    draw: Callable[[torch.Tensor, int], torch.Tensor],
) -> torch.Tensor:
    """Tokens (B, L) carried on to `wanted`; `draw` gives those of a position from hidden states (B, D)."""
    given = tokens.shape[1]
    if given == wanted:
        return tokens
    # The last token is drawn, but never read.
    state = backbone.init_state(tokens.shape[0], max_length=wanted - 1)
    drawn = [tokens, draw(backbone.forward_chunk(tokens, state)[:, -1], given).unsqueeze(1)]
    for position in range(given + 1, wanted):
        hidden = backbone.step(drawn[-1][:, -1], state)
        drawn.append(draw(hidden, position).unsqueeze(1))
    return torch.cat(drawn, dim=1)


def _check(
    length: int, num_sequences: int, temperature: float, top_k: int | None, top_p: float | None
) -> None:
    if length < 1 or num_sequences < 1:
        raise ConfigError(f"length={length}, num_sequences={num_sequences}: both are 1 or more.")
    if temperature < 0:
        raise ConfigError(f"temperature={temperature}: give 0 (always the likeliest) or more.")
    if top_k is not None and top_k < 1:
        raise ConfigError(f"top_k={top_k}: give 1 or more, or leave it out.")
    if top_p is not None and not 0 < top_p <= 1:
        raise ConfigError(f"top_p={top_p}: give a probability above 0, at most 1, or leave it out.")


def require_language_model(model: SequenceModel, purpose: str) -> Tokenizer:
    """The tokenizer of a model that predicts the next letter.

    Raises:
        ConfigError: the model is not causal, has another head, or no tokenizer.
    """
    if not model.backbone.causal or model.head.head_type != "language_model" or model.tokenizer is None:
        raise ConfigError(
            f"{purpose} needs a causal language model with a tokenizer; this is a "
            f"{type(model.head).__name__} on {type(model.backbone).__name__}, "
            f"{'without a' if model.tokenizer is None else 'with a'} tokenizer."
        )
    return model.tokenizer
