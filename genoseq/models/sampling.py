"""How the next base is drawn from what a model expects."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from genoseq.errors import ConfigError


@dataclass(frozen=True)
class Sampling:
    """Settings of the draws. With the defaults bases follow the model's own probabilities.

    Repetition is about n-grams: with four letters, every letter has just been there.

    Attributes:
        temperature: below 1 the likely bases more often, above 1 less; 0 always the likeliest.
        top_k: draw only from the k likeliest bases.
        top_p: draw only from the fewest likeliest bases that have this probability together.
        min_p: draw only from bases at least this times as probable as the likeliest.
        no_repeat_ngram_size: never a base that completes a run of so many bases that the sequence, its prompt
            included, already has; where all four would, none is held back.
        repetition_penalty: divides the odds of a base that completes a run of `repetition_ngram_size` bases
            seen in the last `repetition_window`; above 1 against repeats, below 1 for them. It acts on the
            model's probabilities, before the temperature.
        repetition_ngram_size: bases of such a run.
        repetition_window: how far back a run counts, by its last base; None for all of the sequence.
        stop_tokens: special tokens, such as [SEP], that may be drawn too and end a sequence early.

    Raises:
        ConfigError: a setting is outside its range.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    no_repeat_ngram_size: int | None = None
    repetition_penalty: float = 1.0
    repetition_ngram_size: int = 12
    repetition_window: int | None = None
    stop_tokens: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.temperature < 0:
            raise ConfigError(f"temperature={self.temperature}: give 0 (always the likeliest) or more.")
        if self.top_k is not None and self.top_k < 1:
            raise ConfigError(f"top_k={self.top_k}: give 1 or more, or leave it out.")
        for name, share in (("top_p", self.top_p), ("min_p", self.min_p)):
            if share is not None and not 0 < share <= 1:
                raise ConfigError(f"{name}={share}: give a probability above 0, at most 1, or leave it out.")
        self._check_repetition()

    def _check_repetition(self) -> None:
        if self.no_repeat_ngram_size is not None and self.no_repeat_ngram_size < 2:
            raise ConfigError(
                f"no_repeat_ngram_size={self.no_repeat_ngram_size}: give 2 or more (10, say: with four "
                "letters short runs repeat by chance), or leave it out."
            )
        if self.repetition_ngram_size < 2:
            raise ConfigError(f"repetition_ngram_size={self.repetition_ngram_size}: give 2 or more.")
        if self.repetition_penalty <= 0:
            raise ConfigError(f"repetition_penalty={self.repetition_penalty}: give more than 0; 1 is none.")
        if self.repetition_window is not None and self.repetition_window < 1:
            raise ConfigError(f"repetition_window={self.repetition_window}: give 1 or more, or leave it out.")


def choose(
    logits: torch.Tensor,
    uniforms: torch.Tensor,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
) -> torch.Tensor:
    """Draw one index a row by inverting the cumulative distribution.

    Args:
        logits: (B, N).
        uniforms: (B,) in [0, 1).
        temperature, top_k, top_p, min_p: as in `Sampling`, applied in this order; ties in probability go to
            the smaller index.

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
    if min_p is not None:
        ordered[ordered < min_p * ordered[:, :1]] = 0
    cumulative = ordered.cumsum(-1)
    threshold = uniforms.double().unsqueeze(-1) * cumulative[:, -1:]
    drawn = (cumulative <= threshold).sum(-1, keepdim=True)
    # Rounding may push the last threshold onto the total.
    drawn = torch.minimum(drawn, (ordered > 0).sum(-1, keepdim=True) - 1)
    return order.gather(-1, drawn).squeeze(-1)
