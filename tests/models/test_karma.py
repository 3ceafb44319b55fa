"""KARMA is the published function; its wavelets are PyWavelets'; decompositions, folders, bad input."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pywt
import torch
from safetensors.torch import load_file

import genoseq
from genoseq.errors import CheckpointError, ConfigError, SequenceError
from genoseq.models import Karma, export, load_signal_model
from genoseq.nn.materialize import materialize
from genoseq.nn.wavelets import WaveletAnalysis, WaveletSynthesis, wavelet_filters

ATOL, LOSS_TOLERANCE, GRADIENT_TOLERANCE = 1e-4, 1e-5, 5e-5
Golden = Callable[[str], Any]


def small(**arguments: Any) -> Karma:
    torch.manual_seed(0)
    settings: dict[str, Any] = {"sequence_length": 24, "horizon": 6, "num_channels": 3, "d_model": 16}
    return Karma(**settings | {"attention_width": 8} | arguments)


@pytest.mark.parametrize("name", ["karma", "karma_decomp"])
def test_values_losses_and_gradients(golden: Golden, name: str) -> None:
    reference = golden(name)
    tensors = reference.tensors
    model = genoseq.load(reference.model, family="karma")
    assert not model.training
    assert model.tokenizer is None
    output = model(tensors["fwd/in/x_enc"], tensors["fwd/in/x_mark_enc"])
    torch.testing.assert_close(output.prediction, tensors["fwd/out/y"], rtol=0, atol=ATOL)
    loss = (output.prediction - tensors["fwd/in/target"]).square().mean()
    assert abs(loss.item() - tensors["fwd/out/loss"].item()) <= LOSS_TOLERANCE
    loss.backward()
    gradients = {key: parameter.grad for key, parameter in model.named_parameters(remove_duplicate=False)}
    expected = reference.gradients("fwd")
    assert len(expected) > 20
    for key, gradient in expected.items():
        assert (gradients[key] - gradient).norm() / gradient.norm() <= GRADIENT_TOLERANCE, key
    # What nothing reads waits for no gradient.
    assert all((parameter.grad is not None) == parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("name", ["karma", "karma_decomp"])
def test_official_and_own_folders_come_back(golden: Golden, name: str, tmp_path: Path) -> None:
    reference = golden(name)
    model = load_signal_model(reference.model)
    export(model, tmp_path / "official", layout="original")
    tensors = load_file(tmp_path / "official" / "model.safetensors")
    assert tensors.keys() == reference.weights.keys()
    assert all(torch.equal(tensors[key], reference.weights[key]) for key in tensors)
    again = genoseq.load(tmp_path / "official", family="karma")
    assert again.arguments == model.arguments
    own = load_signal_model(model.save(tmp_path / "own"))
    x, marks = reference.tensors["fwd/in/x_enc"], reference.tensors["fwd/in/x_mark_enc"]
    assert torch.equal(own(x, marks).prediction, model(x, marks).prediction)


def test_the_released_layout_has_no_place_for_other_models(tmp_path: Path) -> None:
    for arguments in ({}, {"hold_unused": True, "decomposition": "attention"}):
        with pytest.raises(CheckpointError, match="no place for a model with"):
            export(small(**arguments), tmp_path, layout="original")


@pytest.mark.parametrize("decomposition", ["none", "moving_average", "attention"])
def test_every_parameter_learns(decomposition: Any, tmp_path: Path) -> None:
    model = small(decomposition=decomposition)
    x, marks = torch.randn(2, 24, 3), torch.rand(2, 24, 4) - 0.5
    output = model(x, marks)
    assert output.prediction.shape == (2, 6, 3)
    assert output.loss is None
    output.prediction.square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in model.parameters())
    model.eval()
    reads = not torch.equal(model(x, marks).prediction, model(x).prediction)
    assert reads == (decomposition == "none") == bool(model.num_marks)
    loaded = load_signal_model(model.save(tmp_path))
    assert torch.equal(loaded(x).prediction, model(x).prediction)
    with torch.device("meta"):
        empty = small(decomposition=decomposition)
    materialize(empty, torch.device("cpu"), seed=0)
    assert torch.isfinite(empty(x).prediction).all()
    assert torch.equal(empty.Ecoder_S.WT.h0, model.Ecoder_S.WT.h0)


def test_location_and_scale_come_back() -> None:
    model = small().double().eval()
    x = torch.randn(2, 24, 3, dtype=torch.float64)
    scale, shift = torch.tensor([10.0, 0.5, 3.0]), torch.tensor([100.0, -3.0, 0.0])
    moved = model(x * scale + shift).prediction
    torch.testing.assert_close(moved, model(x).prediction * scale + shift, rtol=1e-4, atol=1e-4)


def test_forecasts_that_are_no_points() -> None:
    model = small(num_parameters=3).eval()
    output = model(torch.randn(2, 24, 3))
    assert output.parameters.shape == (2, 6, 3, 3)
    first = output.parameters[..., 0] * output.scale + output.location
    torch.testing.assert_close(output.prediction, first)


@pytest.mark.parametrize("name", ["haar", "db2", "db4", "sym5", "bior2.2"])
@pytest.mark.parametrize("length", [16, 17, 40])
def test_wavelets_are_the_librarys(name: str, length: int) -> None:
    filters = wavelet_filters(name)
    x = torch.randn(2, 3, length, dtype=torch.float64)
    low, high = WaveletAnalysis(filters).double()(x)
    expected = pywt.dwt(x.numpy(), name, mode="symmetric")
    # The taps are held in float32.
    np.testing.assert_allclose(low, expected[0], atol=1e-6)
    np.testing.assert_allclose(high, expected[1], atol=1e-6)
    back = WaveletSynthesis(filters).double()(low, high)
    np.testing.assert_allclose(back, pywt.idwt(*expected, name, mode="symmetric"), atol=1e-5)


def test_taps_instead_of_a_name() -> None:
    np.testing.assert_allclose(wavelet_filters(pywt.Wavelet("db4").rec_lo), wavelet_filters("db4"))
    with pytest.raises(ConfigError, match="orthogonal"):
        wavelet_filters([0.5, 0.5, 0.5])
    with pytest.raises(ConfigError, match="PyWavelets knows"):
        wavelet_filters("db99")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"decomposition": "other"}, "decomposition='other'"),
        ({"moving_average": 4}, "odd"),
        ({"d_model": 15}, "even"),
        ({"horizon": 0}, "at least 1"),
        ({"decomposition": "attention", "attention_width": 6}, "four heads"),
    ],
)
def test_bad_settings(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        small(**arguments)


def test_bad_input() -> None:
    with pytest.raises(SequenceError, match="24 steps, 3 channels"):
        small()(torch.zeros(1, 25, 3))
    with pytest.raises(SequenceError, match="4 marks"):
        small()(torch.zeros(1, 24, 3), torch.zeros(1, 24, 5))


def test_an_official_config_that_is_another_function(golden: Golden, tmp_path: Path) -> None:
    import json
    import shutil

    reference = golden("karma")
    shutil.copytree(reference.model, tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    for change in ({"norm_method": "SAN"}, {"use_norm": 0}, {"other": 1}):
        (tmp_path / "model" / "config.json").write_text(json.dumps(config | change))
        with pytest.raises(CheckpointError, match="no place for"):
            genoseq.load(tmp_path / "model", family="karma")
