"""causal_conv1d: against torch's own convolution in float64, its states, packing, steps and layouts."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional as F

from genoseq_kernels import BackendUnavailable, causal_conv1d, causal_conv1d_update
from genoseq_kernels.causal_conv1d.operators import (
    causal_conv1d_backward,
    causal_conv1d_forward,
    causal_conv1d_step,
)
from genoseq_kernels.testing import AWKWARD_LENGTHS, assert_close, random_normal

Tensors = dict[str, torch.Tensor]
BATCH, CHANNELS = 2, 5


def definition(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    seq_idx: torch.Tensor | None = None,
    initial_states: torch.Tensor | None = None,
    activation: str | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Result and final states, every sequence of a packed row by itself, differentiable."""
    reach = weight.shape[1] - 1
    if seq_idx is not None:
        y = torch.zeros_like(x)
        for row in range(x.shape[0]):
            for number in seq_idx[row].unique().tolist():
                if number >= 0:
                    inside = seq_idx[row] == number
                    part = definition(x[row : row + 1, :, inside], weight, bias, activation=activation)[0]
                    y[row : row + 1, :, inside] = part
        return y, x.new_empty(0)
    before = x.new_zeros(*x.shape[:2], reach) if initial_states is None else initial_states
    whole = torch.cat([before, x], dim=-1)
    y = F.conv1d(whole, weight.unsqueeze(1), bias, groups=weight.shape[0])
    return y if activation is None else F.silu(y), whole[..., whole.shape[-1] - reach :]


def inputs(length: int, width: int, *, layout: str = "first", device: str = "cpu") -> Tensors:
    made = {
        "x": random_normal(BATCH, CHANNELS, length, seed=1),
        "weight": random_normal(CHANNELS, width, seed=2),
        "bias": random_normal(CHANNELS, seed=3),
        "initial_states": random_normal(BATCH, CHANNELS, width - 1, seed=4),
    }
    if layout == "last":
        made["x"] = made["x"].transpose(1, 2).contiguous().transpose(1, 2)
    return {name: x.to(device).requires_grad_() for name, x in made.items()}


def packing(length: int) -> torch.Tensor:
    """Numbers of packed sequences, one of a single position, and padding between and at the end."""
    row = torch.arange(length) // 7
    row[length // 2 :] += 1000
    row[length // 2 + 1 :] += 1000
    row[length - length // 5 :] = -1
    row[: length // 6] = -3
    return torch.stack([row, torch.zeros_like(row)]).int()


def run(function: Any, tensors: Tensors, **options: Any) -> Tensors:
    """Result, final states and every gradient, of both results."""
    leaves = {name: x.detach().requires_grad_() for name, x in tensors.items()}
    outputs = [y for y in function(**leaves, **options) if y.numel()]
    # Rounded, so that every dtype is given the same.
    upstream = [torch.cos(torch.arange(y.numel(), device=y.device)).bfloat16() for y in outputs]
    grads = [g.view(y.shape).to(y.dtype) for g, y in zip(upstream, outputs, strict=True)]
    torch.autograd.backward(outputs, grads)
    results = dict(zip(("y", "final_states")[: len(outputs)], outputs, strict=True))
    return {**results, **{f"grad {name}": x.grad for name, x in leaves.items() if x.grad is not None}}


def check(tensors: Tensors, backend: str = "reference", **options: Any) -> None:
    """Compare with the definition in float64."""

    def ours(**arguments: Any) -> Any:
        states = arguments.get("seq_idx") is None
        result = causal_conv1d(**arguments, return_final_states=states, backend=backend)  # type: ignore[arg-type]
        return result if states else (result,)

    expected = run(definition, {name: x.detach().double() for name, x in tensors.items()}, **options)
    for what, result in run(ours, tensors, **options).items():
        assert_close(result.detach(), expected[what].detach(), what=what)


@pytest.mark.parametrize("layout", ["first", "last"])
@pytest.mark.parametrize("width", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("length", AWKWARD_LENGTHS)
def test_values_states_and_gradients(length: int, width: int, layout: str) -> None:
    tensors = inputs(length, width, layout=layout)
    check(tensors, activation="silu")
    check({name: tensors[name] for name in ("x", "weight", "bias")})
    check({name: tensors[name] for name in ("x", "weight", "initial_states")}, activation="swish")


@pytest.mark.parametrize("activation", [None, "silu"])
@pytest.mark.parametrize("width", [1, 3, 4])
@pytest.mark.parametrize("length", [1, 2, 63, 200])
def test_packed_equals_separate(length: int, width: int, activation: str | None) -> None:
    tensors = inputs(length, width)
    del tensors["initial_states"]
    check(tensors, seq_idx=packing(length), activation=activation)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("layout", ["first", "last"])
def test_dtypes(dtype: torch.dtype, layout: str) -> None:
    tensors = inputs(63, 4, layout=layout)
    check({name: x.to(dtype) for name, x in tensors.items()}, activation="silu")
    check(tensors | {"x": tensors["x"].to(dtype)}, activation="silu")


def test_chunks_with_the_carried_state_equal_the_whole() -> None:
    tensors = inputs(30, 4)
    x, rest = tensors.pop("x"), tensors
    whole, last = causal_conv1d(x, **rest, return_final_states=True)
    state, parts = rest.pop("initial_states"), []
    for chunk in x.split([1, 2, 0 + 3, 11, 13], dim=-1):
        y, state = causal_conv1d(chunk, **rest, initial_states=state, return_final_states=True)
        parts.append(y)
    torch.testing.assert_close(torch.cat(parts, dim=-1), whole)
    assert torch.equal(state, last)


def test_second_derivatives_are_of_nobody_but_first_ones_are_right() -> None:
    tensors = {name: x.detach().double().requires_grad_() for name, x in inputs(6, 3).items()}

    def function(*values: torch.Tensor) -> Any:
        x, weight, bias, states = values
        return causal_conv1d(x, weight, bias, None, states, True, activation="silu")

    assert torch.autograd.gradcheck(function, tuple(tensors.values()))


@pytest.mark.parametrize("silu", [True, False])
@pytest.mark.parametrize("layout", ["first", "last"])
def test_operators_keep_torchs_rules(layout: str, silu: bool) -> None:
    x, weight, bias, states = inputs(10, 4, layout=layout).values()
    for arguments in (
        (x, weight, bias, None, states, silu, True, "reference"),
        (x, weight, None, packing(10), None, silu, False, "reference"),
    ):
        torch.library.opcheck(causal_conv1d_forward, arguments)
        y, final = (result.detach() for result in causal_conv1d_forward(*arguments))
        saved = [None if value is None else value.detach() for value in arguments[:5]]
        torch.library.opcheck(causal_conv1d_backward, (y, final, *saved, silu, "reference"))
    step = (x.detach(), random_normal(BATCH, CHANNELS, 3), weight.detach(), bias.detach(), silu)
    torch.library.opcheck(causal_conv1d_step, (*step, None, None, "reference"))


@pytest.mark.parametrize("layout", ["first", "last"])
def test_the_result_has_the_layout_of_the_input(layout: str) -> None:
    wide = random_normal(2, 30, 8) if layout == "last" else random_normal(2, 8, 30)
    x = wide[..., 2:7].transpose(1, 2) if layout == "last" else wide[:, 2:7]
    x = x.detach().requires_grad_()
    y = causal_conv1d(x, random_normal(5, 4), backend="reference")
    assert y.is_contiguous() == (layout == "first")
    assert y.transpose(1, 2).is_contiguous() == (layout == "last")
    y.sum().backward()
    expected = definition(x.detach().double(), random_normal(5, 4).double())[0]
    assert_close(y.detach(), expected)


def test_final_states_are_written_where_they_are_wanted() -> None:
    x, weight = random_normal(1, 2, 9), random_normal(2, 4)
    out = torch.empty(1, 2, 3)
    _, final = causal_conv1d(x, weight, return_final_states=True, final_states_out=out)
    assert final is out
    assert torch.equal(out, x[..., -3:])
    with pytest.raises(ValueError, match="return_final_states=True"):
        causal_conv1d(x, weight, final_states_out=out)


@pytest.mark.parametrize("layout", ["first", "last"])
def test_under_compile(layout: str) -> None:
    tensors = inputs(33, 4, layout=layout)

    def ours(**arguments: Any) -> Any:
        return causal_conv1d(**arguments, return_final_states=True, activation="silu")

    compiled = torch.compile(ours, fullgraph=True, backend="aot_eager")
    expected = run(ours, tensors)
    for what, result in run(compiled, tensors).items():
        torch.testing.assert_close(result, expected[what], msg=what)


@pytest.mark.parametrize("room", [3, 5])
@pytest.mark.parametrize("circular", [True, False])
@pytest.mark.parametrize("indexed", [True, False])
def test_steps_equal_the_whole(circular: bool, indexed: bool, room: int) -> None:
    tensors = inputs(20, 4)
    x, weight, bias = (tensors[name].detach() for name in ("x", "weight", "bias"))
    rows = torch.tensor([3, 1], dtype=torch.int32) if indexed else None
    state = torch.zeros(4 if indexed else BATCH, CHANNELS, room)
    untouched = state.clone()
    parts, seen = [], 0
    for count in (1, 1, 2, 4, 1, 9, 2):
        positions = x[..., seen : seen + count]
        seqlens = torch.full((BATCH,), seen, dtype=torch.int32) if circular else None
        given = positions[..., 0] if count == 1 else positions
        y = causal_conv1d_update(given, state, weight, bias, "silu", seqlens, rows)
        assert y.shape == given.shape
        parts.append(y.view(BATCH, CHANNELS, count))
        seen += count
    torch.testing.assert_close(torch.cat(parts, dim=-1), causal_conv1d(x, weight, bias, activation="silu"))
    slots = torch.arange(20 - room, 20) % room if circular else torch.arange(room)
    held = state if rows is None else state[rows.long()]
    assert torch.equal(held[..., slots], x[..., 20 - room :])
    if indexed:
        assert torch.equal(state[[0, 2]], untouched[[0, 2]])


def test_one_tap_needs_no_state() -> None:
    x, weight = random_normal(2, 3), random_normal(3, 1)
    torch.testing.assert_close(causal_conv1d_update(x, torch.empty(2, 3, 0), weight), x * weight[:, 0])


def test_backend_that_is_not_there() -> None:
    x, weight = random_normal(1, 2, 5, dtype=torch.float64), random_normal(2, 5, dtype=torch.float64)
    assert torch.equal(causal_conv1d(x, weight, backend="reference"), causal_conv1d(x, weight))
    with pytest.raises(BackendUnavailable, match=r"'triton'.*cpu.*float64.*\(1, 2, 5\)"):
        causal_conv1d(x, weight, backend="triton")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"x": (1, 2, 0)}, "L >= 1"),
        ({"x": (2, 5)}, "B, D, L"),
        ({"weight": (3, 4)}, "weight"),
        ({"bias": (3,)}, r"bias.*\(2,\)"),
        ({"seq_idx": (1, 4)}, r"seq_idx.*\(1, 5\)"),
        ({"initial_states": (1, 2, 4)}, r"initial_states.*\(1, 2, 3\)"),
        ({"initial_states": (1, 2, 3), "seq_idx": (1, 5)}, "no states"),
    ],
)
def test_shapes_that_do_not_fit(change: dict[str, tuple[int, ...]], words: str) -> None:
    shapes: dict[str, Any] = {"x": (1, 2, 5), "weight": (2, 4)} | change
    with pytest.raises(ValueError, match=words):
        causal_conv1d(**{name: random_normal(*shape) for name, shape in shapes.items()})


def test_other_mistakes() -> None:
    x, weight = random_normal(2, 3), random_normal(3, 4)
    with pytest.raises(ValueError, match="activation='gelu'"):
        causal_conv1d_update(x, torch.zeros(2, 3, 3), weight, activation="gelu")
    for shape in ((2, 3, 2), (1, 3, 3), (2, 4, 3)):
        with pytest.raises(ValueError, match="conv_state"):
            causal_conv1d_update(x, torch.zeros(shape), weight)
    with pytest.raises(ValueError, match="cache_seqlens"):
        causal_conv1d_update(x, torch.zeros(2, 3, 3), weight, cache_seqlens=torch.zeros(3))
