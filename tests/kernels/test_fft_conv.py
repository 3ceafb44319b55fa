"""fft_conv: against its definition in float64, its gradients, the golden set, and torch's own op checks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, get_args

import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional as F

from genoseq_kernels import BackendUnavailable, fft_conv, filter_spectrum
from genoseq_kernels.fft_conv import Mode
from genoseq_kernels.fft_conv.operators import backward_operator, forward_operator
from genoseq_kernels.fft_conv.reference import next_fast_length
from genoseq_kernels.testing import AWKWARD_LENGTHS, assert_close, random_normal

MODES = get_args(Mode)
Tensors = dict[str, torch.Tensor]


def direct(
    u: torch.Tensor,
    k: torch.Tensor,
    skip: torch.Tensor | None = None,
    *,
    gate_in: torch.Tensor | None = None,
    gate_out: torch.Tensor | None = None,
    mode: str = "causal",
) -> torch.Tensor:
    """The definition, as a matrix (D, L, L) of taps for every channel, differentiable."""
    length, taps = u.shape[-1], k.shape[-1]
    v = u if gate_in is None else u * gate_in
    position = torch.arange(length, device=u.device)
    tap = position[:, None] - position
    if mode == "circular":
        tap = tap % length
    if mode == "bidirectional":
        tap = tap + (taps - 1) // 2
    matrix = k[:, tap.clamp(0, taps - 1)] * ((tap >= 0) & (tap < taps))
    y = (matrix @ v.unsqueeze(-1)).squeeze(-1)
    if skip is not None:
        y = y + skip[:, None] * v
    return y if gate_out is None else y * gate_out


def inputs(length: int, taps: int, *, dtype: torch.dtype, device: str = "cpu") -> Tensors:
    """Leaves of one case: a batch of 2, 3 channels."""
    shapes = {
        "u": (2, 3, length),
        "k": (3, taps),
        "skip": (3,),
        "gate_in": (2, 3, length),
        "gate_out": (2, 3, length),
    }
    return {
        name: random_normal(*shape, seed=seed, dtype=dtype, device=device, grad=True)
        for seed, (name, shape) in enumerate(shapes.items())
    }


def run(
    convolve: Callable[..., torch.Tensor], tensors: Tensors, mode: str, names: tuple[str, ...]
) -> Tensors:
    """Result and gradients, with the named inputs alone."""
    given = {name: tensors[name].detach().clone().requires_grad_() for name in ("u", "k", *names)}
    optional = {name: x for name, x in given.items() if name not in ("u", "k")}
    y = convolve(given["u"], given["k"], **optional, mode=mode)
    weight = random_normal(*y.shape, seed=9, dtype=torch.float64, device=y.device.type)
    (y * weight.to(y.dtype)).sum().backward()
    return {"y": y.detach()} | {name: x.grad for name, x in given.items() if x.grad is not None}


@pytest.mark.parametrize(
    "names", [(), ("skip",), ("gate_in",), ("gate_out", "skip"), ("skip", "gate_in", "gate_out")]
)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("length", AWKWARD_LENGTHS)
def test_values_and_gradients(length: int, mode: str, names: tuple[str, ...]) -> None:
    for taps in sorted({1, max(1, length // 3), length}):
        tensors = inputs(length, taps, dtype=torch.float32)
        wide = {name: x.detach().double() for name, x in tensors.items()}
        expected = run(direct, wide, mode, names)
        results = run(fft_conv, tensors, mode, names)
        assert results.keys() == expected.keys()
        for what, result in results.items():
            assert_close(result, expected[what], what=f"{what}, K={taps}")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("mode", MODES)
def test_half_precision_rounds_only_at_the_ends(mode: str, dtype: torch.dtype) -> None:
    names = ("skip", "gate_in", "gate_out")
    tensors = inputs(63, 63, dtype=dtype)
    expected = run(direct, {name: x.detach().double() for name, x in tensors.items()}, mode, names)
    for what, result in run(fft_conv, tensors, mode, names).items():
        assert result.dtype == dtype
        assert_close(result, expected[what], what=what)


@pytest.mark.parametrize("taps", [1, 4, 7])
@pytest.mark.parametrize("mode", MODES)
def test_gradcheck(mode: Mode, taps: int) -> None:
    u, k, skip, gate_in, gate_out = inputs(7, taps, dtype=torch.float64).values()
    assert torch.autograd.gradcheck(
        lambda *x: fft_conv(x[0], x[1], x[2], gate_in=x[3], gate_out=x[4], mode=mode),
        (u, k, skip, gate_in, gate_out),
    )


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("gated", [True, False])
def test_operators_keep_torchs_rules(mode: str, gated: bool) -> None:
    u, k, skip, gate_in, gate_out = inputs(10, 6, dtype=torch.float32).values()
    gates = (gate_in, gate_out) if gated else (None, None)
    torch.library.opcheck(forward_operator, (u, k, skip, *gates, None, mode))
    y, convolved = forward_operator(u, k, skip, *gates, None, mode)
    saved = [None if x is None else x.detach() for x in (y, u, k, skip, *gates, convolved)]
    torch.library.opcheck(backward_operator, (*saved, mode))
    arguments = (*saved[1:6], None, mode, "reference", False)
    torch.library.opcheck(forward_operator, arguments)
    again, nothing = forward_operator(*arguments)
    assert torch.equal(again, y)
    assert nothing.numel() == 0


@pytest.mark.parametrize("mode", MODES)
def test_cached_spectrum(mode: Mode) -> None:
    u, k, skip, *_ = inputs(50, 31, dtype=torch.float32).values()
    spectrum = filter_spectrum(k, 50, mode=mode)
    torch.testing.assert_close(
        fft_conv(u, k, skip, mode=mode, spectrum=spectrum), fft_conv(u, k, skip, mode=mode)
    )
    with pytest.raises(ValueError, match="filter_spectrum"):
        fft_conv(u, k[:, :7], skip, mode=mode, spectrum=spectrum[:, 1:])


def test_strided_input_gives_contiguous_output() -> None:
    packed = random_normal(2, 9, 20)
    u, gate_in, gate_out = packed.split(3, dim=1)
    k = random_normal(20, 3, seed=1).T
    y = fft_conv(u, k, gate_in=gate_in, gate_out=gate_out)
    assert y.is_contiguous()
    expected = direct(u.double(), k.double(), gate_in=gate_in.double(), gate_out=gate_out.double())
    assert_close(y, expected)


def test_under_compile() -> None:
    tensors = inputs(33, 33, dtype=torch.float32)
    names = ("skip", "gate_in", "gate_out")
    compiled = torch.compile(fft_conv, fullgraph=True, backend="aot_eager")
    expected = run(fft_conv, tensors, "causal", names)
    for what, result in run(compiled, tensors, "causal", names).items():
        torch.testing.assert_close(result, expected[what], msg=what)


@pytest.mark.gpu
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("length", AWKWARD_LENGTHS)
def test_on_cuda(length: int, mode: str) -> None:
    names = ("skip", "gate_in", "gate_out")
    tensors = inputs(length, length, dtype=torch.float32, device="cuda")
    expected = run(direct, {name: x.detach().double() for name, x in tensors.items()}, mode, names)
    for what, result in run(fft_conv, tensors, mode, names).items():
        assert_close(result, expected[what], what=what)


@pytest.fixture(scope="module")
def case(shared: Path) -> Tensors:
    """The released reference functions' input and output."""
    return load_file(shared / "golden/fftconv/cases.safetensors")


def check(case: Tensors, name: str, result: torch.Tensor) -> None:
    assert (result - case[f"{name}/out/y"]).abs().max() <= 5e-5


def test_golden_hyena(case: Tensors) -> None:
    u, k, skip = (case[f"in/{name}"].clone().requires_grad_() for name in ("u", "k", "D"))
    y = fft_conv(u, k, skip)
    y.backward(case["hyena/grad_out"])
    check(case, "hyena", y)
    for name, leaf in (("u", u), ("k", k), ("D", skip)):
        expected = case[f"hyena/grad/{name}"]
        assert (leaf.grad - expected).norm() / expected.norm() <= 5e-5, name


def test_golden_gelu_and_dropout_mask(case: Tensors) -> None:
    y = F.gelu(fft_conv(case["in/u"], case["in/k"], case["in/D"]))
    check(case, "hyena_gelu_mask", y * case["in/dropout_mask"][..., None])


def test_golden_anticausal_filter_beside_the_causal(case: Tensors) -> None:
    u = case["in/u"]
    forward = fft_conv(u, case["in/k"], case["in/D"])
    check(case, "hyena_krev", forward + fft_conv(u.flip(-1), case["in/k_rev"]).flip(-1))


def test_golden_released_bidirectional_is_a_delay_around_a_circle(case: Tensors) -> None:
    u, k, length = case["in/u"], case["in/k"], 97
    delayed = F.pad(u, (48, 2 * length - 48 - length))
    y = fft_conv(delayed, F.pad(k, (0, length)), mode="circular")[..., :length]
    check(case, "hyena_bidirectional", y + case["in/D"][:, None] * u)


def test_golden_circular_and_causal_without_skip(case: Tensors) -> None:
    check(case, "ffc_circular", fft_conv(case["in/u"], case["in/k"], mode="circular"))
    check(case, "ffc_causal_padded", fft_conv(case["in/u"], case["in/k"]))


def test_golden_h3(case: Tensors) -> None:
    width = int(case["h3/head_dim"])
    heads = case["in/k"].shape[0] // width
    split = {name: case[f"h3/in/{name}"].unflatten(1, (heads, width)) for name in ("kk", "q", "v")}
    y = torch.zeros_like(split["v"])
    for inner in range(width):
        for outer in range(width):
            y[:, :, outer] += fft_conv(
                split["kk"][:, :, inner],
                case["in/k"][:heads],
                case["in/D"][:heads],
                gate_in=split["v"][:, :, outer],
                gate_out=split["q"][:, :, inner],
            )
    check(case, "h3", y.flatten(1, 2))


def test_backend_that_is_not_there() -> None:
    u, k = random_normal(1, 2, 5, dtype=torch.float64), random_normal(2, 5, dtype=torch.float64)
    assert torch.equal(fft_conv(u, k, backend="reference"), fft_conv(u, k))
    with pytest.raises(BackendUnavailable, match=r"'triton'.*cpu.*float64.*\(1, 2, 5\)"):
        fft_conv(u, k, backend="triton")
    with pytest.raises(ValueError, match="backend='cuda'"):
        fft_conv(u, k, backend="cuda")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"k": (2, 6)}, "1 <= K <= L"),
        ({"k": (3, 5)}, "1 <= K <= L"),
        ({"skip": (3,)}, "skip"),
        ({"gate_in": (1, 2, 4)}, "gate_in"),
        ({"gate_out": (2, 2, 5)}, "gate_out"),
    ],
)
def test_shapes_that_do_not_fit(change: dict[str, tuple[int, ...]], words: str) -> None:
    shapes: dict[str, Any] = {"u": (1, 2, 5), "k": (2, 5)} | change
    with pytest.raises(ValueError, match=words):
        fft_conv(**{name: random_normal(*shape) for name, shape in shapes.items()})


def test_gates_share_the_inputs_dtype_and_modes_exist() -> None:
    u, k = random_normal(1, 2, 5), random_normal(2, 5)
    with pytest.raises(ValueError, match=r"gate_in.*float64"):
        fft_conv(u, k, gate_in=u.double())
    mode: Literal["both"] = "both"
    with pytest.raises(ValueError, match="mode='both'"):
        fft_conv(u, k, mode=mode)  # type: ignore[arg-type]


def test_fast_lengths() -> None:
    assert [next_fast_length(minimum) for minimum in (1, 2, 11, 2047, 2051)] == [2, 2, 12, 2048, 2058]
