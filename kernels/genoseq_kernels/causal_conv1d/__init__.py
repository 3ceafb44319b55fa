"""Depthwise causal convolution with a few taps, whole sequences and step by step."""

from __future__ import annotations

from typing import Any

import torch

from genoseq_kernels.causal_conv1d import operators
from genoseq_kernels.dispatch import Backend, choose_backend, triton_runs, with_triton

__all__ = ["causal_conv1d", "causal_conv1d_update"]

_ACTIVATIONS = (None, "silu", "swish")


def causal_conv1d(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    seq_idx: torch.Tensor | None = None,
    initial_states: torch.Tensor | None = None,
    return_final_states: bool = False,
    final_states_out: torch.Tensor | None = None,
    activation: str | None = None,
    *,
    backend: Backend = "auto",
) -> Any:
    """y[t] = activation(bias + sum_j weight[W - 1 - j] x[t - j]), channel by channel.

    Sums are float32 (float64 for float64 input) whatever the input's dtype, also under autocast. Gradients
    flow to x, weight, bias and initial_states, from the result and the final states; second derivatives are
    not defined.

    Args:
        x: (B, D, L) floating point, L >= 1. Channels or positions may be what lies next to each other in
            memory; other layouts are copied.
        weight: (D, W), W >= 1; its last tap meets the position itself.
        bias: (D,).
        seq_idx: (B, L) integers: positions see only those of the same number, so that a row may hold many
            sequences. Negative ones are padding, where the result is zero.
        initial_states: (B, D, W - 1) inputs before the first; without, zeros. Not together with `seq_idx`.
        return_final_states: also return the last W - 1 inputs, `initial_states` counted in. Not together with
            `seq_idx`.
        final_states_out: (B, D, W - 1) to write them to; then it is what is returned, without gradient.
        activation: None, `silu`, or `swish`, which is the same.
        backend: `auto`, `reference` or `triton`.

    Returns:
        (B, D, L) of the dtype of `x`, dense, in the layout of `x`; with `return_final_states` a pair, whose
        second is (B, D, W - 1) of the dtype of `x`.

    Raises:
        ValueError: shapes that do not fit each other, an unknown activation, or states beside `seq_idx`.
        BackendUnavailable: the backend asked for cannot run this call.

    Source: the interface of causal-conv1d (Dao-AILab), `causal_conv1d_fn`.
    """
    silu = _is_silu(activation)
    _check(x, weight, bias, seq_idx, initial_states)
    if seq_idx is not None and (initial_states is not None or return_final_states):
        raise ValueError("causal_conv1d: packed sequences (seq_idx) take and return no states.")
    if final_states_out is not None and not return_final_states:
        raise ValueError("causal_conv1d: final_states_out is for return_final_states=True.")
    chosen = choose_backend(backend, operator="causal_conv1d", available=_available(x, weight), like=x)
    y, final = operators.causal_conv1d_forward(
        x, weight, bias, seq_idx, initial_states, silu, return_final_states, chosen
    )
    if final_states_out is not None:
        final = final_states_out.copy_(final.detach())
    return (y, final) if return_final_states else y


def causal_conv1d_update(
    x: torch.Tensor,
    conv_state: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    activation: str | None = None,
    cache_seqlens: torch.Tensor | None = None,
    conv_state_indices: torch.Tensor | None = None,
    *,
    backend: Backend = "auto",
) -> torch.Tensor:
    """`causal_conv1d` of the next positions, after those that `conv_state` remembers; it then remembers them.

    Args:
        x: (B, D) the next position, or (B, D, L) the next L.
        conv_state: (B, D, S), S >= W - 1, changed in place: the last S inputs, or with `cache_seqlens` a
            circular buffer of them.
        weight: (D, W).
        bias: (D,).
        activation: None, `silu`, or `swish`, which is the same.
        cache_seqlens: (B,) integers, the number of positions seen so far: modulo S, where in the buffer the
            next is written.
        conv_state_indices: (B,) integers, all different: the row of a `conv_state` (any number of rows, D, S)
            that belongs to each row of `x`.
        backend: `auto`, `reference` or `triton`.

    Returns:
        Of the shape and dtype of `x`, without gradient.

    Raises:
        ValueError: shapes that do not fit each other, or an unknown activation.
        BackendUnavailable: the backend asked for cannot run this call.

    Source: the interface of causal-conv1d (Dao-AILab), `causal_conv1d_update`.
    """
    silu = _is_silu(activation)
    positions = x.unsqueeze(-1) if x.dim() == 2 else x
    _check(positions, weight, bias, None, None)
    _check_state(positions, conv_state, weight, cache_seqlens, conv_state_indices)
    chosen = choose_backend(backend, operator="causal_conv1d_update", available=_available(x, weight), like=x)
    with torch.no_grad():
        y = operators.causal_conv1d_step(
            positions, conv_state, weight, bias, silu, cache_seqlens, conv_state_indices, chosen
        )
    return y.view(x.shape)


def _available(x: torch.Tensor, weight: torch.Tensor) -> tuple[str, ...]:
    if not triton_runs(x):
        return ("reference",)
    from genoseq_kernels.causal_conv1d import triton_impl  # needs Triton, which not every machine has

    return with_triton(x) if triton_impl.supports(x, weight) else ("reference",)


def _is_silu(activation: str | None) -> bool:
    if activation not in _ACTIVATIONS:
        raise ValueError(f"activation={activation!r}: choose None, 'silu' or 'swish'.")
    return activation is not None


def _check(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    seq_idx: torch.Tensor | None,
    initial_states: torch.Tensor | None,
) -> None:
    fits = x.dim() == 3 and weight.dim() == 2 and weight.shape[0] == x.shape[1] and weight.shape[1] >= 1
    if not fits or x.shape[2] < 1:
        raise ValueError(
            f"causal_conv1d: x {tuple(x.shape)} and weight {tuple(weight.shape)}; wanted (B, D, L) and "
            "(D, W) with L >= 1 and W >= 1."
        )
    batch, channels, length = x.shape
    for name, tensor, wanted in (
        ("bias", bias, (channels,)),
        ("seq_idx", seq_idx, (batch, length)),
        ("initial_states", initial_states, (batch, channels, weight.shape[1] - 1)),
    ):
        if tensor is not None and tensor.shape != wanted:
            raise ValueError(f"causal_conv1d: {name} {tuple(tensor.shape)}; wanted {wanted}.")


def _check_state(
    x: torch.Tensor,
    conv_state: torch.Tensor,
    weight: torch.Tensor,
    cache_seqlens: torch.Tensor | None,
    conv_state_indices: torch.Tensor | None,
) -> None:
    batch, channels = x.shape[:2]
    fits = conv_state.dim() == 3 and conv_state.shape[1] == channels
    rows_fit = conv_state_indices is not None or conv_state.shape[0] == batch
    if not fits or not rows_fit or conv_state.shape[2] < weight.shape[1] - 1:
        raise ValueError(
            f"causal_conv1d_update: conv_state {tuple(conv_state.shape)}; wanted ({batch}, {channels}, S) "
            f"with S >= {weight.shape[1] - 1}, the taps but one."
        )
    for name, tensor in (("cache_seqlens", cache_seqlens), ("conv_state_indices", conv_state_indices)):
        if tensor is not None and tensor.shape != (batch,):
            raise ValueError(f"causal_conv1d_update: {name} {tuple(tensor.shape)}; wanted ({batch},).")
