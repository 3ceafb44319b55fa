"""HiSS and flat stacks: padding, chunks, steps, folders, any mixer in either place, bad input."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import genoseq
from genoseq.errors import ConfigError, SequenceError
from genoseq.models import FlatRegressor, HiSS, SignalRegressor, load_signal_model
from genoseq.models.mixer_stack import MIXERS
from genoseq.nn.materialize import materialize

OPTIONS: dict[str, dict[str, Any]] = {
    "s4d": {"d_state": 8},
    "s4": {"d_state": 8},
    "s5": {"d_state": 8},
    "mamba": {"d_state": 4},
    "mamba2": {"d_state": 4, "headdim": 4, "chunk_size": 16},
    "delta": {"num_heads": 2, "head_dim": 4},
    "linear": {"num_heads": 2, "head_dim": 4},
    "attention": {"num_heads": 2, "position": "rotary"},
    "lstm": {},
}


def stack(mixer: str, **arguments: Any) -> dict[str, Any]:
    return {"mixer": mixer, "d_model": 8, "num_layers": 1, "options": OPTIONS[mixer]} | arguments


def hiss(low: dict[str, Any], high: dict[str, Any], chunk_length: int = 4) -> HiSS:
    return HiSS(input_channels=3, num_outputs=2, chunk_length=chunk_length, low=low, high=high)


def flat(mixer: str = "s4d", **arguments: Any) -> FlatRegressor:
    return FlatRegressor(input_channels=3, num_outputs=2, dropout=0.0, **stack(mixer) | arguments)


MODELS: dict[str, Callable[[], SignalRegressor]] = {
    **{f"flat_{mixer}": lambda mixer=mixer: flat(mixer) for mixer in MIXERS},  # type: ignore[misc]
    "flat_slow": lambda: flat("s5", samples_per_prediction=4, d_inner=6, num_layers=2),
    "hiss_s4d": lambda: hiss(stack("s4d"), stack("s4d", num_layers=2)),
    "hiss_s5_mamba": lambda: hiss(stack("s5", d_model=4), stack("mamba")),
    "hiss_lstm_attention": lambda: hiss(stack("lstm"), stack("attention")),
    "hiss_mamba2_s4": lambda: hiss(stack("mamba2"), stack("s4")),
    "hiss_both_sides_low": lambda: hiss(stack("s4d", bidirectional=True), stack("s4d")),
}


def made(name: str) -> SignalRegressor:
    torch.manual_seed(0)
    return MODELS[name]().double().eval()


def samples(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(*shape, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("sizes", [(21,), (3, 5, 1, 2, 10), (1,) * 21])
def test_a_stream_equals_one_pass(name: str, sizes: tuple[int, ...]) -> None:
    model, x = made(name), samples(2, 21)
    assert model.streams
    assert model.causal
    expected = model(x).prediction
    assert expected.shape == (2, 21 // model.samples_per_prediction, 2)
    state = model.init_state(2, max_length=21)
    parts = [model.forward_chunk(part, state) for part in x.split(sizes, dim=1)]
    torch.testing.assert_close(torch.cat(parts, dim=1), expected)
    assert state.position == 21


def test_a_step_gives_what_is_known() -> None:
    model, x = made("hiss_s4d"), samples(2, 9)
    state = model.init_state(2, max_length=9)
    steps = [model.step(sample, state) for sample in x.unbind(1)]
    assert [step.shape[1] for step in steps] == [0, 0, 0, 1, 0, 0, 0, 1, 0]
    torch.testing.assert_close(torch.cat(steps, dim=1), model(x).prediction)


def test_a_state_does_not_grow() -> None:
    model, x = made("hiss_s4d"), samples(1, 1000)
    assert model.fixed_memory
    assert not made("hiss_lstm_attention").fixed_memory
    state = model.init_state(1, max_length=10**9)
    sizes = set()
    for part in x.split(100, dim=1):
        model.forward_chunk(part, state)
        sizes.add((state.waiting.numel(), *(layer.ssm.numel() for layer in state.layers)))
    assert len(sizes) == 1


@pytest.mark.parametrize("name", MODELS)
def test_padding_changes_nothing(name: str) -> None:
    model, x = made(name), samples(2, 24)
    expected = model(x)
    padded = torch.nn.functional.pad(x, (0, 0, 0, 9), value=5.0)
    mask = torch.zeros(2, 33, dtype=torch.bool)
    mask[:, :24] = True
    found = model(padded, mask)
    torch.testing.assert_close(found.prediction[:, : expected.prediction.shape[1]], expected.prediction)
    torch.testing.assert_close(found.embedding, expected.embedding)


@pytest.mark.parametrize("name", MODELS)
def test_folders_come_back(name: str, tmp_path: Path) -> None:
    model = made(name).float()
    model.preprocessing["channels"] = ["ankle", "thigh", "trunk"]
    loaded = genoseq.load(model.save(tmp_path))
    assert loaded.preprocessing == model.preprocessing
    x = samples(2, 24).float()
    assert torch.equal(loaded(x).prediction, model(x).prediction)


def test_models_without_memory_get_first_values() -> None:
    with torch.device("meta"):
        model = MODELS["hiss_s5_mamba"]()
    materialize(model, torch.device("cpu"), seed=0)
    assert torch.isfinite(model(samples(1, 8).float()).prediction).all()


def test_both_directions_read_whole_sequences() -> None:
    model = flat(bidirectional=True).double().eval()
    assert not model.streams
    with pytest.raises(SequenceError, match="not causal"):
        model.init_state(1, max_length=5)
    x, changed = samples(1, 20), samples(1, 20)
    changed[:, 15:] += 1
    assert not torch.allclose(model(x).prediction[:, :15], model(changed).prediction[:, :15])


def test_irregular_samples() -> None:
    x, steps = samples(2, 20), torch.full((2, 20), 2.0, dtype=torch.float64)
    model = made("flat_s5")
    assert not torch.allclose(model(x, time_step=steps).prediction, model(x).prediction)
    for name in ("flat_mamba", "flat_s4", "hiss_s4d"):
        with pytest.raises(SequenceError, match="resample"):
            made(name)(x, time_step=steps)


def test_hiss_learns_what_a_chunk_says(tmp_path: Path) -> None:
    """The mean of the chunk before: the lower stack has to find it, the upper one to remember it."""
    torch.manual_seed(0)
    model = HiSS(input_channels=3, num_outputs=1, chunk_length=4, low=stack("s4d"), high=stack("s4d"))
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-2)
    x = torch.randn(64, 24, 3)
    means = x[..., 0].unflatten(1, (6, 4)).mean(-1)
    losses = []
    for _ in range(100):
        prediction = model(x).prediction.squeeze(-1)
        loss = (prediction[:, 1:] - means[:, :-1]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * means.var()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FlatRegressor(input_channels=3, num_outputs=2, mixer="other"), "mixer='other'"),
        (lambda: flat(options={"depth": 3}), "s4d: .*depth.* it takes d_model"),
        (lambda: flat(num_layers=0), "num_layers=0"),
        (lambda: flat(samples_per_prediction=0), "at least 1"),
        (lambda: hiss(stack("s4d"), {"width": 3}), "high: "),
    ],
)
def test_bad_settings(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


def test_bad_input() -> None:
    model = made("hiss_s4d")
    with pytest.raises(SequenceError, match="3 channels"):
        model(torch.zeros(1, 8, 2, dtype=torch.float64))
    with pytest.raises(SequenceError, match="less than a chunk of 4"):
        model(samples(1, 3))
    with pytest.raises(SequenceError, match="pad behind"):
        model(samples(1, 8), torch.tensor([[False] + [True] * 7]))
    with pytest.raises(SequenceError, match="state is of 2 sequences, the input of 1"):
        model.forward_chunk(samples(1, 8), model.init_state(2, max_length=8))


def test_the_loader_says_what_it_is(tmp_path: Path) -> None:
    model = load_signal_model(flat().save(tmp_path))
    assert isinstance(model, FlatRegressor)
    assert model.tokenizer is None
    assert not model.training
