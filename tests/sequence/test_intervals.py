"""Intervals: the convention, resizing around every anchor, and the mistakes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genoseq.errors import IntervalError
from genoseq.sequence import Interval

intervals = st.builds(
    lambda start, width: Interval("chr1", start, start + width), st.integers(0, 500), st.integers(1, 300)
)


def test_text_and_width() -> None:
    interval = Interval("chrX", 10, 25, "-", name="peak1")
    assert str(interval) == "chrX:10-25(-)"
    assert interval.width == 15


@pytest.mark.parametrize(
    ("start", "end", "complaint"),
    [(-1, 5, "begins before its chromosome"), (5, 5, "holds no base"), (6, 5, "holds no base")],
)
def test_impossible_bounds_are_refused(start: int, end: int, complaint: str) -> None:
    with pytest.raises(IntervalError, match=complaint):
        Interval("chr1", start, end)


def test_an_unknown_strand_is_refused() -> None:
    with pytest.raises(IntervalError, match="strand 'x'"):
        Interval("chr1", 0, 1, "x")


@pytest.mark.parametrize(
    ("anchor", "summit", "bounds"),
    [
        ("center", None, (103, 107)),
        ("start", None, (100, 104)),
        ("end", None, (106, 110)),
        ("summit", 2, (100, 104)),
        ("summit", 9, (107, 111)),
    ],
)
@pytest.mark.parametrize("strand", ["+", "-", "."])
def test_resize_keeps_its_anchor_on_either_strand(anchor, summit, bounds, strand) -> None:
    resized = Interval("chr1", 100, 110, strand, "peak", "7").resize(4, anchor, summit)
    assert resized == Interval("chr1", *bounds, strand, "peak", "7")


@given(intervals, st.sampled_from(["center", "start", "end"]))
def test_resizing_to_its_own_width_changes_nothing(interval: Interval, anchor) -> None:
    assert interval.resize(interval.width, anchor) == interval


@given(intervals, st.integers(1, 1000))
def test_bounds_have_the_width_asked_for_and_hold_the_middle(interval: Interval, width: int) -> None:
    start, end = interval.resized_bounds(width)
    assert end - start == width
    assert start <= interval.start + interval.width // 2 < end


def test_bounds_may_lie_before_the_chromosome_and_an_interval_may_not() -> None:
    interval = Interval("chr1", 2, 6)
    assert interval.resized_bounds(20) == (-6, 14)
    with pytest.raises(IntervalError, match="chr1:-6-14"):
        interval.resize(20)


@pytest.mark.parametrize(
    ("width", "anchor", "summit", "complaint"),
    [
        (0, "center", None, "1 or more"),
        (5, "middle", None, "'middle' is none of"),
        (5, "summit", None, "no summit at None"),
        (5, "summit", -1, "narrowPeak writes -1"),
        (5, "summit", 10, "0 to 9"),
    ],
)
def test_impossible_resizes_are_refused(width, anchor, summit, complaint) -> None:
    with pytest.raises(IntervalError, match=complaint):
        Interval("chr1", 100, 110).resize(width, anchor, summit)


def test_shift_moves_both_ends() -> None:
    assert Interval("chr1", 5, 8, "-").shift(-5) == Interval("chr1", 0, 3, "-")
    with pytest.raises(IntervalError, match="before its chromosome"):
        Interval("chr1", 5, 8).shift(-6)


@given(intervals, intervals)
def test_overlap_is_a_shared_base(first: Interval, second: Interval) -> None:
    shared = set(range(first.start, first.end)) & set(range(second.start, second.end))
    assert first.overlaps(second) == second.overlaps(first) == bool(shared)


def test_other_chromosomes_never_overlap() -> None:
    assert not Interval("chr1", 0, 9).overlaps(Interval("chr2", 0, 9))
