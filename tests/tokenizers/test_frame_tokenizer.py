"""Single nucleotides that know their places in codons."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genoseq.errors import IntervalError
from genoseq.sequence import codon_starts, reverse_complement
from genoseq.tokenizers import CharacterTokenizer, FrameTokenizer

tokenizer = FrameTokenizer()


def texts(ids: np.ndarray) -> list[str]:
    return [tokenizer.vocabulary[index] for index in ids]


def test_ids_follow_those_of_characters() -> None:
    assert tokenizer.vocabulary[:12] == CharacterTokenizer().vocabulary
    assert tokenizer.vocab_size == 12 + 2 * 3 * 6
    assert tokenizer.encode("ACGTN").tolist() == [7, 8, 9, 10, 11]


def test_places_are_in_the_order_of_reading() -> None:
    sequence = "GATGNNTTAC"
    assert texts(tokenizer.encode(sequence, coding=[(1, 4), (4, 10, "-", 1)])) == [
        *("G", "A+1", "T+2", "G+3"),
        *("N", "N", "T-3", "T-2", "A-1", "C"),
    ]
    framed = FrameTokenizer(special_tokens="cls_sep").encode("ATG", coding=[(0, 3)])
    assert framed.tolist() == [0, *tokenizer.encode("ATG", coding=[(0, 3)]), 1]


@given(st.data())
def test_a_token_a_base_whatever_is_said_of_it(annotated: Any, data: st.DataObject) -> None:
    sequence, regions = data.draw(annotated)
    ids = tokenizer.encode(sequence, coding=regions)
    assert tokenizer.decode(ids) == sequence
    places = np.arange(len(sequence))
    np.testing.assert_array_equal(tokenizer.offsets(ids, len(sequence)), np.stack([places, places + 1], 1))
    inside = (codon_starts(regions, len(sequence))[:, None] + np.arange(3)).ravel()
    np.testing.assert_array_equal(np.flatnonzero(tokenizer.places[ids] >= 0), inside)


@given(st.data())
def test_the_other_strand_is_that_of_the_letters(annotated: Any, data: st.DataObject) -> None:
    sequence, regions = data.draw(annotated)
    turned = [region.turned(len(sequence)) for region in regions]
    expected = tokenizer.encode(reverse_complement(sequence), coding=turned)
    ids = tokenizer.encode(sequence, coding=regions)
    np.testing.assert_array_equal(tokenizer.reverse_complement(ids), expected)
    hidden = tokenizer.hidden_ids
    np.testing.assert_array_equal(tokenizer.reverse_complement(hidden[ids]), hidden[expected])


def test_what_is_hidden_keeps_its_place() -> None:
    ids = tokenizer.encode("GATGA", coding=[(1, 4)])
    assert texts(tokenizer.hidden_ids[ids]) == ["[MASK]", "[MASK]+1", "[MASK]+2", "[MASK]+3", "[MASK]"]
    assert (tokenizer.hidden_ids[tokenizer.special_ids] == tokenizer.special_ids).all()
    assert tokenizer.decode(tokenizer.hidden_ids[ids]) == ""
    assert (tokenizer.bases[tokenizer.hidden_ids] == 4).all()


def test_a_region_beyond_the_sequence_is_refused() -> None:
    with pytest.raises(IntervalError, match="no part of a sequence of 4"):
        tokenizer.encode("ACGT", coding=[(0, 5)])


def test_a_base_is_known_at_every_place() -> None:
    tokenizer = FrameTokenizer()
    known = [text[0] for text, one in zip(tokenizer.vocabulary, tokenizer.is_known, strict=True) if one]
    places = len(known) // 4
    assert {letter: known.count(letter) for letter in "ACGT"} == dict.fromkeys("ACGT", places)
    assert places > 1
