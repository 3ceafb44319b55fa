"""A window of exponentials over rows, one decay a row: in place, one pass."""

from __future__ import annotations

from typing import Any

import torch
from torch.autograd.function import once_differentiable

from genoseq_kernels.dispatch import Backend, choose_backend, triton_runs, with_triton
from genoseq_kernels.exponential_window import reference

_DTYPES = (torch.float32, torch.bfloat16, torch.float16)


def exponential_window_(
    x: torch.Tensor,
    remains: torch.Tensor,
    t: torch.Tensor,
    scale: float = 1.0,
    *,
    backend: Backend = "auto",
) -> torch.Tensor:
    """`x * (1 + scale * remains ** t)`, in place.

    Args:
        x: (B, C, L), which is changed.
        remains: (C,), what is left of a channel at time 1: zero or more. Without gradient.
        t: (L,) times, zero or more. Without gradient.
        scale: of the exponential.
        backend: `auto`, `reference` or `triton`.

    Returns:
        x. The gradient keeps `remains` and `t` alone; second derivatives are not defined.

    Raises:
        ValueError: shapes that do not fit each other.
        BackendUnavailable: the backend asked for cannot run this call.

    Source: Poli et al. 2023, "Hyena Hierarchy", section 3.3 (the window of the implicit filter).
    """
    if x.dim() != 3 or remains.shape != x.shape[1:2] or t.shape != x.shape[2:]:
        raise ValueError(
            f"exponential_window_: x {tuple(x.shape)}, remains {tuple(remains.shape)}, t {tuple(t.shape)}; "
            "wanted (B, C, L), (C,) and (L,)."
        )
    available = _available(x, remains, t)
    chosen = choose_backend(backend, operator="exponential_window_", available=available, like=x)
    windowed: torch.Tensor = _Windowed.apply(x, remains, t, scale, chosen)
    return windowed


class _Windowed(torch.autograd.Function):
    """An operator of torch.library that changes its argument may have no gradient: this gives it one."""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, remains: torch.Tensor, t: torch.Tensor, scale: float, backend: str
    ) -> torch.Tensor:
        ctx.save_for_backward(remains, t)
        ctx.scale, ctx.backend = scale, backend
        ctx.mark_dirty(x)
        _implementation(backend).window_(x, remains, t, scale)
        return x

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        grad_x = _implementation(ctx.backend).windowed(*grads, *ctx.saved_tensors, ctx.scale)
        return grad_x, None, None, None, None


def _implementation(backend: str) -> Any:
    if backend == "reference":
        return reference
    from genoseq_kernels.exponential_window import operators  # imported where Triton is wanted, not before

    return operators


def _available(x: torch.Tensor, remains: torch.Tensor, t: torch.Tensor) -> tuple[str, ...]:
    dtypes_fit = all(tensor.dtype in _DTYPES for tensor in (x, remains, t))
    # Numbers that share a place would be changed more than once; torch refuses them.
    apart = x.numel() > 0 and 0 not in x.stride()
    return with_triton(x) if dtypes_fit and apart and triton_runs(x) else ("reference",)
