"""Predicted against true values."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.stats import pearsonr, spearmanr

from genoseq.report.style import INK, MODEL, MUTED, SQUARE, WIDE, Plot, new_axes

_MAX_POINTS = 4000
_MAX_TRACES, _TRACE_STEPS = 6, 300


def regression_plot(table: pd.DataFrame) -> Plot:
    """Scatter of `prediction` against `label`, with the line of perfect prediction.

    Args:
        table: one row an example: `label, prediction`, both numbers.
    """
    figure, axes = new_axes(SQUARE)
    table = table[["label", "prediction"]].dropna()
    shown = table.sample(_MAX_POINTS, random_state=0) if len(table) > _MAX_POINTS else table
    alpha = float(np.clip(400 / max(len(shown), 1), 0.15, 0.8))
    axes.scatter(shown["label"], shown["prediction"], s=12, color=MODEL.colour, alpha=alpha, linewidths=0)
    low, high = table.to_numpy().min(), table.to_numpy().max()
    axes.plot([low, high], [low, high], color=MUTED.light, linestyle=(0, (2, 3)), linewidth=1)
    axes.set(xlabel="true value", ylabel="predicted value")
    caption = "One dot an example; on the dotted line the prediction is exact."
    if len(shown) < len(table):
        caption += f" {len(shown):,} of {len(table):,} are shown, drawn at random."
    if len(table) > 2 and table.nunique().min() > 1:
        pearson, spearman = (
            pearsonr(table["label"], table["prediction"])[0],
            spearmanr(table["label"], table["prediction"])[0],
        )
        caption += f" Pearson {pearson:.3f}, Spearman {spearman:.3f} over all {len(table):,}."
    return Plot("regression_scatter", "Predicted against true values", caption, figure)


def traces_plot(table: pd.DataFrame) -> Plot:
    """Values along the first sequences, as they were and as they were predicted.

    Args:
        table: one row a prediction: `index` of its sequence, `position` in it, and `label` and `prediction`,
            or `label_<name>` and `prediction_<name>` of several outputs.
    """
    shown = table.sort_values(["index", "position"], kind="stable").head(_TRACE_STEPS)
    ends = [name.removeprefix("label") for name in map(str, table.columns) if name.startswith("label")]
    ends = ends[:_MAX_TRACES]
    figure = Figure(figsize=(WIDE[0], 0.8 + 1.2 * len(ends)), layout="constrained")
    panels = figure.subplots(len(ends), 1, sharex=True, squeeze=False)[:, 0]
    steps = np.arange(len(shown))
    begins = np.flatnonzero(shown["index"].diff().fillna(0).to_numpy())
    for panel, end in zip(panels, ends, strict=True):
        panel.plot(steps, shown[f"label{end}"], color=INK.light, linewidth=1, label="true")
        panel.plot(steps, shown[f"prediction{end}"], color=MODEL.colour, label="predicted")
        for begin in begins:
            panel.axvline(begin - 0.5, color=MUTED.light, linewidth=0.8, linestyle=(0, (2, 3)))
        panel.set_ylabel(end.removeprefix("_") or "value")
    panels[-1].set_xlabel("prediction")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper right", ncols=2)
    caption = f"The first {len(shown):,} predictions of the split, scaled; dotted lines part the sequences."
    return Plot("traces", "True and predicted values along sequences", caption, figure, wide=True)
