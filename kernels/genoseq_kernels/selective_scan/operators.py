"""`selective_scan` as operators of fixed arity, so that torch.compile and checkpointing see one node each.

An operator may not return None nor one of its inputs: gradients of what was not given are empty tensors.
"""

from __future__ import annotations

from typing import Any

import torch

from genoseq_kernels.dispatch import on_device_of
from genoseq_kernels.selective_scan import compiled, reference
from genoseq_kernels.selective_scan.reference import Inputs

_NUM_INPUTS = 12


@torch.library.custom_op("genoseq::selective_scan", mutates_args=())
def selective_scan_forward(
    u: torch.Tensor,
    delta: torch.Tensor,
    A: torch.Tensor,
    B: torch.Tensor,
    C: torch.Tensor,
    D: torch.Tensor | None,
    z: torch.Tensor | None,
    delta_bias: torch.Tensor | None,
    initial_state: torch.Tensor | None,
    seq_idx: torch.Tensor | None,
    delta_softplus: bool,
    backend: str,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """See `genoseq_kernels.selective_scan`: y, the last state, and the state before each chunk."""
    x = Inputs(u, delta, A, B, C, D, z, delta_bias, initial_state, seq_idx, delta_softplus)
    with on_device_of(u):
        return _implementation(backend).forward(x)


@selective_scan_forward.register_fake
def _(
    u: torch.Tensor,
    delta: torch.Tensor,
    A: torch.Tensor,
    B: torch.Tensor,
    C: torch.Tensor,
    D: torch.Tensor | None,
    z: torch.Tensor | None,
    delta_bias: torch.Tensor | None,
    initial_state: torch.Tensor | None,
    seq_idx: torch.Tensor | None,
    delta_softplus: bool,
    backend: str,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    last = u.new_empty(u.shape[0], *A.shape, dtype=reference.state_dtype(u, A))
    return _like(u), last, last.new_empty(_implementation(backend).starts_shape(u, A))


@torch.library.custom_op("genoseq::selective_scan_backward", mutates_args=())
def selective_scan_backward(
    grad: torch.Tensor,
    grad_last: torch.Tensor,
    u: torch.Tensor,
    delta: torch.Tensor,
    A: torch.Tensor,
    B: torch.Tensor,
    C: torch.Tensor,
    D: torch.Tensor | None,
    z: torch.Tensor | None,
    delta_bias: torch.Tensor | None,
    initial_state: torch.Tensor | None,
    seq_idx: torch.Tensor | None,
    starts: torch.Tensor,
    delta_softplus: bool,
    backend: str,
) -> list[torch.Tensor]:
    """Gradients of u, delta, A, B, C, D, z, delta_bias, initial_state."""
    x = Inputs(u, delta, A, B, C, D, z, delta_bias, initial_state, seq_idx, delta_softplus)
    with on_device_of(u):
        gradients = _implementation(backend).backward(grad, grad_last, x, starts)
    return [u.new_empty(0) if gradient is None else gradient for gradient in gradients]


@selective_scan_backward.register_fake
def _(
    grad: torch.Tensor,
    grad_last: torch.Tensor,
    u: torch.Tensor,
    delta: torch.Tensor,
    A: torch.Tensor,
    B: torch.Tensor,
    C: torch.Tensor,
    D: torch.Tensor | None,
    z: torch.Tensor | None,
    delta_bias: torch.Tensor | None,
    initial_state: torch.Tensor | None,
    seq_idx: torch.Tensor | None,
    starts: torch.Tensor,
    delta_softplus: bool,
    backend: str,
) -> list[torch.Tensor]:
    inputs = (u, delta, A, B, C, D, z, delta_bias, initial_state)
    return [u.new_empty(0) if x is None else _like(x) for x in inputs]


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[torch.Tensor, ...]) -> None:
    *tensors, delta_softplus, backend = inputs
    ctx.save_for_backward(*tensors, output[2])
    ctx.delta_softplus, ctx.backend = delta_softplus, backend


def _backward(
    ctx: Any, grad: torch.Tensor, grad_last: torch.Tensor, _: torch.Tensor
) -> tuple[torch.Tensor | None, ...]:
    *tensors, starts = ctx.saved_tensors
    gradients = selective_scan_backward(grad, grad_last, *tensors, starts, ctx.delta_softplus, ctx.backend)
    # seq_idx, the last tensor, has no gradient.
    given = [None if x is None else d for x, d in zip(tensors[:-1], gradients, strict=True)]
    return (*given, *[None] * (_NUM_INPUTS - len(given)))


selective_scan_forward.register_autograd(_backward, setup_context=_setup_context)


def _implementation(backend: str) -> Any:
    if backend == "triton":
        from genoseq_kernels.selective_scan import triton_impl

        return triton_impl
    return {"reference": reference, "compiled": compiled}[backend]


def _like(x: torch.Tensor) -> torch.Tensor:
    return torch.empty(x.shape, dtype=x.dtype, device=x.device)
