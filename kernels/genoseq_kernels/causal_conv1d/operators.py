"""`causal_conv1d` as operators of fixed arity, so that torch.compile and checkpointing see one node each.

An operator may not return None nor one of its inputs: what was not asked for is an empty tensor.
"""

from __future__ import annotations

from typing import Any

import torch

from genoseq_kernels.causal_conv1d import reference
from genoseq_kernels.dispatch import on_device_of

_NUM_INPUTS = 8


def _implementation(backend: str) -> Any:
    if backend == "reference":
        return reference
    from genoseq_kernels.causal_conv1d import triton_impl  # imported where Triton is wanted, not before

    return triton_impl


@torch.library.custom_op("genoseq::causal_conv1d", mutates_args=())
def causal_conv1d_forward(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    seq_idx: torch.Tensor | None,
    initial_states: torch.Tensor | None,
    silu: bool,
    return_final_states: bool,
    backend: str,
) -> tuple[torch.Tensor, torch.Tensor]:
    """See `genoseq_kernels.causal_conv1d`; the second result is the final states."""
    with on_device_of(x):
        y = _implementation(backend).forward(x, weight, bias, seq_idx, initial_states, silu)
    if not return_final_states:
        return y, x.new_empty(0)
    return y, reference.final_states(x, initial_states, weight.shape[1])


@causal_conv1d_forward.register_fake
def _(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    seq_idx: torch.Tensor | None,
    initial_states: torch.Tensor | None,
    silu: bool,
    return_final_states: bool,
    backend: str,
) -> tuple[torch.Tensor, torch.Tensor]:
    if not return_final_states:
        return reference.empty_like(x), x.new_empty(0)
    return reference.empty_like(x), reference.final_states(x, initial_states, weight.shape[1])


@torch.library.custom_op("genoseq::causal_conv1d_backward", mutates_args=())
def causal_conv1d_backward(
    grad: torch.Tensor,
    grad_final_states: torch.Tensor,
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    seq_idx: torch.Tensor | None,
    initial_states: torch.Tensor | None,
    silu: bool,
    backend: str,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Gradients of x, weight, bias, initial_states; `grad_final_states` is empty where there were none."""
    with on_device_of(x):
        gradients = _implementation(backend).backward(grad, x, weight, bias, seq_idx, initial_states, silu)
    if grad_final_states.numel():
        reference.add_final_states_gradient(gradients, grad_final_states)
    return (
        gradients.x,
        gradients.weight,
        x.new_empty(0) if gradients.bias is None else gradients.bias,
        x.new_empty(0) if gradients.initial_states is None else gradients.initial_states,
    )


@causal_conv1d_backward.register_fake
def _(
    grad: torch.Tensor,
    grad_final_states: torch.Tensor,
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    seq_idx: torch.Tensor | None,
    initial_states: torch.Tensor | None,
    silu: bool,
    backend: str,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    return (
        reference.empty_like(x),
        torch.empty(weight.shape, dtype=weight.dtype, device=weight.device),
        x.new_empty(0) if bias is None else torch.empty_like(bias),
        x.new_empty(0) if initial_states is None else torch.empty_like(initial_states),
    )


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[torch.Tensor, torch.Tensor]) -> None:
    x, weight, bias, seq_idx, initial_states, ctx.silu, _, ctx.backend = inputs
    ctx.save_for_backward(x, weight, bias, seq_idx, initial_states)


def _backward(ctx: Any, grad: torch.Tensor, grad_final: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
    x, weight, bias, seq_idx, initial_states = ctx.saved_tensors
    grad_x, grad_weight, grad_bias, grad_initial = causal_conv1d_backward(
        grad, grad_final, x, weight, bias, seq_idx, initial_states, ctx.silu, ctx.backend
    )
    given = (
        grad_x,
        grad_weight,
        None if bias is None else grad_bias,
        None,
        None if initial_states is None else grad_initial,
    )
    return (*given, *[None] * (_NUM_INPUTS - len(given)))


causal_conv1d_forward.register_autograd(_backward, setup_context=_setup_context)


@torch.library.custom_op("genoseq::causal_conv1d_update", mutates_args=("conv_state",))
def causal_conv1d_step(
    x: torch.Tensor,
    conv_state: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    silu: bool,
    cache_seqlens: torch.Tensor | None,
    conv_state_indices: torch.Tensor | None,
    backend: str,
) -> torch.Tensor:
    """See `genoseq_kernels.causal_conv1d_update`; x (B, D, L)."""
    with on_device_of(x):
        return _implementation(backend).update(
            x, conv_state, weight, bias, silu, cache_seqlens, conv_state_indices
        )


@causal_conv1d_step.register_fake
def _(
    x: torch.Tensor,
    conv_state: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    silu: bool,
    cache_seqlens: torch.Tensor | None,
    conv_state_indices: torch.Tensor | None,
    backend: str,
) -> torch.Tensor:
    return reference.empty_like(x)
