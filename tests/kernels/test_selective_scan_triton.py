"""selective_scan in Triton: every configuration interpreted, and compiled for a GPU that is not there."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from genoseq_kernels import selective_scan
from genoseq_kernels.selective_scan import triton_impl
from genoseq_kernels.selective_scan.operators import selective_scan_forward
from genoseq_kernels.testing import assert_close, random_normal

Tensors = dict[str, torch.Tensor]
OPTIONAL = ("D", "z", "delta_bias", "initial_state")


def inputs(
    length: int,
    *,
    channels: int = 6,
    groups: int = 2,
    states: int = 5,
    dtype: torch.dtype = torch.float32,
    device: str = "cpu",
) -> Tensors:
    """A batch of 2."""
    wide = (2, channels, length)
    shapes = {"u": wide, "delta": wide, "A": (channels, states), "B": (2, groups, states, length)}
    shapes |= {"C": shapes["B"], "D": (channels,), "z": wide, "delta_bias": (channels,)}
    shapes |= {"initial_state": (2, channels, states)}
    made = {
        name: random_normal(*shape, seed=seed, dtype=dtype, device=device)
        for seed, (name, shape) in enumerate(shapes.items())
    }
    made["A"] = -torch.exp(made["A"])
    return made


def run(tensors: Tensors, backend: str, **options: object) -> Tensors:
    """Result, last state and gradients of all inputs."""
    given = {name: x.detach().clone().requires_grad_() for name, x in tensors.items()}
    y, last = selective_scan(**given, return_last_state=True, backend=backend, **options)  # type: ignore[arg-type]
    upstream = [random_normal(*x.shape, seed=x.dim()).bfloat16().to(x) for x in (y, last)]
    torch.autograd.backward([y, last], upstream)
    return {"y": y.detach(), "last": last.detach()} | {
        name: x.grad for name, x in given.items() if x.grad is not None
    }


def check(tensors: Tensors, **options: object) -> None:
    """Against the torch path in float64."""
    expected = run({name: x.double() for name, x in tensors.items()}, "reference", **options)
    results = run(tensors, "triton", **options)
    assert results.keys() == expected.keys()
    for what, result in results.items():
        assert_close(result, expected[what], what=what)


FORWARD, BACKWARD = triton_impl.FORWARD, triton_impl.BACKWARD


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a few positions are several tiles and segments, and states more than lanes."""
    monkeypatch.setattr(triton_impl, "FORWARD", triton_impl.Configuration(1, 4, 4))
    monkeypatch.setattr(triton_impl, "BACKWARD", triton_impl.Configuration(2, 2, 4))


@pytest.fixture
def full_tiles(small_tiles: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that run on a GPU."""
    monkeypatch.setattr(triton_impl, "FORWARD", FORWARD)
    monkeypatch.setattr(triton_impl, "BACKWARD", BACKWARD)


def sequences(length: int) -> torch.Tensor:
    edges = torch.tensor([[1, 2, 8, 15, 16], [3, 4, 7, 9, 20]])
    return (torch.arange(length) >= edges.unsqueeze(-1)).sum(1).int()


@pytest.mark.parametrize("length", [1, 17])
def test_values_and_gradients(length: int) -> None:
    check(inputs(length), delta_softplus=True, seq_idx=sequences(length))


def test_two_tiles_in_a_segment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triton_impl, "_PROGRAMS", 1)
    check(inputs(21, groups=1), delta_softplus=True, seq_idx=sequences(21))


def test_several_segments_of_two_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triton_impl, "_PROGRAMS", 12 * 2)
    check(inputs(50), delta_softplus=True, seq_idx=sequences(50))


def test_nothing_optional() -> None:
    tensors = inputs(9, groups=1)
    for name in OPTIONAL:
        del tensors[name]
    check(tensors | {"delta": tensors["delta"].abs()})


def test_several_blocks_of_channels_in_one_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triton_impl, "_PARTS", 2)
    check(inputs(3, channels=35, groups=1, states=16), delta_softplus=True)


def test_half_precision() -> None:
    check({name: x.bfloat16() for name, x in inputs(9, groups=1).items()}, delta_softplus=True)


def test_strided_input() -> None:
    tensors = inputs(9, groups=1)
    u, z = torch.cat([tensors["u"], tensors["z"]], dim=1).chunk(2, dim=1)
    delta = tensors["delta"].transpose(1, 2).contiguous().transpose(1, 2)
    y = selective_scan(**tensors | {"u": u, "z": z, "delta": delta}, delta_softplus=True, backend="triton")
    expected = selective_scan(**tensors, delta_softplus=True, backend="reference")
    assert isinstance(y, torch.Tensor)
    torch.testing.assert_close(y, expected)


def test_channels_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triton_impl, "FORWARD", triton_impl.Configuration(4, 2, 4))
    check(inputs(18, channels=5, groups=1), delta_softplus=True)


@pytest.mark.parametrize("warps", [2, 4])
def test_states_side_by_side(warps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triton_impl, "FORWARD", triton_impl.Configuration(2, 2, 4, warps))
    check(inputs(18, states=12), delta_softplus=True, seq_idx=sequences(18))


@pytest.mark.parametrize("states", [1, 16, 40])
def test_numbers_of_states(states: int) -> None:
    check(inputs(9, channels=3, groups=1, states=states), delta_softplus=True)


@pytest.mark.slow
@pytest.mark.usefixtures("full_tiles")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_full_tiles(dtype: torch.dtype) -> None:
    check(inputs(1030, channels=10, groups=1, states=3, dtype=dtype), delta_softplus=True)


@pytest.mark.usefixtures("full_tiles")
def test_operators_keep_torchs_rules() -> None:
    given = [x.requires_grad_() for x in inputs(9, channels=2, groups=1).values()]
    result = selective_scan_forward(*given, sequences(9), True, "triton")
    with FakeTensorMode() as mode:
        fake = selective_scan_forward(*(mode.from_tensor(x) for x in (*given, sequences(9))), True, "triton")
    for one, other in zip(result, fake, strict=True):
        assert (one.shape, one.dtype, one.stride()) == (other.shape, other.dtype, other.stride())


@pytest.mark.slow
def test_every_configuration_compiles_for_a_gpu() -> None:
    environment = os.environ | {"TRITON_INTERPRET": "0"}
    done = subprocess.run([sys.executable, __file__], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert len(lines) == 16
    for kernel, dtype, lengths, registers, stack, shared in lines:
        assert int(registers) <= 255
        # Packed sequences keep a number more for each position of a run.
        assert int(stack) <= (16 if lengths == "whole" else 128), (kernel, dtype, lengths, stack)
        # Sums over warps are all that leaves a warp, and results whose rows begin anywhere.
        most = (256 if lengths == "whole" else 2048) if kernel == "outputs" else 0
        assert int(shared) <= most, (kernel, dtype, lengths, shared)


def on_gpu(length: int, channels: int, **options: Any) -> Tensors:
    return inputs(length, channels=channels, device="cuda", states=16, groups=1, **options)


@pytest.mark.gpu
@pytest.mark.usefixtures("full_tiles")
@pytest.mark.parametrize("length", [1, 63, 1000, 4096])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_on_cuda(length: int, dtype: torch.dtype) -> None:
    check(on_gpu(length, 96, dtype=dtype), delta_softplus=True)


@pytest.mark.gpu
@pytest.mark.usefixtures("full_tiles")
@pytest.mark.parametrize("length", [17, 1000, 4099])
def test_packed_sequences_on_cuda(length: int) -> None:
    check(on_gpu(length, 200), delta_softplus=True, seq_idx=sequences(length).cuda())


@pytest.mark.gpu
@pytest.mark.usefixtures("full_tiles")
@pytest.mark.parametrize("states", [1, 5, 40])
@pytest.mark.parametrize("programs", [1, 4000])
def test_groups_states_and_segments_on_cuda(
    states: int, programs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(triton_impl, "_PROGRAMS", programs)
    tensors = inputs(3000, channels=198, groups=2, states=states, device="cuda", dtype=torch.bfloat16)
    check(tensors, delta_softplus=True)


@pytest.mark.gpu
@pytest.mark.usefixtures("full_tiles")
def test_the_same_each_time_on_cuda() -> None:
    tensors = on_gpu(5000, 256, dtype=torch.bfloat16)
    one, other = (run(tensors, "triton", delta_softplus=True) for _ in range(2))
    for what, result in one.items():
        assert torch.equal(result, other[what]), what


@pytest.mark.gpu
@pytest.mark.slow
@pytest.mark.usefixtures("full_tiles")
def test_more_elements_than_32_bits_count() -> None:
    """Channels of one sequence do not see each other: the last ones alone give the same."""
    channels, length = 2056, 2**20 + 3
    made = {
        name: torch.randn(1, channels, length, dtype=torch.bfloat16, device="cuda")
        for name in ("u", "delta", "z")
    }
    weights = {name: torch.randn(1, 16, length, dtype=torch.bfloat16, device="cuda") for name in ("B", "C")}
    A = -torch.rand(channels, 16, device="cuda")

    def last_channels(channels_from: int) -> tuple[torch.Tensor, ...]:
        leaves = {name: x[:, channels_from:].detach().requires_grad_() for name, x in made.items()}
        y = selective_scan(**leaves, **weights, A=A[channels_from:], delta_softplus=True, backend="triton")
        assert isinstance(y, torch.Tensor)
        gradients = torch.autograd.grad(y, list(leaves.values()), torch.ones_like(y))
        return tuple(x[:, -8:].clone() for x in (y, *gradients))

    alone = last_channels(channels - 8)
    for one, other in zip(last_channels(0), alone, strict=True):
        assert_close(one, other.double())


def main() -> None:
    """Print registers, stack and shared memory of every kernel, of whole tiles and of packed odd lengths."""
    from genoseq_kernels.compilation import compile_for_gpu
    from genoseq_kernels.selective_scan.triton_impl import kernels

    flags = {"HAS_D": True, "HAS_Z": True, "HAS_BIAS": True, "SOFTPLUS": True}
    numbers = {"length", "padded", "segment", "num_batch", "channels", "groups", "blocks", "parts", "N"}
    numbers |= {f"{name}_{axis}" for name in ("u", "delta", "z", "source") for axis in ("batch", "channel")}
    sequences = {"u", "delta", "z", "y", "dy", "du", "ddelta", "dz", "B", "C", "source", "weights"}
    passes = [
        (kernels.outputs, FORWARD, False),
        (kernels.summarise, FORWARD, False),
        (kernels.summarise, BACKWARD, True),
        (kernels.gradients, BACKWARD, True),
    ]
    for (kernel, configuration, back), dtype, odd in itertools.product(
        passes, ("bf16", "fp32"), (False, True)
    ):
        sizes = {"CHANNELS": configuration.channels, "LANES": configuration.lanes, "RUN": configuration.run}
        sizes |= {
            "COLUMNS": -(-16 // configuration.lanes),
            "CHUNK": BACKWARD.tile,
            "WARPS": configuration.warps,
        }
        constants = flags | sizes | {"BACK": back, "HAS_KEEP": odd}
        types = {
            name: f"*{dtype}" if name in sequences else "i32" if name in numbers else "*fp32"
            for name in kernel.arg_names
        }
        constants = {name: value for name, value in constants.items() if name in kernel.arg_names}
        multiples = (
            {"padded", "segment"} if odd else numbers - {"num_batch", "groups", "blocks", "parts", "N"}
        )
        found = compile_for_gpu(
            kernel,
            types,
            constants,
            num_warps=constants.get("WARPS", 1),
            maxnreg=configuration.registers,
            multiples=multiples,
        )
        print(kernel.__name__, dtype, "odd" if odd else "whole", *found, flush=True)


if __name__ == "__main__":
    main()
