"""`gated_delta_rule` in torch as operators of fixed arity: to torch.compile and checkpointing one node each.

An operator may not return None nor one of its inputs: the gradient of a state not given is an empty tensor.
"""

from __future__ import annotations

from typing import Any

import torch

from genoseq_kernels.dispatch import on_device_of
from genoseq_kernels.gated_delta_rule import chunked
from genoseq_kernels.gated_delta_rule.reference import Inputs
from genoseq_kernels.ssd.reference import precise

_NUM_INPUTS = 9


@torch.library.custom_op("genoseq::gated_delta_rule", mutates_args=())
def gated_delta_rule_forward(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    g: torch.Tensor,
    beta: torch.Tensor,
    initial_state: torch.Tensor | None,
    seq_idx: torch.Tensor | None,
    scale: float,
    normalised: bool,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """See `genoseq_kernels.gated_delta_rule`: o, the last state, and the states that the gradient needs."""
    inputs = Inputs(q, k, v, g, beta, initial_state, seq_idx, scale, normalised)
    with torch.autocast(v.device.type, enabled=False), on_device_of(v):
        return chunked.forward(inputs)


@gated_delta_rule_forward.register_fake
def _(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    g: torch.Tensor,
    beta: torch.Tensor,
    initial_state: torch.Tensor | None,
    seq_idx: torch.Tensor | None,
    scale: float,
    normalised: bool,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    inputs = Inputs(q, k, v, g, beta, initial_state, seq_idx, scale, normalised)
    batch, _, heads, width = v.shape
    last = v.new_empty(batch, heads, k.shape[-1], width, dtype=precise(v.dtype))
    return _like(v), last, chunked.saved_like(inputs)


@torch.library.custom_op("genoseq::gated_delta_rule_backward", mutates_args=())
def gated_delta_rule_backward(
    grad: torch.Tensor,
    grad_last: torch.Tensor,
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    g: torch.Tensor,
    beta: torch.Tensor,
    initial_state: torch.Tensor | None,
    seq_idx: torch.Tensor | None,
    saved: torch.Tensor,
    scale: float,
    normalised: bool,
) -> list[torch.Tensor]:
    """Gradients of q, k, v, g, beta, initial_state."""
    inputs = Inputs(q, k, v, g, beta, initial_state, seq_idx, scale, normalised)
    with torch.autocast(v.device.type, enabled=False), on_device_of(v):
        gradients = chunked.backward(grad, grad_last, inputs, saved)
    return [v.new_empty(0) if gradient is None else gradient for gradient in gradients]


@gated_delta_rule_backward.register_fake
def _(
    grad: torch.Tensor,
    grad_last: torch.Tensor,
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    g: torch.Tensor,
    beta: torch.Tensor,
    initial_state: torch.Tensor | None,
    seq_idx: torch.Tensor | None,
    saved: torch.Tensor,
    scale: float,
    normalised: bool,
) -> list[torch.Tensor]:
    return [v.new_empty(0) if x is None else _like(x) for x in (q, k, v, g, beta, initial_state)]


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[torch.Tensor, ...]) -> None:
    tensors, ctx.options = inputs[:7], inputs[7:]
    ctx.save_for_backward(*tensors, output[2])


def _backward(
    ctx: Any, grad: torch.Tensor, grad_last: torch.Tensor, _: torch.Tensor
) -> tuple[torch.Tensor | None, ...]:
    *tensors, saved = ctx.saved_tensors
    gradients = gated_delta_rule_backward(grad, grad_last, *tensors, saved, *ctx.options)
    # seq_idx, the last tensor, has no gradient.
    given = [None if x is None else d for x, d in zip(tensors[:-1], gradients, strict=True)]
    return (*given, *[None] * (_NUM_INPUTS - len(given)))


gated_delta_rule_forward.register_autograd(_backward, setup_context=_setup_context)


def _like(x: torch.Tensor) -> torch.Tensor:
    return torch.empty(x.shape, dtype=x.dtype, device=x.device)
