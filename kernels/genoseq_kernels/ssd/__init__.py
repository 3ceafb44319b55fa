"""State space duality (Mamba-2): a linear recurrence with one decay a head, through matrix products."""

from __future__ import annotations

from typing import Any

import torch

from genoseq_kernels.dispatch import Backend, choose_backend, triton_runs, with_triton
from genoseq_kernels.ssd import operators

__all__ = ["ssd"]


def ssd(
    x: torch.Tensor,
    dt: torch.Tensor,
    A: torch.Tensor,
    B: torch.Tensor,
    C: torch.Tensor,
    chunk_size: int = 256,
    D: torch.Tensor | None = None,
    z: torch.Tensor | None = None,
    dt_bias: torch.Tensor | None = None,
    initial_states: torch.Tensor | None = None,
    seq_idx: torch.Tensor | None = None,
    cu_seqlens: torch.Tensor | None = None,
    dt_softplus: bool = False,
    dt_limit: tuple[float, float] = (0.0, float("inf")),
    return_final_states: bool = False,
    *,
    backend: Backend = "auto",
) -> Any:
    """`(h C + D x) * silu(z)` with h[t] = exp(dt[t] A) h[t-1] + dt[t] x[t] B[t]^T, head by head.

    States are float32 (float64 for float64 input) whatever the input's dtype, also under autocast. Gradients
    flow to every floating-point tensor and through the final states; second derivatives are not defined.

    Args:
        x: (B, L, H, P) floating point, L >= 1.
        dt: (B, L, H).
        A: (H,), below zero for a state that decays.
        B, C: (B, L, G, N); head h reads group h // (H / G).
        chunk_size: at least 1. The result does not depend on it but for rounding, and every backend takes
            the chunks it is fastest with: it is there for callers of `mamba_chunk_scan_combined`.
        D: (H,) or (H, P), weight of the input itself.
        z: (B, L, H, P) gates the output through SiLU.
        dt_bias: (H,), added to dt.
        initial_states: (B, H, P, N) state before the first position; zeros where not given.
        seq_idx: (B, L) integers, the number of the packed sequence that a position belongs to: where it
            changes, the state starts again from zero. The first sequence continues `initial_states`.
        cu_seqlens: (S + 1,) integers from 0 to L, where each of S packed sequences begins, and L; for B = 1
            and without `seq_idx`, for which it is another way to write.
        dt_softplus: apply softplus to dt, after the bias.
        dt_limit: what dt is clamped to, last of all.
        return_final_states: also return the state after the last position; of packed sequences, that of the
            last one (their states each, `return_varlen_states` of `mamba_chunk_scan_combined`, are not made).
        backend: `auto`, `reference` or `triton`.

    Returns:
        (B, L, H, P), contiguous, of the dtype of `x`; with `return_final_states` also (B, H, P, N) of the
        states' dtype.

    Raises:
        ValueError: shapes that do not fit each other, groups that do not divide the heads, a sequence of
            length zero, or limits in the wrong order.
        BackendUnavailable: the backend asked for cannot run this call.

    Source: Dao and Gu 2024, "Transformers are SSMs", section 6; the interface of mamba_ssm,
    `mamba_chunk_scan_combined`.
    """
    _check(x, dt, A, B, C)
    _check_optional(x, B, D, z, dt_bias, initial_states)
    _check_options(chunk_size, dt_limit)
    seq_idx = _sequences(x, seq_idx, cu_seqlens)
    chosen = choose_backend(backend, operator="ssd", available=_available(x, B, C), like=x)
    y, final, _ = operators.ssd_forward(
        x, dt, A, B, C, D, z, dt_bias, initial_states, seq_idx, dt_softplus, *map(float, dt_limit), chosen
    )
    return (y, final) if return_final_states else y


def _available(x: torch.Tensor, B: torch.Tensor, C: torch.Tensor) -> tuple[str, ...]:
    if not triton_runs(x):
        return ("reference",)
    from genoseq_kernels.ssd import triton_impl  # needs Triton, which not every machine has

    return with_triton(x) if triton_impl.supports(x, B, C) else ("reference",)


def _check(x: torch.Tensor, dt: torch.Tensor, A: torch.Tensor, B: torch.Tensor, C: torch.Tensor) -> None:
    if x.dim() != 4 or 0 in x.shape or dt.shape != x.shape[:3]:
        raise ValueError(
            f"ssd: x {tuple(x.shape)} and dt {tuple(dt.shape)}; wanted (B, L, H, P) and (B, L, H), none of "
            "them zero."
        )
    batch, length, heads, _ = x.shape
    if A.shape != (heads,):
        raise ValueError(f"ssd: A {tuple(A.shape)}; wanted ({heads},), one number a head.")
    if B.dim() != 4 or B.shape[:2] != x.shape[:2] or C.shape != B.shape or 0 in B.shape:
        raise ValueError(
            f"ssd: B {tuple(B.shape)} and C {tuple(C.shape)}; wanted two ({batch}, {length}, G, N)."
        )
    if heads % B.shape[2]:
        raise ValueError(f"ssd: {B.shape[2]} groups of B and C do not divide {heads} heads.")


def _check_optional(
    x: torch.Tensor,
    B: torch.Tensor,
    D: torch.Tensor | None,
    z: torch.Tensor | None,
    dt_bias: torch.Tensor | None,
    initial_states: torch.Tensor | None,
) -> None:
    batch, _, heads, width = x.shape
    if D is not None and D.shape not in ((heads,), (heads, width)):
        raise ValueError(f"ssd: D {tuple(D.shape)}; wanted ({heads},) or ({heads}, {width}).")
    for name, tensor, wanted in (
        ("z", z, tuple(x.shape)),
        ("dt_bias", dt_bias, (heads,)),
        ("initial_states", initial_states, (batch, heads, width, B.shape[-1])),
    ):
        if tensor is not None and tensor.shape != wanted:
            raise ValueError(f"ssd: {name} {tuple(tensor.shape)}; wanted {wanted}.")


def _check_options(chunk_size: int, dt_limit: tuple[float, float]) -> None:
    if chunk_size < 1:
        raise ValueError(f"ssd: chunk_size={chunk_size}; wanted at least 1.")
    if not dt_limit[0] <= dt_limit[1]:
        raise ValueError(f"ssd: dt_limit={tuple(dt_limit)}; wanted the smaller number first.")


def _sequences(
    x: torch.Tensor, seq_idx: torch.Tensor | None, cu_seqlens: torch.Tensor | None
) -> torch.Tensor | None:
    """The number of the sequence at each position (B, L), in whichever way it was given."""
    if seq_idx is not None and cu_seqlens is not None:
        raise ValueError("ssd: seq_idx and cu_seqlens say the same in two ways; give one of them.")
    if seq_idx is not None:
        if seq_idx.shape != x.shape[:2] or seq_idx.is_floating_point():
            raise ValueError(
                f"ssd: seq_idx {tuple(seq_idx.shape)} {seq_idx.dtype}; wanted integers {tuple(x.shape[:2])}."
            )
        return seq_idx
    if cu_seqlens is None:
        return None
    if x.shape[0] != 1 or cu_seqlens.dim() != 1 or cu_seqlens.is_floating_point():
        raise ValueError(
            f"ssd: cu_seqlens {tuple(cu_seqlens.shape)} {cu_seqlens.dtype} for a batch of {x.shape[0]}; "
            "wanted integers (S + 1,), for a batch of 1."
        )
    positions = torch.arange(x.shape[1], device=x.device, dtype=cu_seqlens.dtype)
    return torch.searchsorted(cu_seqlens.to(x.device), positions, right=True).unsqueeze(0)
