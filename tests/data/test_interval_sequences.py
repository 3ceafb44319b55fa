"""Intervals come in their order, under their names, on their strands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from genoseq.data import Fasta, IntervalSequences
from genoseq.data.loading import ExampleKey
from genoseq.errors import ConfigError, DataError, IntervalError
from genoseq.sequence import Interval, reverse_complement
from genoseq.tokenizers import CharacterTokenizer

TOKENIZER = CharacterTokenizer()


@pytest.fixture
def fasta(tiny_fasta: Path) -> Fasta:
    return Fasta(tiny_fasta)


def sequences(fasta: Fasta, intervals: list[Interval], **settings: Any) -> IntervalSequences:
    return IntervalSequences(fasta, intervals, TOKENIZER, **settings)


def test_order_names_and_strands_are_honoured(fasta: Fasta) -> None:
    intervals = [
        Interval("chr2", 100, 130, "-", "b"),
        Interval("chr1", 5, 20),
        Interval("chr1", 5, 20, "+", "b"),
    ]
    data = sequences(fasta, intervals)
    assert data.names == ["b", "chr1:5-20(.)", "b"]
    assert data.sequence(0) == reverse_complement(fasta.fetch("chr2", 100, 130))
    assert data.sequence(1) == data.sequence(2) == fasta.fetch("chr1", 5, 20)
    item = data[ExampleKey(0, 0)]
    assert TOKENIZER.decode(item["input_ids"]) == data.sequence(0)
    assert (item["index"], item["counted"]) == (0, True)


@pytest.mark.parametrize(
    ("anchor", "start"), [("center", 110 - 8), ("start", 100), ("end", 104), ("summit", 103 - 8)]
)
def test_intervals_are_resized_around_their_anchor(fasta: Fasta, anchor: str, start: int) -> None:
    data = sequences(fasta, [Interval("chr1", 100, 120)], width=16, anchor=anchor, summits=[3])
    assert (data.intervals[0].start, data.intervals[0].end) == (start, start + 16)
    assert data.sequence(0) == fasta.fetch("chr1", start, start + 16)


def test_edges_are_refused_padded_or_dropped(fasta: Fasta, caplog: pytest.LogCaptureFixture) -> None:
    begin, end = Interval("chr2", 2, 4, "-", "begin"), Interval("chr2", 2990, 3000, name="end")
    intervals = [begin, end, Interval("chr2", 50, 60)]
    with pytest.raises(IntervalError, match=r"chr2:-7-13, beyond its chromosome of bases 0-3000"):
        sequences(fasta, intervals, width=20)
    padded = sequences(fasta, intervals, width=20, edge="pad")
    assert padded.sequence(0) == reverse_complement("N" * 7 + fasta.fetch("chr2", 0, 13))
    assert padded.sequence(1) == fasta.fetch("chr2", 2985, 3000) + "N" * 5
    assert {len(padded.sequence(i)) for i in range(3)} == {20}
    dropped = sequences(fasta, intervals, width=20, edge="drop")
    assert dropped.names == ["chr2:45-65(.)"]
    assert "2 of 3 intervals" in caplog.text


def test_an_interval_beyond_the_end_is_refused(fasta: Fasta) -> None:
    with pytest.raises(IntervalError, match="beyond its chromosome"):
        sequences(fasta, [Interval("chr2", 2999, 3001)])
    with pytest.raises(IntervalError, match="beyond its chromosome"):
        sequences(fasta, [Interval("chr2", 4000, 4001)], edge="pad")


def test_a_chromosome_that_the_fasta_lacks_is_named(fasta: Fasta) -> None:
    with pytest.raises(DataError, match="no sequence '2'; it has chr1, chr2"):
        sequences(fasta, [Interval("2", 0, 5)])


def test_bad_settings(fasta: Fasta) -> None:
    with pytest.raises(ConfigError, match="edge='wrap'"):
        sequences(fasta, [Interval("chr1", 0, 5)], edge="wrap")
    with pytest.raises(ConfigError, match="anchor=summit"):
        sequences(fasta, [Interval("chr1", 0, 5)], width=4, anchor="summit")
    with pytest.raises(IntervalError, match="no summit"):
        sequences(fasta, [Interval("chr1", 0, 5)], width=4, anchor="summit", summits=[-1])
    with pytest.raises(DataError, match="no interval is left"):
        sequences(fasta, [])
