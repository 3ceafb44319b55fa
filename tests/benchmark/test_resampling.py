"""Metrics of resamples are those of torchmetrics on the rows that were drawn, and intervals cover."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from genoseq.benchmark.resampling import Scored, difference, draw_weights, interval_over_seeds, resampled
from genoseq.errors import ConfigError
from genoseq.training.metrics import as_metrics_take, problem_metrics

PROBLEMS = {
    "two classes": ("single_label", 2),
    "three classes": ("single_label", 3),
    "several labels": ("multi_label", 3),
    "a number": ("regression", 1),
}


def scored(problem: str, count: int, *, rows: int = 90, seed: int = 0) -> Scored:
    """Labels and outputs that agree somewhat, with ties among the outputs."""
    generator = np.random.default_rng(seed)
    if problem == "regression":
        labels = generator.normal(size=(rows, 1))
        return Scored(labels, np.round(labels + generator.normal(size=(rows, 1)), 1))
    if problem == "multi_label":
        labels = (generator.random((rows, count)) < 0.4).astype(np.float64)
        return Scored(
            labels, np.round(np.clip(0.3 * labels + 0.7 * generator.random((rows, count)), 0, 1), 2)
        )
    classes = generator.integers(count, size=rows)
    noise = generator.random((rows, count)) + 0.6 * np.eye(count)[classes]
    return Scored(classes, np.round(noise / noise.sum(axis=1, keepdims=True), 3))


def by_torchmetrics(problem: str, count: int, given: Scored, rows: np.ndarray) -> dict[str, float]:
    collection = problem_metrics(problem, count)  # type: ignore[arg-type]
    outputs, labels = torch.from_numpy(given.outputs[rows]), torch.from_numpy(given.labels[rows])
    collection.update(*as_metrics_take(problem, outputs.float(), labels))  # type: ignore[arg-type]
    return {name: float(value.float().mean()) for name, value in collection.compute().items()}


@pytest.mark.parametrize("kind", PROBLEMS)
def test_a_resample_is_measured_as_its_rows_are(kind: str) -> None:
    problem, count = PROBLEMS[kind]
    given = scored(problem, count)
    weights = draw_weights(90, resamples=3, seed=5)
    for resample in weights:
        rows = np.repeat(np.arange(90), resample.astype(int))
        wanted = by_torchmetrics(problem, count, given, rows)
        for metric, value in wanted.items():
            found = resampled(metric, problem, given, resample[None])
            assert found.shape == (1,)
            assert found[0] == pytest.approx(value, abs=2e-5), metric


def test_the_first_row_is_the_examples_and_the_others_are_draws_of_as_many() -> None:
    weights = draw_weights(50, resamples=20, seed=0)
    assert (weights[0] == 1).all()
    assert (weights.sum(axis=1) == 50).all()
    assert not (weights[1:] == 1).all()
    assert (weights == draw_weights(50, resamples=20, seed=0)).all()


def test_one_class_has_no_area_under_a_curve_but_an_accuracy() -> None:
    given = Scored(np.zeros(4, dtype=int), np.array([[0.9, 0.1]] * 4))
    assert np.isnan(resampled("auroc", "single_label", given, np.ones((1, 4)))[0])
    assert resampled("mcc", "single_label", given, np.ones((1, 4)))[0] == 0
    assert resampled("accuracy", "single_label", given, np.ones((1, 4)))[0] == 1


def test_an_unknown_metric_is_refused() -> None:
    with pytest.raises(ConfigError, match="metric='auc'"):
        resampled("auc", "single_label", scored("single_label", 2), np.ones((1, 90)))


def test_intervals_cover_the_truth_of_both_seeds_and_examples() -> None:
    # Accuracy .8 with a spread of .03 between seeds: nineteen of twenty intervals should hold it.
    generator = np.random.default_rng(0)
    covered = 0
    for trial in range(60):
        weights = draw_weights(200, resamples=200, seed=trial)
        columns = []
        for _ in range(5):
            right = generator.random(200) < generator.normal(0.8, 0.03)
            outputs = np.stack([right, ~right], axis=1).astype(float)
            columns.append(
                resampled("accuracy", "single_label", Scored(np.zeros(200, int), outputs), weights)
            )
        estimate, _ = interval_over_seeds(np.stack(columns, axis=1), seed=trial)
        covered += estimate.low <= 0.8 <= estimate.high
        assert estimate.n == 5
    assert 50 <= covered <= 60


def test_differences_are_paired() -> None:
    # Two contenders that are right on the same examples, but for a few: the difference is known well.
    generator = np.random.default_rng(1)
    right = generator.random(400) < 0.7
    better = right.copy()
    better[np.flatnonzero(~right)[:12]] = True
    weights = draw_weights(400, resamples=500, seed=0)
    means, values = [], []
    for answers in (better, right):
        outputs = np.stack([answers, ~answers], axis=1).astype(float)
        samples = resampled("accuracy", "single_label", Scored(np.zeros(400, int), outputs), weights)
        estimate, resampled_means = interval_over_seeds(samples[:, None], seed=0)
        means.append(estimate)
        values.append(resampled_means)
    apart = difference(means[0].mean - means[1].mean, *values, n=1)
    assert apart.mean == pytest.approx(12 / 400)
    assert 0 < apart.low < apart.mean < apart.high
    assert apart.high - apart.low < (means[0].high - means[0].low) / 2
