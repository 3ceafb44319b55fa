"""Forecasts beside what came, and their spectra."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.signal import periodogram

from genoseq.report.style import INK, MODEL, MUTED, WIDE, Plot

_MAX_CHANNELS = 8
_WINDOWS = 2
_HISTORY_AS_LONG_AS = 2  # horizons
_BAND = 0.22


def forecast_plots(table: pd.DataFrame, units: Mapping[str, str]) -> list[Plot]:
    """Windows with their forecasts, and the mean spectra of forecasts and of what came.

    Args:
        table: of predictions; those windows are shown that have `history`, `target`, `forecast` and maybe
            `low` and `high`, each a mapping from channel to values.
        units: of channels, where they are known.
    """
    shown = table[table["forecast"].notna()]
    if shown.empty:
        return []
    return [_windows(shown, units), _spectra(shown)]


def _windows(shown: pd.DataFrame, units: Mapping[str, str]) -> Plot:
    rows = shown.iloc[np.linspace(0, len(shown) - 1, min(_WINDOWS, len(shown))).round().astype(int)]
    channels = _channels(rows)
    figure = Figure(figsize=(WIDE[0], 0.6 + 1.25 * len(channels)), layout="constrained")
    grid = figure.subplots(len(channels), len(rows), squeeze=False, sharex=True)
    for place, (_, row) in enumerate(rows.iterrows()):
        for axes, channel in zip(grid[:, place], channels, strict=True):
            _window(axes, row, channel)
            if place == 0:
                unit = units.get(channel)
                axes.set_ylabel(channel if unit is None else f"{channel} ({unit})")
        grid[0, place].set_title(_title(row), loc="left", fontsize=9)
        grid[-1, place].set_xlabel("steps from the forecast on")
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=len(handles))
    caption = "The history that was seen, the forecast, and what came."
    if "low" in rows:
        caption += " The band is the forecast's own central interval."
    return Plot("forecasts", "Forecasts beside what came", caption, figure, wide=True)


def _window(axes: Axes, row: pd.Series, channel: str) -> None:
    history, target, forecast = (np.asarray(row[name][channel]) for name in ("history", "target", "forecast"))
    kept = history[-_HISTORY_AS_LONG_AS * len(forecast) :]
    ahead = np.arange(len(forecast))
    if "low" in row and row["low"] is not None:
        low, high = (np.asarray(row[name][channel]) for name in ("low", "high"))
        axes.fill_between(ahead, low, high, color=MODEL.colour, alpha=_BAND, linewidth=0, label="interval")
    axes.plot(np.arange(-len(kept), 0), kept, color=MUTED.light, linewidth=1, label="history")
    axes.plot(ahead, target, color=INK.light, linewidth=1, label="what came")
    axes.plot(ahead, forecast, color=MODEL.colour, label="forecast")
    axes.axvline(-0.5, color=MUTED.light, linewidth=0.8, linestyle=(0, (2, 3)))


def _spectra(shown: pd.DataFrame) -> Plot:
    channels = _channels(shown)
    columns = min(4, len(channels))
    rows = -(-len(channels) // columns)
    figure = Figure(figsize=(WIDE[0], 0.6 + 1.7 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True)
    for axes, channel in zip(grid.flat[: len(channels)], channels, strict=True):
        for name, colour, words in (
            ("target", INK.light, "what came"),
            ("forecast", MODEL.colour, "forecast"),
        ):
            frequency, power = mean_spectrum([row[channel] for row in shown[name]])
            axes.semilogy(frequency[1:], power[1:], color=colour, label=words, linewidth=1.2)
        axes.set_title(channel, loc="left", fontsize=9)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.minorticks_off()
    for axes in grid.flat[len(channels) :]:
        axes.set_visible(False)
    for axes in grid[-1]:
        axes.set_xlabel("cycles a step")
    for axes in grid[:, 0]:
        axes.set_ylabel("power")
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=2)
    caption = (
        f"Mean periodograms of {len(shown)} windows of the horizon. Where the forecast has less power than "
        "what came, it smooths over changes of that pace."
    )
    return Plot("forecast_spectra", "Spectra of forecasts and of what came", caption, figure, wide=True)


def mean_spectrum(windows: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
    """Cycles a step (F,) and the mean power (F,) of windows of one length, their means taken out.

    What was not observed counts as the window's mean.
    """
    values = np.array([np.asarray(window, dtype=np.float64) for window in windows])
    there = ~np.isnan(values)
    mean = np.where(there, values, 0.0).sum(axis=1, keepdims=True) / np.maximum(
        there.sum(axis=1, keepdims=True), 1
    )
    frequency, power = periodogram(np.where(there, values - mean, 0.0), detrend=False, axis=1)
    return frequency, power.mean(axis=0)


def _channels(rows: pd.DataFrame) -> list[str]:
    return list(rows["forecast"].iloc[0])[:_MAX_CHANNELS]


def _title(row: pd.Series) -> str:
    return "" if "origin" not in row else f"from {row['origin']}"
