"""fft_conv by Triton: values and every gradient against float64, in each mode and configuration.

Without a GPU the kernels are interpreted, which is slow: the three passes are then tried at their smallest.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from genoseq_kernels import BackendUnavailable, fft_conv, filter_spectrum
from genoseq_kernels.dispatch import triton_runs
from genoseq_kernels.fft_conv import reference, triton_impl
from genoseq_kernels.fft_conv.triton_impl import long_launch, short_launch
from genoseq_kernels.fft_conv.triton_impl.plan import (
    FULL,
    HALF,
    MAX_LENGTH,
    Configuration,
    Plan,
    Tile,
    _exponent,
    long_plan,
    make_plan,
)
from genoseq_kernels.live_bytes import LiveBytes
from genoseq_kernels.testing import random_normal

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
MODES = ("causal", "bidirectional", "circular")
SHORT_LENGTHS = (1, 2, 63, 997)
RELATIVE_ERROR = {torch.float32: 5e-6, torch.float16: 1.5e-3, torch.bfloat16: 2.5e-3}
"""Norm of the error over norm of the result."""
HALF_DTYPE = torch.bfloat16
if DEVICE == "cpu":
    # The interpreter stores bfloat16 by truncation, which doubles the error of rounding.
    RELATIVE_ERROR[torch.bfloat16] = 8e-3
    HALF_DTYPE = torch.float16

pytestmark = pytest.mark.skipif(
    not triton_runs(torch.empty(0, device=DEVICE)), reason="neither a GPU nor the interpreter"
)
each_configuration = pytest.mark.parametrize(
    ("dtype", "configuration"),
    [(torch.float32, c) for c in FULL] + [(HALF_DTYPE, c) for c in HALF],
    ids=[f"full{i}" for i in range(len(FULL))] + [f"half{i}" for i in range(len(HALF))],
)
Tensors = dict[str, torch.Tensor | None]


def inputs(
    entries: int, channels: int, length: int, taps: int, dtype: torch.dtype, *, gated: bool = True
) -> Tensors:
    """All arguments of the forward, and `grad`; filters of unit norm, as deep models have."""
    sequence = (entries, channels, length)
    shapes: dict[str, tuple[int, ...]] = {"u": sequence, "k": (channels, taps), "skip": (channels,)}
    shapes |= {"gate_in": sequence, "gate_out": sequence, "grad": sequence}
    made: Tensors = {
        name: random_normal(*shape, seed=seed, device=DEVICE).to(dtype)
        for seed, (name, shape) in enumerate(shapes.items())
    }
    assert made["k"] is not None
    made["k"] /= taps**0.5
    if not gated:
        made |= dict.fromkeys(("skip", "gate_in", "gate_out"))
    return made


def run(
    module: Any, given: Tensors, mode: str, plans: tuple[Plan, Plan] | None = None
) -> dict[str, torch.Tensor]:
    """Result and gradients by a backend's module."""
    tensors = dict(given)
    grad = tensors.pop("grad")
    forward, backward = ({"plan": plan} for plan in plans) if plans else ({}, {})
    y, convolved = module.forward(*tensors.values(), None, mode, **forward)
    gradients = module.backward(grad, *tensors.values(), convolved, mode, **backward)
    return {"y": y} | {name: x for name, x in gradients._asdict().items() if x is not None}


def check(given: Tensors, mode: str, plans: tuple[Plan, Plan] | None = None, *, slack: float = 1.0) -> None:
    expected = run(reference, {name: None if x is None else x.double() for name, x in given.items()}, mode)
    results = run(triton_impl, given, mode, plans)
    assert results.keys() == expected.keys()
    for name, result in results.items():
        assert result.dtype == given["u" if name == "y" else name].dtype  # type: ignore[union-attr]
        assert result.is_contiguous()
        if name == "skip":
            continue  # a few numbers, each one of the gradient of k
        error = (result.double() - expected[name]).norm() / expected[name].norm()
        # The product of the gradient and of what the forward kept is rounded twice.
        allowed = RELATIVE_ERROR[result.dtype] * (1.2 if name == "gate_out" else slack)
        assert error <= allowed, f"{name}, {mode}: {error:.1e}"
    if given["skip"] is not None:
        centre = reference.centre_tap(results["k"].shape[-1], mode)
        assert torch.equal(results["skip"], results["k"][:, centre].to(results["skip"].dtype))


def plans_of(length: int, configuration: Configuration) -> tuple[Plan, Plan]:
    return make_plan(length, configuration), make_plan(length, configuration, gradient=True)


@each_configuration
@pytest.mark.parametrize("mode", MODES)
def test_short(mode: str, dtype: torch.dtype, configuration: Configuration) -> None:
    for length in SHORT_LENGTHS if DEVICE == "cuda" or mode == "causal" else (63,):
        taps = max(1, length // 3) if length == 63 or mode == "circular" else length
        # Enough channels that a result of one number is judged by the average of many roundings too.
        channels = 3 if length > 2 else 150
        check(inputs(2, channels, length, taps, dtype), mode, plans_of(length, configuration))


@pytest.mark.parametrize("mode", MODES)
def test_batch_in_several_programs_without_gates(mode: str) -> None:
    check(inputs(11, 2, 40, 40, torch.float32, gated=False), mode)


def test_more_entries_than_a_grid_has_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(short_launch, "_MOST_PARTS", 2)
    check(inputs(23, 1, 40, 40, torch.float32), "causal")


@pytest.mark.parametrize("taps", [1, 100, 700])
def test_short_filters_in_windows_of_a_long_sequence(taps: int) -> None:
    for dtype in (torch.float32, HALF_DTYPE):
        check(inputs(2, 2, 5000, taps, dtype), "causal")


def test_float16() -> None:
    check(inputs(1, 2, 300, 300, torch.float16), "causal")


@pytest.mark.parametrize("scale", [1e-12, 1e12])
def test_half_precision_at_any_scale(scale: float) -> None:
    given = inputs(1, 2, 200, 200, torch.bfloat16)
    assert given["u"] is not None
    given["u"] *= scale
    check(given, "causal")


@each_configuration
@pytest.mark.parametrize("mode", MODES)
def test_whole_channels(mode: str, dtype: torch.dtype, configuration: Configuration) -> None:
    """Both radices of columns padded, full, and a prime length; batch entries in one program and in two."""
    for entries, length in ((1, 2049), (9, 4096), (2, 4099), (1, 8192)):
        plans = plans_of(length, configuration)
        assert all(plan.whole for plan in plans)
        taps = length if mode == "causal" else length - 2
        check(inputs(entries, 1, length, taps, dtype, gated=entries < 9), mode, plans)


@pytest.mark.slow
@each_configuration
@pytest.mark.parametrize("mode", MODES)
def test_three_passes(mode: str, dtype: torch.dtype, configuration: Configuration) -> None:
    check_three_passes(2, 2, mode, dtype, configuration)


@pytest.mark.parametrize(("dtype", "configuration"), [(torch.float32, FULL[0]), (HALF_DTYPE, HALF[0])])
@pytest.mark.parametrize("mode", ["causal", "circular"])
def test_three_passes_of_one_row(mode: str, dtype: torch.dtype, configuration: Configuration) -> None:
    large = Tile(2**15, 16)  # a few large tiles, which the interpreter is quickest at
    check_three_passes(1, 1, mode, dtype, Configuration(configuration.parts, large, large, large))


@pytest.mark.parametrize("taps", ["flat", "single"])
@pytest.mark.parametrize("sequence", ["flat", "single"])
@pytest.mark.parametrize(
    "length", [4001, 2**16, *(pytest.param(x, marks=pytest.mark.gpu) for x in (2**20, MAX_LENGTH))]
)
def test_half_precision_of_the_most_and_the_least_that_sums_can_be(
    length: int, sequence: str, taps: str
) -> None:
    """Spectra of one line and flat ones, whose products are scaled by what the worst of them may be: a genome
    begins with thousands of equal letters, and filters are smooth before they are trained."""
    given = inputs(1, 1, length, length, HALF_DTYPE, gated=False)
    for name, kind, size in (("u", sequence, 1.0), ("grad", sequence, 2.0**-4), ("k", taps, 1.0)):
        value = given[name]
        assert value is not None
        if kind == "flat":
            value[:] = size / length**0.5 if name == "k" else size  # so that results are float16 numbers
        else:
            value[:] = 0.0
            value[..., length // 3] = size
    exponent = 12 if length == 4001 else max(9, _exponent(length))
    large = Tile(2**15, 16)  # which the interpreter is quickest at
    configuration = HALF[1] if DEVICE == "cuda" else Configuration(1, large, large, large)
    plans = [long_plan(length, exponent, configuration, gradient=gradient) for gradient in (False, True)]
    # A flat sequence meets the rounding of the matrices' elements with one sign; of the gradient of a pulse a
    # third of the circle is kept.
    check(given, "causal", (plans[0], plans[1]), slack=1.5)


def check_three_passes(
    entries: int, channels: int, mode: str, dtype: torch.dtype, configuration: Configuration
) -> None:
    """Lengths far below those that need three passes: a radix of 1 or 5, one radix of columns or two."""
    for length, exponent in ((2501, 9), (4001, 12)):
        given = inputs(entries, channels, length, length - 1, dtype)
        plans = [long_plan(length, exponent, configuration, gradient=gradient) for gradient in (False, True)]
        assert not plans[0].short
        check(given, mode, (plans[0], plans[1]))


def test_channels_in_several_rounds_and_rows_that_are_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_launch, "SCRATCH_BYTES", 1)
    plans = [long_plan(600, 9, FULL[0], gradient=gradient) for gradient in (False, True)]
    check(inputs(2, 2, 600, 600, torch.float32), "bidirectional", (plans[0], plans[1]))


@pytest.mark.parametrize(("dtype", "mode"), [(HALF_DTYPE, "causal"), (torch.float32, "bidirectional")])
def test_two_tiles_of_columns_a_program(dtype: torch.dtype, mode: str) -> None:
    narrow, large = Tile(64, 1), Tile(2**15, 16)
    configuration = Configuration(2 if dtype == torch.float32 else 1, narrow, large, large)
    plans = [long_plan(600, 9, configuration, gradient=gradient) for gradient in (False, True)]
    assert long_launch.sequence_back_options(plans[0])["TILES"] == 2
    check(inputs(1, 1, 600, 600, dtype), mode, (plans[0], plans[1]))


def test_plans_waste_little() -> None:
    for length in (1, 17, 1000, 4097, 8192, 65_537, 160_002, 450_002, 1_000_002, 1_048_576, MAX_LENGTH):
        for configuration in (*FULL, *HALF):
            plan, gradient = plans_of(length, configuration)
            assert plan.points == gradient.points
            assert length <= plan.points <= max(32, 1.13 * length)
            assert plan.short or plan.columns % plan.width == 0
    assert make_plan(1_048_576, HALF[0]).points == 1_048_576


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_through_the_public_function(mode: Any, dtype: torch.dtype) -> None:
    packed = random_normal(2, 9, 50, dtype=dtype, device=DEVICE, grad=True)
    k, skip = (random_normal(*shape, dtype=dtype, device=DEVICE, grad=True) for shape in ((3, 31), (3,)))
    results = []
    for backend, widen in (("triton", dtype), ("reference", torch.float64)):
        leaves = [x.detach().to(widen).requires_grad_() for x in (packed, k, skip)]
        u, gate_in, gate_out = leaves[0].split(3, dim=1)
        y = fft_conv(u, *leaves[1:], gate_in=gate_in, gate_out=gate_out, mode=mode, backend=backend)  # type: ignore[arg-type]
        y.sum().backward()
        results.append([y.detach(), *[leaf.grad for leaf in leaves]])
    for result, expected in zip(*results, strict=True):
        error = (result.double() - expected).norm() / expected.norm()
        # Sums of many gradients of one sign, rounded twice.
        assert error <= 2 * RELATIVE_ERROR[dtype]


@pytest.mark.parametrize("mode", MODES)
def test_cached_spectrum(mode: Any) -> None:
    for dtype in (torch.float32, torch.bfloat16):
        given = inputs(1, 2, 200, 77, dtype)
        u, k, skip = given["u"], given["k"], given["skip"]
        assert u is not None
        assert k is not None
        spectrum = filter_spectrum(k, 200, mode=mode, backend="triton")
        y = fft_conv(u, k, skip, mode=mode, spectrum=spectrum, backend="triton")
        expected = fft_conv(u, k, skip, mode=mode, backend="triton")
        assert (y - expected).norm() / expected.norm() <= RELATIVE_ERROR[dtype]


@pytest.mark.parametrize("length", [4100, 8200])
def test_cached_spectrum_serves_every_configuration(length: int) -> None:
    given = inputs(1, 1, length, length, torch.float32)
    assert given["k"] is not None
    spectrum = triton_impl.spectrum(given["k"], length, "causal")
    for dtype, configuration in ((torch.float32, FULL[1]), (HALF_DTYPE, HALF[1])):
        # The filter behind the spectrum stays as it was, the others are rounded before both sides see them.
        tensors = {name: x if name == "k" else x.to(dtype) for name, x in given.items() if x is not None}
        expected = run(reference, {name: x.double() for name, x in tensors.items()}, "causal")["y"]
        del tensors["grad"]
        plan = make_plan(length, configuration)
        y, _ = triton_impl.forward(*tensors.values(), spectrum, "causal", plan=plan)
        assert (y.double() - expected).norm() / expected.norm() <= RELATIVE_ERROR[dtype]


def test_a_spectrum_of_another_call_is_refused() -> None:
    given = inputs(1, 2, 200, 77, torch.float32)
    u, k = given["u"], given["k"]
    assert u is not None
    assert k is not None
    for spectrum in (filter_spectrum(k, 200), filter_spectrum(k, 900, backend="triton")):
        with pytest.raises(ValueError, match="filter_spectrum"):
            fft_conv(u, k, spectrum=spectrum, backend="triton")


def test_what_cannot_run_says_so() -> None:
    u = torch.empty(1, 1, 1, device="meta").expand(1, 1, MAX_LENGTH + 1)
    with pytest.raises(BackendUnavailable, match=r"triton.*16777217"):
        fft_conv(u, u[0], backend="triton")
    with pytest.raises(BackendUnavailable, match="float64"):
        fft_conv(u[..., :9].double(), u[0, :, :9].double(), backend="triton")


def test_golden(shared: Path) -> None:
    case = load_file(shared / "golden/fftconv/cases.safetensors", device=DEVICE)
    u, k, skip = (case[f"in/{name}"].clone().requires_grad_() for name in ("u", "k", "D"))
    y = fft_conv(u, k, skip, backend="triton")
    y.backward(case["hyena/grad_out"])
    assert (y - case["hyena/out/y"]).abs().max() <= 5e-5
    for name, leaf in (("u", u), ("k", k), ("D", skip)):
        expected = case[f"hyena/grad/{name}"]
        assert (leaf.grad - expected).norm() / expected.norm() <= 5e-5, name
    y = fft_conv(case["in/u"], case["in/k"], mode="circular", backend="triton")
    assert (y - case["ffc_circular/out/y"]).abs().max() <= 5e-5


@pytest.mark.gpu
@each_configuration
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("length", [8192, 65_537, 160_002, 450_002, 1_000_002, MAX_LENGTH])
def test_long(length: int, mode: str, dtype: torch.dtype, configuration: Configuration) -> None:
    entries = 1 if length == MAX_LENGTH else 2
    given = inputs(entries, 2, length, length if mode == "causal" else length - 2, dtype)
    check(given, mode, plans_of(length, configuration))


@pytest.mark.gpu
@pytest.mark.parametrize("length", [1024, 65_536])
def test_beyond_32_bit_addresses(length: int) -> None:
    channels = 2**31 // length + 64
    u = torch.randn(1, channels, length, device=DEVICE, dtype=torch.bfloat16)
    k = torch.randn(channels, length, device=DEVICE, dtype=torch.bfloat16) / length**0.5
    y = fft_conv(u, k, backend="triton")
    last = slice(channels - 8, channels)
    expected = fft_conv(u[:, last].double(), k[last].double(), backend="reference")
    assert (y[:, last].double() - expected).norm() / expected.norm() <= RELATIVE_ERROR[torch.bfloat16]


@pytest.mark.parametrize(("length", "taps"), [(300, 300), (5000, 40), (4500, 4500), (8200, 8200)])
def test_workspace(length: int, taps: int) -> None:
    given = inputs(1, 2, length, taps, HALF_DTYPE)
    u, k = given["u"], given["k"]
    assert u is not None
    assert k is not None
    tensors = tuple(given[name] for name in ("u", "k", "skip", "gate_in", "gate_out"))
    run(triton_impl, given, "causal")  # makes the tables
    with LiveBytes() as watch:
        watch.watch(given)
        before = watch.live[DEVICE]
        y, convolved = triton_impl.forward(*tensors, None, "causal")  # type: ignore[arg-type]
        forward = watch.peak[DEVICE] - before - y.nbytes - convolved.nbytes
        watch.reset_peak()
        before = watch.live[DEVICE]
        gradients = triton_impl.backward(given["grad"], *tensors, convolved, "causal")  # type: ignore[arg-type]
        backward = watch.peak[DEVICE] - before - sum(x.nbytes for x in gradients if x is not None)
    expected = triton_impl.forward_workspace(u, k, "causal", made=True)
    assert forward == pytest.approx(expected, rel=0.05, abs=20_000)
    expected = triton_impl.backward_workspace(u, u, k, "causal")
    # The gradient of gate_out is made when scratch memory is free again.
    assert backward == pytest.approx(expected, rel=0.05, abs=20_000 + u.nbytes)
