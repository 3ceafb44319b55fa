"""Plots of forecasts: what is drawn, and that spectra are spectra."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from genoseq.report.plots.forecasting import forecast_plots, mean_spectrum

STEPS = 48


def rows(*, interval: bool) -> pd.DataFrame:
    wave = np.sin(2 * np.pi * np.arange(3 * STEPS) / 24)
    part = {"a": wave[:STEPS].tolist(), "b": (3 * wave[STEPS : 2 * STEPS]).tolist()}
    row = {
        "index": 0,
        "history": part,
        "target": part,
        "forecast": part,
        "origin": pd.Timestamp("2024-01-01"),
    }
    if interval:
        row |= {
            name: {key: (np.array(v) + by).tolist() for key, v in part.items()}
            for name, by in (("low", -1), ("high", 1))
        }
    return pd.DataFrame([row, {"index": 1, "history": None, "target": None, "forecast": None}])


@pytest.mark.parametrize("interval", [False, True])
def test_windows_are_drawn_with_units_and_bands(interval: bool, tmp_path: Path) -> None:
    windows, spectra = forecast_plots(rows(interval=interval), {"a": "kW"})
    assert [axes.get_ylabel() for axes in windows.figure.axes] == ["a (kW)", "b"]
    assert [len(axes.collections) for axes in windows.figure.axes] == [int(interval)] * 2
    history, target, *_ = windows.figure.axes[0].lines
    assert history.get_xdata()[-1] == -1
    assert target.get_xdata()[0] == 0
    for plot in (windows, spectra):
        assert plot.save_png(tmp_path).stat().st_size > 1000


def test_without_windows_there_is_no_plot() -> None:
    assert forecast_plots(rows(interval=False).iloc[1:], {}) == []


def test_the_spectrum_of_a_sine_is_a_line() -> None:
    steps = np.arange(96)
    frequency, power = mean_spectrum([5 + np.sin(2 * np.pi * (steps + phase) / 24) for phase in (0, 7)])
    assert frequency[power.argmax()] == pytest.approx(1 / 24)
    assert power.max() / power.sum() > 0.99
    assert power[0] == pytest.approx(0, abs=1e-12), "the mean is taken out"


def test_what_was_not_observed_adds_no_power() -> None:
    wave = np.sin(2 * np.pi * np.arange(96) / 24)
    holes = wave.copy()
    holes[::2] = np.nan
    assert np.isfinite(mean_spectrum([holes])[1]).all()
