"""Losses of the heads; labels of `IGNORED` count for nothing."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch.nn import functional as F

from genoseq.errors import require_choice
from genoseq.nn.tiling import tiled

IGNORED = -100
Problem = Literal["single_label", "multi_label", "regression"]


def next_token_loss(
    logits: torch.Tensor,
    labels: torch.Tensor,
    mask: torch.Tensor | None = None,
    segment_ids: torch.Tensor | None = None,
) -> torch.Tensor:
    """Mean cross-entropy, in nats, of each token given those before it; the shift is done here.

    Args:
        logits: (B, L, V).
        labels: (B, L) the tokens themselves, or `IGNORED`.
        mask: (B, L) bool; neither padding nor what would be predicted from it counts.
        segment_ids: (B, L); the first token of a packed sequence does not count.

    Returns:
        () float32 or better; 0 where nothing counts.
    """
    return _mean_cross_entropy(logits[:, :-1], _next_tokens(labels, mask, segment_ids))


def tiled_next_token_loss(
    hidden: torch.Tensor,
    weight: torch.Tensor,
    labels: torch.Tensor,
    mask: torch.Tensor | None = None,
    segment_ids: torch.Tensor | None = None,
    *,
    tile: int,
) -> torch.Tensor:
    """`next_token_loss(hidden @ weight.T, ...)` with the logits of `tile` positions at a time.

    Args:
        hidden: (B, L, D).
        weight: (V, D).
        labels, mask, segment_ids: as for `next_token_loss`.
        tile: positions.

    Returns:
        () float32 or better; 0 where nothing counts.
    """
    # Nothing follows the last position. To cut it off would copy the gradient of all others.
    targets = F.pad(_next_tokens(labels, mask, segment_ids), (0, 1), value=IGNORED)

    def function(part: torch.Tensor, places: slice) -> torch.Tensor:
        logits = _precise(F.linear(part, weight)).transpose(1, 2)
        return F.cross_entropy(logits, targets[:, places], ignore_index=IGNORED, reduction="none")

    nats = tiled(function, hidden, [weight], tile=tile)
    return nats.sum() / (targets != IGNORED).sum().clamp_min(1)


def spectral_distance(prediction: torch.Tensor, target: torch.Tensor, observed: torch.Tensor) -> torch.Tensor:
    """Mean modulus of the Fourier coefficients of the error along time, of the plain (unscaled) transform.

    Args:
        prediction, target: (B, H, C).
        observed: (B, H, C) bool; elsewhere there is no error.

    Returns:
        () float32 or better.

    Source: Wang et al. 2025, "FreDF: Learning to Forecast in the Frequency Domain".
    """
    error = _precise(prediction - target).masked_fill(~observed, 0)
    return torch.fft.rfft(error, dim=1).abs().mean()


def problem_loss(
    problem: Problem,
    logits: torch.Tensor,
    labels: torch.Tensor,
    class_weights: torch.Tensor | None = None,
) -> torch.Tensor:
    """Mean loss of classification or regression.

    Args:
        problem: `single_label` (cross-entropy), `multi_label` (binary cross-entropy, an output a label) or
            `regression` (squared error).
        logits: (..., outputs).
        labels: (...) classes, or (..., outputs) zeros and ones, or values; values of one output may also be
            (...). NaN does not count, nor does `IGNORED`, which a regression may have as a value.
        class_weights: (outputs,) how much an example of each class counts, for `single_label`; of
            `multi_label` how much a label counts where it is 1. None for all alike.

    Returns:
        () float32 or better; 0 where nothing counts.
    """
    if problem == "single_label":
        return _mean_cross_entropy(logits, labels, class_weights)
    assert class_weights is None or problem == "multi_label", "numbers have no classes"
    logits = _precise(logits)
    targets = labels.to(logits.dtype).reshape(logits.shape)
    counted = ~torch.isnan(targets)
    if problem == "multi_label":
        counted &= targets != IGNORED
    targets = targets.masked_fill(~counted, 0)
    if problem == "regression":
        losses = (logits - targets).square()
    else:
        losses = F.binary_cross_entropy_with_logits(
            logits, targets, reduction="none", pos_weight=class_weights
        )
    return losses.masked_fill(~counted, 0).sum() / counted.sum().clamp_min(1)


def contrastive_loss(first: torch.Tensor, second: torch.Tensor, temperature: float) -> torch.Tensor:
    """Cross-entropy of telling each vector's partner among all, the mean of both directions, in nats.

    InfoNCE (van den Oord et al. 2018) with the others of the batch as the wrong answers.

    Args:
        first, second: (B, D) of length 1; row i of one belongs to row i of the other.
        temperature: of their cosine similarities.

    Returns:
        () float32 or better.
    """
    similarity = _precise(first) @ _precise(second).T / temperature
    partner = torch.arange(len(first), device=first.device)
    return (F.cross_entropy(similarity, partner) + F.cross_entropy(similarity.T, partner)) / 2


def require_problem(problem: str) -> None:
    """Refuse a problem that is none.

    Raises:
        ConfigError: it is none of `Problem`.
    """
    require_choice("problem", problem, get_args(Problem))


def _next_tokens(
    labels: torch.Tensor, mask: torch.Tensor | None, segment_ids: torch.Tensor | None
) -> torch.Tensor:
    """(B, L - 1) what each position but the last has to predict, or `IGNORED`."""
    targets = labels[:, 1:]
    if mask is not None:
        targets = targets.masked_fill(~(mask[:, 1:] & mask[:, :-1]), IGNORED)
    if segment_ids is not None:
        targets = targets.masked_fill(segment_ids[:, 1:] != segment_ids[:, :-1], IGNORED)
    return targets


def _mean_cross_entropy(
    logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor | None = None
) -> torch.Tensor:
    flat = targets.reshape(-1)
    rows = _precise(logits).reshape(-1, logits.shape[-1])
    total = F.cross_entropy(rows, flat, weight=weights, ignore_index=IGNORED, reduction="sum")
    counted = flat != IGNORED
    if weights is None:
        return total / counted.sum().clamp_min(1)
    return total / weights[flat[counted]].sum().clamp_min(torch.finfo(total.dtype).tiny)


def _precise(logits: torch.Tensor) -> torch.Tensor:
    return logits.to(torch.promote_types(logits.dtype, torch.float32))
