"""The MLP with its own backward pass is two linear layers and a GELU, a tile at a time or at once."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from genoseq.nn import Mlp
from genoseq_kernels.live_bytes import LiveBytes
from genoseq_kernels.testing import random_normal


def plain(mlp: Mlp, x: torch.Tensor) -> torch.Tensor:
    return mlp.fc2(F.gelu(mlp.fc1(x), approximate="tanh"))


def make(tile: int | None = None, dtype: torch.dtype = torch.float64) -> Mlp:
    torch.manual_seed(3)
    return Mlp(d_model=6, d_inner=10, sequence_tile=tile).to(dtype)


def results(function, mlp: Mlp, x: torch.Tensor, autocast: bool = False) -> list[torch.Tensor]:
    """The value, and the gradients of input and parameters."""
    leaf = x.clone().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        y = function(leaf)
    upstream = random_normal(*y.shape, seed=1).to(y.dtype)
    return [y.detach(), *torch.autograd.grad(y, [leaf, *mlp.parameters()], upstream)]


@pytest.mark.parametrize("shape", [(5, 6), (1, 1, 6), (2, 21, 6), (2, 3, 7, 6)])
@pytest.mark.parametrize("tile", [None, 1, 5, 20, 21, 100])
def test_values_and_gradients(tile: int | None, shape: tuple[int, ...]) -> None:
    mlp, x = make(tile), random_normal(*shape, dtype=torch.float64)
    expected = results(lambda x: plain(mlp, x), mlp, x)
    for ours, other in zip(results(mlp, mlp, x), expected, strict=True):
        torch.testing.assert_close(ours, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("tile", [None, 8])
def test_under_autocast(tile: int | None) -> None:
    mlp, x = make(tile, torch.float32), random_normal(2, 21, 6)
    expected = results(lambda x: plain(mlp, x), mlp, x, autocast=True)
    ours = results(mlp, mlp, x, autocast=True)
    assert [x.dtype for x in ours] == [torch.bfloat16, *[torch.float32] * 5]
    for one, other in zip(ours, expected, strict=True):
        assert (one - other).norm() < 0.02 * other.norm()


def test_autocast_of_the_backward_pass_alone_rounds_nothing() -> None:
    mlp, x = make(8, torch.float32), random_normal(2, 21, 6).requires_grad_()
    y = mlp(x).square().sum()
    expected = torch.autograd.grad(y, [x, *mlp.parameters()], retain_graph=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        actual = torch.autograd.grad(y, [x, *mlp.parameters()])
    for one, other in zip(actual, expected, strict=True):
        assert torch.equal(one, other)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_products_of_a_gpu(dtype: torch.dtype) -> None:
    torch.manual_seed(3)
    mlp = Mlp(d_model=256, d_inner=1024, sequence_tile=700).cuda()
    x = random_normal(1, 2000, 256, device="cuda")
    with torch.autocast("cuda", dtype=dtype):
        y = mlp(leaf := x.clone().requires_grad_())
    ours = [y, *torch.autograd.grad(y.float().sin().sum(), [leaf, *mlp.parameters()])]
    mlp.double()
    y = plain(mlp, leaf := x.double().requires_grad_())
    expected = [y, *torch.autograd.grad(y.sin().sum(), [leaf, *mlp.parameters()])]
    for one, other in zip(ours, expected, strict=True):
        assert (one - other).norm() < 0.01 * other.norm()


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_without_gradients(context) -> None:
    mlp = make(4)
    with context():
        x = random_normal(2, 21, 6, dtype=torch.float64)
        # Not to the last bit: a product of fewer rows may be summed in another order.
        torch.testing.assert_close(mlp(x), plain(mlp, x).view(2, 21, 6), rtol=1e-13, atol=1e-13)


def test_what_is_frozen_has_no_gradient() -> None:
    mlp = make()
    mlp.fc1.requires_grad_(False)
    mlp(random_normal(2, 21, 6, dtype=torch.float64)).sum().backward()
    assert [parameter.grad is None for parameter in mlp.parameters()] == [True, True, False, False]


def test_its_input_alone_is_kept() -> None:
    mlp, x = make(), random_normal(1, 1024, 6, dtype=torch.float64).requires_grad_()
    with LiveBytes() as watch:
        watch.watch([x, *mlp.parameters()])
        given = watch.live["cpu"]
        y = mlp(x)
        assert watch.live["cpu"] - given == y.nbytes


def test_a_checkpoint_around_it_stops_short_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    mlp, x = make(), random_normal(1, 9, 6, dtype=torch.float64).requires_grad_()
    products: list[int] = []
    original = torch.addmm
    monkeypatch.setattr(torch, "addmm", lambda *args, **kw: products.append(1) or original(*args, **kw))
    y = checkpoint(lambda x: mlp(x.sin()), x, use_reentrant=False)
    assert len(products) == 2
    (ours,) = torch.autograd.grad(y.square().sum(), x)
    # The first layer's alone again.
    assert len(products) == 3
    (expected,) = torch.autograd.grad(plain(mlp, x.sin()).square().sum(), x)
    torch.testing.assert_close(ours, expected)
