"""Which channels, and which moments, a classifier of recordings went by."""

from __future__ import annotations

import torch

from genoseq.errors import ConfigError
from genoseq.models.signal import RecordingModel


def integrated_gradients(
    model: RecordingModel,
    x: torch.Tensor,
    target: int,
    *,
    observed: torch.Tensor | None = None,
    steps: int = 16,
) -> torch.Tensor:
    """What each sample adds to the logit of a class, against a window of zeros, the channels' medians.

    The sum over a window is the logit's difference between the two, but for the error of the steps.

    Args:
        model: of classes.
        x: (B, C, T), scaled as in training.
        target: number of the class.
        observed: see `RecordingModel.forward`.
        steps: midpoints between the two at which gradients are taken.

    Returns:
        (B, C, T).

    Raises:
        ConfigError: the model reconstructs, or has no such class; captum is not installed.

    Source: Sundararajan et al. 2017, "Axiomatic Attribution for Deep Networks", section 3.
    """
    if model.problem is None or not 0 <= target < model.num_outputs:
        raise ConfigError(
            f"target={target}: the model has {model.num_outputs} classes; give one of them, from 0."
        )
    try:
        from captum.attr import IntegratedGradients
    except ImportError as error:
        raise ConfigError("gradients are taken with captum: pip install 'genoseq[attribution]'.") from error
    method = IntegratedGradients(lambda window: model(window, observed=observed).prediction)
    found = method.attribute(
        x.detach(), target=target, n_steps=steps, method="riemann_middle", internal_batch_size=len(x)
    )
    return found.to(x.dtype)
