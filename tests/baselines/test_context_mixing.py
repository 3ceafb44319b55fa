"""The counter: a proper distribution that sees only the past, learns repeats on both strands, and freezes."""

from __future__ import annotations

import gzip
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from genoseq.baselines import ContextMixing, StaticMarkov
from genoseq.baselines.context_tables import count_base, make_tables, push_forward, read_counts
from genoseq.errors import ConfigError, DataError
from genoseq.sequence import Interval, encode_bases, reverse_complement

ORDERS = (1, 2, 4, 8, 11, 12, 16, 20)
VARIANTS = [(adaptive, lengths) for adaptive in (False, True) for lengths in ((), (12, 20))]


def random_codes(length: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 4, size=length).astype(np.uint8)


def counter(
    adaptive: bool = False, repeat_lengths: tuple[int, ...] = (), **settings: object
) -> ContextMixing:
    return ContextMixing(orders=ORDERS, adaptive=adaptive, repeat_lengths=repeat_lengths, **settings)


@pytest.mark.parametrize(("adaptive", "repeat_lengths"), VARIANTS)
def test_each_row_is_a_distribution_and_an_n_has_none(adaptive: bool, repeat_lengths: tuple) -> None:
    train, test = random_codes(3000), random_codes(400, seed=1)
    test[200:300], test[100] = train[1000:1100], 4
    model = counter(adaptive, repeat_lengths).fit([train])
    rows = model.probabilities(test)
    known = test < 4
    assert rows.shape == (400, 4)
    assert (rows[known] > 0).all()
    np.testing.assert_allclose(rows[known].sum(axis=1), 1, atol=1e-6)
    assert np.isnan(rows[~known]).all()
    bits = counter(adaptive, repeat_lengths).fit([train]).bits(test)
    np.testing.assert_allclose(bits[known], -np.log2(rows[known, test[known]]))
    assert np.isnan(bits[~known]).all()


@pytest.mark.parametrize(("adaptive", "repeat_lengths"), VARIANTS)
def test_the_future_changes_nothing(adaptive: bool, repeat_lengths: tuple) -> None:
    train, test = random_codes(3000), random_codes(300, seed=1)
    test[100:200] = train[500:600]
    other = test.copy()
    other[150:] = 3 - other[150:]
    rows, changed = (
        counter(adaptive, repeat_lengths).fit([train]).probabilities(one) for one in (test, other)
    )
    np.testing.assert_array_equal(rows[:151], changed[:151])
    assert not np.array_equal(rows[151:], changed[151:])


@pytest.mark.parametrize("repeat_lengths", [(), (12,)])
def test_frozen_scores_the_same_twice_and_adaptive_learns_what_it_scored(repeat_lengths: tuple) -> None:
    train, test = random_codes(3000), random_codes(500, seed=1)
    frozen = counter(False, repeat_lengths).fit([train])
    np.testing.assert_array_equal(frozen.bits(test), frozen.bits(test))
    adaptive = counter(True, repeat_lengths).fit([train])
    first, second = adaptive.bits(test), adaptive.bits(test)
    assert first.mean() > 1.9
    assert second[50:].mean() < 1.2


@pytest.mark.parametrize("repeat_lengths", [(), (12,)])
def test_a_repeat_is_known_on_either_strand(repeat_lengths: tuple) -> None:
    # Repeats within train teach the weights that repeats may be trusted.
    unit = random_codes(1500)
    train = np.concatenate([unit, random_codes(500, seed=1), reverse_complement(unit)])
    model = counter(False, repeat_lengths).fit([train])
    assert model.bits(reverse_complement(unit)[300:800])[50:].mean() < 0.5
    assert model.bits(unit[300:800])[50:].mean() < 0.5
    assert model.bits(random_codes(500, seed=2)).mean() > 1.9


def test_without_inverted_repeats_the_other_strand_is_new() -> None:
    unit = random_codes(1500)
    model = counter(inverted_repeats=False).fit([np.concatenate([unit, unit])])
    assert model.bits(unit[300:800])[50:].mean() < 0.5
    assert model.bits(reverse_complement(unit)[300:800])[50:].mean() > 1.5


def test_a_copy_carries_over_differences_that_break_counts() -> None:
    generator = np.random.default_rng(3)
    unit = random_codes(2000)

    def diverged() -> np.ndarray:
        changed = generator.random(unit.size) < 0.06
        return np.where(changed, generator.integers(0, 4, unit.size), unit).astype(np.uint8)

    train, test = np.concatenate([diverged() for _ in range(2)]), diverged()
    counts = counter().fit([train]).bits(test).mean()
    copies = counter(repeat_lengths=(12,)).fit([train]).bits(test).mean()
    assert copies < counts - 0.05


def test_counts_are_those_of_both_strands() -> None:
    codes = random_codes(800)
    tables = make_tables((3, 13), 10 * codes.size)
    forward, reverse = np.uint64(0), np.uint64(0)
    for known, base in enumerate(codes):
        count_base(tables, forward, reverse, known, int(base), True)
        forward = np.uint64(push_forward(forward, int(base)))
        reverse = (reverse >> np.uint64(2)) | np.uint64((3 - int(base)) << 62)
    expected = np.zeros((64, 4), dtype=np.int64)
    for strand in (codes, reverse_complement(codes)):
        for start in range(codes.size - 3):
            first, second, third, after = (int(base) for base in strand[start : start + 4])
            expected[16 * first + 4 * second + third, after] += 1
    np.testing.assert_array_equal(tables.slots[:64, :4], expected)
    # The 13-mers of random sequence are all different: each is counted once on each strand.
    assert tables.slots[64:, :4].sum() == 2 * (codes.size - 13)
    assert (tables.slots[64:, :4].sum(axis=1) <= 1).all()


def test_a_long_context_is_found_again_and_an_unseen_one_is_not() -> None:
    codes = random_codes(30)
    tables = make_tables((20,), 1000)
    forward = np.uint64(0)
    for base in codes[:20]:
        forward = np.uint64(push_forward(forward, int(base)))
    features, confidences = np.ones((1, 4)), np.zeros(1, dtype=np.int64)
    assert read_counts(tables, forward, 20, features, confidences) == 0
    assert (features == 0).all()
    count_base(tables, forward, np.uint64(0), 20, 2, False)
    assert read_counts(tables, forward, 20, features, confidences) == 1
    assert features[0].argmax() == 2
    assert features.sum() == pytest.approx(0)
    assert read_counts(tables, forward, 19, features, confidences) == 0


def test_no_context_reaches_over_a_border() -> None:
    left, right = encode_bases("ACGT" * 8), encode_bases("GATTACA" * 6)
    whole, apart = counter().fit([np.concatenate([left, right])]), counter().fit([left, right])
    assert whole._counter is not None
    assert apart._counter is not None
    assert whole._counter.tables.slots[:, :4].sum() > apart._counter.tables.slots[:, :4].sum()


def test_full_tables_give_way_rather_than_fail() -> None:
    tables = make_tables((16,), 10)
    for context in range(5000):
        count_base(tables, np.uint64(context), np.uint64(0), 16, context % 4, False)
    assert (tables.slots[:, 4] > 0).all()
    features, confidences = np.zeros((1, 4)), np.zeros(1, dtype=np.int64)
    assert read_counts(tables, np.uint64(4999), 16, features, confidences) == 1
    assert features[0].argmax() == 4999 % 4


@pytest.mark.parametrize(
    "settings", [{"orders": ()}, {"orders": (0,)}, {"orders": (32,)}, {"repeat_lengths": (2,)}]
)
def test_lengths_out_of_range_are_refused(settings: dict) -> None:
    with pytest.raises(ConfigError, match=r"orders|repeat_lengths"):
        ContextMixing(**settings)


def test_a_train_split_of_n_is_refused() -> None:
    with pytest.raises(DataError, match="no base A, C, G or T"):
        counter().fit([np.full(100, 4, dtype=np.uint8)])


class BlocksOfOneChromosome:
    """A genome data module as the baselines see one."""

    def __init__(self, codes: np.ndarray, train: float, validation: float) -> None:
        ends = [0, round(train * codes.size), round((train + validation) * codes.size), codes.size]
        self.blocks = dict(zip(("train", "validation", "test"), pairwise(ends), strict=True))
        self.codes = codes

    def sequences(self, split: str) -> list[tuple[Interval, np.ndarray]]:
        start, end = self.blocks[split]
        return [(Interval("chr1", start, end), self.codes[start:end])]

    def tiles(self, split: str) -> pd.DataFrame:
        start, end = self.blocks[split]
        starts = np.arange(start, end, 500)
        return pd.DataFrame({"chromosome": "chr1", "start": starts, "end": np.minimum(starts + 500, end)})


@pytest.mark.parametrize("baseline", [StaticMarkov(max_order=3), counter(), counter(True, (12,))])
def test_tiles_add_up_to_the_bits_of_the_split(baseline: StaticMarkov | ContextMixing) -> None:
    codes = random_codes(8000)
    codes[6600:6700] = 4
    data = BlocksOfOneChromosome(codes, 0.7, 0.1)
    table = baseline.predict(data)
    assert list(table.columns) == ["chromosome", "start", "end", "num_bases", "bits"]
    assert table[["chromosome", "start", "end"]].equals(data.tiles("test"))
    assert table["num_bases"].tolist() == [400, 500, 500, 100]
    baseline.fit_splits(data)
    assert table["bits"].sum() == pytest.approx(np.nansum(baseline.bits(codes[6400:])), rel=1e-5)


def test_a_tile_outside_its_split_is_refused() -> None:
    data = BlocksOfOneChromosome(random_codes(4000), 0.7, 0.1)
    data.tiles = lambda split: pd.DataFrame({"chromosome": ["chr2"], "start": [0], "end": [10]})  # type: ignore[method-assign]
    with pytest.raises(DataError, match="chr2:0-10"):
        StaticMarkov(max_order=1).predict(data)


@pytest.mark.slow
def test_the_shipped_genome_is_counted_in_seconds_and_below_the_published_floors(shared: Path) -> None:
    with gzip.open(shared / "data/embed/genomes/celegans_ce2_chrX_first2Mi.fa.gz", "rt") as handle:
        codes = encode_bases("".join(line.strip() for line in handle if not line.startswith(">")))
    cut = int(0.8 * codes.size)
    for settings, floor in (({}, 1.858), ({"adaptive": True}, 1.690)):
        started = time.monotonic()
        bits = ContextMixing(**settings).fit([codes[:cut]]).bits(codes[cut:])
        assert np.nanmean(bits) < floor + 0.005
        assert time.monotonic() - started < 120
