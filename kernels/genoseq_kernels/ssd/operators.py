"""`ssd` as operators of fixed arity, so that torch.compile and checkpointing see one node each.

An operator may not return None nor one of its inputs: gradients of what was not given are empty tensors.
"""

from __future__ import annotations

from typing import Any

import torch

from genoseq_kernels.dispatch import on_device_of
from genoseq_kernels.ssd import chunked
from genoseq_kernels.ssd.reference import Inputs, precise

_NUM_INPUTS = 14


@torch.library.custom_op("genoseq::ssd", mutates_args=())
def ssd_forward(
    x: torch.Tensor,
    dt: torch.Tensor,
    A: torch.Tensor,
    B: torch.Tensor,
    C: torch.Tensor,
    D: torch.Tensor | None,
    z: torch.Tensor | None,
    dt_bias: torch.Tensor | None,
    initial_states: torch.Tensor | None,
    seq_idx: torch.Tensor | None,
    dt_softplus: bool,
    dt_min: float,
    dt_max: float,
    backend: str,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """See `genoseq_kernels.ssd`: y, the last state, and the states that the gradient needs."""
    inputs = Inputs(x, dt, A, B, C, D, z, dt_bias, initial_states, seq_idx, dt_softplus, dt_min, dt_max)
    with torch.autocast(x.device.type, enabled=False), on_device_of(x):
        return _implementation(backend).forward(inputs)


@ssd_forward.register_fake
def _(
    x: torch.Tensor,
    dt: torch.Tensor,
    A: torch.Tensor,
    B: torch.Tensor,
    C: torch.Tensor,
    D: torch.Tensor | None,
    z: torch.Tensor | None,
    dt_bias: torch.Tensor | None,
    initial_states: torch.Tensor | None,
    seq_idx: torch.Tensor | None,
    dt_softplus: bool,
    dt_min: float,
    dt_max: float,
    backend: str,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    inputs = Inputs(x, dt, A, B, C, D, z, dt_bias, initial_states, seq_idx, dt_softplus, dt_min, dt_max)
    batch, _, heads, width = x.shape
    last = x.new_empty(batch, heads, width, B.shape[-1], dtype=precise(x.dtype))
    return _like(x), last, _implementation(backend).saved_like(inputs)


@torch.library.custom_op("genoseq::ssd_backward", mutates_args=())
def ssd_backward(
    grad: torch.Tensor,
    grad_last: torch.Tensor,
    x: torch.Tensor,
    dt: torch.Tensor,
    A: torch.Tensor,
    B: torch.Tensor,
    C: torch.Tensor,
    D: torch.Tensor | None,
    z: torch.Tensor | None,
    dt_bias: torch.Tensor | None,
    initial_states: torch.Tensor | None,
    seq_idx: torch.Tensor | None,
    saved: torch.Tensor,
    dt_softplus: bool,
    dt_min: float,
    dt_max: float,
    backend: str,
) -> list[torch.Tensor]:
    """Gradients of x, dt, A, B, C, D, z, dt_bias, initial_states."""
    inputs = Inputs(x, dt, A, B, C, D, z, dt_bias, initial_states, seq_idx, dt_softplus, dt_min, dt_max)
    with torch.autocast(x.device.type, enabled=False), on_device_of(x):
        gradients = _implementation(backend).backward(grad, grad_last, inputs, saved)
    return [x.new_empty(0) if gradient is None else gradient for gradient in gradients]


@ssd_backward.register_fake
def _(
    grad: torch.Tensor,
    grad_last: torch.Tensor,
    x: torch.Tensor,
    dt: torch.Tensor,
    A: torch.Tensor,
    B: torch.Tensor,
    C: torch.Tensor,
    D: torch.Tensor | None,
    z: torch.Tensor | None,
    dt_bias: torch.Tensor | None,
    initial_states: torch.Tensor | None,
    seq_idx: torch.Tensor | None,
    saved: torch.Tensor,
    dt_softplus: bool,
    dt_min: float,
    dt_max: float,
    backend: str,
) -> list[torch.Tensor]:
    given = (x, dt, A, B, C, D, z, dt_bias, initial_states)
    return [x.new_empty(0) if tensor is None else _like(tensor) for tensor in given]


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[torch.Tensor, ...]) -> None:
    tensors, ctx.options = inputs[:10], inputs[10:]
    ctx.save_for_backward(*tensors, output[2])


def _backward(
    ctx: Any, grad: torch.Tensor, grad_last: torch.Tensor, _: torch.Tensor
) -> tuple[torch.Tensor | None, ...]:
    *tensors, saved = ctx.saved_tensors
    gradients = ssd_backward(grad, grad_last, *tensors, saved, *ctx.options)
    # seq_idx, the last tensor, has no gradient.
    given = [None if x is None else d for x, d in zip(tensors[:-1], gradients, strict=True)]
    return (*given, *[None] * (_NUM_INPUTS - len(given)))


ssd_forward.register_autograd(_backward, setup_context=_setup_context)


def _implementation(backend: str) -> Any:
    if backend == "reference":
        return chunked
    # Only here: importing it decorates the kernels, and it takes Triton.
    from genoseq_kernels.ssd import triton_impl

    return triton_impl


def _like(x: torch.Tensor) -> torch.Tensor:
    return torch.empty(x.shape, dtype=x.dtype, device=x.device)
