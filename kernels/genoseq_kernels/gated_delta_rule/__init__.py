"""Gated delta rule: a linear recurrence whose state forgets, and replaces what it holds under a key."""

from __future__ import annotations

from typing import Any

import torch
from torch._subclasses.fake_tensor import is_fake

from genoseq_kernels.dispatch import Backend, choose_backend
from genoseq_kernels.gated_delta_rule import fla_impl, operators
from genoseq_kernels.gated_delta_rule.reference import Inputs, inverse_norm, one_step
from genoseq_kernels.ssd.reference import precise

__all__ = ["gated_delta_rule", "gated_delta_rule_update"]


def gated_delta_rule(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    g: torch.Tensor,
    beta: torch.Tensor,
    scale: float | None = None,
    initial_state: torch.Tensor | None = None,
    output_final_state: bool = False,
    use_qk_l2norm_in_kernel: bool = False,
    *,
    seq_idx: torch.Tensor | None = None,
    backend: Backend = "auto",
) -> Any:
    """`scale S^T q` with S[t] = exp(g[t]) (I - beta[t] k[t] k[t]^T) S[t-1] + beta[t] k[t] v[t]^T by heads.

    With g = 0 it is the delta rule without gates. Linear attention, which has no delta, is `ssd`: there q is
    C, k is B, v is x, and dt is one.

    States are float32 (float64 for float64 input) whatever the input's dtype, also under autocast. Gradients
    flow to every floating-point tensor and through the final state; second derivatives are not defined.

    Args:
        q, k: (B, L, G, K) floating point, L >= 1; head h reads group h // (H / G).
        v: (B, L, H, V).
        g: (B, L, H) logarithms of decays, at most zero.
        beta: (B, L, H), what part of what the state holds under a key is replaced; from 0 to 1, or to 2 where
            keys of length one may turn it round.
        scale: of the result; None for 1 / sqrt(K).
        initial_state: (B, H, K, V) state before the first position; zeros where not given.
        output_final_state: also return the state after the last position; of packed sequences, that of the
            last one.
        use_qk_l2norm_in_kernel: first divide q and k by their lengths, sqrt(sum of squares + 1e-6).
        seq_idx: (B, L) integers, the number of the packed sequence that a position belongs to: where it
            changes, the state starts again from zero. The first sequence continues `initial_state`.
        backend: `auto`, `reference`, or `fla` (16 bits, on CUDA, where fla-core is installed).

    Returns:
        (B, L, H, V) of the dtype of `v`; with `output_final_state` also (B, H, K, V) of the states' dtype.

    Raises:
        ValueError: shapes that do not fit each other, groups that do not divide the heads, or a sequence of
            length zero.
        BackendUnavailable: the backend asked for cannot run this call.

    Source: Yang et al. 2024, "Gated Delta Networks: Improving Mamba2 with Delta Rule", equation 10; the
    interface of flash-linear-attention, `chunk_gated_delta_rule`, but for packed sequences.
    """
    _check(q, k, v, g, beta)
    _check_optional(k, v, initial_state, seq_idx)
    scale = k.shape[-1] ** -0.5 if scale is None else float(scale)
    inputs = Inputs(q, k, v, g, beta, initial_state, seq_idx, scale, use_qk_l2norm_in_kernel)
    chosen = choose_backend(backend, operator="gated_delta_rule", available=_available(inputs), like=v)
    # Tensors without content cannot go through kernels that are not registered as operators.
    if chosen == "fla" and not is_fake(v):
        o, final = fla_impl.forward(inputs)
    else:
        o, final, _ = operators.gated_delta_rule_forward(*inputs)
    return (o, final) if output_final_state else o


@torch.no_grad()
def gated_delta_rule_update(
    state: torch.Tensor,
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    g: torch.Tensor,
    beta: torch.Tensor,
    scale: float | None = None,
    use_qk_l2norm_in_kernel: bool = False,
) -> torch.Tensor:
    """One position of `gated_delta_rule`: changes `state` and gives the output, without gradient.

    Args:
        state: (B, H, K, V), written in place.
        q, k: (B, G, K).
        v: (B, H, V).
        g, beta: (B, H).
        scale, use_qk_l2norm_in_kernel: as there.

    Returns:
        (B, H, V) of the dtype of `v`; computed in float32 or better.

    Raises:
        ValueError: shapes that do not fit each other.
    """
    _check(*(x.unsqueeze(1) for x in (q, k, v, g, beta)))
    _check_optional(k.unsqueeze(1), v.unsqueeze(1), state, None)
    kept = torch.promote_types(precise(v.dtype), state.dtype)
    query, key, value, decay, share = (x.to(kept) for x in (q, k, v, g.exp(), beta))
    if use_qk_l2norm_in_kernel:
        query, key = query * inverse_norm(query), key * inverse_norm(key)
    repeats = v.shape[1] // k.shape[1]
    query = query * (k.shape[-1] ** -0.5 if scale is None else scale)
    query, key = (x.repeat_interleave(repeats, dim=1) for x in (query, key))
    o, new = one_step(state.to(kept), query, key, value, decay, share)
    state.copy_(new)
    return o.to(v.dtype)


def _available(inputs: Inputs) -> tuple[str, ...]:
    learned = any(isinstance(x, torch.Tensor) and x.requires_grad for x in inputs)
    fits = fla_impl.supports(inputs, with_gradient=learned and torch.is_grad_enabled())
    return ("fla", "reference") if fits else ("reference",)


def _check(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, g: torch.Tensor, beta: torch.Tensor) -> None:
    if v.dim() != 4 or 0 in v.shape or g.shape != v.shape[:3] or beta.shape != g.shape:
        raise ValueError(
            f"gated_delta_rule: v {tuple(v.shape)}, g {tuple(g.shape)} and beta {tuple(beta.shape)}; wanted "
            "(B, L, H, V) and two (B, L, H), none of them zero."
        )
    batch, length, heads, _ = v.shape
    if k.dim() != 4 or k.shape[:2] != v.shape[:2] or q.shape != k.shape or 0 in k.shape:
        raise ValueError(
            f"gated_delta_rule: q {tuple(q.shape)} and k {tuple(k.shape)}; wanted two "
            f"({batch}, {length}, G, K)."
        )
    if heads % k.shape[2]:
        raise ValueError(f"gated_delta_rule: {k.shape[2]} groups of q and k do not divide {heads} heads.")


def _check_optional(
    k: torch.Tensor, v: torch.Tensor, initial_state: torch.Tensor | None, seq_idx: torch.Tensor | None
) -> None:
    wanted = (v.shape[0], v.shape[2], k.shape[-1], v.shape[-1])
    if initial_state is not None and initial_state.shape != wanted:
        raise ValueError(f"gated_delta_rule: state {tuple(initial_state.shape)}; wanted {wanted}.")
    if seq_idx is not None and (seq_idx.shape != v.shape[:2] or seq_idx.is_floating_point()):
        raise ValueError(
            f"gated_delta_rule: seq_idx {tuple(seq_idx.shape)} {seq_idx.dtype}; wanted integers "
            f"{tuple(v.shape[:2])}."
        )
