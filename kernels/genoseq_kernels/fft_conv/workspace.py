"""What `fft_conv` takes in memory while it runs, beside its inputs and results.

The plain-torch path is run on tensors without memory and watched; the Triton path says what it allocates.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from genoseq_kernels.dry_run import scratch_bytes
from genoseq_kernels.fft_conv import reference


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
    transforms = {"aten::_fft_r2c": real_transform, "aten::_fft_c2r": inverse_real_transform}
    if device_type == "cpu":
        # Rows of a batch are done one by one, the last one's tensors still alive in the next.
        args = tuple(x[:2] if isinstance(x, torch.Tensor) and x.dim() == 3 else x for x in args)
    return scratch_bytes(function, args, device_type, transforms)
