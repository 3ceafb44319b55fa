"""layer_norm and rms_norm: by Triton and in plain torch, values and gradients against float64."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch.nn import functional as F

from genoseq_kernels import BackendUnavailable, branch_norm, layer_norm, rms_norm
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
by_each_norm = pytest.mark.parametrize("norm", [layer_norm, rms_norm])


def in_torch(norm, x: torch.Tensor, *parameters: torch.Tensor) -> torch.Tensor:
    return (F.layer_norm if norm is layer_norm else F.rms_norm)(x, x.shape[-1:], *parameters, eps=1e-5)


def run(function, *given: torch.Tensor) -> list[torch.Tensor]:
    leaves = [tensor.detach().clone().requires_grad_() for tensor in given]
    y = function(*leaves)
    upstream = random_normal(*y.shape, seed=7, dtype=torch.float64, device=DEVICE)
    return [y.detach(), *torch.autograd.grad((y.double() * upstream).sum(), leaves)]


def inputs(shape: tuple[int, ...], dtype: torch.dtype, norm=layer_norm) -> list[torch.Tensor]:
    """Rows far from the origin; a norm's parameters in float32."""
    x = random_normal(*shape, dtype=dtype, device=DEVICE) + 3
    seeds = (1, 2) if norm is layer_norm else (1,)
    parameters = [random_normal(shape[-1], seed=seed, device=DEVICE) for seed in seeds]
    return [x, *parameters]


@by_each_norm
@by_each_backend
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("dtype", "result"),
    [(torch.float32, torch.float32), (torch.float32, torch.bfloat16), (torch.float16, torch.float16)],
)
def test_against_float64(norm, backend, shape, dtype: torch.dtype, result: torch.dtype) -> None:
    given = inputs(shape, dtype, norm)
    expected = run(lambda *args: in_torch(norm, *args), *(x.double() for x in given))
    actual = run(lambda *args: norm(*args, 1e-5, dtype=result, backend=backend), *given)
    assert actual[0].dtype == result
    names = ("y", "x", "weight", "bias")[: len(expected)]
    for what, one, other in zip(names, actual, expected, strict=True):
        # A gradient's upstream was rounded as the result is; sums over rows that cancel show it.
        coarse = one.to(result) if what == "y" or result == torch.float32 else one.to(torch.bfloat16)
        assert_close(coarse, other, what=what)


@needs_triton
@by_each_norm
def test_programs_that_take_several_tiles(norm, monkeypatch: pytest.MonkeyPatch) -> None:
    from genoseq_kernels.layer_norm import triton_impl

    monkeypatch.setattr(triton_impl, "_WARPS", 3)
    given = inputs((21, 250), torch.float32, norm)
    expected = run(lambda *args: in_torch(norm, *args), *(x.double() for x in given))
    for one, other in zip(run(partial(norm, backend="triton"), *given), expected, strict=True):
        assert_close(one, other)


@by_each_norm
@by_each_backend
def test_rows_that_do_not_lie_together(norm, backend) -> None:
    x, *parameters = inputs((4, 6, 32), torch.float32, norm)
    expected = run(norm, x.transpose(0, 1).contiguous(), *parameters)
    actual = run(lambda *args: norm(*args, backend=backend), x.transpose(0, 1), *parameters)
    for one, other in zip(actual, expected, strict=True):
        assert_close(one, other.double())


@by_each_norm
@by_each_backend
def test_beside_a_residual_stream(norm, backend) -> None:
    def sum_of(branches):
        def function(*leaves: torch.Tensor) -> torch.Tensor:
            x, y = branches(*leaves)
            return x.sin() + y

        return function

    given = inputs((2, 67, 24), torch.float32, norm)
    expected = run(sum_of(lambda *x: (x[0], in_torch(norm, *x))), *(x.double() for x in given))
    actual = run(sum_of(partial(branch_norm, backend=backend)), *given)
    for one, other in zip(actual, expected, strict=True):
        assert_close(one, other)
    x, y = branch_norm(*given, dtype=torch.bfloat16, backend=backend)
    assert torch.equal(x, given[0])
    assert torch.equal(y, norm(*given, dtype=torch.bfloat16, backend=backend))


@by_each_norm
@by_each_backend
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_with_what_is_added(norm, backend, dtype: torch.dtype) -> None:
    x, *parameters = inputs((2, 67, 24), torch.float32, norm)
    added = random_normal(2, 67, 24, seed=5, dtype=dtype, device=DEVICE)

    def plain(x: torch.Tensor, added: torch.Tensor, *parameters: torch.Tensor) -> torch.Tensor:
        return (x + added).sin() + in_torch(norm, x + added, *parameters)

    def ours(x: torch.Tensor, added: torch.Tensor, *parameters: torch.Tensor) -> torch.Tensor:
        total, y = branch_norm(x, *parameters, added=added, backend=backend)
        assert total.dtype == y.dtype == torch.float32
        return total.sin() + y

    given = (x, added, *parameters)
    expected = run(plain, *(tensor.double() for tensor in given))
    for one, other in zip(run(ours, *given), expected, strict=True):
        assert_close(one, other)


@by_each_backend
@pytest.mark.parametrize("used", [0, 1])
def test_a_branch_that_nothing_uses(backend, used: int) -> None:
    x, *parameters = inputs((3, 24), torch.float32)
    (actual,) = run(lambda x: branch_norm(x, *parameters, backend=backend)[used], x)[1:]
    (expected,) = run((lambda x: x, lambda x: layer_norm(x, *parameters))[used], x)[1:]
    assert_close(actual, expected.double())


@by_each_backend
@pytest.mark.parametrize("width", [5, 256])
def test_a_constant_row_gives_the_bias(backend, width: int) -> None:
    x, weight, bias = inputs((2, width), torch.float32)
    x[1] = 2.0
    y = layer_norm(x, weight, bias, 1e-5, backend=backend)
    # Its mean may be off by a rounding, which the least variance magnifies 316 times.
    assert (y[1] - bias).abs().max() <= 1e-3
    assert y[0].std() > 0.1


@by_each_backend
def test_a_row_of_zeros_stays_so_without_bias(backend) -> None:
    x, weight = inputs((2, 256), torch.float32, rms_norm)
    x[1] = 0
    y, *gradients = run(lambda *args: rms_norm(*args, backend=backend), x, weight)
    assert (y[1] == 0).all()
    assert y[0].std() > 0.1
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


@needs_triton
@by_each_norm
def test_torch_rules_for_operators(norm) -> None:
    from genoseq_kernels.layer_norm import operators

    x, weight, *bias = (tensor.requires_grad_() for tensor in inputs((3, 20), torch.float32, norm))
    given = (x, weight, bias[0] if bias else None, 1e-5, torch.bfloat16)
    torch.library.opcheck(operators.layer_norm_forward, given)
    x, *rest = (value.detach() if isinstance(value, torch.Tensor) else value for value in given)
    torch.library.opcheck(operators.add_layer_norm, (x, x.bfloat16(), *rest))


def test_what_does_not_fit_says_so() -> None:
    x, weight, bias = inputs((3, 20), torch.float32)
    with pytest.raises(ValueError, match=r"weight \(19,\)"):
        layer_norm(x, weight[:19], bias)
    with pytest.raises(ValueError, match=r"rms_norm: weight \(19,\)"):
        rms_norm(x, weight[:19])
    with pytest.raises(ValueError, match=r"added \(2, 20\)"):
        branch_norm(x, weight, added=x[:2])
    with pytest.raises(BackendUnavailable, match="bfloat16"):
        branch_norm(x.bfloat16(), weight, added=x, backend="triton")
    with pytest.raises(BackendUnavailable, match="float64"):
        layer_norm(x.double(), weight, bias, backend="triton")
