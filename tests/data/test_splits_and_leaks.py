"""Splits hold what they promise, and what leaks between them is found on both strands."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genoseq.data import (
    BlockSplit,
    ChromosomeSplit,
    GenomeSplit,
    IntervalSplit,
    find_leaks,
    kmer_groups,
    overlapping,
    read_table,
    split_groups,
)
from genoseq.data.splits import SPLITS
from genoseq.errors import ConfigError, DataError, IntervalError, LeakError
from genoseq.sequence import Interval, reverse_complement

LENGTHS = {"1": 1000, "2": 501, "X": 3}


def random_sequence(length: int, seed: int) -> str:
    return "".join(np.random.default_rng(seed).choice(list("ACGT"), size=length))


def bases(split: GenomeSplit, part: str) -> set[tuple[str, int]]:
    regions = split.regions(LENGTHS, part)  # type: ignore[arg-type]
    found = [(region.chromosome, base) for region in regions for base in range(region.start, region.end)]
    assert len(found) == len(set(found))
    return set(found)


@pytest.mark.parametrize(
    "split",
    [
        BlockSplit(),
        BlockSplit(train=0.5, validation=0.25, test=0.25),
        ChromosomeSplit(validation=["2"], test=["X"]),
    ],
)
def test_splits_are_disjoint_and_cover_the_genome(split: GenomeSplit) -> None:
    parts = [bases(split, part) for part in SPLITS]
    assert all(not first & second for first, second in combinations(parts, 2))
    assert len(set.union(*parts)) == sum(LENGTHS.values())


def test_blocks_are_contiguous_and_in_order() -> None:
    split = BlockSplit()
    chromosome = [region for part in SPLITS for region in split.regions({"1": 1000}, part)]
    assert chromosome == [Interval("1", 0, 700), Interval("1", 700, 800), Interval("1", 800, 1000)]


def test_bad_blocks_and_chromosomes() -> None:
    with pytest.raises(ConfigError, match="add up to 1"):
        BlockSplit(train=0.9, validation=0.2, test=0.2)
    with pytest.raises(DataError, match="validation split holds no base"):
        BlockSplit(train=0.8, validation=0.0, test=0.2).regions(LENGTHS, "validation")
    with pytest.raises(ConfigError, match="2 cannot be both"):
        ChromosomeSplit(validation=["2"], test=["2"])
    with pytest.raises(DataError, match="names chr2, which"):
        ChromosomeSplit(validation=["chr2"], test=["X"]).regions(LENGTHS, "train")


def test_intervals_by_name_are_joined(tmp_path: Path) -> None:
    bed = tmp_path / "train.bed"
    bed.write_text("1\t50\t100\n1\t0\t60\n2\t0\t5\n")
    split = IntervalSplit(train=bed, validation=["1:100-200"], test=["1:300-400", "1:400-401"])
    assert split.regions(LENGTHS, "train") == [Interval("1", 0, 100), Interval("2", 0, 5)]
    assert split.regions(LENGTHS, "test") == [Interval("1", 300, 401)]


def test_overlapping_intervals_are_refused_reported_or_dropped() -> None:
    given_intervals = {
        "train": ["1:0-101", "2:0-9", "1:210-290", "1:290-301"],
        "validation": ["1:100-200"],
        "test": ["1:300-400"],
    }
    with pytest.raises(LeakError, match=r"1 intervals for train overlap with those for validation.*1:0-101"):
        IntervalSplit(**given_intervals)  # type: ignore[arg-type]
    dropped = IntervalSplit(**given_intervals, leaks="drop")  # type: ignore[arg-type]
    # Only what overlaps is left out, not what it touches.
    assert dropped.regions(LENGTHS, "train") == [Interval("1", 210, 290), Interval("2", 0, 9)]
    reported = IntervalSplit(**given_intervals, leaks="report")  # type: ignore[arg-type]
    assert len(reported.regions(LENGTHS, "train")) == 3
    with pytest.raises(ConfigError, match="leaks='maybe'"):
        IntervalSplit(**given_intervals, leaks="maybe")  # type: ignore[arg-type]


def test_intervals_off_the_genome_are_refused() -> None:
    split = IntervalSplit(train=["1:0-5000"], validation=["9:0-1"], test=["2:0-1"])
    with pytest.raises(IntervalError, match=r"bases 0-1000"):
        split.regions(LENGTHS, "train")
    with pytest.raises(DataError, match="no chromosome of the genome"):
        split.regions(LENGTHS, "validation")


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 12), min_size=30, max_size=200), st.integers(0, 5))
def test_a_group_is_never_divided(groups: list[int], seed: int) -> None:
    rows = np.array([*groups, 100, 101, 102])
    parts = split_groups(rows, {"validation": 0.1, "test": 0.2}, seed=seed)
    assert set(parts) == set(SPLITS)
    for group in set(rows.tolist()):
        assert len(set(parts[rows == group])) == 1
    np.testing.assert_array_equal(parts, split_groups(rows, {"validation": 0.1, "test": 0.2}, seed=seed))


def test_shares_are_met_and_big_groups_stay_in_train() -> None:
    rows = np.concatenate((np.arange(1000), np.full(1000, -1)))
    parts = split_groups(rows, {"validation": 0.1, "test": 0.2}, seed=0)
    assert [(parts == part).sum() for part in SPLITS] == [1400, 200, 400]
    assert set(parts[1000:]) == {"train"}
    assert (parts != split_groups(rows, {"validation": 0.1, "test": 0.2}, seed=1)).any()


def test_too_few_groups_are_refused() -> None:
    with pytest.raises(DataError, match=r"2 group\(s\) cannot be cut"):
        split_groups(np.array([0, 1, 1]), {"validation": 0.1, "test": 0.1}, seed=0)


def test_shared_words_leak_on_both_strands() -> None:
    train = [random_sequence(100, 1), random_sequence(60, 2)]
    piece = train[0][30:62]
    rows = [
        random_sequence(50, 3),
        "GG" + piece + "CC",
        reverse_complement(piece).lower() + "A",
        piece[:31],
        piece[:16] + "N" + piece[16:],
        train[0][-16:] + train[1][:16],
    ]
    np.testing.assert_array_equal(find_leaks(train, rows), [False, True, True, False, False, False])
    np.testing.assert_array_equal(
        find_leaks(train, rows, both_strands=False), [False, True, False, False, False, False]
    )
    np.testing.assert_array_equal(find_leaks(train, rows, k=16), [False, True, True, True, True, True])


def test_short_sequences_leak_as_a_whole() -> None:
    train = ["ACGTTG", "AC"]
    rows = ["CAACGT", "ACGTT", "gu", "TT"]
    np.testing.assert_array_equal(find_leaks(train, rows, k=20), [True, False, True, False])


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.text("ACGTN", min_size=1, max_size=14), min_size=1, max_size=6),
    st.lists(st.text("ACGTN", min_size=1, max_size=14), min_size=1, max_size=6),
    st.integers(1, 6),
)
def test_leaks_are_those_of_the_definition(train: list[str], rows: list[str], k: int) -> None:
    def words(text: str) -> set[str]:
        return {word for i in range(len(text) - k + 1) if "N" not in (word := text[i : i + k])}

    def leaks(row: str) -> bool:
        known = {word for text in train for word in words(text) | words(reverse_complement(text))}
        if not words(row):
            return row in train or reverse_complement(row) in train
        return bool(words(row) & known)

    assert find_leaks(train, rows, k=k).tolist() == [leaks(row) for row in rows]


def test_parts_of_large_data_are_put_together(monkeypatch: pytest.MonkeyPatch) -> None:
    train = [random_sequence(40, seed) for seed in range(30)]
    rows = [train[7][:33] + "A", random_sequence(40, 99), reverse_complement(train[29])]
    whole = find_leaks(train, rows)
    monkeypatch.setattr("genoseq.data.leaks._CHUNK", 100)
    np.testing.assert_array_equal(find_leaks(train, rows), whole)
    np.testing.assert_array_equal(whole, [True, False, True])


def test_groups_share_no_word() -> None:
    first, second, third = (random_sequence(60, seed) for seed in range(3))
    rows = [first, second, first[20:] + second[:40], third, reverse_complement(third), "ACG", "CGT", "AAA"]
    groups = kmer_groups(rows)
    assert groups[0] == groups[1] == groups[2]
    assert groups[3] == groups[4]
    assert groups[5] == groups[6]
    assert len(set(groups.tolist())) == 4


@pytest.mark.parametrize("k", [0, 33])
def test_a_k_that_cannot_be_compared_is_refused(k: int) -> None:
    with pytest.raises(ConfigError, match="from 1 to 32"):
        find_leaks(["A"], ["A"], k=k)


interval_lists = st.lists(
    st.builds(
        lambda name, start, width: Interval(name, start, start + width),
        st.sampled_from("ab"),
        st.integers(0, 60),
        st.integers(1, 15),
    ),
    max_size=8,
)


@settings(deadline=None, max_examples=60)
@given(interval_lists, interval_lists)
def test_overlaps_are_those_of_the_definition(train: list[Interval], test: list[Interval]) -> None:
    assert overlapping(train, test).tolist() == [any(row.overlaps(other) for other in train) for row in test]


@pytest.mark.parametrize(("folder", "share"), [("GUE_tf_2", 0.06), ("GUE_prom_prom_300_tata", 0.12)])
def test_leaks_of_published_sets_are_as_known(shared: Path, folder: str, share: float) -> None:
    files = shared / "data" / "bench" / "labelled" / folder
    train, rows = (read_table(files / f"{part}.tsv.gz")["sequence"].tolist() for part in ("train", "test"))
    assert find_leaks(train, rows, k=32).mean() == pytest.approx(share, abs=0.01)
