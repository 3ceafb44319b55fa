"""Plots of recordings show what they were given."""

import json
from itertools import combinations

import matplotlib
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg

pytest.importorskip("mne")

from genoseq.data.recordings import TEN_TWENTY
from genoseq.errors import ConfigError, DataError
from genoseq.inference.attributions import integrated_gradients
from genoseq.models import Femba
from genoseq.report.folder import RunFolder
from genoseq.report.plots import plots_of
from genoseq.report.plots.recordings import (
    band_power,
    embedding_plot,
    reconstruction_plot,
    scalp_plot,
    spectrum_plot,
)
from genoseq.report.style import MATPLOTLIB


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


def masked_rows(num_channels=4, windows=1):
    """Signals, and predictions of windows whose channels 4, 3 and 2, as far as there are, hide ever less."""
    signal = np.random.default_rng(0).normal(size=(num_channels, 50))
    hidden = np.arange(50) < 10 * np.arange(num_channels)[:, None]
    row = {"signal": signal.tolist(), "reconstruction": (signal + 1).tolist(), "hidden": hidden.tolist()}
    table = pd.DataFrame([row] * windows + [dict.fromkeys(row)])
    return signal, hidden, table.assign(recording=np.arange(len(table)) + 3)


def labels_of(plot):
    return [axes.get_ylabel() for axes in plot.figure.axes]


def test_a_reconstruction_is_drawn_where_samples_were_hidden(tmp_path):
    signal, hidden, table = masked_rows()
    plot = reconstruction_plot(table, {})
    for axes, channel in zip(plot.figure.axes, (1, 2, 3), strict=True):
        recorded, made = axes.get_lines()
        np.testing.assert_allclose(recorded.get_ydata(), signal[channel])
        assert (~np.isnan(made.get_ydata()) == hidden[channel]).all()
    assert labels_of(plot) == [f"channel {number}\n(scaled)" for number in (2, 3, 4)]
    assert plot.figure.axes[-1].get_xlabel() == "sample"
    assert plot.save_png(tmp_path).stat().st_size > 5000


def test_a_reconstruction_has_names_and_units_where_they_are_known():
    signal, _, table = masked_rows()
    scaler = {"shift": [0, 0, 0, 5], "scale": [1, 1, 1, 20]}
    known = {"channels": ["Fp1", "Fp2", "C3", "C4"], "sampling_rate": 25, "units": "µV", "scaler": scaler}
    plot = reconstruction_plot(table, known)
    assert labels_of(plot) == ["Fp2\n(µV)", "C3\n(µV)", "C4\n(µV)"]
    assert plot.figure.axes[0].get_title("left") == "recording 3"
    recorded, made = plot.figure.axes[-1].get_lines()
    np.testing.assert_allclose(recorded.get_ydata(), 20 * signal[3] + 5)
    np.testing.assert_allclose(made.get_ydata()[:30], 20 * (signal[3, :30] + 1) + 5)
    assert recorded.get_xdata()[-1] == pytest.approx(49 / 25)
    assert plot.figure.axes[-1].get_xlabel() == "time (s)"
    assert labels_of(reconstruction_plot(table, known | {"scaler": None}))[0] == "Fp2\n(scaled)"


def test_windows_of_a_reconstruction_are_far_apart_and_few_channels_leave_no_gap():
    plot = reconstruction_plot(masked_rows(num_channels=2, windows=5)[2], {})
    assert [axes.get_title("left") for axes in plot.figure.axes] == ["recording 3", "recording 7", "", ""]
    assert all(axes.get_lines() for axes in plot.figure.axes)


@pytest.mark.parametrize("names", [TEN_TWENTY[:4], ["CPP5h-FCC5h", "AFF5h-FFT7h", "P10-PO10", "T10-P10"]])
def test_words_of_a_reconstruction_do_not_lie_on_each_other(names):
    known = {"channels": names, "units": "µV", "scaler": {"shift": [0] * 4, "scale": [20] * 4}}
    with matplotlib.rc_context(MATPLOTLIB):
        figure = reconstruction_plot(masked_rows(windows=2)[2], known).figure
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
    words = [text for axes in figure.axes for text in (axes.yaxis.label, axes.xaxis.label, axes._left_title)]
    words += figure.legends[0].get_texts()
    boxes = [text.get_window_extent(canvas.get_renderer()) for text in words if text.get_text()]
    assert len(boxes) == 6 + 2 + 2 + 2
    for first, second in combinations(boxes, 2):
        assert not first.overlaps(second)


def test_a_run_names_the_channels_of_its_model(tmp_path):
    masked_rows()[2].to_parquet(tmp_path / "predictions.parquet")
    (tmp_path / "model").mkdir()
    known = {"channels": ["Fp1", "Fp2", "C3", "C4"]}
    (tmp_path / "model" / "preprocessing.json").write_text(json.dumps(known))
    (plot,) = plots_of(RunFolder(tmp_path))["predictions"]
    assert labels_of(plot) == ["Fp2\n(scaled)", "C3\n(scaled)", "C4\n(scaled)"]


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
