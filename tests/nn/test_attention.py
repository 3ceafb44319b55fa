"""Attention equals its definition, pair by pair; padding, packing, chunks and steps change nothing."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from genoseq.errors import ConfigError, SequenceError
from genoseq.nn import attend as attend_module
from genoseq.nn.attend import attend_whole
from genoseq.nn.attention import Attention, BidirectionalAttention
from genoseq.nn.mixer import MixerContext
from genoseq.nn.rotary import alibi_slopes
from genoseq.nn.visibility import Visibility

WINDOWS = [(None, 0), (1, 0), (7, 0), (7, 3), (40, 0), (3, 50)]
POSITIONS: list[dict[str, Any]] = [
    {"position": "none"},
    {"position": "alibi"},
    {"position": "rotary"},
    {"position": "rotary", "rotary_dim": 2, "rotary_interleaved": True, "rotary_base": 100.0},
]
GROUPS = [1, 3, None]
VARIANTS = [
    pytest.param(
        {"window": window, "num_sinks": sinks, "num_kv_heads": groups, **position},
        id=f"window{window}-sinks{sinks}-groups{groups}-{'-'.join(map(str, position.values()))}",
    )
    for (window, sinks), groups, position in itertools.product(WINDOWS, GROUPS, POSITIONS)
]
PRECISIONS: dict[torch.dtype, dict[str, float]] = {
    torch.float64: {},
    torch.float32: {"rtol": 1e-4, "atol": 1e-5},
}
# All of them in float64, and every third in float32 too.
CASES = [
    pytest.param(*variant.values, dtype, id=f"{variant.id}-{str(dtype).removeprefix('torch.')}")
    for dtype, variants in ((torch.float64, VARIANTS), (torch.float32, VARIANTS[::3]))
    for variant in variants
]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short sequences go through several blocks."""
    monkeypatch.setattr(attend_module, "_BLOCK", 8)


def make(
    options: dict[str, Any], *, kind: type[Attention] = Attention, dtype: Any = torch.float64
) -> Attention:
    torch.manual_seed(1)
    mixer = kind(d_model=12, num_heads=6, head_dim=4, qkv_bias=True, out_bias=True, **options)
    for parameter in mixer.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return mixer.to(dtype)


def inputs(*shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(*shape, 12, generator=torch.Generator().manual_seed(2), dtype=torch.float64).to(dtype)


def by_definition(mixer: Attention, x: torch.Tensor) -> torch.Tensor:
    """One sequence a row, head by head, with a table of all pairs."""
    length = x.shape[1]
    projected = torch.nn.functional.linear(x, mixer.in_proj.weight, mixer.in_proj.bias)
    q, k, v = projected.split([24, 4 * mixer.num_kv_heads, 4 * mixer.num_kv_heads], dim=-1)
    outputs = []
    for head in range(6):
        shared = head // (6 // mixer.num_kv_heads)
        queries, keys = q[..., 4 * head : 4 * head + 4], k[..., 4 * shared : 4 * shared + 4]
        if mixer.position == "rotary":
            queries, keys = rotated(mixer, queries), rotated(mixer, keys)
        scores = queries @ keys.transpose(1, 2) / math.sqrt(4) + added(mixer, head, length)
        outputs.append(scores.softmax(-1) @ v[..., 4 * shared : 4 * shared + 4])
    return torch.nn.functional.linear(torch.cat(outputs, -1), mixer.out_proj.weight, mixer.out_proj.bias)


def added(mixer: Attention, head: int, length: int) -> torch.Tensor:
    """What is added to the score of every pair."""
    # Six heads: four with powers of 1/4, then two of those between.
    slope = [2**-2, 2**-4, 2**-6, 2**-8, 2**-1, 2**-3][head] if mixer.position == "alibi" else 0
    window = mixer.rule.window or length
    table = [[-slope * abs(i - j) for j in range(length)] for i in range(length)]
    for i, j in itertools.product(range(length), repeat=2):
        if (mixer.causal and j > i) or (abs(i - j) >= window and j >= mixer.rule.num_sinks):
            table[i][j] = -math.inf
    return torch.tensor(table, dtype=torch.float64)


@pytest.mark.parametrize(
    ("heads", "exponents"),
    [
        (1, [8]),
        (2, [4, 8]),
        (3, [4, 8, 2]),
        (8, [1, 2, 3, 4, 5, 6, 7, 8]),
        (12, [1, 2, 3, 4, 5, 6, 7, 8, 0.5, 1.5, 2.5, 3.5]),
    ],
)
def test_slopes_of_alibi(heads: int, exponents: list[float]) -> None:
    slopes = alibi_slopes(heads, device="cpu", dtype=torch.float64)
    torch.testing.assert_close(slopes, 2.0 ** -torch.tensor(exponents, dtype=torch.float64))


def test_alibi_of_dnabert2(shared: Path) -> None:
    tensors = load_file(shared / "golden" / "dnabert2" / "cases.safetensors")
    expected = tensors["op/alibi"][0]
    number = torch.arange(12)
    slopes = alibi_slopes(6, device="cpu", dtype=torch.float32)
    distance = (number[:, None] - number).abs()
    torch.testing.assert_close(-slopes[:, None, None] * distance, expected)


def rotated(mixer: Attention, x: torch.Tensor) -> torch.Tensor:
    """As multiplication of complex numbers."""
    width = mixer.rotary_dim
    half = width // 2
    first = slice(0, width, 2) if mixer.rotary_interleaved else slice(0, half)
    second = slice(1, width, 2) if mixer.rotary_interleaved else slice(half, width)
    frequencies = mixer.rotary_base ** -(torch.arange(half, dtype=torch.float64) / half)
    angles = torch.arange(x.shape[1], dtype=torch.float64)[:, None] * frequencies
    turned = torch.complex(x[..., first], x[..., second]) * torch.polar(torch.ones_like(angles), angles)
    result = x.clone()
    result[..., first], result[..., second] = turned.real, turned.imag
    return result


@pytest.mark.parametrize("kind", [Attention, BidirectionalAttention])
@pytest.mark.parametrize("options", VARIANTS)
def test_definition(options: dict[str, Any], kind: type[Attention]) -> None:
    mixer = make(options, kind=kind)
    x = inputs(2, 21).requires_grad_()
    actual, expected = mixer(x), by_definition(mixer, x)
    torch.testing.assert_close(actual, expected)
    weight = torch.randn_like(actual)
    parameters = [x, *mixer.parameters()]
    for a, b in zip(
        torch.autograd.grad((actual * weight).sum(), parameters),
        torch.autograd.grad((expected * weight).sum(), parameters),
        strict=True,
    ):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("length", [1, 2, 63])
@pytest.mark.parametrize("options", VARIANTS[::5])
def test_definition_at_other_lengths(options: dict[str, Any], length: int) -> None:
    mixer = make(options)
    x = inputs(1, length)
    torch.testing.assert_close(mixer(x), by_definition(mixer, x))


@pytest.mark.parametrize("kind", [Attention, BidirectionalAttention])
@pytest.mark.parametrize(("options", "dtype"), CASES)
def test_padding_changes_nothing(options: dict[str, Any], kind: type[Attention], dtype: torch.dtype) -> None:
    mixer = make(options, kind=kind, dtype=dtype)
    x = inputs(2, 26, dtype=dtype)
    mask = torch.ones(2, 26, dtype=torch.bool)
    mask[0, :9] = False
    mask[1, 18:] = False
    mask[1, :1] = False
    y = mixer(x.masked_fill(~mask.unsqueeze(-1), 100), MixerContext(mask=mask))
    assert torch.isfinite(y).all()
    torch.testing.assert_close(y[0, 9:], mixer(x[:1, 9:])[0], **PRECISIONS[dtype])
    torch.testing.assert_close(y[1, 1:18], mixer(x[1:, 1:18])[0], **PRECISIONS[dtype])


@pytest.mark.parametrize("kind", [Attention, BidirectionalAttention])
@pytest.mark.parametrize(("options", "dtype"), CASES)
def test_packed_equals_separate(options: dict[str, Any], kind: type[Attention], dtype: torch.dtype) -> None:
    mixer = make(options, kind=kind, dtype=dtype)
    x = inputs(2, 30, dtype=dtype)
    lengths = [[1, 17, 12], [9, 10, 11]]
    # An id may come again.
    segments = torch.stack([torch.tensor([4, 0, 4]).repeat_interleave(torch.tensor(row)) for row in lengths])
    mask = torch.ones(2, 30, dtype=torch.bool)
    mask[0, 27:] = False
    y = mixer(x, MixerContext(segment_ids=segments, mask=mask))
    for row, parts in enumerate(lengths):
        for part, output in zip(x[row].split(parts), y[row].split(parts), strict=True):
            real = len(part) - 3 if (row, len(part)) == (0, 12) else len(part)
            torch.testing.assert_close(output[:real], mixer(part[None, :real])[0], **PRECISIONS[dtype])


@pytest.mark.parametrize(("options", "dtype"), CASES)
def test_chunks_equal_the_whole(options: dict[str, Any], dtype: torch.dtype) -> None:
    mixer = make(options, dtype=dtype)
    x = inputs(2, 50, dtype=dtype)
    expected = mixer(x)
    for chunks in ((50,), (2, 1, 1, 7, 20, 19), (13, 37)):
        state = mixer.init_state(2, max_length=50, device="cpu", dtype=dtype)
        parts = [mixer(part, state=state) for part in x.split(chunks, dim=1)]
        torch.testing.assert_close(torch.cat(parts, dim=1), expected, **PRECISIONS[dtype])


@pytest.mark.parametrize(("options", "dtype"), CASES)
def test_steps_equal_forward(options: dict[str, Any], dtype: torch.dtype) -> None:
    mixer = make(options, dtype=dtype)
    x = inputs(2, 30, dtype=dtype)
    state = mixer.init_state(2, max_length=30, device="cpu", dtype=dtype)
    steps = [mixer.step(column, state)[0] for column in x.unbind(1)]
    torch.testing.assert_close(torch.stack(steps, dim=1), mixer(x), **PRECISIONS[dtype])


@pytest.mark.parametrize(("options", "dtype"), CASES)
def test_state_after_padding(options: dict[str, Any], dtype: torch.dtype) -> None:
    mixer = make(options, dtype=dtype)
    x = inputs(2, 40, dtype=dtype)
    mask = torch.ones(2, 40, dtype=torch.bool)
    mask[0, :14] = False
    mask[1, :3] = False
    state = mixer.init_state(2, max_length=40, device="cpu", dtype=dtype)
    parts = [mixer(x[:, s], MixerContext(mask=mask[:, s]), state=state) for s in (slice(0, 5), slice(5, 17))]
    parts.append(mixer(x[:, 17:19], state=state))
    parts += [mixer.step(x[:, t], state)[0].unsqueeze(1) for t in range(19, 28)]
    parts.append(mixer(x[:, 28:], MixerContext(mask=mask[:, 28:]), state=state))
    y = torch.cat(parts, dim=1)
    torch.testing.assert_close(y[0, 14:], mixer(x[:1, 14:])[0], **PRECISIONS[dtype])
    torch.testing.assert_close(y[1, 3:], mixer(x[1:, 3:])[0], **PRECISIONS[dtype])


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("alibi", [False, True])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("window", "sinks"), WINDOWS)
@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
def test_flex_attention_is_the_same_function(
    window: int | None, sinks: int, causal: bool, alibi: bool, packed: bool
) -> None:
    rule, length = Visibility(causal, window, sinks), 300
    generator = torch.Generator().manual_seed(3)
    q, k, v = (torch.randn(2, heads, length, 16, generator=generator) for heads in (4, 2, 2))
    runs = torch.tensor([[0] * 5 + [1] * 200 + [2] * 95, [0] * 129 + [1] * 1 + [2] * 170]) if packed else None
    slopes = torch.tensor([0.5, 0.1, 0.01, 0.3]) if alibi else None
    results = [
        attend_whole(q, k, v, rule, runs=runs, slopes=slopes, backend=backend)
        for backend in ("flex", "blocks")
    ]
    torch.testing.assert_close(*results, rtol=1e-4, atol=1e-5)


@pytest.mark.gpu
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("alibi", [False, True])
@pytest.mark.parametrize(("window", "sinks"), [(None, 0), (100, 0), (300, 4)])
def test_flex_attention_on_a_gpu(window: int | None, sinks: int, alibi: bool, packed: bool) -> None:
    rule, length = Visibility(True, window, sinks), 2500
    generator = torch.Generator("cuda").manual_seed(3)
    q, k, v = (
        torch.randn(2, heads, length, 64, generator=generator, device="cuda").requires_grad_()
        for heads in (4, 2, 2)
    )
    runs = (torch.arange(length, device="cuda") // 700).expand(2, -1) if packed else None
    slopes = torch.tensor([0.5, 0.1, 0.01, 0.3], device="cuda") if alibi else None
    results = []
    for backend in ("flex", "blocks"):
        y = attend_whole(q, k, v, rule, runs=runs, slopes=slopes, backend=backend)
        results.append((y, *torch.autograd.grad(y.square().sum(), (q, k, v))))
    for actual, expected in zip(*results, strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("kind", [Attention, BidirectionalAttention])
def test_no_table_of_all_pairs(monkeypatch: pytest.MonkeyPatch, kind: type[Attention]) -> None:
    monkeypatch.setattr(attend_module, "_BLOCK", 64)
    sizes = []
    original = torch.nn.functional.scaled_dot_product_attention

    def watched(q: torch.Tensor, k: torch.Tensor, *args: Any, **options: Any) -> torch.Tensor:
        sizes.append(q.shape[2] * k.shape[2])
        return original(q, k, *args, **options)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", watched)
    mixer, x = make({"window": 50, "num_sinks": 2}, kind=kind, dtype=torch.float32), inputs(1, 2000).float()
    mixer(x)
    if mixer.streams:
        state = mixer.init_state(1, max_length=2000, device="cpu", dtype=torch.float32)
        mixer(x[:, :1000], state=state)
        mixer(x[:, 1000:], state=state)
    assert max(sizes) <= 64 * (64 + 2 * 50 + 2 + 52)


def test_bounded_state_neither_grows_nor_ends() -> None:
    mixer, x = make({"window": 5, "num_sinks": 2}), inputs(1, 100)
    state = mixer.init_state(1, max_length=10, device="cpu", dtype=torch.float64)
    steps = [mixer.step(column, state)[0] for column in x.unbind(1)]
    assert state.keys.shape == state.values.shape == (1, 6, 7, 4)
    assert state.position == 100
    torch.testing.assert_close(torch.stack(steps, dim=1), mixer(x))


def test_full_state_has_a_limit() -> None:
    mixer, x = make({}), inputs(2, 9)
    state = mixer.init_state(2, max_length=8, device="cpu", dtype=torch.float64)
    y, state = mixer(x[:, :5], state=state, return_state=True)
    assert (y.shape, state.position, state.max_length) == ((2, 5, 12), 5, 8)
    with pytest.raises(SequenceError, match="9 positions do not fit the state's room for 8"):
        mixer(x[:, 5:], state=state)
    for column in x[:, :3].unbind(1):
        mixer.step(column, state)
    with pytest.raises(SequenceError, match="room for 8"):
        mixer.step(x[:, 0], state)
    with pytest.raises(SequenceError, match="state is of 2 sequences, the input of 1"):
        mixer.step(x[:1, 0], state)


def test_bidirectional_attention_carries_no_state() -> None:
    mixer, x = make({}, kind=BidirectionalAttention), inputs(1, 4)
    state = make({}).init_state(1, max_length=4, device="cpu", dtype=torch.float64)
    for call in (
        lambda: mixer(x, state=state),
        lambda: mixer(x, return_state=True),
        lambda: mixer.step(x[:, 0], state),
        lambda: mixer.init_state(1, max_length=4, device="cpu", dtype=torch.float64),
    ):
        with pytest.raises(SequenceError, match="both directions has no state"):
            call()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_heads": 6, "num_kv_heads": 4}, "num_kv_heads=4 does not divide num_heads=6"),
        ({"num_heads": 6, "num_kv_heads": 0}, "num_kv_heads=0"),
        ({"num_heads": 5}, "num_heads=5 does not divide d_model=12"),
        ({"num_heads": 6, "position": "learned"}, "position='learned'"),
        ({"num_heads": 6, "position": "rotary", "rotary_dim": 3, "head_dim": 4}, "rotary_dim=3"),
        ({"num_heads": 6, "position": "rotary", "rotary_dim": 6, "head_dim": 4}, "rotary_dim=6"),
        ({"num_heads": 4, "position": "rotary"}, "rotary_dim=3"),
        ({"num_heads": 6, "window": 0}, "window=0"),
        ({"num_heads": 6, "num_sinks": 2}, "num_sinks=2 with window=None"),
        ({"num_heads": 6, "window": 4, "num_sinks": -1}, "num_sinks=-1"),
    ],
)
def test_settings_that_do_not_fit(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Attention(d_model=12, **options)
