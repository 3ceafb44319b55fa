"""Plots of recordings show what they were given."""

import numpy as np
import pandas as pd
import pytest
import torch

pytest.importorskip("mne")

from genoseq.data.recordings import TEN_TWENTY
from genoseq.errors import ConfigError, DataError
from genoseq.inference.attributions import integrated_gradients
from genoseq.models import Femba
from genoseq.report.plots.recordings import (
    band_power,
    embedding_plot,
    reconstruction_plot,
    scalp_plot,
    spectrum_plot,
)


def test_a_spectrum_has_its_peak_where_the_rhythm_is(tmp_path):
    time = np.arange(1000) / 100
    rhythm = np.stack([np.sin(2 * np.pi * 10 * time + phase) for phase in range(4)])
    plot = spectrum_plot({"resting": rhythm, "other": rhythm[:, ::-1] * 0.1}, 100.0)
    line = plot.figure.axes[0].get_lines()[0]
    assert line.get_xdata()[np.argmax(line.get_ydata())] == pytest.approx(10)
    assert plot.save_png(tmp_path).stat().st_size > 5000


def test_maps_leave_out_what_has_no_place(tmp_path):
    channels = [*TEN_TWENTY, "F4-A1"]
    values = np.arange(len(channels), dtype=float)
    plot = scalp_plot({"alpha": values, "beta": values[::-1]}, channels, label="dB")
    assert "19 electrodes" in plot.caption
    assert plot.save_png(tmp_path).stat().st_size > 5000
    with pytest.raises(DataError, match="four channels"):
        scalp_plot({"alpha": values[:2]}, ["F4-A1", "Cz"], label="dB")


def test_a_reconstruction_is_drawn_where_samples_were_hidden(tmp_path):
    signal = np.random.default_rng(0).normal(size=(4, 50))
    hidden = np.zeros((4, 50), dtype=bool)
    hidden[2, 10:20] = True
    row = {"signal": signal.tolist(), "reconstruction": (signal + 1).tolist(), "hidden": hidden.tolist()}
    table = pd.DataFrame([row, dict.fromkeys(row)]).map(
        lambda value: value if value is None else np.array(value, dtype=object)
    )
    plot = reconstruction_plot(table)
    recorded, made = plot.figure.axes[0].get_lines()
    np.testing.assert_allclose(recorded.get_ydata(), signal[2])
    assert (~np.isnan(made.get_ydata()) == hidden[2]).all()
    assert plot.save_png(tmp_path).stat().st_size > 5000


def test_attributions_add_up_to_the_logit():
    torch.manual_seed(0)
    model = Femba(
        num_channels=3,
        sequence_length=64,
        patch_size=[1, 16],
        stride=[1, 16],
        embed_dim=4,
        head="bc",
        num_classes=2,
    )
    model = model.double().eval()
    x = torch.randn(2, 3, 64, dtype=torch.float64)
    found = integrated_gradients(model, x, 1, steps=200)
    wanted = model(x).prediction[:, 1] - model(torch.zeros_like(x)).prediction[:, 1]
    torch.testing.assert_close(found.sum((1, 2)), wanted, rtol=1e-2, atol=1e-3)
    with pytest.raises(ConfigError, match="2 classes"):
        integrated_gradients(model, x, 2)


def test_every_class_has_its_line():
    signals = {f"class {number}": np.random.default_rng(number).normal(size=(2, 256)) for number in range(9)}
    (axes,) = spectrum_plot(signals, 128.0).figure.axes
    assert [line.get_label() for line in axes.lines] == list(signals)


def test_a_rhythm_has_its_power_in_its_band():
    time = np.arange(1000) / 100
    power = band_power(np.stack([np.sin(2 * np.pi * hertz * time) for hertz in (10, 20)]), 100.0)
    assert max(power, key=lambda band: power[band][0]) == "alpha"
    assert max(power, key=lambda band: power[band][1]) == "beta"
    assert list(band_power(np.ones((1, 100)), 50.0)) == ["delta", "theta", "alpha", "beta"]


def test_embeddings_that_differ_lie_apart(tmp_path):
    generator = np.random.default_rng(0)
    labels = ["left", "right"] * 20
    vectors = [(generator.normal(size=8) + 5 * (label == "left")).tolist() for label in labels]
    table = pd.DataFrame({"label": [*labels, "left"], "embedding": [*vectors, None]})
    plot = embedding_plot(table)
    left, right = (np.asarray(points.get_offsets())[:, 0] for points in plot.figure.axes[0].collections)
    assert len(left) == len(right) == 20
    assert left.min() > right.max() or left.max() < right.min()
    assert plot.save_png(tmp_path).stat().st_size > 5000
