"""exponential_window_: by Triton and in plain torch, values and gradients against float64.

`TRITON_INTERPRET=0 python tests/kernels/test_exponential_window.py` prints what the kernel needs on Hopper.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch

from genoseq_kernels import BackendUnavailable, exponential_window_
from genoseq_kernels.dispatch import triton_runs
from genoseq_kernels.live_bytes import LiveBytes
from genoseq_kernels.rows import empty_rows, have_room
from genoseq_kernels.testing import assert_close, random_normal
from genoseq_kernels.workspaces import WORKSPACES

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
LENGTHS = (1, 63, 1000, 65537)
DTYPES = (torch.float32, torch.bfloat16, torch.float16)
SCALE = 20.0
needs_triton = pytest.mark.skipif(
    not triton_runs(torch.empty(0, device=DEVICE)), reason="neither a GPU nor the interpreter"
)
by_each_backend = pytest.mark.parametrize(
    "backend", ["reference", pytest.param("triton", marks=needs_triton)]
)


def inputs(*shape: int, dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, ...]:
    """Numbers; what remains of each channel, from the slowest to the fastest of a Hyena filter; times."""
    batch, channels, length = shape
    x = random_normal(batch, channels, length, dtype=dtype, device=DEVICE)
    remains = torch.exp(-torch.linspace(3, 15.4, channels, device=DEVICE))
    return x, remains, torch.linspace(0, 1, length, device=DEVICE)


def in_rows(x: torch.Tensor) -> torch.Tensor:
    """In rows with room, NaN there."""
    rows = empty_rows(x.shape, x)
    rows.as_strided((rows.untyped_storage().nbytes() // x.element_size(),), (1,)).fill_(float("nan"))
    return rows.copy_(x)


def by_positions(x: torch.Tensor) -> torch.Tensor:
    return x.mT.contiguous().mT


def check(
    backend: Any, tensors: tuple[torch.Tensor, ...], layout: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    """In place, on a copy in some layout, which the gradient has as well."""
    x, remains, t = tensors
    grad = random_normal(*x.shape, seed=1, dtype=x.dtype, device=DEVICE)
    window = 1 + SCALE * remains.double()[:, None] ** t.double()
    leaf = x.detach().requires_grad_()
    y = exponential_window_(made := layout(leaf), remains, t, SCALE, backend=backend)
    assert y is made
    assert_close(y.detach(), x.double() * window)
    (grad_x,) = torch.autograd.grad(y, leaf, layout(grad))
    assert_close(grad_x, grad.double() * window, what="gradient")


@by_each_backend
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("length", LENGTHS)
def test_against_float64(backend: str, length: int, dtype: torch.dtype) -> None:
    check(backend, inputs(1, 5, length, dtype=dtype), torch.clone)


@by_each_backend
@pytest.mark.parametrize("layout", [in_rows, by_positions])
@pytest.mark.parametrize("length", [63, 1000, 1040])
def test_layouts(backend: str, length: int, layout: Callable[[torch.Tensor], torch.Tensor]) -> None:
    check(backend, inputs(3, 9, length), layout)


@needs_triton
def test_rows_are_written_with_their_room_and_no_further() -> None:
    x, remains, t = inputs(1, 3, 1000)
    outside = torch.full((5, 1008 + 16), 7.0, device=DEVICE)
    rows = outside[1:4, :1000].unsqueeze(0)
    assert have_room(rows)
    exponential_window_(rows.copy_(x), remains, t, SCALE, backend="triton")
    assert_close(rows, x.double() * (1 + SCALE * remains.double()[:, None] ** t.double()))
    rows.fill_(7.0)
    outside[1:4, 1000:1008] = 7.0
    assert (outside == 7.0).all()


@by_each_backend
@pytest.mark.filterwarnings("ignore:divide by zero")  # of the interpreter: a GPU's logarithm of 0 is -inf
def test_where_nothing_remains(backend: Any) -> None:
    x, remains, t = inputs(1, 2, 70)
    y = exponential_window_(x.clone(), remains * 0, t, SCALE, backend=backend)
    assert_close(y[..., 1:], x[..., 1:])
    assert_close(y[..., 0], x[..., 0] * (1 + SCALE))


@by_each_backend
def test_offsets_beyond_32_bits(backend: Any) -> None:
    """Two channels more than 2^31 numbers apart; the memory between is never touched."""
    apart = 2**31 + 64
    storage = torch.empty(apart + 20, dtype=torch.bfloat16, device=DEVICE)
    x, remains, t = inputs(1, 2, 9, dtype=torch.bfloat16)
    far = storage.as_strided((1, 2, 9), (apart, apart, 1)).copy_(x)
    exponential_window_(far, remains, t, SCALE, backend=backend)
    assert_close(far, x.double() * (1 + SCALE * remains.double()[:, None] ** t.double()))


@by_each_backend
def test_memory(backend: Any) -> None:
    """By Triton nothing beside the gradient; in plain torch the window, which the gradient then lies in."""
    x, remains, t = inputs(1, 4, 65536)
    leaf, grad = x.requires_grad_(), random_normal(*x.shape, seed=1, device=DEVICE)
    made = leaf.clone()
    with LiveBytes(WORKSPACES) as watch:
        watch.watch([leaf, grad, made, remains, t])
        given = watch.live[DEVICE]
        y = exponential_window_(made, remains, t, SCALE, backend=backend)
        assert watch.peak[DEVICE] - given == (x.nbytes if backend == "reference" else 0)
        assert watch.live[DEVICE] == given
        (grad_x,) = torch.autograd.grad(y, leaf, grad)
        assert grad_x.shape == x.shape
        assert watch.peak[DEVICE] - given == x.nbytes
    assert watch.undeclared == set()


@needs_triton
@pytest.mark.parametrize("room", [False, True])
def test_torch_rules_for_operators(room: bool) -> None:
    from genoseq_kernels.exponential_window import operators

    x, remains, t = inputs(1, 3, 50)
    for operator in (operators.window_, operators.windowed):
        torch.library.opcheck(operator, (in_rows(x) if room else x.clone(), remains, t, SCALE))


@by_each_backend
@pytest.mark.filterwarnings("ignore:.*should not be instantiated")  # the compiler's own doing
def test_under_compile(backend: Any) -> None:
    x, remains, t = inputs(1, 3, 50)

    def ours(x: torch.Tensor) -> torch.Tensor:
        return exponential_window_(x * 2, remains, t, SCALE, backend=backend)

    results = []
    for function in (ours, torch.compile(ours, backend="aot_eager")):
        y = function(leaf := x.clone().requires_grad_())
        results.append([y, *torch.autograd.grad(y.square().sum(), leaf)])
    torch.testing.assert_close(*results)


def test_what_does_not_fit_says_so() -> None:
    x, remains, t = inputs(1, 3, 20)
    for wrong in ((x[0], remains, t), (x, remains[:2], t), (x, remains, t[None])):
        with pytest.raises(ValueError, match=r"wanted \(B, C, L\)"):
            exponential_window_(*wrong)
    with pytest.raises(BackendUnavailable, match="float64"):
        exponential_window_(x.double(), remains, t, backend="triton")
    with pytest.raises(RuntimeError, match="single memory location"):
        exponential_window_(x[:, :1].expand(1, 3, 20), remains, t)


def test_the_kernel_compiles_for_hopper() -> None:
    environment = os.environ | {"TRITON_INTERPRET": "0"}
    done = subprocess.run([sys.executable, __file__], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    for line in lines:
        registers, stack, shared = map(int, line.split())
        # Of numbers in whole vectors, none goes through shared memory.
        assert (registers <= 80, stack, shared) == (True, 0, 0)


def main() -> None:
    """Print registers, stack and shared memory, in float32 of rows with room and of whole ones."""
    from genoseq_kernels.compilation import compile_for_gpu
    from genoseq_kernels.exponential_window import kernels, triton_impl

    names = kernels.window.arg_names
    signature = {name: "*fp32" if name in ("x", "remains", "t", "y") else "i32" for name in names}
    signature["scale"] = "fp32"
    options = dict(triton_impl.OPTIONS)
    warps = options.pop("num_warps")
    strides = {"x_entry", "x_channel", "y_entry", "y_channel"}
    for room in (True, False):
        constants = {**options, "ROOM": room, "x_position": 1, "y_position": 1}
        multiples = strides if room else strides | {"length"}
        print(*compile_for_gpu(kernels.window, signature, constants, num_warps=warps, multiples=multiples))


if __name__ == "__main__":
    main()
