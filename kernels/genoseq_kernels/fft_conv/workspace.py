"""What `fft_conv` takes in memory while it runs, beside its inputs and results.

The plain-torch path is run on tensors without memory and watched; the Triton path says what it allocates.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from genoseq_kernels.fft_conv import reference
from genoseq_kernels.live_bytes import LiveBytes


def forward(args: tuple[Any, ...], result: Any, device_type: str) -> int:
    """Bytes of a call of `genoseq::fft_conv` with these arguments."""
    u, k, skip, gate_in, gate_out, spectrum, mode, *rest = args
    if "triton" in rest:
        return _triton().forward_workspace(u, k, mode, made=spectrum is None)
    return _watched(reference.forward, (u, k, skip, gate_in, gate_out, spectrum, mode), device_type)


def backward(args: tuple[Any, ...], result: Any, device_type: str) -> int:
    """Bytes of a call of `genoseq::fft_conv_backward` with these arguments."""
    grad, u, k, skip, gate_in, gate_out, convolved, mode, *rest = args
    if "triton" in rest:
        return _triton().backward_workspace(grad, u, k, mode)
    return _watched(reference.backward, (grad, u, k, skip, gate_in, gate_out, convolved, mode), device_type)


def real_transform(args: tuple[Any, ...], result: torch.Tensor, device_type: str) -> int:
    """Bytes of `aten::_fft_r2c`: cuFFT's own scratch is about the size of the result."""
    return result.nbytes if device_type == "cuda" else 0


def inverse_real_transform(args: tuple[Any, ...], result: torch.Tensor, device_type: str) -> int:
    """Bytes of `aten::_fft_c2r`: cuFFT overwrites its input, of which torch makes a copy, and has scratch."""
    return 2 * args[0].nbytes if device_type == "cuda" else 0


def _triton() -> Any:
    """Triton is imported where its path is taken."""
    from genoseq_kernels.fft_conv import triton_impl

    return triton_impl


def _watched(function: Callable[..., Any], args: tuple[Any, ...], device_type: str) -> int:
    """The peak of a call, without its arguments and results."""
    # On CPU rows of a batch are done one by one, the last one's tensors still alive in the next.
    device, rows = ("cpu", 2) if device_type == "cpu" else ("meta", None)
    transforms = {"aten::_fft_r2c": real_transform, "aten::_fft_c2r": inverse_real_transform}
    with FakeTensorMode(), LiveBytes(transforms, device_type=device_type) as watch:
        empty = [_weightless(x, rows, device) if isinstance(x, torch.Tensor) else x for x in args]
        given = watch.live[device]
        results = function(*empty)
        return watch.peak[device] - given - sum(x.nbytes for x in results if x is not None)


def _weightless(x: torch.Tensor, rows: int | None, device: str) -> torch.Tensor:
    first = x.shape[0] if rows is None or x.dim() != 3 else min(x.shape[0], rows)
    return torch.empty((first, *x.shape[1:]), dtype=x.dtype, device=device)
