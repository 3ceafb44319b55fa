"""Classes of whole series: padding, directions, first values, and folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import genoseq
from genoseq.errors import ConfigError, SequenceError
from genoseq.models import SeriesClassifier

MIXERS: dict[str, dict[str, Any]] = {
    "m": {"mamba2": {"d_state": 8, "headdim": 8, "chunk_size": 8}},
    "a": {"attention": {"num_heads": 2, "position": "rotary"}},
    "s": {"mamba": {"d_state": 4}},
    "q": {"s4d": {"d_state": 8}},
    "v": {"s5": {"d_state": 8}},
}
LENGTH, CHANNELS = 20, 3


def make(letter: str, **changes: Any) -> SeriesClassifier:
    torch.manual_seed(0)
    sizes = {"sequence_length": LENGTH, "num_channels": CHANNELS, "num_outputs": 4, "d_model": 16}
    settings = {**sizes, **MIXERS[letter], "pattern": letter, "num_layers": 1, **changes}
    return SeriesClassifier(**settings).eval()


@pytest.fixture
def x() -> torch.Tensor:
    return torch.randn(2, CHANNELS, LENGTH, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("letter", MIXERS)
def test_padding_changes_nothing(letter: str, bidirectional: bool, x: torch.Tensor) -> None:
    model = make(letter, bidirectional=bidirectional)
    observed = torch.ones_like(x, dtype=torch.bool)
    observed[:, :, 13:] = False
    padded = model(torch.where(observed, x, 1e3), observed=observed)
    shorter = make(letter, bidirectional=bidirectional, sequence_length=13)(x[:, :, :13])
    torch.testing.assert_close(padded.prediction, shorter.prediction, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(padded.embedding, shorter.embedding, rtol=1e-4, atol=1e-5)
    assert shorter.last_hidden_state is not None
    torch.testing.assert_close(shorter.embedding, shorter.last_hidden_state.mean(1))


@pytest.mark.parametrize("letter", MIXERS)
def test_what_was_not_observed_or_is_hidden_is_zero(letter: str, x: torch.Tensor) -> None:
    model = make(letter)
    hidden = torch.zeros_like(x, dtype=torch.bool)
    hidden[:, 1, 4:9] = True
    zeroed = model(x.masked_fill(hidden, 0.0)).prediction
    torch.testing.assert_close(model(x, hidden).prediction, zeroed)
    torch.testing.assert_close(model(x, observed=~hidden).prediction, zeroed)


def test_both_directions_are_read(x: torch.Tensor) -> None:
    first_step = make("s", bidirectional=False)(x).last_hidden_state
    changed = x.clone()
    changed[:, :, -1] += 1
    assert first_step is not None
    assert torch.equal(make("s", bidirectional=False)(changed).last_hidden_state[:, 0], first_step[:, 0])
    both = make("s")
    assert not torch.equal(both(changed).last_hidden_state[:, 0], both(x).last_hidden_state[:, 0])


@pytest.mark.parametrize("letter", MIXERS)
def test_folders_and_first_values(letter: str, x: torch.Tensor, tmp_path: Path) -> None:
    model = make(letter)
    read = genoseq.load(model.save(tmp_path / "model"))
    assert torch.equal(read(x).prediction, model(x).prediction)
    model.reset_parameters()
    loss = model.train()(x, labels=torch.tensor([0, 3])).loss
    loss.backward()
    assert all(value.grad is not None for value in model.parameters())


def test_numbers_instead_of_classes(x: torch.Tensor) -> None:
    model = make("s", problem="regression", num_outputs=1)
    output = model(x, labels=torch.tensor([0.5, 2.0]))
    torch.testing.assert_close(
        output.loss, (output.prediction[:, 0] - torch.tensor([0.5, 2.0])).square().mean()
    )


def test_what_does_not_fit(x: torch.Tensor) -> None:
    with pytest.raises(SequenceError, match="3 channels, 20 samples"):
        make("s")(x[:, :, 1:])
    for changes in ({"problem": "guess"}, {"num_outputs": 0}, {"pattern": "z"}, {"mamba": None}):
        with pytest.raises(ConfigError):
            make("s", **changes)
