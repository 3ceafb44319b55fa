"""Single nucleotides: the official ids, both official frames, and the letters that are read as others."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from genoseq.errors import ConfigError, SequenceError
from genoseq.sequence import encode_bases, reverse_complement
from genoseq.tokenizers import CharacterTokenizer

OFFICIAL_IDS = {
    "[CLS]": 0, "[SEP]": 1, "[BOS]": 2, "[MASK]": 3, "[PAD]": 4, "[RESERVED]": 5, "[UNK]": 6,
    "A": 7, "C": 8, "G": 9, "T": 10, "N": 11,
}  # fmt: skip
CLS, SEP, MASK, PAD, UNK = (OFFICIAL_IDS[f"[{name}]"] for name in ("CLS", "SEP", "MASK", "PAD", "UNK"))
FRAMES = ["cls_sep", "sep", "none"]
dna = st.text(alphabet="ACGTN", max_size=100)


def test_ids_are_the_official_ones() -> None:
    tokenizer = CharacterTokenizer()
    assert {token: index for index, token in enumerate(tokenizer.vocabulary)} == OFFICIAL_IDS
    assert tokenizer.vocab_size == 12
    assert tokenizer.pad_id == PAD
    assert tokenizer.base_ids.tolist() == [7, 8, 9, 10]
    assert tokenizer.special_ids.tolist() == list(range(7))
    assert all(tokenizer.token_id(token) == index for token, index in OFFICIAL_IDS.items())


@pytest.mark.parametrize(
    ("special_tokens", "ids"),
    [("cls_sep", [CLS, 7, 8, 9, 10, 11, SEP]), ("sep", [7, 8, 9, 10, 11, SEP]), ("none", [7, 8, 9, 10, 11])],
)
def test_frames_of_both_official_releases(special_tokens, ids: list[int]) -> None:
    tokenizer = CharacterTokenizer(special_tokens=special_tokens)
    encoded = tokenizer.encode("ACGTN")
    assert encoded.dtype == np.int64
    assert encoded.tolist() == ids
    assert tokenizer.num_special_tokens == len(ids) - 5
    assert tokenizer.encode("ACGTN", add_special_tokens=False).tolist() == [7, 8, 9, 10, 11]


def test_letters_that_are_read_as_others() -> None:
    tokenizer = CharacterTokenizer(special_tokens="none")
    assert tokenizer.decode(tokenizer.encode("ACGUacguRYSWKMBDHVN")) == "ACGTACGTNNNNNNNNNNN"
    masking = CharacterTokenizer(special_tokens="none", lowercase="mask")
    assert masking.decode(masking.encode("ACGTacgu")) == "ACGTNNNN"


def test_a_bad_letter_is_refused_with_its_place() -> None:
    with pytest.raises(SequenceError, match="'-' at position 2"):
        CharacterTokenizer().encode("AC-GT")


@given(sequences=st.lists(dna, max_size=5))
def test_several_at_once_are_each_alone(sequences: list[str]) -> None:
    tokenizer = CharacterTokenizer()
    alone = [tokenizer.encode(sequence, add_special_tokens=False).tolist() for sequence in sequences]
    assert [ids.tolist() for ids in tokenizer.encode_each(sequences)] == alone


def test_a_bad_letter_among_several_is_told_by_its_own_place() -> None:
    with pytest.raises(SequenceError, match=r"'-' at position 1 .* sequence of 3"):
        CharacterTokenizer().encode_each(["ACGT", "A-C"])


@pytest.mark.parametrize("special_tokens", FRAMES)
@given(sequence=dna)
def test_decoding_undoes_encoding(special_tokens, sequence: str) -> None:
    tokenizer = CharacterTokenizer(special_tokens=special_tokens)
    ids = tokenizer.encode(sequence)
    assert tokenizer.decode(ids) == sequence
    assert tokenizer.decode(torch.from_numpy(ids)) == sequence
    assert tokenizer.decode(ids.tolist()) == sequence


def test_decoding_can_show_special_tokens() -> None:
    tokenizer = CharacterTokenizer(special_tokens="cls_sep")
    assert tokenizer.decode([PAD, CLS, 7, MASK, SEP], skip_special_tokens=False) == "[PAD][CLS]A[MASK][SEP]"
    assert tokenizer.decode([PAD, CLS, 7, MASK, SEP]) == "A"


@pytest.mark.parametrize("identity", [12, -100])
def test_ids_beyond_the_vocabulary_are_refused(identity: int) -> None:
    tokenizer = CharacterTokenizer()
    with pytest.raises(SequenceError, match=f"{identity} is no token id"):
        tokenizer.decode([7, identity])
    with pytest.raises(SequenceError, match=f"{identity} is no token id"):
        tokenizer.reverse_complement(np.array([7, identity]))


def test_codes_become_the_ids_of_their_letters() -> None:
    tokenizer = CharacterTokenizer(special_tokens="cls_sep")
    ids = tokenizer.encode_codes(encode_bases("ACGTN"))
    assert ids.dtype == np.int64
    assert ids.tolist() == [7, 8, 9, 10, 11]
    with pytest.raises(SequenceError, match="dtype int64"):
        tokenizer.encode_codes(ids)


@pytest.mark.parametrize("special_tokens", FRAMES)
@given(sequence=dna)
def test_the_opposite_strand_of_ids_is_that_of_letters(special_tokens, sequence: str) -> None:
    tokenizer = CharacterTokenizer(special_tokens=special_tokens)
    expected = tokenizer.encode(reverse_complement(sequence))
    np.testing.assert_array_equal(tokenizer.reverse_complement(tokenizer.encode(sequence)), expected)


@pytest.mark.parametrize("padding_side", ["left", "right"])
@pytest.mark.parametrize("special_tokens", FRAMES)
def test_a_padded_batch_turns_row_by_row(padding_side, special_tokens) -> None:
    tokenizer = CharacterTokenizer(special_tokens=special_tokens, padding_side=padding_side)
    sequences = ["AACGN", "T", "GATTACA", ""]
    turned = tokenizer.reverse_complement(tokenizer(sequences).input_ids)
    assert torch.equal(turned, tokenizer([reverse_complement(text) for text in sequences]).input_ids)


def test_masked_bases_turn_with_the_sequence() -> None:
    tokenizer = CharacterTokenizer(special_tokens="cls_sep")
    ids = np.array([PAD, CLS, MASK, 7, UNK, 8, 9, SEP])
    assert tokenizer.reverse_complement(ids).tolist() == [PAD, CLS, 8, 9, UNK, 10, MASK, SEP]


@pytest.mark.parametrize("dtype", [torch.int16, torch.int32, torch.int64])
def test_turning_keeps_dtype_and_the_original(dtype: torch.dtype) -> None:
    ids = torch.tensor([7, 8, SEP], dtype=dtype)
    turned = CharacterTokenizer().reverse_complement(ids)
    assert turned.dtype == dtype
    assert turned.tolist() == [9, 10, SEP]
    assert ids.tolist() == [7, 8, SEP]


@pytest.mark.parametrize("setting", ["special_tokens", "padding_side", "lowercase"])
@pytest.mark.parametrize("value", ["both", None, ["sep"]])
def test_unknown_settings_are_refused(setting: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"{setting}=.*choose one of"):
        CharacterTokenizer(**{setting: value})
