"""`exponential_window_` in plain torch."""

from __future__ import annotations

import torch


def window_(x: torch.Tensor, remains: torch.Tensor, t: torch.Tensor, scale: float) -> None:
    """See `genoseq_kernels.exponential_window_`."""
    x.addcmul_(x, _exponential(x, remains, t), value=scale)


def windowed(x: torch.Tensor, remains: torch.Tensor, t: torch.Tensor, scale: float) -> torch.Tensor:
    """The same, leaving x as it is; in the memory of the window."""
    window = _exponential(x, remains, t)
    return torch.addcmul(x, x, window, value=scale, out=window)


def _exponential(x: torch.Tensor, remains: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """(B, C, L)."""
    return torch.pow(remains[:, None], t.expand(x.shape[0], 1, -1))
