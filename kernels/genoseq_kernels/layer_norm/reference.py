"""`layer_norm` in plain torch."""

from __future__ import annotations

import torch
from torch.nn import functional as F


def forward(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, epsilon: float, dtype: torch.dtype
) -> torch.Tensor:
    """See `genoseq_kernels.layer_norm`."""
    precise = torch.promote_types(torch.promote_types(x.dtype, weight.dtype), torch.float32)
    with torch.autocast(device_type=x.device.type, enabled=False):
        y = F.layer_norm(x.to(precise), x.shape[-1:], weight.to(precise), bias.to(precise), epsilon)
    return y.to(dtype)
