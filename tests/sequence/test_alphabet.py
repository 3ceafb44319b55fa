"""Letters and codes: every letter by hand, and the laws of the reverse complement on random input."""

from __future__ import annotations

import numpy as np
import pytest
from Bio.Seq import reverse_complement as biopython_reverse_complement
from hypothesis import given
from hypothesis import strategies as st

from genoseq.errors import SequenceError
from genoseq.sequence import BASES, decode_bases, encode_bases, reverse_complement

IUPAC = "ACGTRYSWKMBDHVN"
dna = st.text(alphabet=IUPAC + IUPAC.lower(), max_size=200)
bases = st.text(alphabet=BASES, max_size=200)


def test_each_letter_has_its_code() -> None:
    codes = encode_bases("ACGTUNRYSWKMBDHV")
    assert codes.dtype == np.uint8
    assert codes.tolist() == [0, 1, 2, 3, 3] + [4] * 11


def test_lowercase_letters_are_bases_or_masked() -> None:
    assert encode_bases("acgtunryACGTU").tolist() == [0, 1, 2, 3, 3, 4, 4, 4, 0, 1, 2, 3, 3]
    assert encode_bases("acgtunryACGTU", lowercase="mask").tolist() == [4] * 8 + [0, 1, 2, 3, 3]


@pytest.mark.parametrize("lowercase", ["base", "mask"])
def test_bytes_and_text_agree(lowercase: str) -> None:
    text = "ACGTacgtNnRru"
    np.testing.assert_array_equal(
        encode_bases(text, lowercase=lowercase), encode_bases(text.encode(), lowercase=lowercase)
    )


def test_codes_may_be_changed_in_place() -> None:
    codes = encode_bases(b"ACGT")
    codes[0] = 4
    assert decode_bases(codes) == "NCGT"


def test_an_empty_sequence_is_empty() -> None:
    assert encode_bases("").shape == (0,)
    assert decode_bases(encode_bases("")) == ""
    assert reverse_complement("") == ""


@pytest.mark.parametrize(
    "letter", ["J", "X", "x", "-", ".", " ", "\n", "*", "5", "?", "é", "Ａ", "\0", "\xff"]
)
@pytest.mark.parametrize("read", [encode_bases, reverse_complement])
def test_other_characters_are_named_with_their_place_and_number(read, letter: str) -> None:
    with pytest.raises(SequenceError) as error:
        read(f"ACG{letter}TT{letter}")
    message = str(error.value)
    assert repr(letter) in message
    assert "position 3" in message
    assert "2 such in the sequence of 7" in message


def test_masking_does_not_hide_bad_letters() -> None:
    with pytest.raises(SequenceError, match="'j' at position 1"):
        encode_bases("aj", lowercase="mask")


def test_bad_bytes_are_named_too() -> None:
    with pytest.raises(SequenceError, match="'>' at position 0"):
        encode_bases(b">chr1")


@pytest.mark.parametrize("function", [decode_bases, reverse_complement])
@pytest.mark.parametrize(
    ("array", "complaint"),
    [(np.array([7, 8]), "dtype int64"), (np.array([0, 5], dtype=np.uint8), "the value 5 is no base code")],
)
def test_arrays_that_are_no_base_codes_are_refused(function, array: np.ndarray, complaint: str) -> None:
    with pytest.raises(SequenceError, match=complaint):
        function(array)


@given(bases)
def test_decoding_undoes_encoding(sequence: str) -> None:
    assert decode_bases(encode_bases(sequence)) == sequence


@given(dna)
def test_the_opposite_strand_is_biopythons(sequence: str) -> None:
    assert reverse_complement(sequence) == biopython_reverse_complement(sequence)


@given(dna)
def test_twice_the_opposite_strand_is_the_same(sequence: str) -> None:
    assert reverse_complement(reverse_complement(sequence)) == sequence


@given(dna)
def test_letters_and_codes_turn_alike(sequence: str) -> None:
    np.testing.assert_array_equal(
        reverse_complement(encode_bases(sequence)), encode_bases(reverse_complement(sequence))
    )


def test_rna_turns_into_dna() -> None:
    assert reverse_complement("ACGUu") == "aACGT"


def test_batches_of_codes_turn_row_by_row() -> None:
    batch = np.array([[0, 0, 1], [2, 4, 3]], dtype=np.uint8)
    assert reverse_complement(batch).tolist() == [[2, 3, 3], [0, 4, 1]]
