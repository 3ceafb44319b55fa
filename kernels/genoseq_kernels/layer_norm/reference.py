"""`layer_norm` and `rms_norm` in plain torch."""

from __future__ import annotations

import torch
from torch.nn import functional as F


def forward(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, epsilon: float, dtype: torch.dtype
) -> torch.Tensor:
    """See `genoseq_kernels.layer_norm`; without bias it is `rms_norm`."""
    precise = torch.promote_types(torch.promote_types(x.dtype, weight.dtype), torch.float32)
    with torch.autocast(device_type=x.device.type, enabled=False):
        shape, given, factor = x.shape[-1:], x.to(precise), weight.to(precise)
        if bias is None:
            y = F.rms_norm(given, shape, factor, epsilon)
        else:
            y = F.layer_norm(given, shape, factor, bias.to(precise), epsilon)
    return y.to(dtype)
