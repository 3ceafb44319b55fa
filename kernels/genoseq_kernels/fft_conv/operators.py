"""`fft_conv` as operators of fixed arity, so that torch.compile and checkpointing see one node each.

An operator may not return None nor one of its inputs: gradients of what was not given are empty tensors.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.autograd.function import once_differentiable

from genoseq_kernels.dispatch import triton_runs, with_triton
from genoseq_kernels.fft_conv import reference
from genoseq_kernels.library import below_autograd, differentiable, operator
from genoseq_kernels.rows import rows_like

_DEFAULTS = ("reference", True)
_NUM_INPUTS = 9
_TRITON_DTYPES = (torch.float32, torch.bfloat16, torch.float16)
_TRITON_LENGTH = 2**24


def fft_conv(
    u: torch.Tensor,
    k: torch.Tensor,
    skip: torch.Tensor | None,
    gate_in: torch.Tensor | None,
    gate_out: torch.Tensor | None,
    spectrum: torch.Tensor | None,
    mode: str,
    backend: str = "reference",
    keep: bool = True,
) -> tuple[torch.Tensor, torch.Tensor]:
    """See `genoseq_kernels.fft_conv`; with `keep` the second result is the convolution before `gate_out`, for
    the gradient of that."""
    forward = _implementation(backend).forward
    return forward(u, k, skip, gate_in, gate_out, spectrum, mode, keep=keep)


def _fake_forward(
    u: torch.Tensor,
    k: torch.Tensor,
    skip: torch.Tensor | None,
    gate_in: torch.Tensor | None,
    gate_out: torch.Tensor | None,
    spectrum: torch.Tensor | None,
    mode: str,
    backend: str = "reference",
    keep: bool = True,
) -> tuple[torch.Tensor, torch.Tensor]:
    return rows_like(u), rows_like(u) if keep and gate_out is not None else u.new_empty(0)


def fft_conv_backward(
    grad: torch.Tensor,
    u: torch.Tensor,
    k: torch.Tensor,
    skip: torch.Tensor | None,
    gate_in: torch.Tensor | None,
    gate_out: torch.Tensor | None,
    convolved: torch.Tensor,
    mode: str,
    backend: str = "reference",
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Gradients of u, k, skip, gate_in, gate_out."""
    backward = _implementation(backend).backward
    gradients = backward(grad, u, k, skip, gate_in, gate_out, convolved, mode)
    return (
        gradients.u,
        gradients.k,
        _or_empty(gradients.skip, u),
        _or_empty(gradients.gate_in, u),
        _or_empty(gradients.gate_out, u),
    )


def _fake_backward(
    grad: torch.Tensor,
    u: torch.Tensor,
    k: torch.Tensor,
    skip: torch.Tensor | None,
    gate_in: torch.Tensor | None,
    gate_out: torch.Tensor | None,
    convolved: torch.Tensor,
    mode: str,
    backend: str = "reference",
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    gates = [u.new_empty(0) if gate is None else rows_like(u) for gate in (gate_in, gate_out)]
    return rows_like(u), _like(k), u.new_empty(0) if skip is None else _like(skip), gates[0], gates[1]


class _FftConv(torch.autograd.Function):
    """Both operators as one differentiable function."""

    @staticmethod
    def forward(ctx: Any, *args: Any) -> tuple[torch.Tensor, torch.Tensor]:
        u, k, skip, gate_in, gate_out, _, ctx.mode, ctx.backend, _ = args
        y, convolved = below_autograd(forward_operator, *args)
        ctx.save_for_backward(u, k, skip, gate_in, gate_out, convolved)
        # The second result has no gradient: zeros of its size are gigabytes at millions of positions.
        ctx.set_materialize_grads(False)
        return y, convolved

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor | None, _: None) -> tuple[torch.Tensor | None, ...]:
        if grad is None:
            return (None,) * _NUM_INPUTS
        *inputs, convolved = ctx.saved_tensors
        gradients = backward_operator(grad, *inputs, convolved, ctx.mode, ctx.backend)
        given = [None if x is None else gradient for x, gradient in zip(inputs, gradients, strict=True)]
        return (*given, *[None] * (_NUM_INPUTS - len(given)))


def _with_gradient(*args: Any) -> tuple[torch.Tensor, torch.Tensor]:
    args = (
        *args,
        *_DEFAULTS[len(args) - _NUM_INPUTS + len(_DEFAULTS) :],
    )  # torch leaves out what is the default
    return _FftConv.apply(*args) if torch.is_grad_enabled() else below_autograd(forward_operator, *args)


forward_operator = operator(fft_conv, _fake_forward)
backward_operator = operator(fft_conv_backward, _fake_backward)
differentiable(forward_operator, _with_gradient)


def available(length: int, *tensors: torch.Tensor) -> tuple[str, ...]:
    """Backends that can convolve these tensors, sequences of this length, the one `auto` takes first."""
    dtypes = all(x.dtype in _TRITON_DTYPES for x in tensors)
    fits = dtypes and length <= _TRITON_LENGTH and all(x.numel() > 0 for x in tensors)
    return with_triton(tensors[0]) if fits and triton_runs(tensors[0]) else ("reference",)


def filter_spectrum(k: torch.Tensor, length: int, mode: str, backend: str) -> torch.Tensor:
    """The backend's spectrum of filters (D, K) for sequences of this length."""
    if backend == "reference":
        return reference.spectrum(k, reference.transform_length(length, k.shape[-1], mode))
    return _implementation(backend).spectrum(k, length, mode)


def spectrum_shape(k: torch.Tensor, length: int, mode: str, backend: str) -> tuple[tuple[int, int], bool]:
    """Shape of what `filter_spectrum` gives, and whether its numbers are complex."""
    if backend == "reference":
        bins = reference.transform_length(length, k.shape[-1], mode) // 2 + 1
        return (k.shape[0], bins), True
    return (k.shape[0], _implementation(backend).spectrum_size(k.shape[1], length, mode)), False


def _implementation(backend: str) -> Any:
    """The module that holds the backend; Triton is imported where it is asked for."""
    if backend == "reference":
        return reference
    from genoseq_kernels.fft_conv import triton_impl

    return triton_impl


def _like(x: torch.Tensor) -> torch.Tensor:
    return torch.empty(x.shape, dtype=x.dtype, device=x.device)


def _or_empty(gradient: torch.Tensor | None, like: torch.Tensor) -> torch.Tensor:
    return like.new_empty(0) if gradient is None else gradient
