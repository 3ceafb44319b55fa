"""Estimates with their intervals: over seeds, over paired units of two models' results, over groups."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

_RESAMPLED_VALUES_AT_ONCE = 1_000_000


@dataclass(frozen=True)
class Estimate:
    """A mean with its interval.

    Attributes:
        mean: the estimate itself.
        low: lower end of the interval; NaN where one unit alone was seen, which says nothing about spread.
        high: upper end of the interval; NaN likewise.
        n: number of independent units behind it.
        unit: what such a unit is, in words ("seed", "20 kb block").
    """

    mean: float
    low: float
    high: float
    n: int
    unit: str


def mean_interval(values: ArrayLike, *, level: float = 0.95, unit: str = "seed") -> Estimate:
    """Mean of independent values with Student's t interval.

    Args:
        values: (n,) finite numbers, n >= 1.
        level: coverage, between 0 and 1.
        unit: what one value stands for.

    Raises:
        ValueError: no values, values that are not finite, or a level outside (0, 1).
    """
    data = _finite_vector(values, "values")
    _check_level(level)
    mean = float(data.mean())
    if data.size == 1:
        return Estimate(mean, float("nan"), float("nan"), 1, unit)
    half = float(stats.t.ppf((1 + level) / 2, data.size - 1) * data.std(ddof=1) / np.sqrt(data.size))
    return Estimate(mean, mean - half, mean + half, data.size, unit)


def paired_bootstrap(
    a: ArrayLike,
    b: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    level: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
    unit: str = "example",
) -> Estimate:
    """Mean of `a - b` over paired units, with a percentile bootstrap interval over the units.

    Units are resampled whole, each with its weight, so that blocks of unequal size count by their size.

    Args:
        a: (n,) one number a unit.
        b: (n,) the other's number for the same units in the same order.
        weights: (n,) positive sizes of the units; equal where not given.
        level: coverage, between 0 and 1.
        resamples: number of bootstrap samples.
        seed: of the resampling; the same seed gives the same interval.
        unit: what one pair stands for.

    Raises:
        ValueError: the vectors differ in length, are empty, not finite, or a weight is not positive.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.
    """
    first, second = _finite_vector(a, "a"), _finite_vector(b, "b")
    size = np.ones_like(first) if weights is None else _finite_vector(weights, "weights")
    if not first.shape == second.shape == size.shape:
        raise ValueError(
            f"pairs and weights must match one to one; given {first.size}, {second.size} and {size.size}"
        )
    if (size <= 0).any():
        raise ValueError("weights must be positive: leave out the units that nothing was measured on")
    _check_level(level)
    difference = first - second
    mean = float(np.average(difference, weights=size))
    if difference.size == 1:
        return Estimate(mean, float("nan"), float("nan"), 1, unit)
    means = _resampled_means(difference, size, resamples, np.random.default_rng(seed))
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(mean, float(low), float(high), difference.size, unit)


def group_bootstrap(
    statistic: Callable[[np.ndarray], float],
    groups: ArrayLike,
    *,
    level: float = 0.95,
    resamples: int = 500,
    seed: int = 0,
    unit: str = "group",
) -> Estimate:
    """Any statistic of rows that come in groups, with a percentile interval over groups resampled whole.

    Args:
        statistic: of rows, given by their indices (m,) int64, some more than once; NaN where it has no value.
        groups: (n,) the group of each row.
        level: coverage, between 0 and 1.
        resamples: number of bootstrap samples; those where the statistic has no value do not count.
        seed: of the resampling.
        unit: what a group is.

    Raises:
        ValueError: there is no row, or a level outside (0, 1).

    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.
    """
    _check_level(level)
    _, number = np.unique(np.asarray(groups), return_inverse=True)
    if not number.size:
        raise ValueError("there is no row to measure")
    members = np.split(np.argsort(number, kind="stable"), np.cumsum(np.bincount(number))[:-1])
    value = float(statistic(np.arange(number.size)))
    if len(members) == 1:
        return Estimate(value, float("nan"), float("nan"), 1, unit)
    generator = np.random.default_rng(seed)
    drawn = (generator.integers(len(members), size=len(members)) for _ in range(resamples))
    values = np.array([statistic(np.concatenate([members[i] for i in choice])) for choice in drawn])
    low, high = np.nanquantile(values, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(value, float(low), float(high), len(members), unit)


def auroc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Chance that a row of the label 1 has the larger score than one of the label 0, ties counting half.

    Args:
        labels: (n,) 0 or 1.
        scores: (n,) finite numbers.

    Returns:
        NaN where either label is missing.

    Source: Hanley and McNeil 1982, Radiology 143:29.
    """
    positive = np.asarray(labels) == 1
    count, others = int(positive.sum()), int((~positive).sum())
    if not count or not others:
        return float("nan")
    ranks = stats.rankdata(np.asarray(scores, dtype=np.float64))
    return float((ranks[positive].sum() - count * (count + 1) / 2) / (count * others))


def mean_auroc(labels: ArrayLike, probabilities: ArrayLike) -> float:
    """`auroc` of the second of two classes; of more, the mean over each against all others.

    Args:
        labels: (n,) numbers of classes.
        probabilities: (n, C).
    """
    truth, scores = np.asarray(labels), np.asarray(probabilities)
    if scores.shape[1] == 2:
        return auroc(truth == 1, scores[:, 1])
    return float(np.mean([auroc(truth == name, scores[:, name]) for name in range(scores.shape[1])]))


def balanced_accuracy(labels: ArrayLike, predictions: ArrayLike) -> float:
    """Mean over the classes that there are of the share of each that is predicted.

    Args:
        labels: (n,) classes, n >= 1.
        predictions: (n,) likewise.

    Source: Brodersen et al. 2010, ICPR, p. 3121.
    """
    truth, right = np.asarray(labels), np.asarray(labels) == np.asarray(predictions)
    return float(np.mean([right[truth == name].mean() for name in np.unique(truth)]))


def permutation_p_value(
    statistic: Callable[[np.ndarray], float],
    labels: ArrayLike,
    groups: ArrayLike,
    *,
    units: ArrayLike | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> float:
    """Chance of a statistic as large where labels say nothing, by exchange of what can be exchanged.

    Where every group has one label, whole groups exchange theirs; else units do within their group. The rows
    of a group, or of a unit, are no independent witnesses, and neither way takes them for such.

    Args:
        statistic: of labels (n,), larger where predictions are better; NaN where it has no value.
        labels: (n,) the true ones.
        groups: (n,) the group of each row.
        units: (n,) rows of one unit, all of one group, keep their labels together: units of as many rows
            exchange them, in the order of the rows. None where each row is a unit.
        resamples: number of exchanges.
        seed: of them.

    Source: Phipson and Smyth 2010, Statistical Applications in Genetics and Molecular Biology 9:39 (one is
    added to both counts); Winkler et al. 2014, NeuroImage 92:381 (exchangeable blocks).
    """
    truth = np.asarray(labels)
    _, first, number = np.unique(np.asarray(groups), return_index=True, return_inverse=True)
    whole = truth[first]
    generator = np.random.default_rng(seed)
    observed = statistic(truth)
    members = _exchangeable(number, np.arange(truth.size) if units is None else np.asarray(units))
    count = 0
    for _ in range(resamples):
        if (whole[number] == truth).all():
            exchanged = generator.permutation(whole)[number]
        else:
            exchanged = truth.copy()
            for rows in members:
                exchanged[rows] = generator.permutation(truth[rows])
        count += bool(statistic(exchanged) >= observed)
    return (1 + count) / (1 + resamples)


def _exchangeable(groups: np.ndarray, units: np.ndarray) -> list[np.ndarray]:
    """Row numbers (units, rows of each) of all units of one group that have as many rows."""
    _, unit = np.unique(units, return_inverse=True)
    size = np.bincount(unit)[unit]
    order = np.lexsort((unit, size, groups))
    changes = np.diff(groups[order]).astype(bool) | np.diff(size[order]).astype(bool)
    parts = np.split(order, np.flatnonzero(changes) + 1)
    return [rows.reshape(-1, size[rows[0]]) for rows in parts]


def _resampled_means(
    values: np.ndarray, weights: np.ndarray, resamples: int, generator: np.random.Generator
) -> np.ndarray:
    """(resamples,) weighted means of whole-unit resamples, a bounded number of values in memory at once."""
    rows = max(1, _RESAMPLED_VALUES_AT_ONCE // values.size)
    weighted = values * weights
    means = []
    for start in range(0, resamples, rows):
        drawn = generator.integers(values.size, size=(min(rows, resamples - start), values.size))
        means.append(weighted[drawn].sum(axis=1) / weights[drawn].sum(axis=1))
    return np.concatenate(means)


def _finite_vector(values: ArrayLike, name: str) -> np.ndarray:
    vector = np.asarray(values, dtype=np.float64)
    if vector.ndim != 1 or vector.size == 0 or not np.isfinite(vector).all():
        raise ValueError(f"{name} must be a non-empty vector of finite numbers; given shape {vector.shape}")
    return vector


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, such as 0.95; given {level}")
