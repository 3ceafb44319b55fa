"""GELU in a backward pass: its value again, and the gradient through it, in one pass."""

from __future__ import annotations

from typing import Any

import torch

from genoseq_kernels.dispatch import Backend, choose_backend, triton_runs, with_triton
from genoseq_kernels.gelu import reference

_DTYPES = (torch.float32, torch.bfloat16, torch.float16)


def gelu_backward_(grad: torch.Tensor, x: torch.Tensor, *, backend: Backend = "auto") -> torch.Tensor:
    """In place: x becomes `gelu(x)`, tanh form, and `grad`, the gradient of that, the gradient of x.

    Args:
        grad: (N, D), which is changed.
        x: (N, D), which is changed.
        backend: `auto`, `reference` or `triton`.

    Returns:
        (D,) sums of the new `grad` over rows, the gradient of a bias; float32 or better. Derivatives are not
        defined.

    Raises:
        ValueError: shapes or dtypes that do not fit each other.
        BackendUnavailable: the backend asked for cannot run this call.

    Source: Hendrycks and Gimpel 2016, "Gaussian Error Linear Units".
    """
    if x.dim() != 2 or grad.shape != x.shape or grad.dtype != x.dtype:
        raise ValueError(
            f"gelu_backward_: grad {tuple(grad.shape)} {grad.dtype} and x {tuple(x.shape)} {x.dtype}; "
            "wanted (N, D) of one dtype."
        )
    chosen = choose_backend(backend, operator="gelu_backward_", available=_available(grad, x), like=x)
    return _implementation(chosen).backward_(grad, x)


def _implementation(backend: str) -> Any:
    if backend == "reference":
        return reference
    from genoseq_kernels.gelu import operators  # imported where Triton is wanted, not before

    return operators


def _available(grad: torch.Tensor, x: torch.Tensor) -> tuple[str, ...]:
    fits = x.dtype in _DTYPES and x.numel() > 0 and grad.is_contiguous() and x.is_contiguous()
    return with_triton(x) if fits and triton_runs(x) else ("reference",)
