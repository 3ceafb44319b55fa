"""A tile at a time: the same values and gradients, with less kept."""

from __future__ import annotations

import weakref

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from genoseq.errors import ConfigError
from genoseq.nn.tiling import require_tile, tiled


class Nearby(nn.Module):
    """Three taps over positions between two products; the output has its positions last."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 5), nn.Linear(5, 3)
        self.taps = nn.Parameter(torch.randn(5, 1, 3))
        self.calls = 0

    def forward(self, x: torch.Tensor, places: slice) -> torch.Tensor:
        assert x.shape[1] == places.stop - places.start
        self.calls += 1
        mixed = F.conv1d(F.pad(self.first(x).transpose(1, 2), (2, 0)), self.taps, groups=5)
        return self.second(mixed.tanh().transpose(1, 2)).transpose(1, 2)


@pytest.fixture
def nearby() -> Nearby:
    torch.manual_seed(3)
    return Nearby().double()


def results(nearby: Nearby, x: torch.Tensor, tile: int | None) -> list[torch.Tensor]:
    y = tiled(nearby, x, nearby.parameters(), tile=tile, reach=2, axis=2)
    weight = torch.linspace(1, 2, y.numel(), dtype=y.dtype).view(y.shape)
    return [y, *torch.autograd.grad((y * weight).sum(), [x, *nearby.parameters()])]


@pytest.mark.parametrize("tile", [1, 2, 7, 62, 63, 64, 1000])
@pytest.mark.parametrize("length", [1, 2, 63])
def test_values_and_gradients(nearby: Nearby, length: int, tile: int) -> None:
    x = torch.randn(2, length, 4, dtype=torch.double, requires_grad=True)
    for ours, whole in zip(results(nearby, x, tile), results(nearby, x, None), strict=True):
        torch.testing.assert_close(ours, whole, rtol=1e-12, atol=1e-12)


def test_without_a_gradient_of_the_input(nearby: Nearby) -> None:
    x = torch.randn(2, 20, 4, dtype=torch.double)
    tiled(nearby, x, nearby.parameters(), tile=6, reach=2, axis=2).sum().backward()
    ours = [parameter.grad.clone() for parameter in nearby.parameters()]
    nearby.zero_grad()
    nearby(x, slice(0, 20)).sum().backward()
    for gradient, parameter in zip(ours, nearby.parameters(), strict=True):
        torch.testing.assert_close(gradient, parameter.grad)


def test_frozen_parameters_and_no_gradient(nearby: Nearby) -> None:
    nearby.first.requires_grad_(False)
    x = torch.randn(2, 20, 4, dtype=torch.double, requires_grad=True)
    y = tiled(nearby, x, nearby.parameters(), tile=6, reach=2, axis=2)
    y.sum().backward()
    assert nearby.first.weight.grad is None
    assert nearby.second.weight.grad is not None
    with torch.no_grad():
        assert torch.equal(tiled(nearby, x, nearby.parameters(), tile=6, reach=2, axis=2), y)


def test_autocast_gives_gradients_also_inside_of_it(nearby: Nearby) -> None:
    nearby.float()
    x = torch.randn(2, 20, 4, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = tiled(nearby, x, nearby.parameters(), tile=6, reach=2, axis=2)
        assert y.dtype == torch.bfloat16
        y.float().square().sum().backward()
        ours = {name: parameter.grad for name, parameter in nearby.named_parameters()}
        nearby.zero_grad()
        nearby(x, slice(0, 20)).float().square().sum().backward()
    for name, parameter in nearby.named_parameters():
        assert ours[name].dtype == torch.float32
        error = (ours[name] - parameter.grad).abs().max() / parameter.grad.abs().max()
        assert error < 0.05, name


def test_a_checkpoint_around_it_computes_each_tile_twice(nearby: Nearby) -> None:
    x = torch.randn(1, 12, 4, dtype=torch.double, requires_grad=True)

    def layer(x: torch.Tensor) -> torch.Tensor:
        return tiled(nearby, x.sin(), nearby.parameters(), tile=4, reach=2, axis=2)

    y = checkpoint(layer, x, use_reentrant=False)
    ours = torch.autograd.grad(y.square().sum(), [x, *nearby.parameters()])
    assert nearby.calls == 6
    plain = torch.autograd.grad(nearby(x.sin(), slice(0, 12)).square().sum(), [x, *nearby.parameters()])
    for a, b in zip(ours, plain, strict=True):
        torch.testing.assert_close(a, b)


def test_backward_twice(nearby: Nearby) -> None:
    x = torch.randn(1, 12, 4, dtype=torch.double, requires_grad=True)
    y = tiled(nearby, x, nearby.parameters(), tile=5, reach=2, axis=2).square().sum()
    first = torch.autograd.grad(y, x, retain_graph=True)[0]
    assert torch.equal(first, torch.autograd.grad(y, x)[0])


def test_its_input_is_let_go_while_the_loss_still_lives() -> None:
    freed = []

    class Watched(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, grad):
            freed.append(reference() is None)
            return grad

    x = torch.randn(1, 9, 2, requires_grad=True)
    inner = Watched.apply(x)
    reference = weakref.ref(inner.untyped_storage())
    loss = tiled(lambda part, _: part.square(), inner, (), tile=4).sum()
    del inner
    loss.backward()
    assert freed == [True]


def test_a_tile_of_nothing() -> None:
    require_tile("sequence_tile", None)
    with pytest.raises(ConfigError, match="sequence_tile=0"):
        require_tile("sequence_tile", 0)
