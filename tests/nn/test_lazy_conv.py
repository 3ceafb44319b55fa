"""The lazy convolution against the sum that it stands for, in any order of chunks and steps."""

from __future__ import annotations

from itertools import accumulate, pairwise

import pytest
import torch

from genoseq.nn.lazy_conv import BLOCK, LazyConv
from genoseq_kernels.testing import random_normal

LENGTH = 1000


def by_definition(x: torch.Tensor, filters: torch.Tensor) -> torch.Tensor:
    """y[t] = sum_j filters[j] x[t - j], one position after the other, in float64."""
    x, reversed_taps = x.double(), filters.double().flip(-1)
    outputs = []
    for end in range(1, x.shape[-1] + 1):
        taps = min(end, filters.shape[-1])
        outputs.append((x[..., end - taps : end] * reversed_taps[:, -taps:]).sum(-1))
    return torch.stack(outputs, dim=-1)


def run(conv: LazyConv, x: torch.Tensor, pieces: list[int]) -> torch.Tensor:
    """Outputs in pieces: 1 is a step, more a chunk."""
    outputs = []
    for start, end in pairwise(accumulate(pieces, initial=0)):
        piece = x[..., start:end]
        outputs.append(conv.step(piece[..., 0]).unsqueeze(-1) if end - start == 1 else conv.chunk(piece))
    return torch.cat(outputs, dim=-1)


def check(pieces: list[int], *, taps: int, dtype: torch.dtype, room: int, batch: int = 2) -> None:
    length = sum(pieces)
    filters, x = random_normal(3, taps, dtype=dtype), random_normal(batch, 3, length, seed=1, dtype=dtype)
    conv = LazyConv(filters, batch_size=batch, max_length=room)
    y = run(conv, x, pieces)
    expected = by_definition(x, filters)
    assert y.dtype == dtype
    assert conv.position == length
    tolerance = {torch.float64: 1e-11, torch.float32: 1e-5, torch.bfloat16: 5e-3}[dtype]
    assert (y - expected).norm() <= tolerance * expected.norm()
    assert (y - expected).abs().max() <= 10 * tolerance * expected.abs().max()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("length", [1, 2, 63, 64, 65, 128, 997])
def test_steps_alone(length: int, dtype: torch.dtype) -> None:
    check([1] * length, taps=length, dtype=dtype, room=length)


@pytest.mark.parametrize("taps", [1, 2, BLOCK - 1, BLOCK, BLOCK + 1, 200, 700, LENGTH])
@pytest.mark.parametrize("prompt", [0, 1, 63, 64, 192, 511, 513])
def test_steps_after_a_chunk(prompt: int, taps: int) -> None:
    pieces = [prompt] * (prompt > 0) + [1] * (LENGTH - prompt)
    check(pieces, taps=taps, dtype=torch.float64, room=LENGTH)


@pytest.mark.parametrize("taps", [5, 150, LENGTH])
@pytest.mark.parametrize("seed", range(6))
def test_any_order(seed: int, taps: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    pieces: list[int] = []
    while sum(pieces) < 900:
        steps, chunk = torch.randint(1, 150, (2,), generator=generator).tolist()
        pieces += [1] * steps + [chunk + 1]
    check(pieces, taps=taps, dtype=torch.float64, room=max(sum(pieces), LENGTH))


def test_room_that_is_not_filled_changes_nothing() -> None:
    for room in (700, 701, 1024, 5000):
        check([100, *[1] * 600], taps=600, dtype=torch.float64, room=room)


def test_one_row_and_many() -> None:
    for batch in (1, 5):
        check([70, *[1] * 100, 30, *[1] * 20], taps=220, dtype=torch.float32, room=220, batch=batch)


def test_channels_in_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("genoseq.nn.lazy_conv._CPU_GROUP", 1)
    check([1] * 600, taps=600, dtype=torch.float64, room=5000)


def test_gradients_flow_within_a_chunk_and_no_further() -> None:
    filters = random_normal(3, 50, dtype=torch.float64, grad=True)
    x = random_normal(2, 3, 50, seed=1, dtype=torch.float64, grad=True)
    conv = LazyConv(filters, batch_size=2, max_length=51)
    first, second = conv.chunk(x[..., :20]), conv.chunk(x[..., 20:])
    (gradient,) = torch.autograd.grad(second.sum(), x, retain_graph=True)
    assert not gradient[..., :20].any()
    alone = by_definition(x, filters.detach())[..., 20:]
    torch.testing.assert_close(gradient[..., 20:], torch.autograd.grad(alone.sum(), x)[0][..., 20:])
    assert first.requires_grad
    assert not conv.past.requires_grad
    assert not conv.step(x[..., 0]).requires_grad


def test_transforms_that_are_kept_are_half_of_the_filters() -> None:
    filters = random_normal(3, 1 << 12)
    conv = LazyConv(filters, batch_size=1, max_length=1 << 12)
    run(conv, random_normal(1, 3, 1 << 12, seed=1), [1] * (1 << 12))
    kept = sum(2 * spectrum.numel() for spectrum in conv._spectra.values())
    assert 0 < kept <= 0.51 * filters.numel()
