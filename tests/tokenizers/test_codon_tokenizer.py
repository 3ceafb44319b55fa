"""Codons in frame inside of coding regions, single nucleotides outside."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genoseq.errors import IntervalError
from genoseq.sequence import codon_starts, reverse_complement
from genoseq.tokenizers import CharacterTokenizer, CodonTokenizer

tokenizer = CodonTokenizer(special_tokens="none")


def texts(ids: np.ndarray) -> list[str]:
    return [tokenizer.vocabulary[index] for index in ids]


def test_ids_follow_those_of_characters() -> None:
    assert tokenizer.vocabulary[:12] == CharacterTokenizer().vocabulary
    assert list(tokenizer.vocabulary[12:]) == ["".join(codon) for codon in product("ACGT", repeat=3)]
    assert tokenizer.encode("ACGTN").tolist() == [7, 8, 9, 10, 11]


def test_codons_stand_in_frame() -> None:
    sequence = "GGATGAAATAGCC"
    forward = tokenizer.encode(sequence, coding=[(2, 11)])
    assert texts(forward) == ["G", "G", "ATG", "AAA", "TAG", "C", "C"]
    assert texts(tokenizer.encode(sequence, coding=[(2, 12)])) == texts(forward)
    assert texts(tokenizer.encode(sequence, coding=[(1, 11, "+", 1)])) == texts(forward)
    assert texts(tokenizer.encode(sequence, coding=[(1, 11, "-")])) == texts(forward)
    assert texts(tokenizer.encode(sequence, coding=[(1, 12, "-", 1)])) == texts(forward)
    framed = CodonTokenizer(special_tokens="cls_sep").encode(sequence, coding=[(2, 11)])
    assert framed.tolist() == [0, *forward.tolist(), 1]


def test_an_unknown_base_leaves_the_frame() -> None:
    ids = tokenizer.encode("ATGANATAG", coding=[(0, 9)])
    assert texts(ids) == ["ATG", "A", "N", "A", "TAG"]


def test_of_overlapping_regions_the_first_has_the_bases() -> None:
    # ATGA: the stop of one gene holds the start of the next.
    ids = tokenizer.encode("AAATGATGCC", coding=[(3, 9), (0, 6)])
    assert texts(ids) == ["AAA", "TGA", "TGC", "C"]


@given(st.data())
def test_codons_do_not_leave_their_regions(annotated: Any, data: st.DataObject) -> None:
    sequence, coding = data.draw(annotated)
    ids = tokenizer.encode(sequence, coding=coding)
    assert tokenizer.decode(ids) == sequence
    offsets = tokenizer.offsets(ids, len(sequence))
    expected = []
    for region in coding:
        bases = range(region.start + region.phase, region.stop)
        if region.strand == "-":
            bases = range(region.stop - region.phase, region.start, -1)
        for first in bases[: len(bases) // 3 * 3 : 3]:
            start = first if region.strand == "+" else first - 3
            if "N" not in sequence[start : start + 3]:
                expected.append([start, start + 3])
    codons = offsets[offsets[:, 1] - offsets[:, 0] == 3]
    assert codons.tolist() == sorted(expected)


@given(st.data())
def test_other_strand_has_the_same_codons(annotated: Any, data: st.DataObject) -> None:
    sequence, coding = data.draw(annotated)
    turned = [region.turned(len(sequence)) for region in coding]
    np.testing.assert_array_equal(
        tokenizer.reverse_complement(tokenizer.encode(sequence, coding=coding)),
        tokenizer.encode(reverse_complement(sequence), coding=turned),
    )


@given(
    st.lists(
        st.tuples(st.integers(0, 29), st.integers(1, 30), st.sampled_from("+-"), st.integers(0, 2)),
        max_size=5,
    )
)
def test_a_base_is_in_one_codon_at_most(regions: list[tuple[int, int, str, int]]) -> None:
    coding = [region for region in regions if region[0] < region[1]]
    starts = codon_starts(coding, 30)
    assert (np.diff(starts) >= 3).all()
    inside = [any(a <= start and start + 3 <= b for a, b, *_ in coding) for start in starts]
    assert all(inside)


def test_real_coding_sequences_are_read_in_their_codons(shared: Path) -> None:
    table = pd.read_csv(
        next((shared / "data/embed/central_dogma").glob("*.tsv.gz")), sep="\t", compression="gzip"
    )
    column = next(name for name in table.columns if table[name].astype(str).str.fullmatch("[ACGT]+").all())
    for sequence in table[column].head(50):
        ids = tokenizer.encode("CC" + sequence + "T", coding=[(2, 2 + len(sequence))])
        assert texts(ids) == ["C", "C", *(sequence[at : at + 3] for at in range(0, len(sequence), 3)), "T"]


@pytest.mark.parametrize(
    "region",
    [(-1, 3), (0, 0), (5, 2), (0, 10), (0, 3, "."), (0, 3, "+", 3)],
)
def test_regions_that_are_none_are_refused(region: tuple) -> None:
    with pytest.raises(IntervalError, match="CodingRegion"):
        tokenizer.encode("ACGTACGTA", coding=[region])
