"""Frequency-sparse convolution: the dense one with a zeroed spectrum, values and gradients."""

from __future__ import annotations

import pytest
import torch

from genoseq_kernels import FrequencyPattern, fft_conv, sparse_fft_conv
from genoseq_kernels.fft_conv.sparse import sparse_points
from genoseq_kernels.testing import assert_close, random_normal

MODES = ("causal", "bidirectional", "circular")
PATTERNS = [
    FrequencyPattern(2, (0,)),
    FrequencyPattern(2, (1,)),
    FrequencyPattern(3, (0, 1)),
    FrequencyPattern(8, (0, 1, 2, 3, 4)),
    FrequencyPattern(8, (1, 3)),
    FrequencyPattern(16, (0, 8)),
]


def zeroed(
    u: torch.Tensor,
    k: torch.Tensor,
    skip: torch.Tensor,
    *,
    gate_in: torch.Tensor,
    gate_out: torch.Tensor,
    pattern: FrequencyPattern,
    mode: str,
) -> torch.Tensor:
    """By the definition: transforms of all points, and zeros in the filter's."""
    v, points = u * gate_in, sparse_points(u.shape[-1], k.shape[-1], pattern, mode=mode)
    remainder = torch.arange(points) % pattern.classes
    keep = torch.isin(remainder, torch.tensor(pattern.kept))
    keep |= torch.isin(pattern.classes - remainder, torch.tensor(pattern.kept))
    y = torch.fft.ifft(torch.fft.fft(v, n=points) * torch.fft.fft(k, n=points) * keep)
    assert y.imag.abs().max() < 1e-9
    start = (k.shape[-1] - 1) // 2 if mode == "bidirectional" else 0
    return gate_out * (y.real[..., start : start + u.shape[-1]] + skip[:, None] * v)


def inputs(length: int, taps: int, dtype: torch.dtype) -> list[torch.Tensor]:
    shapes = ((2, 3, length), (3, taps), (3,), (2, 3, length), (2, 3, length))
    return [random_normal(*s, seed=seed, dtype=dtype, grad=True) for seed, s in enumerate(shapes)]


@pytest.mark.parametrize("pattern", PATTERNS, ids=str)
@pytest.mark.parametrize("mode", MODES)
def test_values_and_gradients(mode: str, pattern: FrequencyPattern) -> None:
    for length in (1, 2, 63, 997):
        if mode == "circular":
            length *= pattern.classes
        for taps in sorted({1, max(1, length // 3), length}):
            results = {}
            for function, dtype in ((zeroed, torch.float64), (sparse_fft_conv, torch.float32)):
                leaves = [x.detach().to(dtype).requires_grad_() for x in inputs(length, taps, torch.float32)]
                u, k, skip, gate_in, gate_out = leaves
                y = function(u, k, skip, gate_in=gate_in, gate_out=gate_out, pattern=pattern, mode=mode)
                (y * random_normal(*y.shape, seed=9, dtype=torch.float32)).sum().backward()
                results[function] = [y.detach(), *(x.grad for x in leaves)]
            for actual, expected in zip(results[sparse_fft_conv], results[zeroed], strict=True):
                assert_close(actual, expected, what=f"L={length}, K={taps}")


@pytest.mark.parametrize("mode", MODES)
def test_nothing_is_zero(mode: str) -> None:
    u, k, skip, gate_in, gate_out = (x.detach() for x in inputs(64, 30, torch.float64))
    pattern = FrequencyPattern.lowest(8, sparsity=0)
    assert pattern.sparsity == 0
    given = {"gate_in": gate_in, "gate_out": gate_out, "mode": mode}
    torch.testing.assert_close(
        sparse_fft_conv(u, k, skip, pattern=pattern, **given), fft_conv(u, k, skip, **given)
    )


def test_gradcheck() -> None:
    u, k, skip, gate_in, gate_out = inputs(7, 4, torch.float64)
    pattern = FrequencyPattern(4, (1, 2))
    assert torch.autograd.gradcheck(
        lambda *x: sparse_fft_conv(x[0], x[1], x[2], gate_in=x[3], gate_out=x[4], pattern=pattern),
        (u, k, skip, gate_in, gate_out),
    )


def test_half_precision_under_autocast() -> None:
    u, k, *_ = (x.detach() for x in inputs(63, 63, torch.float32))
    pattern = FrequencyPattern(8, (0, 1, 2))
    expected = sparse_fft_conv(u.bfloat16().double(), k.double(), pattern=pattern)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = sparse_fft_conv(u.bfloat16(), k, pattern=pattern)
    assert y.dtype == torch.bfloat16
    assert_close(y, expected)


def test_a_sparse_spectrum_sees_later_positions() -> None:
    """What the docstring warns of."""
    u, k, *_ = (x.detach() for x in inputs(64, 64, torch.float64))
    changed = u.clone()
    changed[..., 40:] += 1
    pattern = FrequencyPattern.lowest(8, sparsity=0.5)
    y, z = (sparse_fft_conv(x, k, pattern=pattern) for x in (u, changed))
    assert (y - z)[..., :40].abs().max() > 1e-3


@pytest.mark.parametrize(
    ("classes", "kept", "sparsity"),
    [(8, (0,), 7 / 8), (8, (4,), 7 / 8), (8, (1,), 6 / 8), (3, (0, 1), 0), (16, (0, 1, 2, 8), 10 / 16)],
)
def test_sparsity(classes: int, kept: tuple[int, ...], sparsity: float) -> None:
    assert FrequencyPattern(classes, kept).sparsity == pytest.approx(sparsity)


def test_lowest() -> None:
    shares = [FrequencyPattern.lowest(64, sparsity=share).sparsity for share in (0, 0.25, 0.5, 0.75, 0.99)]
    assert shares == pytest.approx([0, 0.25, 0.5, 0.75, 0.99], abs=0.03)


@pytest.mark.parametrize(
    ("classes", "kept"), [(1, (0,)), (8, ()), (8, (5,)), (8, (-1,)), (8, (1, 1)), (8, (2, 1))]
)
def test_patterns_that_are_none(classes: int, kept: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="FrequencyPattern"):
        FrequencyPattern(classes, kept)


def test_mistakes() -> None:
    with pytest.raises(ValueError, match="sparsity=1"):
        FrequencyPattern.lowest(8, sparsity=1)
    u, k, *_ = inputs(63, 63, torch.float32)
    with pytest.raises(ValueError, match="8 classes do not divide a circle of 63"):
        sparse_fft_conv(u, k, pattern=FrequencyPattern(8, (0,)), mode="circular")
