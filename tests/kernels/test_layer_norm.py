"""layer_norm: by Triton and in plain torch, values and gradients against float64."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from genoseq_kernels import BackendUnavailable, layer_norm
from genoseq_kernels.dispatch import triton_runs
from genoseq_kernels.testing import assert_close, random_normal

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
SHAPES = [(7,), (5, 3), (2, 3, 17), (997, 16), (1, 200, 256), (3, 5000)]
needs_triton = pytest.mark.skipif(
    not triton_runs(torch.empty(0, device=DEVICE)), reason="neither a GPU nor the interpreter"
)
by_each_backend = pytest.mark.parametrize(
    "backend", ["reference", pytest.param("triton", marks=needs_triton)]
)


def run(function, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> list[torch.Tensor]:
    leaves = [tensor.detach().clone().requires_grad_() for tensor in (x, weight, bias)]
    y = function(*leaves)
    upstream = random_normal(*y.shape, seed=7, dtype=torch.float64, device=DEVICE)
    return [y.detach(), *torch.autograd.grad((y.double() * upstream).sum(), leaves)]


def inputs(shape: tuple[int, ...], dtype: torch.dtype) -> list[torch.Tensor]:
    """Rows far from the origin; parameters in float32."""
    x = random_normal(*shape, dtype=dtype, device=DEVICE) + 3
    parameters = [random_normal(shape[-1], seed=seed, device=DEVICE) for seed in (1, 2)]
    return [x, *parameters]


@by_each_backend
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("dtype", "result"),
    [(torch.float32, torch.float32), (torch.float32, torch.bfloat16), (torch.float16, torch.float16)],
)
def test_against_float64(backend, shape, dtype: torch.dtype, result: torch.dtype) -> None:
    given = inputs(shape, dtype)
    expected = run(lambda x, w, b: F.layer_norm(x, shape[-1:], w, b, 1e-5), *(x.double() for x in given))
    actual = run(lambda *args: layer_norm(*args, 1e-5, dtype=result, backend=backend), *given)
    assert actual[0].dtype == result
    for what, one, other in zip(("y", "x", "weight", "bias"), actual, expected, strict=True):
        # A gradient's upstream was rounded as the result is; sums over rows that cancel show it.
        coarse = one.to(result) if what == "y" or result == torch.float32 else one.to(torch.bfloat16)
        assert_close(coarse, other, what=what)


@by_each_backend
def test_rows_that_do_not_lie_together(backend) -> None:
    x, weight, bias = inputs((4, 6, 32), torch.float32)
    expected = run(lambda *args: layer_norm(*args), x.transpose(0, 1).contiguous(), weight, bias)
    actual = run(lambda *args: layer_norm(*args, backend=backend), x.transpose(0, 1), weight, bias)
    for one, other in zip(actual, expected, strict=True):
        assert_close(one, other.double())


@by_each_backend
@pytest.mark.parametrize("width", [5, 256])
def test_a_constant_row_gives_the_bias(backend, width: int) -> None:
    x, weight, bias = inputs((2, width), torch.float32)
    x[1] = 2.0
    y = layer_norm(x, weight, bias, 1e-5, backend=backend)
    # Its mean may be off by a rounding, which the least variance magnifies 316 times.
    assert (y[1] - bias).abs().max() <= 1e-3
    assert y[0].std() > 0.1


@needs_triton
def test_torch_rules_for_operators() -> None:
    from genoseq_kernels.layer_norm import operators

    x, weight, bias = (tensor.requires_grad_() for tensor in inputs((3, 20), torch.float32))
    torch.library.opcheck(operators.layer_norm_forward, (x, weight, bias, 1e-5, torch.bfloat16))


def test_what_does_not_fit_says_so() -> None:
    x, weight, bias = inputs((3, 20), torch.float32)
    with pytest.raises(ValueError, match=r"weight \(19,\)"):
        layer_norm(x, weight[:19], bias)
    with pytest.raises(BackendUnavailable, match="float64"):
        layer_norm(x.double(), weight, bias, backend="triton")
