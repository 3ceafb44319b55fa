"""Learning curves from the training log."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes

from genoseq.report.style import GREEN, MODEL, NARROW, ORANGE, WIDE, Plot, new_axes
from genoseq.report.words import METRICS, metric_label

_SMOOTHED_POINTS = 50
_LOSS_UNITS = {
    "language_model": "cross-entropy loss (nats per base)",
    "answers": "cross-entropy loss (nats per base)",
    "single_label": "cross-entropy loss (nats)",
    "multi_label": "cross-entropy loss (nats)",
}


def learning_curves(metrics: pd.DataFrame, problem: str | None) -> list[Plot]:
    """One plot a quantity, training and validation together, then the learning rate.

    Args:
        metrics: Lightning's CSV log: `step`, `train/...`, `val/...`, `lr-...`; NaN where not logged.
        problem: names the unit of the loss; None where it is unknown.
    """
    if "step" not in metrics:
        return []
    plots = [_quantity(metrics, name, problem) for name in _quantities(metrics)]
    rate = next((name for name in metrics.columns if name.startswith("lr-")), None)
    if rate is not None and len(_logged(metrics, rate)) > 1:
        # Fills its row: beside the last of the others, or alone and flat.
        plots.append(_learning_rate(_logged(metrics, rate), wide=len(plots) % 2 == 0))
    return plots


def _quantities(metrics: pd.DataFrame) -> list[str]:
    """Names after the slash that validation has, loss first, or the training loss alone."""
    found = [name.removeprefix("val/") for name in metrics.columns if name.startswith("val/")]
    if "loss" not in found and "train/loss" in metrics:
        found.append("loss")
    drawn = [
        name
        for name in found
        if max(len(_logged(metrics, f"{part}/{name}")) for part in ("train", "val")) > 1
    ]
    return sorted(
        drawn, key=lambda name: (name != "loss", list(METRICS).index(name) if name in METRICS else 99)
    )


def _logged(metrics: pd.DataFrame, column: str) -> pd.Series:
    """The column by optimiser step, without the rows that did not log it."""
    if column not in metrics:
        return pd.Series(dtype=float)
    return metrics[["step", column]].dropna().groupby("step")[column].last()


def _quantity(metrics: pd.DataFrame, name: str, problem: str | None) -> Plot:
    figure, axes = new_axes()
    train, validation = _logged(metrics, f"train/{name}"), _logged(metrics, f"val/{name}")
    if len(train):
        _draw_training(axes, train)
    caption = "As logged while training."
    if len(validation):
        higher = name in METRICS and METRICS[name].higher_is_better
        _draw_validation(axes, validation, int(validation.argmax() if higher else validation.argmin()))
        caption = "The ring marks the best value on validation."
    label = _LOSS_UNITS.get(problem or "", "loss") if name == "loss" else metric_label(name)
    axes.set_xlabel("optimiser step")
    axes.set_ylabel(label)
    axes.legend()
    title = metric_label(name)
    return Plot(f"curve_{name}", f"{title[0].upper()}{title[1:]} while learning", caption, figure)


def _draw_training(axes: Axes, values: pd.Series) -> None:
    """The logged values faint, their running mean strong."""
    if len(values) < _SMOOTHED_POINTS:
        axes.plot(values.index, values, color=MODEL.colour, label="training")
        return
    axes.plot(values.index, values, color=MODEL.colour, alpha=0.25, linewidth=0.8)
    smooth = values.rolling(len(values) // 25, center=True, min_periods=1).mean()
    axes.plot(smooth.index, smooth, color=MODEL.colour, linewidth=2, label="training (running mean)")


def _draw_validation(axes: Axes, values: pd.Series, best: int) -> None:
    """The values, with a ring around the one at position `best`."""
    axes.plot(
        values.index,
        values,
        color=ORANGE.light,
        linestyle="--",
        marker="s",
        markersize=3.5,
        label="validation",
    )
    axes.plot(
        values.index[best],
        values.iloc[best],
        "o",
        markersize=11,
        markerfacecolor="none",
        markeredgecolor=ORANGE.light,
        markeredgewidth=1.5,
    )


def _learning_rate(values: pd.Series, *, wide: bool) -> Plot:
    figure, axes = new_axes((WIDE[0], 2.6) if wide else NARROW)
    axes.plot(values.index, values, color=GREEN.light)
    axes.set_xlabel("optimiser step")
    axes.set_ylabel("learning rate")
    axes.set_ylim(bottom=0)
    axes.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3))
    caption = "What the schedule gave to the first parameter group."
    return Plot("curve_learning_rate", "Learning rate", caption, figure, wide=wide)
