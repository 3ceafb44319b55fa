"""All plots of a run, each from the files that are there."""

from __future__ import annotations

import matplotlib
import pandas as pd

from genoseq.report.folder import RunFolder
from genoseq.report.plots.abilities import accuracy_by_length
from genoseq.report.plots.classification import class_names, classification_plots
from genoseq.report.plots.comparison import difference_plot
from genoseq.report.plots.composition import composition_plots
from genoseq.report.plots.curves import learning_curves
from genoseq.report.plots.forecasting import forecast_plots
from genoseq.report.plots.language_model import bits_along
from genoseq.report.plots.recordings import embedding_plot, reconstruction_plot
from genoseq.report.plots.regression import regression_plot, traces_plot
from genoseq.report.style import MATPLOTLIB, Plot

__all__ = ["plots_of"]


def plots_of(run: RunFolder) -> dict[str, list[Plot]]:
    """`comparison`, `predictions`, `composition` and `curves`, each with its plots, maybe none."""
    with matplotlib.rc_context(MATPLOTLIB):
        return {
            "comparison": _comparison(run),
            "predictions": _predictions(run),
            "composition": _composition(run),
            "curves": _curves(run),
        }


def _comparison(run: RunFolder) -> list[Plot]:
    plot = difference_plot(run.results) if run.results else None
    return [plot] if plot else []


def _curves(run: RunFolder) -> list[Plot]:
    if run.metrics is None:
        return []
    return learning_curves(run.metrics, run.results.problem if run.results else None)


def _composition(run: RunFolder) -> list[Plot]:
    return composition_plots(run.generated, run.reference) if run.generated and run.reference else []


def _predictions(run: RunFolder) -> list[Plot]:
    """Answers by length; else what the table allows: forecasts, tiles of bits, class probabilities, or plain
    numbers."""
    if run.results and run.results.by_length:
        return [accuracy_by_length({run.model_name: run.results.by_length}, trained_at=run.trained_at)]
    table = run.predictions
    if table is None or table.empty:
        return []
    if "reconstruction" in table:
        return [reconstruction_plot(table, run.preprocessing)]
    if "forecast" in table:
        return forecast_plots(table, run.units)
    if {"bits", "chromosome"} <= set(table.columns):
        return bits_along(table, run.baseline_predictions, run.model_name)
    if class_names(table):
        embedded = [embedding_plot(table)] if _num_embedded(table) > 2 else []
        return classification_plots(table, run.baseline_predictions, run.model_name) + embedded
    values = [name for name in map(str, table.columns) if name.startswith(("label", "prediction"))]
    if not values or not table[values].dtypes.map(_numeric).all():
        return []
    along = [traces_plot(table)] if "position" in table else []
    return along + ([regression_plot(table)] if "label" in table else [])


def _num_embedded(table: pd.DataFrame) -> int:
    return int(table["embedding"].notna().sum()) if "embedding" in table else 0


def _numeric(dtype: object) -> bool:
    return getattr(dtype, "kind", "O") in "fiu"
