"""What the tests of every operator share: awkward sizes, and hard tolerances."""

from __future__ import annotations

import torch

AWKWARD_LENGTHS = (1, 2, 63, 997, 1000)
"""One, two, one short of a power of two, a prime, and a number that is no power of two."""

RELATIVE_ERROR = {torch.float64: 1e-12, torch.float32: 5e-6, torch.bfloat16: 8e-3, torch.float16: 2e-3}
"""Largest error allowed, as a part of the largest value expected."""


def assert_close(actual: torch.Tensor, expected: torch.Tensor, *, what: str = "result") -> None:
    """Compare with an oracle of higher precision, by the tolerance of the dtype of `actual`.

    Raises:
        AssertionError: shapes differ, a value is not finite, or the error is too large; says by how much.
    """
    assert actual.shape == expected.shape, f"{what}: shape {tuple(actual.shape)}, not {tuple(expected.shape)}"
    if actual.numel() == 0:
        return
    assert torch.isfinite(actual).all(), f"{what}: not finite"
    scale = expected.double().abs().max().clamp_min(1e-30)
    error = ((actual.double() - expected.double()).abs().max() / scale).item()
    allowed = RELATIVE_ERROR[actual.dtype]
    assert error <= allowed, f"{what}: relative error {error:.2e} > {allowed:.0e} ({actual.dtype})"


def random_normal(
    *shape: int, seed: int = 0, dtype: torch.dtype = torch.float32, device: str = "cpu", grad: bool = False
) -> torch.Tensor:
    """Reproducible normal numbers, the same on every device."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(*shape, generator=generator, dtype=torch.float64)
    return values.to(device=device, dtype=dtype).requires_grad_(grad)
