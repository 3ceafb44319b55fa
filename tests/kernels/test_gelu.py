"""gelu_backward_: by Triton and in plain torch, against float64.

`TRITON_INTERPRET=0 python tests/kernels/test_gelu.py` prints what the kernel needs on Hopper.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from genoseq_kernels import BackendUnavailable, gelu_backward_
from genoseq_kernels.dispatch import triton_runs
from genoseq_kernels.live_bytes import LiveBytes
from genoseq_kernels.testing import assert_close, random_normal
from genoseq_kernels.workspaces import WORKSPACES

# Of the interpreter; a GPU's is infinite, and the share of the number nothing.
pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered in exp2")

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
needs_triton = pytest.mark.skipif(
    not triton_runs(torch.empty(0, device=DEVICE)), reason="neither a GPU nor the interpreter"
)
by_each_backend = pytest.mark.parametrize(
    "backend", ["reference", pytest.param("triton", marks=needs_triton)]
)


def inputs(*shape: int, dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    """A gradient, and numbers where the function bends."""
    grad = random_normal(*shape, seed=1, dtype=dtype, device=DEVICE)
    return grad, 3 * random_normal(*shape, dtype=dtype, device=DEVICE)


def check(grad: torch.Tensor, x: torch.Tensor, backend: Any) -> None:
    leaf = x.double().requires_grad_()
    value = F.gelu(leaf, approximate="tanh")
    (expected,) = torch.autograd.grad(value, leaf, grad.double())
    total = gelu_backward_(grad, x, backend=backend)
    assert total.dtype == torch.promote_types(x.dtype, torch.float32)
    assert_close(x, value.detach(), what="value")
    assert_close(grad, expected, what="gradient")
    # Sums that cancel, in plain torch of rounded numbers.
    assert_close(total.to(x.dtype), expected.sum(0), what="sum")


@by_each_backend
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (63, 16), (997, 7), (5, 1000), (430, 24)])
def test_against_float64(backend: str, shape: tuple[int, int], dtype: torch.dtype) -> None:
    check(*inputs(*shape, dtype=dtype), backend)


@needs_triton
def test_programs_that_take_several_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    from genoseq_kernels.gelu import triton_impl

    monkeypatch.setattr(triton_impl, "_PROGRAMS", 3)
    check(*inputs(50, 700), "triton")


def test_float64_stays_so() -> None:
    check(*inputs(3, 5, dtype=torch.float64), "auto")


def test_what_does_not_lie_together() -> None:
    grad, x = inputs(30, 8)
    check(grad.T, x.T, "auto")


@by_each_backend
def test_far_from_the_origin(backend: Any) -> None:
    x = torch.tensor([[-1e4, -50.0, 0.0, 50.0, 1e4]], device=DEVICE)
    grad = torch.ones_like(x)
    gelu_backward_(grad, x, backend=backend)
    assert x.tolist() == [[0, 0, 0, 50, 1e4]]
    assert grad.tolist() == [[0, 0, 0.5, 1, 1]]


@needs_triton
def test_memory() -> None:
    grad, x = inputs(5000, 24)
    with LiveBytes(WORKSPACES) as watch:
        watch.watch([grad, x])
        given = watch.live[DEVICE]
        gelu_backward_(grad, x, backend="triton")
        assert watch.peak[DEVICE] - given <= 0.5 * x.nbytes
    assert watch.undeclared == set()


@needs_triton
def test_torch_rules_for_operators() -> None:
    from genoseq_kernels.gelu import operators

    torch.library.opcheck(operators.backward_, inputs(3, 20))


def test_what_does_not_fit_says_so() -> None:
    grad, x = inputs(3, 20)
    for wrong in ((grad[:2], x), (grad.double(), x), (grad[0], x[0])):
        with pytest.raises(ValueError, match=r"wanted \(N, D\)"):
            gelu_backward_(*wrong)
    with pytest.raises(BackendUnavailable, match="float64"):
        gelu_backward_(grad.double(), x.double(), backend="triton")


def test_the_kernel_compiles_for_hopper() -> None:
    environment = os.environ | {"TRITON_INTERPRET": "0"}
    done = subprocess.run([sys.executable, __file__], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    registers, stack, _ = map(int, done.stdout.split())
    # Eight blocks of 128 threads fit a multiprocessor at once.
    assert (registers <= 64, stack) == (True, 0)


def main() -> None:
    """Print registers, stack and shared memory, in bfloat16."""
    from genoseq_kernels.compilation import compile_for_gpu
    from genoseq_kernels.gelu import kernels, triton_impl

    signature = {"grad": "*bf16", "x": "*bf16", "sums": "*fp32", "rows": "i32", "width": "i32"}
    options = dict(triton_impl.OPTIONS)
    warps = options.pop("num_warps")
    print(*compile_for_gpu(kernels.backward, signature, options, num_warps=warps, multiples=("width",)))


if __name__ == "__main__":
    main()
