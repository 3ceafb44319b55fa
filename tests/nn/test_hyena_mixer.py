"""The Hyena operator by its definition, and its state."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from genoseq.errors import SequenceError
from genoseq.nn import HyenaMixer, MixerContext

OPTIONS: dict[str, Any] = {
    "width": 6,
    "emb_dim": 3,
    "num_inner_mlps": 1,
    "activation_freq": 3.0,
    "train_freq": True,
    "position_lr": 0.0,
    "filter_lr": None,
    "filter_weight_decay": 0.0,
}


def make(order: int = 2, *, short: int = 3, dropout: float = 0.0, **options: Any) -> HyenaMixer:
    torch.manual_seed(1)
    mixer = HyenaMixer(
        d_model=4,
        l_max=32,
        order=order,
        short_filter_order=short,
        dropout=dropout,
        filter_options=OPTIONS | options,
    )
    return mixer.double()


def by_definition(mixer: HyenaMixer, x: torch.Tensor) -> torch.Tensor:
    length, taps = x.shape[1], mixer.short_filter.weight.shape[-1]
    projected = mixer.in_proj(x).transpose(1, 2)
    short = mixer.short_filter(F.pad(projected, (taps - 1, 0)))
    *gates, value = short.chunk(mixer.order + 1, dim=1)
    filters = mixer.filter_fn(length).chunk(mixer.order - 1)
    skips = mixer.filter_fn.bias.chunk(mixer.order - 1)
    for gate, taps_of_all, skip in zip(reversed(gates[1:]), filters, skips, strict=True):
        gated = value * gate
        sums = [(gated[..., : t + 1] * taps_of_all[:, : t + 1].flip(-1)).sum(-1) for t in range(length)]
        value = torch.stack(sums, dim=-1) + skip[:, None] * gated
    return mixer.out_proj((value * gates[0]).transpose(1, 2))


@pytest.mark.parametrize("short", [1, 3, 4])
@pytest.mark.parametrize("order", [2, 3, 4])
@pytest.mark.parametrize("length", [1, 2, 21, 32])
def test_definition(order: int, short: int, length: int) -> None:
    mixer = make(order, short=short)
    x = torch.randn(2, length, 4, dtype=torch.float64, requires_grad=True)
    expected, actual = by_definition(mixer, x), mixer(x)
    torch.testing.assert_close(actual, expected)
    weight = torch.randn_like(actual)
    parameters = [x, *mixer.parameters()]
    for a, b in zip(
        torch.autograd.grad((actual * weight).sum(), parameters),
        torch.autograd.grad((expected * weight).sum(), parameters),
        strict=True,
    ):
        torch.testing.assert_close(a, b)


def test_dropout_is_of_the_long_convolutions_input() -> None:
    mixer = make(dropout=1.0)
    x = torch.randn(1, 9, 4, dtype=torch.float64)
    # Nothing reaches the output but its own bias.
    torch.testing.assert_close(mixer(x), mixer.out_proj.bias.expand(1, 9, 4))
    torch.testing.assert_close(mixer.eval()(x), by_definition(mixer, x))


def test_gaps_keep_their_distance() -> None:
    mixer = make(3)
    x = torch.randn(1, 20, 4, dtype=torch.float64)
    mask = torch.ones(1, 20, dtype=torch.bool)
    mask[:, 5:8] = False
    changed = x.clone()
    changed[:, 5:8] = 100
    expected = mixer(x, MixerContext(mask=mask))
    torch.testing.assert_close(mixer(changed, MixerContext(mask=mask))[mask], expected[mask])


def test_state_is_typed_and_has_a_limit() -> None:
    mixer = make()
    state = mixer.init_state(2, max_length=8, device="cpu", dtype=torch.float64)
    x = torch.randn(2, 9, 4, dtype=torch.float64)
    y, state = mixer(x[:, :5], state=state, return_state=True)
    assert y.shape == (2, 5, 4)
    assert (state.position, state.max_length) == (5, 8)
    with pytest.raises(SequenceError, match="room for 8"):
        mixer(x[:, 5:], state=state)
    with pytest.raises(SequenceError, match="l_max=32"):
        mixer.init_state(1, max_length=33, device="cpu", dtype=torch.float64)


def test_gradients_within_a_chunk() -> None:
    mixer = make()
    x = torch.randn(1, 12, 4, dtype=torch.float64, requires_grad=True)
    state = mixer.init_state(1, max_length=12, device="cpu", dtype=torch.float64)
    chunk = mixer(x, state=state)
    for a, b in zip(
        torch.autograd.grad(chunk.sum(), (x, mixer.in_proj.weight)),
        torch.autograd.grad(mixer(x).sum(), (x, mixer.in_proj.weight)),
        strict=True,
    ):
        torch.testing.assert_close(a, b)


class Copies(TorchDispatchMode):
    """The operators that write a tensor of many numbers as it is, in another place or layout."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        copying = ("clone", "copy_", "cat", "select_backward", "slice_backward")
        if func.overloadpacket.__name__ in copying and result.numel() > 100:
            self.seen.append(func.name())
        return result


def test_no_layout_is_copied() -> None:
    mixer = make()
    x = torch.randn(2, 32, 4, dtype=torch.float64, requires_grad=True)
    with Copies() as copies:
        mixer(x).sum().backward()
    # Gradients of the gates and the value, next to each other.
    assert copies.seen == ["aten::cat"]


def test_frequencies_that_are_not_learned() -> None:
    mixer = make(train_freq=False)
    assert not [name for name in mixer.state_dict() if name.endswith("freq")]
    assert not [name for name, _ in mixer.named_parameters() if name.endswith("freq")]
