"""Selective scan (Mamba-1): a linear recurrence whose step, input and output weights depend on the input."""

from __future__ import annotations

import torch

from genoseq_kernels.dispatch import Backend, choose_backend, triton_runs, with_triton
from genoseq_kernels.selective_scan import compiled, operators
from genoseq_kernels.selective_scan.update import selective_state_update

__all__ = ["selective_scan", "selective_state_update"]


def selective_scan(
    u: torch.Tensor,
    delta: torch.Tensor,
    A: torch.Tensor,
    B: torch.Tensor,
    C: torch.Tensor,
    D: torch.Tensor | None = None,
    z: torch.Tensor | None = None,
    delta_bias: torch.Tensor | None = None,
    delta_softplus: bool = False,
    return_last_state: bool = False,
    *,
    initial_state: torch.Tensor | None = None,
    seq_idx: torch.Tensor | None = None,
    backend: Backend = "auto",
) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
    """`(C h + D u) * silu(z)` with h[t] = exp(dt[t] A) h[t-1] + dt[t] B[t] u[t], channel by channel.

    dt is delta + delta_bias, through softplus where asked. States are float32 (float64 for float64 input)
    whatever the input's dtype, also under autocast. Gradients flow to every floating-point tensor and through
    the last state; second derivatives are not defined.

    Args:
        u: (B, D, L) floating point, L >= 1.
        delta: (B, D, L).
        A: (D, N), real; or complex, where each state stands for itself and its conjugate (reference only).
        B, C: (B, N, L); (B, G, N, L) where the channels are in G groups, one after the other; or (D, N), the
            same at all positions.
        D: (D,) weight of the input itself.
        z: (B, D, L) gates the output through SiLU.
        delta_bias: (D,), added to delta.
        delta_softplus: apply softplus to delta, after the bias.
        return_last_state: also return the state after the last position.
        initial_state: (B, D, N) state before the first position; zeros where not given.
        seq_idx: (B, L) integers, the number of the packed sequence that a position belongs to: where it
            changes, the state starts again from zero. The first sequence continues `initial_state`.
        backend: `auto`, `reference` or `triton`.

    Returns:
        (B, D, L), contiguous, of the dtype of `u`; with `return_last_state` also the state (B, D, N).

    Raises:
        ValueError: shapes that do not fit each other, or a sequence of length zero.
        BackendUnavailable: the backend asked for cannot run this call.

    Source: Gu and Dao 2023, "Mamba", algorithm 2; `selective_scan_fn` of the released code.
    """
    B, C = (weights.unsqueeze(1) if weights.dim() == 3 else weights for weights in (B, C))
    _check(u, delta, A, {"B": B, "C": C}, {"D": D, "delta_bias": delta_bias})
    _check_optional(u, A, z, initial_state, seq_idx)
    chosen = choose_backend(backend, operator="selective_scan", available=_available(u, A, B, C), like=u)
    if chosen == "reference" and compiled.runs(u, A, B, C):
        chosen = "compiled"
    y, last, _ = operators.selective_scan_forward(
        u, delta, A, B, C, D, z, delta_bias, initial_state, seq_idx, delta_softplus, chosen
    )
    return (y, last) if return_last_state else y


def _available(u: torch.Tensor, A: torch.Tensor, B: torch.Tensor, C: torch.Tensor) -> tuple[str, ...]:
    """The kernels take real weights, are float32 inside, and want B and C by position in the same groups."""
    real = not any(x.is_complex() for x in (A, B, C))
    same_groups = B.dim() == C.dim() == 4 and B.shape[1] == C.shape[1]
    fits = real and same_groups and u.dtype != torch.float64
    return with_triton(u) if fits and triton_runs(u) else ("reference",)


def _check(
    u: torch.Tensor,
    delta: torch.Tensor,
    A: torch.Tensor,
    weights: dict[str, torch.Tensor],
    vectors: dict[str, torch.Tensor | None],
) -> None:
    if u.dim() != 3 or delta.shape != u.shape or 0 in u.shape:
        raise ValueError(
            f"selective_scan: u {tuple(u.shape)} and delta {tuple(delta.shape)}; wanted two (B, D, L), "
            "none of them zero."
        )
    if A.dim() != 2 or A.shape[0] != u.shape[1] or A.shape[1] == 0:
        raise ValueError(f"selective_scan: A {tuple(A.shape)}; wanted ({u.shape[1]}, N), a row a channel.")
    for name, tensor in weights.items():
        _check_weights(name, tensor, u, A)
    for name, vector in vectors.items():
        if vector is not None and vector.shape != u.shape[1:2]:
            raise ValueError(
                f"selective_scan: {name} {tuple(vector.shape)}; wanted ({u.shape[1]},), one number a channel."
            )


def _check_weights(name: str, weights: torch.Tensor, u: torch.Tensor, A: torch.Tensor) -> None:
    """(D, N), or (B, G, N, L)."""
    if weights.is_complex() and not A.is_complex():
        raise ValueError(f"selective_scan: {name} is complex and A is not; give A as complex numbers too.")
    if weights.dim() == 2:
        if weights.shape != A.shape:
            raise ValueError(
                f"selective_scan: {name} {tuple(weights.shape)}; the same at all positions, it is as A, "
                f"{tuple(A.shape)}."
            )
        return
    batch, channels, length = u.shape
    if weights.dim() != 4 or (weights.shape[0], *weights.shape[2:]) != (batch, A.shape[1], length):
        raise ValueError(
            f"selective_scan: {name} {tuple(weights.shape)}; wanted ({batch}, {A.shape[1]}, {length}), or "
            f"({batch}, G, {A.shape[1]}, {length}), or {tuple(A.shape)}."
        )
    if weights.shape[1] == 0 or channels % weights.shape[1]:
        raise ValueError(
            f"selective_scan: {name} has {weights.shape[1]} groups, which do not divide {channels} channels."
        )


def _check_optional(
    u: torch.Tensor,
    A: torch.Tensor,
    z: torch.Tensor | None,
    initial_state: torch.Tensor | None,
    seq_idx: torch.Tensor | None,
) -> None:
    if z is not None and z.shape != u.shape:
        raise ValueError(f"selective_scan: z {tuple(z.shape)}; wanted the shape of u, {tuple(u.shape)}.")
    wanted = (u.shape[0], *A.shape)
    if initial_state is not None and tuple(initial_state.shape) != wanted:
        raise ValueError(f"selective_scan: initial_state {tuple(initial_state.shape)}; wanted {wanted}.")
    if seq_idx is None:
        return
    if seq_idx.shape != (u.shape[0], u.shape[2]) or seq_idx.is_floating_point() or seq_idx.is_complex():
        raise ValueError(
            f"selective_scan: seq_idx {tuple(seq_idx.shape)} {seq_idx.dtype}; wanted integers "
            f"({u.shape[0]}, {u.shape[2]})."
        )
