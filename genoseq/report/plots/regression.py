"""Predicted against true values."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import pearsonr, spearmanr

from genoseq.report.style import MODEL, MUTED, SQUARE, Plot, new_axes

_MAX_POINTS = 4000


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
