"""Recordings: spectra, maps of the scalp, and what was made of hidden samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.signal import welch

from genoseq.data.channel_scaler import ChannelScaler
from genoseq.data.recordings.channels import positions
from genoseq.data.recordings.extra import mne
from genoseq.errors import DataError
from genoseq.report.style import INK, MODEL, MUTED, WIDE, Plot, new_axes, series_of

_SHOWN_WINDOWS, _SHOWN_CHANNELS = 2, 3
BANDS = {"delta": (1, 4), "theta": (4, 8), "alpha": (8, 13), "beta": (13, 30), "gamma": (30, 45)}
"""Bands of the EEG, from and up to so many Hz."""


def spectrum_plot(signals: Mapping[str, np.ndarray], rate: float, *, units: str = "µV") -> Plot:
    """Power by frequency, the median over channels and the quarter of them on either side.

    Args:
        signals: a name and (C, T) samples of each line, such as each class.
        rate: samples a second.
        units: of the samples.
    """
    figure, axes = new_axes()
    names = list(signals)
    styles = {names[0]: MODEL, **series_of(names[1:])}
    for name, values in signals.items():
        style = styles[name]
        hertz, power = welch(values, rate, nperseg=min(values.shape[-1], round(2 * rate)))
        low, middle, high = np.quantile(10 * np.log10(power + 1e-12), [0.25, 0.5, 0.75], axis=0)
        axes.plot(hertz, middle, color=style.colour, linestyle=style.line, label=name)
        axes.fill_between(hertz, low, high, color=style.colour, alpha=0.15, linewidth=0)
    axes.set(xlabel="Hz", ylabel=f"dB of {units}²/Hz")
    axes.legend()
    caption = "Lines are medians over channels, bands the middle half of them."
    return Plot("spectrum", "Power by frequency", caption, figure)


def band_power(signal: np.ndarray, rate: float) -> dict[str, np.ndarray]:
    """(C,) power in dB of each band of `BANDS` that the rate holds.

    Args:
        signal: (C, T), in µV.
        rate: samples a second.
    """
    hertz, power = welch(signal, rate, nperseg=min(signal.shape[-1], round(2 * rate)))
    return {
        name: 10 * np.log10(power[:, (hertz >= low) & (hertz < high)].mean(axis=1) + 1e-12)
        for name, (low, high) in BANDS.items()
        if ((hertz >= low) & (hertz < high)).any()
    }


def scalp_plot(maps: Mapping[str, np.ndarray], channels: Sequence[str], *, label: str) -> Plot:
    """Maps of the scalp, seen from above, nose up: band power, or what a model went by.

    Args:
        maps: a name and (C,) values of each map.
        channels: names of the C values; those that have no place, such as differences, are left out.
        label: what the values are.

    Raises:
        DataError: fewer than four channels have a place.
    """
    places = positions(channels)
    rows = [row for row, name in enumerate(channels) if name in places]
    if len(rows) < 4:
        raise DataError(
            f"a map of the scalp wants four channels with a place on it; of {', '.join(channels)} "
            f"{len(rows)} have one."
        )
    info = mne().create_info([channels[row] for row in rows], 1.0, "eeg")
    montage = mne().channels.make_dig_montage(
        {channels[row]: places[channels[row]] for row in rows}, coord_frame="head"
    )
    info.set_montage(montage, verbose="ERROR")
    figure = Figure(figsize=(2.6 * len(maps) + 0.8, 2.9), layout="constrained")
    panels = figure.subplots(1, len(maps), squeeze=False)[0]
    chosen = {name: np.asarray(values, dtype=np.float64)[rows] for name, values in maps.items()}
    bounds = (min(map(np.min, chosen.values())), max(map(np.max, chosen.values())))
    for panel, (name, values) in zip(panels, chosen.items(), strict=True):
        image, _ = mne().viz.plot_topomap(
            values, info, axes=panel, show=False, cmap="viridis", vlim=bounds, contours=4
        )
        panel.set_title(name, color=INK.light)
    figure.colorbar(image, ax=list(panels), shrink=0.7, label=label)
    caption = f"Seen from above, the nose up; drawn smoothly between the {len(rows)} electrodes, the dots."
    return Plot("scalp", "Over the scalp", caption, figure, wide=len(maps) > 2)


def embedding_plot(table: pd.DataFrame) -> Plot:
    """Windows by the two directions in which their embeddings differ most, coloured by what they are.

    Args:
        table: predictions with `label`, some rows with an `embedding` (D,).
    """
    shown = table.dropna(subset="embedding")
    vectors = np.array(shown["embedding"].tolist(), dtype=np.float64)
    centred = vectors - vectors.mean(axis=0)
    left, size, _ = np.linalg.svd(centred, full_matrices=False)
    places, shares = left[:, :2] * size[:2], size**2 / max(float((size**2).sum()), 1e-30)
    figure, axes = new_axes()
    names = sorted(shown["label"].astype(str).unique())
    styles = {names[0]: MODEL, **series_of(names[1:])}
    for name in names:
        of_name = shown["label"].astype(str).eq(name).to_numpy()
        style = styles[name]
        axes.scatter(
            places[of_name, 0], places[of_name, 1], s=9, alpha=0.7, color=style.colour, lw=0, label=name
        )
    axes.set(xlabel=f"first component, {shares[0]:.0%}", ylabel=f"second component, {shares[1]:.0%}")
    axes.legend()
    caption = f"{len(shown)} of the split; the share of their variance that each component holds is given."
    return Plot("embeddings", "What the model sees in common", caption, figure)


def reconstruction_plot(table: pd.DataFrame, known: Mapping[str, Any]) -> Plot:
    """Windows with their hidden stretches, and what the model made of them.

    Args:
        table: predictions of masked pretraining, some rows with `signal`, `reconstruction` and `hidden`,
            maybe `recording`, its number.
        known: the model's `preprocessing`: `channels`, `sampling_rate`, and `units` with the `scaler` that
            leads back to them. What it lacks is drawn as the model saw it, channels and samples by number.
    """
    shown = table.dropna(subset="signal")
    rows = shown.iloc[np.linspace(0, len(shown) - 1, min(_SHOWN_WINDOWS, len(shown))).round().astype(int)]
    num_channels = min(_SHOWN_CHANNELS, len(rows.iloc[0]["signal"]))
    figure = Figure(figsize=(WIDE[0], 0.6 + 1.25 * num_channels), layout="constrained")
    panels = figure.subplots(num_channels, len(rows), sharex=True, squeeze=False)
    for column, (_, row) in enumerate(rows.iterrows()):
        _reconstructed(list(panels[:, column]), row, known)
        if "recording" in row:
            panels[0, column].set_title(f"recording {row['recording']}", loc="left", fontsize=9)
        panels[-1, column].set_xlabel("time (s)" if known.get("sampling_rate") else "sample")
    figure.align_ylabels()
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=len(handles))
    caption = "Windows of the test split: channels that most was hidden of. Shaded stretches were hidden."
    return Plot("reconstruction", "What was made of hidden samples", caption, figure, wide=True)


def _reconstructed(panels: Sequence[Axes], row: pd.Series, known: Mapping[str, Any]) -> None:
    """One window: those of its channels, in their order, that most was hidden of."""
    signal, made, hidden = (np.stack(row[name]) for name in ("signal", "reconstruction", "hidden"))
    scaler, units = known.get("scaler"), known.get("units")
    if scaler is None or units is None:
        units = "scaled"
    else:
        signal, made = (ChannelScaler.from_json(scaler).inverse(values.T).T for values in (signal, made))
    names = known.get("channels") or [f"channel {number + 1}" for number in range(len(signal))]
    time = np.arange(signal.shape[1]) / (known.get("sampling_rate") or 1)
    most = np.sort(np.argsort(-hidden.sum(axis=1), kind="stable")[: len(panels)])
    for panel, channel in zip(panels, most, strict=True):
        mask = hidden[channel].astype(bool)
        panel.plot(time, signal[channel], color=MUTED.light, linewidth=0.9, label="recorded")
        panel.plot(time, np.where(mask, made[channel], np.nan), color=MODEL.colour, label="reconstructed")
        panel.fill_between(
            time, 0, 1, where=mask, transform=panel.get_xaxis_transform(), color=MUTED.light, alpha=0.12, lw=0
        )
        panel.margins(x=0)
        # On two lines: a long name beside its units would be longer than a panel is high.
        panel.set_ylabel(f"{names[channel]}\n({units})")
