"""Metrics of many resamples of the same examples at once: what a bootstrap over seeds and examples needs.

A resample is a row of weights: how often each example was drawn. Every contender of a task is measured on the
same rows, so that differences are paired.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from genoseq.errors import require_choice
from genoseq.statistics import Estimate

METRICS = ("accuracy", "mcc", "f1", "auroc", "auprc", "mse", "pearson", "spearman")
LOWER_IS_BETTER = ("mse",)
_AT_ONCE = 4_000_000  # weights in memory


@dataclass(frozen=True)
class Scored:
    """What one model said of all examples.

    Attributes:
        labels: (N,) numbers of classes, or (N, C) zeros and ones or values.
        outputs: (N, C) probabilities, or values.
    """

    labels: np.ndarray
    outputs: np.ndarray


def draw_weights(num_examples: int, *, resamples: int, seed: int) -> np.ndarray:
    """(resamples, N) float32: how often each example is drawn; the first row is the examples themselves."""
    generator = np.random.default_rng(seed)
    drawn = generator.integers(num_examples, size=(resamples, num_examples))
    weights = np.zeros((resamples + 1, num_examples), dtype=np.float32)
    rows = np.repeat(np.arange(1, resamples + 1), num_examples)
    np.add.at(weights, (rows, drawn.ravel()), 1)
    weights[0] = 1
    return weights


def resampled(metric: str, problem: str, scored: Scored, weights: np.ndarray) -> np.ndarray:
    """A metric of each resample, as `problem_metrics` defines it.

    Args:
        metric: one of `METRICS`.
        problem: `single_label`, `multi_label` or `regression`.
        scored: labels and outputs of N examples.
        weights: (R, N), see `draw_weights`.

    Returns:
        (R,) float64; NaN where the metric has no value, as the area under a curve of one class.

    Raises:
        ConfigError: there is no such metric.
    """
    require_choice("metric", metric, METRICS)
    rows = max(1, _AT_ONCE // max(1, weights.shape[1]))
    parts = [weights[start : start + rows] for start in range(0, len(weights), rows)]
    return np.concatenate([_of_part(metric, problem, scored, part.astype(np.float64)) for part in parts])


def interval_over_seeds(
    samples: np.ndarray, *, seed: int, level: float = 0.95, unit: str = "seed and example"
) -> tuple[Estimate, np.ndarray]:
    """The mean over seeds, with a percentile interval over seeds and examples resampled together.

    Args:
        samples: (R, S), row 0 of the examples themselves, the others of resamples; a column a seed.
        seed: of the draw of seeds.
        level: coverage.
        unit: in the estimate.

    Returns:
        The estimate, and the (R - 1,) resampled means behind it; those of two contenders on the same weights
        may be subtracted.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapters 8 and 13.
    """
    count = samples.shape[1]
    generator = np.random.default_rng([seed, count])
    chosen = generator.integers(count, size=(len(samples) - 1, count))
    means = np.take_along_axis(samples[1:], chosen, axis=1).mean(axis=1)
    return _estimate(float(samples[0].mean()), means, count, level, unit), means


def difference(
    mean: float,
    first: np.ndarray,
    second: np.ndarray,
    *,
    n: int,
    level: float = 0.95,
    unit: str = "seed and example",
) -> Estimate:
    """That of two contenders, from the resampled means of both on the same weights."""
    return _estimate(mean, first - second, n, level, unit)


def _estimate(mean: float, values: np.ndarray, n: int, level: float, unit: str) -> Estimate:
    if not np.isfinite(values).any():
        return Estimate(mean, float("nan"), float("nan"), n, unit)
    low, high = np.nanquantile(values, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(mean, float(low), float(high), n, unit)


def _of_part(metric: str, problem: str, scored: Scored, weights: np.ndarray) -> np.ndarray:
    labels, outputs = scored.labels, scored.outputs.astype(np.float64)
    if problem == "single_label":
        return _of_classes(metric, labels, outputs, weights)
    labels = labels.reshape(outputs.shape).astype(np.float64)
    columns = zip(labels.T, outputs.T, strict=True)
    if problem == "multi_label" and metric in ("accuracy", "mcc", "f1"):
        tables = [_confusion(y.astype(int), (p > 0.5).astype(int), 2, weights) for y, p in columns]
        if metric == "mcc":  # of all answers together, as torchmetrics has it
            return _mcc(np.sum(tables, axis=0))
        return np.mean([_OF_CONFUSION[metric](table) for table in tables], axis=0)
    function = _OF_SCORES[metric]
    return np.mean([function(y, p, weights) for y, p in columns], axis=0)


def _of_classes(metric: str, labels: np.ndarray, outputs: np.ndarray, weights: np.ndarray) -> np.ndarray:
    count = outputs.shape[1]
    if metric in _OF_CONFUSION:
        return _OF_CONFUSION[metric](_confusion(labels, outputs.argmax(axis=1), count, weights))
    function = _OF_SCORES[metric]
    wanted = [1] if count == 2 else range(count)
    return np.mean(
        [function((labels == c).astype(np.float64), outputs[:, c], weights) for c in wanted], axis=0
    )


def _confusion(labels: np.ndarray, given: np.ndarray, count: int, weights: np.ndarray) -> np.ndarray:
    """(R, C, C): weight of the examples of each label that were given each class."""
    cell = np.zeros((len(labels), count * count))
    cell[np.arange(len(labels)), labels * count + given] = 1
    return (weights @ cell).reshape(-1, count, count)


def _accuracy(table: np.ndarray) -> np.ndarray:
    return np.trace(table, axis1=1, axis2=2) / table.sum(axis=(1, 2))


def _mcc(table: np.ndarray) -> np.ndarray:
    """Of any number of classes; 0 where a row or column holds everything. Source: Gorodkin 2004, eq. 8."""
    total = table.sum(axis=(1, 2))
    right = np.trace(table, axis1=1, axis2=2)
    truth, given = table.sum(axis=2), table.sum(axis=1)
    above = right * total - (truth * given).sum(axis=1)
    below = np.sqrt((total**2 - (given**2).sum(axis=1)) * (total**2 - (truth**2).sum(axis=1)))
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)


def _f1(table: np.ndarray) -> np.ndarray:
    """Of the class 1 where there are two, else the mean over the classes that are there."""
    hits = np.diagonal(table, axis1=1, axis2=2)
    sums = table.sum(axis=1) + table.sum(axis=2)
    each = np.divide(2 * hits, sums, out=np.zeros_like(hits), where=sums > 0)
    if table.shape[1] == 2:
        return each[:, 1]
    return each.sum(axis=1) / np.maximum((sums > 0).sum(axis=1), 1)


def _groups(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The order of rising values, and where in it each run of equal values begins."""
    order = np.argsort(values, kind="stable")
    ranked = values[order]
    starts = np.flatnonzero(np.concatenate(([True], ranked[1:] != ranked[:-1])))
    return order, starts


def _auroc(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    order, starts = _groups(scores)
    positive = np.add.reduceat(weights[:, order] * labels[order], starts, axis=1)
    negative = np.add.reduceat(weights[:, order] * (1 - labels[order]), starts, axis=1)
    below = np.cumsum(negative, axis=1) - negative
    pairs = positive.sum(axis=1) * negative.sum(axis=1)
    wins = (positive * (below + negative / 2)).sum(axis=1)
    return np.divide(wins, pairs, out=np.full(len(weights), np.nan), where=pairs > 0)


def _auprc(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Average precision: the sum over thresholds of the rise of recall times precision."""
    order, starts = _groups(-scores)
    positive = np.add.reduceat(weights[:, order] * labels[order], starts, axis=1)
    everything = np.add.reduceat(weights[:, order], starts, axis=1)
    hits, taken = np.cumsum(positive, axis=1), np.cumsum(everything, axis=1)
    precision = np.divide(hits, taken, out=np.zeros_like(hits), where=taken > 0)
    total = positive.sum(axis=1)
    return np.divide(
        (positive * precision).sum(axis=1), total, out=np.full(len(weights), np.nan), where=total > 0
    )


def _mse(labels: np.ndarray, values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return weights @ (labels - values) ** 2 / weights.sum(axis=1)


def _pearson(labels: np.ndarray, values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    shape = (len(weights), len(labels))
    return _correlation(np.broadcast_to(labels, shape), np.broadcast_to(values, shape), weights)


def _spearman(labels: np.ndarray, values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return _correlation(_ranks(labels, weights), _ranks(values, weights), weights)


def _ranks(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(R, N) mid-ranks within each resample."""
    order, starts = _groups(values)
    sums = np.add.reduceat(weights[:, order], starts, axis=1)
    of_groups = np.cumsum(sums, axis=1) - (sums - 1) / 2
    group = np.empty(len(values), dtype=np.int64)
    group[order] = np.searchsorted(starts, np.arange(len(values)), side="right") - 1
    return of_groups[:, group]


def _correlation(first: np.ndarray, second: np.ndarray, weights: np.ndarray) -> np.ndarray:
    share = weights / weights.sum(axis=1, keepdims=True)
    first = first - (share * first).sum(axis=1, keepdims=True)
    second = second - (share * second).sum(axis=1, keepdims=True)
    below = np.sqrt((share * first**2).sum(axis=1) * (share * second**2).sum(axis=1))
    above = (share * first * second).sum(axis=1)
    return np.divide(above, below, out=np.full(len(weights), np.nan), where=below > 0)


_OF_CONFUSION: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "accuracy": _accuracy,
    "mcc": _mcc,
    "f1": _f1,
}
_OF_SCORES: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]] = {
    "auroc": _auroc,
    "auprc": _auprc,
    "mse": _mse,
    "pearson": _pearson,
    "spearman": _spearman,
}


def same_labels(scored: Sequence[Scored]) -> bool:
    """Whether all were asked the same questions, in the same order."""
    return all(np.array_equal(one.labels, scored[0].labels) for one in scored)
