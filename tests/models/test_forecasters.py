"""Forecasters of each channel: shapes, equivariances, first values, and their folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import genoseq
from genoseq.errors import ConfigError, SequenceError
from genoseq.models import ChannelForecaster, DLinear, PatchTST
from genoseq.models.signal import Forecaster

MAMBA2 = {"d_state": 8, "headdim": 8, "chunk_size": 8}
FILTERS = {"width": 8, "emb_dim": 5, "num_inner_mlps": 1, "activation_freq": 10.0, "train_freq": True}
FILTERS |= {"position_lr": 0.0, "filter_lr": None, "filter_weight_decay": 0.0}
MIXERS: dict[str, dict[str, Any]] = {
    "m": {"mamba2": MAMBA2},
    "a": {"attention": {"num_heads": 2}},
    "s": {"mamba": {"d_state": 4}},
    "h": {
        "hyena": {"order": 2, "short_filter_order": 3, "dropout": 0.0, "filter_options": FILTERS},
        "l_max": 8,
    },
    "d": {"delta": {"num_heads": 2, "head_dim": 8}},
    "l": {"linear": {"num_heads": 2, "head_dim": 8}},
}
WINDOW = {"sequence_length": 24, "horizon": 6}
PATCHES = {"patch_length": 6, "stride": 3, "d_model": 16, "dropout": 0.0}
MODELS = ["dlinear", "patchtst", *MIXERS]


def make(name: str, **changes: Any) -> Forecaster:
    torch.manual_seed(0)
    if name == "dlinear":
        return DLinear(**{**WINDOW, "kernel_size": 5, **changes}).eval()
    if name == "patchtst":
        return PatchTST(
            **{**WINDOW, **PATCHES, "num_layers": 1, "num_heads": 2, "d_inner": 8, **changes}
        ).eval()
    settings = {**WINDOW, **PATCHES, **MIXERS[name], "pattern": name, "num_layers": 1, **changes}
    return ChannelForecaster(**settings).eval()


@pytest.fixture
def windows() -> torch.Tensor:
    return torch.randn(3, 24, 4, generator=torch.Generator().manual_seed(1)).cumsum(1)


@pytest.mark.parametrize("name", MODELS)
def test_every_channel_is_a_series_of_its_own(name: str, windows: torch.Tensor) -> None:
    model = make(name)
    whole = model(windows).prediction
    assert whole.shape == (3, 6, 4)
    alone = torch.cat([model(windows[:, :, [channel]]).prediction for channel in range(4)], dim=-1)
    torch.testing.assert_close(whole, alone, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", MODELS[1:])
def test_a_shifted_and_stretched_series_has_a_shifted_and_stretched_forecast(
    name: str, windows: torch.Tensor
) -> None:
    model = make(name)
    moved = model(windows * 3 + 100).prediction
    torch.testing.assert_close(moved, model(windows).prediction * 3 + 100, rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize("name", MODELS)
def test_numbers_of_a_distribution(name: str, windows: torch.Tensor) -> None:
    output = make(name, num_parameters=3)(windows)
    assert output.parameters is not None
    assert output.parameters.shape == (3, 6, 4, 3)
    back = output.parameters[..., 0] * output.scale + output.location
    torch.testing.assert_close(output.prediction, back)


@pytest.mark.parametrize("name", MODELS)
def test_the_embedding_of_a_window_is_the_mean_of_its_channels(name: str, windows: torch.Tensor) -> None:
    model = make(name)
    found = model(windows).embedding
    alone = [model(windows[:, :, [channel]]).embedding for channel in range(4)]
    if name == "dlinear":
        assert found is None
        return
    assert found.shape == (3, 16)
    torch.testing.assert_close(found, torch.stack(alone).mean(0), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", MODELS)
def test_folders(name: str, windows: torch.Tensor, tmp_path: Path) -> None:
    model = make(name)
    model.preprocessing = {"channels": ["a"]}
    read = genoseq.load(model.save(tmp_path / "model"))
    assert torch.equal(read(windows).prediction, model(windows).prediction)
    assert read.preprocessing == {"channels": ["a"]}


@pytest.mark.parametrize("name", MODELS)
def test_first_values_can_be_drawn_again_and_everything_learns(name: str, windows: torch.Tensor) -> None:
    with torch.device("meta"):
        model = make(name)
    model = model.to_empty(device="cpu")
    model.reset_parameters()
    model.train()(windows).prediction.square().mean().backward()
    assert all(value.grad is not None and value.grad.isfinite().all() for value in model.parameters())


@pytest.mark.parametrize("name", MODELS)
def test_another_window_is_refused(name: str) -> None:
    with pytest.raises(SequenceError, match="24 steps"):
        make(name)(torch.zeros(1, 23, 4))


def test_the_moving_average_is_the_trend() -> None:
    model = make("dlinear", sequence_length=7, horizon=2, kernel_size=3)
    with torch.no_grad():
        model.trend.weight.copy_(torch.eye(7)[:2])
        model.rest.weight.zero_()
        model.trend.bias.zero_()
        model.rest.bias.zero_()
    x = torch.tensor([4.0, 1.0, 7.0, 0.0, 0.0, 0.0, 0.0]).view(1, 7, 1)
    torch.testing.assert_close(model(x).prediction.ravel(), torch.tensor([3.0, 4.0]))


def test_patches_overlap_and_reach_the_end() -> None:
    model = make("patchtst", sequence_length=10, patch_length=4, stride=3)
    patches = model.patches(torch.arange(10.0).view(1, 10, 1))
    assert patches[0, 0].tolist() == [[0, 1, 2, 3], [3, 4, 5, 6], [6, 7, 8, 9]]
    longer = make("patchtst", sequence_length=11, patch_length=4, stride=3)
    assert longer.patches(torch.arange(11.0).view(1, 11, 1))[0, 0, -1].tolist() == [9, 10, 10, 10]


def test_marks_are_read_where_they_are_asked_for(windows: torch.Tensor) -> None:
    model = make("s", num_marks=2)
    marks = torch.rand(3, 24, 2)
    assert not torch.equal(model(windows, marks).prediction, model(windows, -marks).prediction)
    for wrong in (None, marks[:, :5]):
        with pytest.raises(SequenceError, match="2 marks at each of 24 steps"):
            model(windows, wrong)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("dlinear", {"kernel_size": 4}),
        ("dlinear", {"horizon": 0}),
        ("patchtst", {"patch_length": 25}),
        ("patchtst", {"stride": 7}),
        ("s", {"pattern": "z"}),
        ("s", {"mamba": None}),
    ],
)
def test_settings_that_do_not_fit(name: str, changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        make(name, **changes)
