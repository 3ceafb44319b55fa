"""The laws of the contract, for every mixer that claims them. A new mixer is one line of `CASES`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import pytest
import torch

from genoseq.errors import SequenceError
from genoseq.nn import (
    Bidirectional,
    BidirectionalS5,
    GatedDeltaNet,
    HyenaMixer,
    LinearAttention,
    LstmMixer,
    Mamba2Mixer,
    MambaMixer,
    Mixer,
    MixerContext,
    S4DMixer,
    S4Mixer,
    S5Mixer,
)
from genoseq.nn.attention import Attention, BidirectionalAttention
from genoseq.nn.bidirectional import BidirectionalMamba

WIDTH, ROOM = 8, 72
HYENA_FILTER: dict[str, Any] = {
    "width": 6,
    "emb_dim": 3,
    "num_inner_mlps": 1,
    "activation_freq": 3.0,
    "train_freq": True,
    "position_lr": 0.0,
    "filter_lr": None,
    "filter_weight_decay": 0.0,
}


def hyena(order: int) -> Mixer:
    return HyenaMixer(
        d_model=WIDTH,
        l_max=ROOM,
        order=order,
        short_filter_order=3,
        dropout=0.0,
        filter_options=HYENA_FILTER,
    )


def mamba2(**arguments: Any) -> Mixer:
    return Mamba2Mixer(d_model=WIDTH, d_state=4, headdim=4, chunk_size=16, **arguments)


def bidirectional(combination: Any, *, tied: bool) -> Mixer:
    options = {"d_state": 4}
    return BidirectionalMamba(d_model=WIDTH, combination=combination, tied=tied, mamba_options=options)


def delta(**arguments: Any) -> Mixer:
    return GatedDeltaNet(d_model=WIDTH, num_heads=2, head_dim=4, **arguments)


def linear(**arguments: Any) -> Mixer:
    return LinearAttention(d_model=WIDTH, num_heads=2, head_dim=4, **arguments)


@dataclass(frozen=True)
class Case:
    """Attributes:
    make: the mixer, of width `WIDTH`, for sequences of up to `ROOM` positions.
    fixed_memory: the state is as large after any number of positions, and does not move at padding.
    """

    make: Callable[[], Mixer]
    fixed_memory: bool


CASES = {
    "hyena2": Case(lambda: hyena(2), fixed_memory=False),
    "hyena3": Case(lambda: hyena(3), fixed_memory=False),
    "mamba": Case(lambda: MambaMixer(d_model=WIDTH, d_state=4), fixed_memory=True),
    "mamba_one_tap": Case(lambda: MambaMixer(d_model=WIDTH, d_conv=1, conv_bias=False), fixed_memory=True),
    "mamba2": Case(mamba2, fixed_memory=True),
    "mamba2_groups": Case(lambda: mamba2(ngroups=2, bias=True), fixed_memory=True),
    "bidirectional": Case(lambda: bidirectional("add", tied=True), fixed_memory=False),
    "bidirectional_product": Case(lambda: bidirectional("ew_multiply", tied=False), fixed_memory=False),
    "mamba2_limits": Case(lambda: mamba2(dt_limit=(0.01, 0.5)), fixed_memory=True),
    "delta": Case(delta, fixed_memory=True),
    "delta_groups": Case(
        lambda: delta(num_v_heads=4, expand_v=1, conv_bias=True, allow_neg_eigval=True), fixed_memory=True
    ),
    "delta_both_sides": Case(lambda: Bidirectional(delta(), delta(), combination="add"), fixed_memory=False),
    "linear": Case(linear, fixed_memory=True),
    "linear_groups": Case(lambda: linear(num_v_heads=4, decay="none"), fixed_memory=True),
    "s4d": Case(lambda: S4DMixer(d_model=WIDTH, d_state=6), fixed_memory=True),
    "s4": Case(lambda: S4Mixer(d_model=WIDTH, d_state=6), fixed_memory=True),
    "s5": Case(lambda: S5Mixer(d_model=WIDTH, d_state=8, blocks=2), fixed_memory=True),
    "s5_all_modes": Case(
        lambda: S5Mixer(d_model=WIDTH, d_state=6, conjugate=False, clip=True), fixed_memory=True
    ),
    "s5_both_sides": Case(lambda: BidirectionalS5(d_model=WIDTH, d_state=8, clip=True), fixed_memory=False),
    "lstm": Case(lambda: LstmMixer(d_model=WIDTH), fixed_memory=True),
    "attention": Case(lambda: Attention(d_model=WIDTH, num_heads=4, num_kv_heads=2), fixed_memory=False),
    "attention_rotary": Case(
        lambda: Attention(d_model=WIDTH, num_heads=2, position="rotary"), fixed_memory=False
    ),
    "attention_window": Case(lambda: Attention(d_model=WIDTH, num_heads=2, window=7), fixed_memory=True),
    "attention_sinks": Case(
        lambda: Attention(d_model=WIDTH, num_heads=4, window=7, num_sinks=3, position="alibi"),
        fixed_memory=True,
    ),
    "attention_both_sides": Case(
        lambda: BidirectionalAttention(d_model=WIDTH, num_heads=2, window=9), fixed_memory=False
    ),
}


def of_cases(wanted: Callable[[Case], bool] = lambda case: True) -> Any:
    return pytest.mark.parametrize("case", [name for name, case in CASES.items() if wanted(case)])


def made(case: str) -> Mixer:
    torch.manual_seed(1)
    mixer = CASES[case].make()
    with torch.no_grad():
        for parameter in mixer.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return mixer.double().eval()


def values(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, WIDTH, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


def empty_state(mixer: Mixer, batch_size: int, max_length: int = ROOM) -> Any:
    return mixer.init_state(batch_size, max_length=max_length, device="cpu", dtype=torch.float64)


def in_chunks(mixer: Mixer, x: torch.Tensor, lengths: tuple[int, ...]) -> tuple[torch.Tensor, Any]:
    state, parts = empty_state(mixer, len(x)), []
    for chunk in x.split(lengths, dim=1):
        y, state = mixer(chunk, state=state, return_state=True)
        parts.append(y)
    return torch.cat(parts, dim=1), state


def numbers_in(state: Any) -> int:
    held = (getattr(state, field.name) for field in fields(state))
    return sum(value.numel() for value in held if isinstance(value, torch.Tensor))


@of_cases()
@pytest.mark.parametrize(("left", "right"), [(0, 1), (1, 0), (0, 13), (13, 0), (3, 30), (30, 3)])
@pytest.mark.parametrize("length", [1, 2, 37])
def test_padding_changes_nothing(case: str, length: int, left: int, right: int) -> None:
    mixer, x = made(case), values(2, length)
    padded = torch.nn.functional.pad(x, (0, 0, left, right), value=3.0).requires_grad_()
    mask = torch.zeros(padded.shape[:2], dtype=torch.bool)
    mask[:, left : left + length] = True
    y = mixer(padded, MixerContext(mask=mask))
    torch.testing.assert_close(y[:, left : left + length], mixer(x))
    (gradient,) = torch.autograd.grad((y * mask.unsqueeze(-1)).square().sum(), padded)
    assert torch.isfinite(gradient).all()
    assert not gradient[~mask].any()


@of_cases()
def test_fixed_memory_is_claimed_where_it_is_true(case: str) -> None:
    assert made(case).fixed_memory == CASES[case].fixed_memory


@of_cases()
def test_rows_of_different_padding(case: str) -> None:
    mixer, x = made(case), values(3, 20)
    mask = torch.ones(3, 20, dtype=torch.bool)
    mask[0, :7], mask[1, 15:] = False, False
    y = mixer(x, MixerContext(mask=mask))
    torch.testing.assert_close(y[0, 7:], mixer(x[:1, 7:])[0])
    torch.testing.assert_close(y[1, :15], mixer(x[1:2, :15])[0])
    torch.testing.assert_close(y[2], mixer(x[2:])[0])


@of_cases()
def test_packed_equals_separate(case: str) -> None:
    mixer, x = made(case), values(2, 30)
    # An id that comes again is another sequence; one row's last id is the next row's first.
    segments = torch.tensor([[5] * 1 + [2] * 17 + [5] * 12, [5] * 2 + [7] * 28])
    y = mixer(x, MixerContext(segment_ids=segments))
    for row, start, end in [(0, 0, 1), (0, 1, 18), (0, 18, 30), (1, 0, 2), (1, 2, 30)]:
        torch.testing.assert_close(y[row, start:end], mixer(x[row : row + 1, start:end])[0])


@of_cases()
def test_packed_with_padding(case: str) -> None:
    mixer, x = made(case), values(1, 24)
    mask = torch.ones(1, 24, dtype=torch.bool)
    mask[:, 20:] = False
    segments = torch.tensor([[0] * 9 + [1] * 15])
    y = mixer(x, MixerContext(mask=mask, segment_ids=segments))
    torch.testing.assert_close(y[:, :9], mixer(x[:, :9]))
    torch.testing.assert_close(y[:, 9:20], mixer(x[:, 9:20]))


@of_cases()
def test_direction_and_state_are_as_claimed(case: str) -> None:
    mixer, x = made(case), values(1, 20)
    changed = x.clone()
    changed[:, 12:] += 1
    same = torch.allclose(mixer(x)[:, :12], mixer(changed)[:, :12])
    assert same == mixer.causal
    if not mixer.streams:
        with pytest.raises(SequenceError):
            empty_state(mixer, 1)


def streaming(case: Case) -> bool:
    return case.make().streams


@of_cases(streaming)
@pytest.mark.parametrize("chunks", [(63,), (1, 62), (62, 1), (2, 1, 1, 7, 52), (20, 20, 23), (3,) * 21])
def test_chunks_equal_the_whole(case: str, chunks: tuple[int, ...]) -> None:
    mixer, x = made(case), values(3, 63)
    y, state = in_chunks(mixer, x, chunks)
    torch.testing.assert_close(y, mixer(x))
    assert state.position == 63


@of_cases(streaming)
def test_steps_equal_forward(case: str) -> None:
    mixer, x = made(case), values(2, 40)
    prompt, state = mixer(x[:, :5], state=empty_state(mixer, 2), return_state=True)
    steps = []
    for column in x[:, 5:].unbind(1):
        y, state = mixer.step(column, state)
        steps.append(y)
    torch.testing.assert_close(torch.cat([prompt, torch.stack(steps, dim=1)], dim=1), mixer(x))
    assert state.position == 40


@of_cases(streaming)
def test_a_state_carries_no_gradient(case: str) -> None:
    mixer, x = made(case), values(2, 12).requires_grad_()
    _, state = in_chunks(mixer, x, (7, 5))
    held = [getattr(state, field.name) for field in fields(state)]
    assert not any(value.requires_grad for value in held if isinstance(value, torch.Tensor))


@of_cases(streaming)
def test_state_after_left_padding(case: str) -> None:
    mixer, x = made(case), values(2, 12)
    mask = torch.ones(2, 12, dtype=torch.bool)
    mask[0, :5] = False
    expected = mixer(x, MixerContext(mask=mask))
    # The first chunk of the first row is padding alone.
    state = empty_state(mixer, 2)
    for start, end in [(0, 4), (4, 11)]:
        y = mixer(x[:, start:end], MixerContext(mask=mask[:, start:end]), state=state)
        torch.testing.assert_close(y[mask[:, start:end]], expected[:, start:end][mask[:, start:end]])
    y, state = mixer.step(x[:, 11], state)
    torch.testing.assert_close(y, expected[:, 11])


@of_cases(lambda case: streaming(case) and case.fixed_memory)
@pytest.mark.parametrize("real", [0, 1, 2, 9])
def test_a_state_does_not_move_at_padding(case: str, real: int) -> None:
    mixer, x = made(case), values(2, 25)
    mask = torch.ones(2, 12, dtype=torch.bool)
    mask[0, real:] = False
    state = empty_state(mixer, 2)
    mixer(x[:, :12], MixerContext(mask=mask), state=state)
    y = mixer(x[:, 12:], state=state)
    rows = [torch.cat([x[:1, :real], x[:1, 12:]], dim=1), x[1:]]
    for row, alone in enumerate(rows):
        torch.testing.assert_close(y[row], mixer(alone)[0, -13:])


@of_cases(lambda case: streaming(case) and case.fixed_memory)
def test_memory_is_fixed(case: str) -> None:
    mixer = made(case)
    first, last = empty_state(mixer, 1, max_length=1), empty_state(mixer, 1, max_length=10**9)
    assert numbers_in(first) == numbers_in(last)
    _, last = mixer(values(1, 50), state=last, return_state=True)
    assert numbers_in(last) == numbers_in(first)
    mixer.step(values(1), last)
    assert numbers_in(last) == numbers_in(first)


@of_cases(lambda case: streaming(case) and case.fixed_memory)
def test_a_state_of_another_batch(case: str) -> None:
    mixer = made(case)
    with pytest.raises(SequenceError, match="state is of 3 sequences, the input of 2"):
        mixer(values(2, 5), state=empty_state(mixer, 3))
    with pytest.raises(SequenceError, match="state is of 3 sequences, the input of 2"):
        mixer.step(values(2), empty_state(mixer, 3))


@of_cases()
def test_bfloat16_and_autocast(case: str) -> None:
    mixer, x = made(case), values(2, 40)
    expected = mixer(x)
    mixer.float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = mixer(x.float())
    y.square().sum().backward()
    assert (y.double() - expected).abs().max() / expected.abs().max() < 0.1
    y = mixer.bfloat16()(x.bfloat16())
    assert y.dtype == torch.bfloat16
    assert (y.double() - expected).abs().max() / expected.abs().max() < 0.1


@of_cases(streaming)
def test_streams_in_bfloat16_and_autocast(case: str) -> None:
    mixer, x = made(case), values(2, 20)
    expected = mixer(x).detach()
    for autocast in (True, False):
        dtype = torch.float32 if autocast else torch.bfloat16
        mixer.to(dtype)
        state = mixer.init_state(2, max_length=ROOM, device="cpu", dtype=dtype)
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            prompt = mixer(x[:, :11].to(dtype), state=state)
            steps = [mixer.step(column.to(dtype), state)[0] for column in x[:, 11:].unbind(1)]
        y = torch.cat([prompt, torch.stack(steps, dim=1)], dim=1)
        assert (y.double() - expected).abs().max() / expected.abs().max() < 0.1
