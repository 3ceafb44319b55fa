"""fft_conv with filters much shorter than the sequence: in blocks, and the same numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import get_args

import pytest
import torch
from torch.nn import functional as F

from genoseq_kernels import fft_conv, filter_spectrum
from genoseq_kernels.fft_conv import Mode, reference
from genoseq_kernels.testing import assert_close, random_normal

MODES = get_args(Mode)
NAMES = ("u", "k", "skip", "gate_in", "gate_out")


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Blocks wherever they need fewer operations, however few points they have."""
    monkeypatch.setattr(reference, "_SMALLEST_BLOCK", 2)
    monkeypatch.setattr(reference, "_WORTH_IT", 1.0)
    reference.make_plan.cache_clear()
    yield
    reference.make_plan.cache_clear()


def by_definition(
    u: torch.Tensor,
    k: torch.Tensor,
    skip: torch.Tensor,
    *,
    gate_in: torch.Tensor,
    gate_out: torch.Tensor,
    mode: str,
) -> torch.Tensor:
    v, taps = u * gate_in, k.shape[-1]
    centre = (taps - 1) // 2 if mode == "bidirectional" else 0
    before = taps - 1 - centre
    wide = F.pad(v, (before, centre), mode="circular" if mode == "circular" else "constant")
    y = F.conv1d(wide, k.flip(-1).unsqueeze(1), groups=len(k))
    return gate_out * (y + skip[:, None] * v)


def inputs(length: int, taps: int, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    shapes = ((2, 3, length), (3, taps), (3,), (2, 3, length), (2, 3, length))
    made = [random_normal(*shape, seed=seed, dtype=dtype) for seed, shape in enumerate(shapes)]
    return dict(zip(NAMES, made, strict=True))


def run(
    function: Callable[..., torch.Tensor], tensors: dict[str, torch.Tensor], mode: str
) -> dict[str, torch.Tensor]:
    leaves = {name: x.detach().clone().requires_grad_() for name, x in tensors.items()}
    u, k, skip, gate_in, gate_out = leaves.values()
    y = function(u, k, skip, gate_in=gate_in, gate_out=gate_out, mode=mode)
    weight = random_normal(*y.shape, seed=9, dtype=torch.float64)
    (y * weight.to(y.dtype)).sum().backward()
    return {"y": y.detach()} | {name: x.grad for name, x in leaves.items() if x.grad is not None}


def check(length: int, taps: int, mode: str, dtype: torch.dtype) -> None:
    tensors = inputs(length, taps, dtype)
    expected = run(by_definition, {name: x.double() for name, x in tensors.items()}, mode)
    results = run(fft_conv, tensors, mode)
    assert results.keys() == expected.keys()
    for what, result in results.items():
        assert_close(result, expected[what], what=f"{what}, L={length}, K={taps}")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("taps", [1, 2, 3, 8, 9, 31])
@pytest.mark.usefixtures("small_blocks")
def test_small_blocks(taps: int, mode: str) -> None:
    assert reference.make_plan(997, taps, mode).number > 1
    for length in (63, 200, 997):
        check(length, taps, mode, torch.float32)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("mode", MODES)
def test_blocks_of_the_usual_size(mode: str, dtype: torch.dtype) -> None:
    for taps in (1, 64):
        plan = reference.make_plan(40_009, taps, mode)
        assert plan.number > 1
        assert plan.size >= 1024
        check(40_009, taps, mode, dtype)


def test_every_plan_covers_the_sequence() -> None:
    for mode in MODES:
        for length in (1, 2, 63, 997, 5000, 1_000_002):
            for taps in {1, 2, max(1, length // 1000), max(1, length // 64), max(1, length // 3), length}:
                plan = reference.make_plan(length, taps, mode)
                assert plan.number * plan.hop >= length
                assert (plan.number - 1) * plan.hop < length
                whole = plan.circular and plan.number == 1
                assert plan.hop + (0 if whole else taps - 1) == plan.size
                assert plan.number == 1 or plan.size < length


def test_a_spectrum_of_blocks_is_small() -> None:
    tensors = inputs(40_009, 64, torch.float32)
    u, k = tensors["u"], tensors["k"]
    spectrum = filter_spectrum(k, 40_009)
    assert spectrum.shape[-1] < 40_009 // 8
    torch.testing.assert_close(fft_conv(u, k, spectrum=spectrum), fft_conv(u, k))
