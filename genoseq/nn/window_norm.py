"""The scale of a window, channel by channel: what reversible instance normalisation takes out and puts back.

Source: Kim et al. 2022, "Reversible Instance Normalization for Accurate Time-Series Forecasting against
Distribution Shift".
"""

from __future__ import annotations

import torch


def window_scale(x: torch.Tensor, *, epsilon: float = 1e-5) -> tuple[torch.Tensor, torch.Tensor]:
    """Location and scale of each channel of each window.

    Args:
        x: (B, L, C).
        epsilon: added to the variance, so that a constant window has a scale.

    Returns:
        Mean and standard deviation, each (B, 1, C). No gradient passes through them.
    """
    x = x.detach()
    return x.mean(1, keepdim=True), (x.var(1, keepdim=True, correction=0) + epsilon).sqrt()
