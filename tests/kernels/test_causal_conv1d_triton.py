"""The Triton kernels of causal_conv1d against the reference in float64: interpreted, on a GPU where there is
one, and compiled for Hopper in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest
import torch

from genoseq_kernels import causal_conv1d, causal_conv1d_update
from genoseq_kernels.causal_conv1d import reference, triton_impl
from genoseq_kernels.causal_conv1d.triton_impl import CHANNEL_FIRST, CHANNEL_LAST, Configuration
from genoseq_kernels.testing import AWKWARD_LENGTHS, assert_close, random_normal

LAYOUTS = ("first", "last")
SMALL = {"first": Configuration(2, 4, 4, 2, 1), "last": Configuration(4, 4, 4, 2, 1)}
"""Tiles so small that a short sequence has many, and programs beyond its end."""
TABLES = [("first", c) for c in CHANNEL_FIRST] + [("last", c) for c in CHANNEL_LAST]


def inputs(
    length: int, width: int, layout: str, *, batch: int = 1, channels: int = 3, device: str = "cpu"
) -> dict[str, torch.Tensor]:
    made = {
        "grad": random_normal(batch, channels, length, seed=0),
        "x": random_normal(batch, channels, length, seed=1),
        "weight": random_normal(channels, width, seed=2),
        "bias": random_normal(channels, seed=3),
        "initial_states": random_normal(batch, channels, width - 1, seed=4),
    }
    if layout == "last":
        made["x"] = made["x"].transpose(1, 2).contiguous().transpose(1, 2)
    return {name: x.to(device) for name, x in made.items()}


def packing(batch: int, length: int) -> torch.Tensor:
    numbers = torch.arange(length) // 5
    numbers[length - length // 6 :] = -1
    return numbers.int().expand(batch, -1)


def check(
    tensors: dict[str, torch.Tensor],
    *,
    configuration: Configuration | None = None,
    seq_idx: torch.Tensor | None = None,
    silu: bool = True,
) -> None:
    """Compare results and gradients."""
    grad, x, weight = (tensors[name] for name in ("grad", "x", "weight"))
    bias, states = tensors.get("bias"), tensors.get("initial_states")
    precise = [None if t is None else t.double() for t in (x, weight, bias)]
    last = None if states is None else states.double()
    given = (x, weight, bias, seq_idx, states, silu)
    expected = (*precise, seq_idx, last, silu)
    y = triton_impl.forward(*given, configuration)
    assert reference.is_channel_last(y) == reference.is_channel_last(x)
    assert_close(y, reference.forward(*expected), what="y")
    gradients = triton_impl.backward(grad, *given, configuration)
    for what, result, wanted in zip(
        gradients._fields, gradients, reference.backward(grad.double(), *expected), strict=True
    ):
        assert (result is None) == (wanted is None)
        if result is not None:
            assert_close(result, wanted, what=what)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("length", "width"), [(1, 4), (2, 3), (17, 2), (63, 4)])
def test_values_and_gradients(length: int, width: int, layout: str) -> None:
    check(inputs(length, width, layout, batch=2), configuration=SMALL[layout])


@pytest.mark.parametrize(("layout", "configuration"), TABLES, ids=str)
def test_every_configuration(layout: str, configuration: Configuration) -> None:
    """Two tiles, the second of them not full."""
    length = configuration.units * configuration.unit + 37
    check(inputs(length, 4, layout, batch=1), configuration=configuration)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_without_bias_states_and_activation(layout: str) -> None:
    tensors = inputs(40, 3, layout)
    del tensors["bias"], tensors["initial_states"]
    check(tensors, configuration=SMALL[layout], silu=False)


@pytest.mark.parametrize("silu", [True, False])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_packed(layout: str, silu: bool) -> None:
    tensors = inputs(40, 4, layout, batch=2)
    del tensors["initial_states"]
    check(tensors, configuration=SMALL[layout], seq_idx=packing(2, 40), silu=silu)


@pytest.mark.parametrize(("layout", "dtype"), [("first", torch.bfloat16), ("last", torch.float16)])
def test_half_precision(layout: str, dtype: torch.dtype) -> None:
    tensors = inputs(20, 4, layout)
    check({name: x.to(dtype) for name, x in tensors.items()}, configuration=SMALL[layout])
    half = {name: tensors[name].to(dtype) for name in ("grad", "x")}
    check(tensors | half, configuration=SMALL[layout])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_strided_input_and_broadcast_gradient(layout: str) -> None:
    wide = random_normal(1, 21, 9) if layout == "last" else random_normal(1, 9, 21)
    tensors = inputs(21, 4, layout)
    tensors["x"] = wide[..., 4:7].transpose(1, 2) if layout == "last" else wide[:, 4:7]
    tensors["grad"] = torch.ones(1, 1, 1).expand(1, 3, 21)
    check(tensors, configuration=SMALL[layout])


def test_an_input_of_neither_layout_is_copied() -> None:
    tensors = inputs(21, 4, "first")
    tensors["x"] = random_normal(1, 3, 42)[..., ::2]
    check(tensors, configuration=SMALL["first"])


def test_offsets_beyond_32_bits() -> None:
    """Two channels more than 2^31 elements apart; the memory between is never touched."""
    apart = 2**31 + 64
    storage = torch.empty(apart + 20, dtype=torch.bfloat16)
    x = storage.as_strided((1, 2, 9), (0, apart, 1))
    x.copy_(random_normal(1, 2, 9))
    tensors = inputs(9, 4, "first", batch=1, channels=2)
    check(tensors | {"x": x, "grad": tensors["grad"].bfloat16()}, configuration=SMALL["first"])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_through_the_public_function(layout: str) -> None:
    tensors = inputs(30, 4, layout)
    grad = tensors.pop("grad")

    def run(backend: Any) -> list[torch.Tensor]:
        leaves = {name: x.detach().requires_grad_() for name, x in tensors.items()}
        y, final = causal_conv1d(**leaves, return_final_states=True, activation="silu", backend=backend)
        gradients = torch.autograd.grad([y, final], list(leaves.values()), [grad, torch.ones_like(final)])
        return [y.detach(), final.detach(), *gradients]

    for actual, expected in zip(run("triton"), run("reference"), strict=True):
        assert_close(actual, expected.double())


@pytest.mark.parametrize("circular", [True, False])
@pytest.mark.parametrize("indexed", [True, False])
def test_steps(circular: bool, indexed: bool) -> None:
    tensors = inputs(9, 4, "first", batch=2, channels=130)
    parameters = (tensors["weight"], tensors["bias"], "silu")
    rows = torch.tensor([2, 0]) if indexed else None
    states = [random_normal(4 if indexed else 2, 130, 5, seed=5) for _ in range(2)]
    seen = torch.tensor([0, 7], dtype=torch.int32) if circular else None
    for start, count in ((0, 1), (1, 1), (2, 3), (5, 4)):
        x = tensors["x"][..., start : start + count]
        now = None if seen is None else seen + start
        actual, expected = (
            causal_conv1d_update(x, state, *parameters, now, rows, backend=backend)
            for state, backend in zip(states, ("triton", "reference"), strict=True)
        )
        assert_close(actual, expected.double())
        assert torch.equal(*states)


def test_wide_filters_stay_with_torch() -> None:
    assert triton_impl.supports(torch.zeros(1, 1, 1), torch.zeros(1, 4)) == triton_impl.triton_runs(
        torch.zeros(1)
    )
    assert not triton_impl.supports(torch.zeros(1, 1, 1), torch.zeros(1, 5))
    assert not triton_impl.supports(torch.zeros(1, 1, 1, dtype=torch.float64), torch.zeros(1, 4))


@pytest.mark.gpu
@pytest.mark.parametrize("silu", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("layout", "configuration"), TABLES, ids=str)
def test_on_cuda(layout: str, configuration: Configuration, dtype: torch.dtype, silu: bool) -> None:
    for length in (*AWKWARD_LENGTHS, 4096, 10_007, 65_536):
        tensors = inputs(length, 4, layout, batch=2, channels=70, device="cuda")
        half = {name: tensors[name].to(dtype) for name in ("grad", "x")}
        check(tensors | half, configuration=configuration, silu=silu)
        del tensors["initial_states"]
        numbers = packing(2, length).cuda()
        check(tensors | half, configuration=configuration, seq_idx=numbers, silu=silu)


@pytest.mark.gpu
@pytest.mark.parametrize("layout", LAYOUTS)
def test_more_than_2_to_the_31_elements_on_cuda(layout: str) -> None:
    channels, length = 5, 2**29
    x = torch.randn(1, channels, length, dtype=torch.bfloat16, device="cuda")
    if layout == "last":
        x = x.transpose(1, 2).contiguous().transpose(1, 2)
    weight, bias = random_normal(channels, 4, device="cuda"), random_normal(channels, device="cuda")
    y = triton_impl.forward(x, weight, bias, None, None, True)
    end = slice(length - 1000, length)
    states = x[..., length - 1003 : length - 1000].double()
    expected = reference.forward(x[..., end].double(), weight.double(), bias.double(), None, states, True)
    assert_close(y[..., end], expected)


def compile_in_a_process(which: str) -> list[list[int]]:
    """Registers, stack and shared memory of each kernel."""
    environment = os.environ | {"TRITON_INTERPRET": "0"}
    done = subprocess.run(
        [sys.executable, __file__, which], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return [[int(word) for word in line.split()[-3:]] for line in done.stdout.splitlines()]


@pytest.mark.parametrize(
    "which", ["chosen", *(pytest.param(str(i), marks=pytest.mark.slow) for i in range(len(TABLES)))]
)
def test_kernels_compile_for_hopper_without_spills(which: str) -> None:
    resources = compile_in_a_process(which)
    assert len(resources) == (7 if which == "chosen" else 8)
    for registers, stack, shared in resources:
        assert registers <= 200
        assert stack == 0
        assert shared <= 16_384


def main(which: str) -> None:
    """Print what the step and the configurations that are chosen need, or all variants of one in TABLES."""
    if which == "chosen":
        step = {
            "WIDTH": 4,
            "SILU": True,
            "HAS_BIAS": True,
            "CIRCULAR": True,
            "INDEXED": True,
            "CHANNELS": 128,
        }
        _print("step", torch.bfloat16, step, 1)
        inputs = (("first", torch.bfloat16), ("first", torch.float32), ("last", torch.bfloat16))
        variants = [
            (layout, triton_impl._choose(_example(layout, dtype), None), dtype, False)
            for layout, dtype in inputs
        ]
    else:
        variants = [
            (*TABLES[int(which)], dtype, packed)
            for dtype in (torch.bfloat16, torch.float32)
            for packed in (False, True)
        ]
    for layout, configuration, dtype, packed in variants:
        constants = _constants(layout, configuration, packed)
        for kernel in ("forward", "backward"):
            _print(kernel, dtype, constants, configuration.warps)


def _example(layout: str, dtype: torch.dtype) -> torch.Tensor:
    x = torch.empty(1, 2**20, 2, dtype=dtype, device="meta")
    return x.transpose(1, 2) if layout == "last" else x.new_empty(1, 2, 2**20)


def _constants(layout: str, configuration: Configuration, packed: bool) -> dict[str, Any]:
    """Strides among them, whose divisibility by 16 lets loads be vectors, as at run time."""
    length, channels = 2**20, 2**11
    strides = (1, channels) if layout == "last" else (length, 1)
    constants: dict[str, Any] = {
        "WIDTH": 4, "CHANNEL_LAST": layout == "last", "SILU": True, "HAS_BIAS": True, "PACKED": packed,
        "HAS_INITIAL": not packed, "CHANNELS": configuration.channels, "UNITS": configuration.units,
        "UNIT": configuration.unit, "TILES": configuration.tiles, "length": length, "channels": channels,
    }  # fmt: skip
    for name in ("x", "y", "grad", "grad_x", "initial"):
        constants |= {f"{name}_entry": length * channels, f"{name}_channel": strides[0]}
        constants[f"{name}_position"] = strides[1]
    return constants


def _print(kernel: str, dtype: torch.dtype, constants: dict[str, Any], warps: int) -> None:
    from genoseq_kernels.causal_conv1d import kernels
    from genoseq_kernels.compilation import compile_for_gpu

    function = getattr(kernels, kernel)
    pointer = {torch.bfloat16: "*bf16", torch.float32: "*fp32"}[dtype]
    types = dict.fromkeys(function.arg_names, "i64")
    types |= dict.fromkeys(("x", "y", "grad", "grad_x", "initial", "state"), pointer)
    types |= dict.fromkeys(("weight", "bias", "partial"), "*fp32")
    types |= dict.fromkeys(("numbers", "seen", "rows"), "*i32")
    known = {name: value for name, value in constants.items() if name in function.arg_names}
    resources = compile_for_gpu(function, types, known, num_warps=warps)
    tile = [constants.get(name) for name in ("CHANNELS", "UNITS", "UNIT", "TILES", "PACKED")]
    print(kernel, dtype, *tile, warps, *resources)


if __name__ == "__main__":
    main(sys.argv[1])
