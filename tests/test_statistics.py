"""Intervals: against scipy, against their promised coverage, and at their edges."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from genoseq.statistics import (
    auroc,
    group_bootstrap,
    mean_interval,
    paired_bootstrap,
    permutation_p_value,
)


def test_mean_interval_is_the_t_interval_of_scipy() -> None:
    values = [0.887, 0.893, 0.900, 0.881, 0.896]
    estimate = mean_interval(values, level=0.9)
    wanted = stats.ttest_1samp(values, 0.0).confidence_interval(0.9)
    assert estimate.mean == pytest.approx(np.mean(values))
    assert (estimate.low, estimate.high) == pytest.approx((wanted.low, wanted.high))
    assert (estimate.n, estimate.unit) == (5, "seed")


def test_one_value_has_a_mean_and_no_interval() -> None:
    for estimate in (mean_interval([0.5]), paired_bootstrap([1.5], [1.0])):
        assert estimate.mean == 0.5
        assert math.isnan(estimate.low)
        assert math.isnan(estimate.high)


def test_paired_bootstrap_sees_a_shift_that_the_spread_of_units_hides() -> None:
    generator = np.random.default_rng(0)
    hard = generator.normal(1.9, 0.07, size=30)
    estimate = paired_bootstrap(hard - 0.01 + generator.normal(0, 0.005, 30), hard, unit="20 kb block")
    assert estimate.low < -0.01 < estimate.high < 0
    assert estimate.high - estimate.low < 0.006
    assert (estimate.n, estimate.unit) == (30, "20 kb block")


def test_paired_bootstrap_covers_the_truth_about_as_often_as_it_says() -> None:
    generator = np.random.default_rng(1)
    covered = 0
    for _ in range(200):
        difference = generator.normal(0.3, 1.0, size=60)
        estimate = paired_bootstrap(difference, np.zeros(60), resamples=400, level=0.9)
        covered += estimate.low <= 0.3 <= estimate.high
    assert 0.82 <= covered / 200 <= 0.97


def test_units_count_by_their_weight() -> None:
    estimate = paired_bootstrap([1.0, 2.0], [0.0, 0.0], weights=[3.0, 1.0])
    assert estimate.mean == pytest.approx(1.25)
    assert (estimate.low, estimate.high) == (1.0, 2.0)


def test_paired_bootstrap_is_reproducible_and_chunks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(2)
    a, b = generator.normal(size=50), generator.normal(size=50)
    whole = paired_bootstrap(a, b, resamples=500, seed=3)
    assert whole == paired_bootstrap(a, b, resamples=500, seed=3)
    assert whole != paired_bootstrap(a, b, resamples=500, seed=4)
    monkeypatch.setattr("genoseq.statistics._RESAMPLED_VALUES_AT_ONCE", 70)
    assert paired_bootstrap(a, b, resamples=500, seed=3) == whole


@pytest.mark.parametrize(
    ("a", "b", "weights"),
    [([1.0, 2.0], [1.0], None), ([], [], None), ([1.0, np.nan], [1.0, 2.0], None), ([1.0], [2.0], [0.0])],
)
def test_vectors_that_are_no_pairs_are_refused(a: list, b: list, weights: list | None) -> None:
    with pytest.raises(ValueError, match="must"):
        paired_bootstrap(a, b, weights=weights)


def test_a_level_in_percent_is_refused() -> None:
    with pytest.raises(ValueError, match=r"0\.95"):
        mean_interval([1.0, 2.0], level=95)


def test_groups_are_resampled_whole() -> None:
    values = np.array([0.0, 0.0, 0.0, 1.0])
    estimate = group_bootstrap(lambda rows: float(values[rows].mean()), [0, 0, 0, 1], unit="family")
    # Of two groups, either may be drawn twice: the mean is then 0 or 1.
    assert (estimate.mean, estimate.low, estimate.high, estimate.n) == (0.25, 0.0, 1.0, 2)
    alone = group_bootstrap(lambda rows: float(values[rows].mean()), [0, 0, 0, 0])
    assert np.isnan(alone.low)
    assert alone.n == 1
    with pytest.raises(ValueError, match="no row"):
        group_bootstrap(lambda rows: 0.0, [])


def test_auroc_is_the_share_of_pairs_in_order() -> None:
    assert auroc([1, 0, 1, 0], [3.0, 1.0, 1.0, 2.0]) == (1 + 1 + 0.5 + 0) / 4
    assert np.isnan(auroc([1, 1], [0.0, 1.0]))


def test_rows_of_a_unit_exchange_their_labels_together() -> None:
    units, groups = [7, 5, 7, 5, 6, 8, 9], [0, 0, 0, 0, 0, 1, 1]
    seen = set()

    def statistic(labels: np.ndarray) -> float:
        seen.add(tuple(labels.tolist()))
        return float(labels[0] == 0)

    p_value = permutation_p_value(statistic, range(7), groups, units=units, resamples=200)
    # Two units of two rows change places, in their order; the third has one row, and none to change with.
    pairs, singles = [(0, 1, 2, 3, 4), (1, 0, 3, 2, 4)], [(5, 6), (6, 5)]
    assert seen == {(*pair, *single) for pair in pairs for single in singles}
    assert p_value == pytest.approx(0.5, abs=0.15)
