"""Layer norm and RMS norm that write what the next layer reads: float32 in, 16 bits out, in one pass."""

from __future__ import annotations

import torch

from genoseq_kernels.dispatch import Backend, choose_backend, triton_runs, with_triton
from genoseq_kernels.layer_norm import reference

LARGEST_WIDTH = 8192
_DTYPES = (torch.float32, torch.bfloat16, torch.float16)


def layer_norm(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor,
    epsilon: float = 1e-5,
    *,
    dtype: torch.dtype | None = None,
    backend: Backend = "auto",
) -> torch.Tensor:
    """`(x - mean) / sqrt(variance + epsilon) * weight + bias` over the last axis.

    Args:
        x: (..., D).
        weight, bias: (D,).
        epsilon: added to the variance.
        dtype: of the result; None for that of x. The norm itself is float32 or better.
        backend: `auto`, `reference` or `triton`.

    Returns:
        The shape of x. `triton` keeps x alone for the gradient, and has no second derivatives.

    Raises:
        ValueError: weight or bias is not as wide as x.
        BackendUnavailable: the backend asked for cannot run this call.

    Source: Ba et al. 2016, "Layer Normalization".
    """
    _check("layer_norm", x, weight=weight, bias=bias)
    return _norm("layer_norm", x, weight, bias, epsilon, dtype or x.dtype, backend)


def rms_norm(
    x: torch.Tensor,
    weight: torch.Tensor,
    epsilon: float = 1e-5,
    *,
    dtype: torch.dtype | None = None,
    backend: Backend = "auto",
) -> torch.Tensor:
    """`x / sqrt(mean(x ** 2) + epsilon) * weight` over the last axis; all else as of `layer_norm`.

    Source: Zhang and Sennrich 2019, "Root Mean Square Layer Normalization".
    """
    _check("rms_norm", x, weight=weight)
    return _norm("rms_norm", x, weight, None, epsilon, dtype or x.dtype, backend)


def branch_norm(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    epsilon: float = 1e-5,
    *,
    added: torch.Tensor | None = None,
    dtype: torch.dtype | None = None,
    backend: Backend = "auto",
) -> tuple[torch.Tensor, torch.Tensor]:
    """x and `layer_norm(x)`, without bias `rms_norm(x)`: a residual stream, and what a layer reads of it.

    Both are for use: `triton` adds up the gradients of both in the pass that makes the norm's. All else is as
    of `layer_norm`.

    Args:
        x: (..., D).
        weight, bias: (D,).
        epsilon: added to the variance.
        added: of the shape of x, what the layer before adds to the stream: x + added then stands for x.
        dtype: of the norm; None for that of x.
        backend: `auto`, `reference` or `triton`.
    """
    given = {"weight": weight} if bias is None else {"weight": weight, "bias": bias}
    _check("branch_norm", x, **given)
    if added is not None and added.shape != x.shape:
        raise ValueError(f"branch_norm: added {tuple(added.shape)} and x {tuple(x.shape)}; wanted one shape.")
    dtype = dtype or x.dtype
    available = _available(x, dtype)
    if added is not None and torch.promote_types(x.dtype, added.dtype) != x.dtype:
        available = ("reference",)
    chosen = choose_backend(backend, operator="branch_norm", available=available, like=x)
    if chosen == "reference":
        total = x if added is None else x + added
        return total, reference.forward(total, weight, bias, epsilon, dtype)
    from genoseq_kernels.layer_norm import operators

    branches: tuple[torch.Tensor, torch.Tensor] = operators.Branch.apply(
        x, added, weight, bias, epsilon, dtype
    )
    return branches


def _norm(
    operator: str,
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    epsilon: float,
    dtype: torch.dtype,
    backend: Backend,
) -> torch.Tensor:
    chosen = choose_backend(backend, operator=operator, available=_available(x, dtype), like=x)
    if chosen == "reference":
        return reference.forward(x, weight, bias, epsilon, dtype)
    from genoseq_kernels.layer_norm import operators

    return operators.layer_norm_forward(x, weight, bias, epsilon, dtype)


def _check(operator: str, x: torch.Tensor, **parameters: torch.Tensor) -> None:
    for name, parameter in parameters.items():
        if parameter.shape != x.shape[-1:]:
            raise ValueError(
                f"{operator}: {name} {tuple(parameter.shape)} and x {tuple(x.shape)}; "
                f"wanted {tuple(x.shape[-1:])}."
            )


def _available(x: torch.Tensor, dtype: torch.dtype) -> tuple[str, ...]:
    fits = x.dtype in _DTYPES and dtype in _DTYPES and x.shape[-1] <= LARGEST_WIDTH and x.numel() > 0
    return with_triton(x) if fits and triton_runs(x) else ("reference",)
