"""How well people are classified, who give many windows: by window (or channel), by recording, by subject."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from genoseq.statistics import balanced_accuracy, group_bootstrap, mean_auroc, permutation_p_value

# The column that says the unit of each row; a row is its own.
_UNITS = {"recording": "recording", "subject": "group"}


def by_unit(table: pd.DataFrame, *, resamples: int = 1000, seed: int = 0) -> list[dict[str, Any]]:
    """Balanced accuracy and AUROC of windows, recordings and subjects, with intervals and p-values.

    The probabilities of a recording, or a subject, are the means over its windows; it is judged where all of
    them have one label. Intervals resample subjects whole, and p-values exchange labels between subjects (or
    within, where a subject has several): see `group_bootstrap`, `permutation_p_value`.

    Where rows are channels of windows, a channel takes the place of a window. Those of one window keep their
    labels together where labels are exchanged.

    Args:
        table: predictions with `label`, `probability_<class>`, `recording` and `group`, the subject; of all
            folds where there are several; `channel` and `index`, the number of the window, where a row is a
            channel.
        resamples: of each interval and each p-value.
        seed: of them.

    Returns:
        A row a unit: `unit`, `n`, `num_subjects`, and for `balanced_accuracy` and `auroc` an estimate each
        with its interval (None where there is none) and `p_value`.
    """
    rows = []
    first = "channel" if "channel" in table else "window"
    pooled = {unit: _pooled(table, column) for unit, column in _UNITS.items()}
    for unit, units in ({first: table} | pooled).items():
        if units is None:
            continue
        probabilities, labels = _arrays(units)
        groups = units["group"].to_numpy()
        row = {"unit": unit, "n": len(units), "num_subjects": len(set(groups))}
        for metric, function in (("balanced_accuracy", _accuracy), ("auroc", mean_auroc)):
            judge = partial(_judge, function, probabilities, labels)
            estimate = group_bootstrap(judge, groups, resamples=resamples, seed=seed, unit="subject")
            p_value = permutation_p_value(
                partial(_judge_labels, function, probabilities),
                labels,
                groups,
                units=units.groupby(["recording", "index"]).ngroup() if unit == "channel" else None,
                resamples=resamples,
                seed=seed,
            )
            values = {**dataclasses.asdict(estimate), "p_value": p_value}
            row[metric] = {
                key: None if isinstance(value, float) and not np.isfinite(value) else value
                for key, value in values.items()
            }
        rows.append(row)
    return rows


def _pooled(table: pd.DataFrame, column: str) -> pd.DataFrame | None:
    """A row a unit; None where one has windows of several labels."""
    units = table.groupby(column)
    if (units["label"].nunique() > 1).any():
        return None
    names = [name for name in map(str, table.columns) if name.startswith("probability_")]
    pooled = units[names].mean()
    return pooled.assign(label=units["label"].first(), group=units["group"].first())


def _arrays(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    columns = [name for name in map(str, table.columns) if name.startswith("probability_")]
    names = [name.removeprefix("probability_") for name in columns]
    code = {name: number for number, name in enumerate(names)}
    labels = np.array([code[str(label)] for label in table["label"]])
    return table[columns].to_numpy(dtype=np.float64), labels


def _accuracy(labels: np.ndarray, probabilities: np.ndarray) -> float:
    return balanced_accuracy(labels, probabilities.argmax(axis=1))


def _judge_labels(function: Any, probabilities: np.ndarray, labels: np.ndarray) -> float:
    return function(labels, probabilities)


def _judge(function: Any, probabilities: np.ndarray, labels: np.ndarray, rows: np.ndarray) -> float:
    return function(labels[rows], probabilities[rows])
