"""What `selective_scan` takes in memory while it runs, beside its inputs and results.

The paths of torch and Triton are run dry. The compiled loops want values: with what torch does around them
they have at most so many tensors (B, D, positions) float32 at once, of a stretch of positions.
"""

from __future__ import annotations

from typing import Any

from genoseq_kernels.dry_run import own_scratch
from genoseq_kernels.live_bytes import Workspace
from genoseq_kernels.selective_scan import operators

_STRETCH = 4096
_FORWARD, _BACKWARD = 12, 17

_dry_forward = own_scratch(operators.selective_scan_forward)
_dry_backward = own_scratch(operators.selective_scan_backward)


def forward(args: tuple[Any, ...], result: Any, device_type: str) -> int:
    """Bytes of a call of `genoseq::selective_scan` with these arguments."""
    return _bytes(_dry_forward, _FORWARD, args, args[0].shape, device_type)


def backward(args: tuple[Any, ...], result: Any, device_type: str) -> int:
    """Bytes of a call of `genoseq::selective_scan_backward` with these arguments."""
    return _bytes(_dry_backward, _BACKWARD, args, args[2].shape, device_type)


def _bytes(
    dry: Workspace, tensors: int, args: tuple[Any, ...], shape: tuple[int, ...], device_type: str
) -> int:
    if args[-1] != "compiled":
        return dry(args, None, device_type)
    batch, channels, length = shape
    return 4 * tensors * batch * channels * min(length, _STRETCH)
