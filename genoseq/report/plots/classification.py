"""Confusion, ROC, precision–recall and reliability of predicted classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from sklearn.metrics import auc, average_precision_score, precision_recall_curve, roc_curve

from genoseq.errors import DataError
from genoseq.report.style import INK, MODEL, MUTED, SQUARE, Plot, Series, new_axes, series_of

PROBABILITY = "probability_"
LABEL = "label_"
_RELIABILITY_BINS = 10
_MAX_CURVES = 6


@dataclass(frozen=True)
class Scores:
    """One line of a ROC, precision–recall or reliability plot.

    Attributes:
        name: legend entry.
        truth: (N,) bool, whether the example is of the class.
        probability: (N,) float, predicted probability of the class.
    """

    name: str
    truth: np.ndarray
    probability: np.ndarray


def classification_plots(
    model: pd.DataFrame, baselines: dict[str, pd.DataFrame], model_name: str
) -> list[Plot]:
    """All four plots: with two classes the baselines too; with more, curves of the commonest classes.

    Args:
        model: one row an example: `label, prediction, probability_<class>...`; with several labels,
            `label_<class>` of 0 or 1 in place of the first two, and no confusion matrix.
        baselines: name to the same table.
        model_name: what the legend calls the model.
    """
    classes = class_names(model)
    curves = _curves(model, baselines, model_name, classes)
    plots = [_roc(curves), _precision_recall(curves), _reliability(curves)]
    return plots if _is_multi_label(model, classes) else [_confusion(model, classes), *plots]


def class_names(table: pd.DataFrame) -> list[str]:
    """Classes in the order of their probability columns."""
    return [name.removeprefix(PROBABILITY) for name in table.columns if name.startswith(PROBABILITY)]


def _curves(
    model: pd.DataFrame, baselines: dict[str, pd.DataFrame], model_name: str, classes: list[str]
) -> list[Scores]:
    if _is_multi_label(model, classes):
        common = model[[f"{LABEL}{name}" for name in classes]].sum().sort_values(ascending=False)
        drawn = [name.removeprefix(LABEL) for name in common.index[:_MAX_CURVES]]
        return [_scores(name, model, name, model[f"{LABEL}{name}"] == 1) for name in drawn]
    if len(classes) == 2:
        tables = {model_name: model} | {
            name: table for name, table in baselines.items() if class_names(table)
        }
        return [
            _scores(name, table, classes[1], _labels(table) == classes[1]) for name, table in tables.items()
        ]
    drawn = _labels(model).value_counts().index[:_MAX_CURVES].tolist()
    return [_scores(name, model, name, _labels(model) == name) for name in drawn]


def _is_multi_label(table: pd.DataFrame, classes: list[str]) -> bool:
    return all(f"{LABEL}{name}" in table for name in classes)


def _scores(name: str, table: pd.DataFrame, positive: str, truth: pd.Series) -> Scores:
    return Scores(name, truth.to_numpy(), table[PROBABILITY + positive].to_numpy(dtype=float))


def _labels(table: pd.DataFrame) -> pd.Series:
    """The labels as text, each checked to be one of the classes."""
    labels, classes = table["label"].astype(str), class_names(table)
    unknown = sorted(set(labels) - set(classes))
    if unknown:
        raise DataError(
            f"report: the predictions hold the label {unknown[0]!r}, but probabilities of {classes} only. "
            f"Write one {PROBABILITY}<class> column for each class."
        )
    return labels


def _confusion(table: pd.DataFrame, classes: list[str]) -> Plot:
    truth, predicted = _labels(table), table["prediction"].astype(str)
    counts = pd.crosstab(truth, predicted).reindex(index=classes, columns=classes, fill_value=0).to_numpy()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure, axes = new_axes(SQUARE)
    for (row, column), share in np.ndenumerate(shares):
        # Strength is opacity, not lightness, so that the same drawing reads on light and on dark paper.
        axes.add_patch(
            Rectangle((column, row), 1, 1, facecolor=MODEL.colour, alpha=0.06 + 0.42 * share, linewidth=0)
        )
        if len(classes) <= 8:
            words = f"{counts[row, column]:,}\n{share:.1%}"
            axes.text(
                column + 0.5, row + 0.5, words, ha="center", va="center", color=INK.light, linespacing=1.4
            )
    places = np.arange(len(classes)) + 0.5
    axes.set(xlim=(0, len(classes)), ylim=(len(classes), 0), xlabel="predicted class", ylabel="true class")
    axes.set_xticks(places, classes, rotation=0 if len(classes) <= 4 else 60)
    axes.set_yticks(places, classes)
    axes.grid(visible=False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    what = "channels" if "channel" in table else "examples"
    caption = f"Number of {what}, and their share of the true class: the diagonal is right."
    return Plot("confusion_matrix", "Confusion matrix", caption, figure)


def _roc(curves: list[Scores]) -> Plot:
    def draw(axes: Axes, curve: Scores, style: Series) -> None:
        false_positive, true_positive, _ = roc_curve(curve.truth, curve.probability)
        label = f"{curve.name} ({auc(false_positive, true_positive):.3f})"
        axes.plot(false_positive, true_positive, color=style.colour, linestyle=style.line, label=label)

    caption = (
        "Found positives against false alarms at every threshold; the area under each curve in brackets."
    )
    plot, axes = _unit_square("roc", "ROC curve", caption, curves, draw, legend="lower right")
    axes.set(xlabel="false positive rate", ylabel="true positive rate")
    return plot


def _precision_recall(curves: list[Scores]) -> Plot:
    def draw(axes: Axes, curve: Scores, style: Series) -> None:
        precision, recall, _ = precision_recall_curve(curve.truth, curve.probability)
        label = f"{curve.name} ({average_precision_score(curve.truth, curve.probability):.3f})"
        axes.step(recall, precision, where="post", color=style.colour, linestyle=style.line, label=label)

    caption = "How many calls are right against how many positives are found; average precision in brackets."
    plot, axes = _unit_square(
        "precision_recall", "Precision and recall", caption, curves, draw, legend="lower left", diagonal=False
    )
    axes.set(xlabel="recall", ylabel="precision")
    return plot


def _reliability(curves: list[Scores]) -> Plot:
    def draw(axes: Axes, curve: Scores, style: Series) -> None:
        table = pd.DataFrame({"said": curve.probability, "came": curve.truth.astype(float)})
        # Bins of equal size: each dot rests on as many examples as the next.
        bins = pd.qcut(table["said"].rank(method="first"), min(_RELIABILITY_BINS, len(table)), labels=False)
        means = table.groupby(bins).mean()
        error = float((means["said"] - means["came"]).abs().mean())
        axes.plot(
            means["said"],
            means["came"],
            color=style.colour,
            linestyle=style.line,
            marker=style.marker,
            markersize=4.5,
            label=f"{curve.name} ({error:.3f})",
        )

    caption = (
        "On the diagonal, what was called 80 % likely came true 80 % of the time. Ten bins of equal size; "
        "the mean distance to the diagonal in brackets."
    )
    plot, axes = _unit_square("reliability", "Reliability", caption, curves, draw, legend="lower right")
    axes.set(xlabel="predicted probability", ylabel="observed frequency")
    return plot


def _unit_square(
    name: str,
    title: str,
    caption: str,
    curves: list[Scores],
    draw: Callable[[Axes, Scores, Series], None],
    *,
    legend: Literal["lower right", "lower left"],
    diagonal: bool = True,
) -> tuple[Plot, Axes]:
    """Axes from 0 to 1 with each curve that has both positives and negatives, the first one strongest."""
    figure, axes = new_axes(SQUARE)
    if diagonal:
        axes.plot([0, 1], [0, 1], color=MUTED.light, linewidth=1, linestyle=(0, (2, 3)))
    drawable = [curve for curve in curves if 0 < curve.truth.sum() < len(curve.truth)]
    styles = series_of([curve.name for curve in curves[1:]]) | {curves[0].name: MODEL}
    for curve in reversed(drawable):
        draw(axes, curve, styles[curve.name])
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    if drawable:
        axes.legend(loc=legend, reverse=True)
    return Plot(name, title, caption, figure), axes
