"""k-mers: the ids of both releases, what becomes of the last bases, and the way back to letters."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from genoseq.errors import ConfigError, SequenceError
from genoseq.sequence import encode_bases, reverse_complement
from genoseq.tokenizers import KmerTokenizer

dna = st.text(alphabet="ACGTN", max_size=60)
known_dna = st.text(alphabet="ACGT", max_size=60)


def test_vocabulary_is_that_of_dnabert(shared: Path) -> None:
    official = (shared / "data/bench/tokenizers/dnabert6_vocab.txt").read_text().split()
    assert list(KmerTokenizer(layout="dnabert").vocabulary) == official


@given(sequence=dna)
def test_overlapping_words_are_those_of_dnabert(sequence: str) -> None:
    """Its scripts cut a word at every base and look it up in the file."""
    tokenizer = KmerTokenizer(layout="dnabert", overlapping=True, special_tokens="both")
    id_of = {token: index for index, token in enumerate(tokenizer.vocabulary)}
    words = [sequence[start : start + 6] for start in range(len(sequence) - 5)] or [sequence] * bool(sequence)
    assert tokenizer.encode(sequence).tolist() == [2, *(id_of.get(word, 1) for word in words), 3]


@given(sequence=dna)
def test_words_side_by_side_are_those_of_generator(sequence: str) -> None:
    """Its tokenizer cuts by this pattern; the word that is left over is in no vocabulary."""
    tokenizer = KmerTokenizer()
    id_of = {"".join(word): 32 + number for number, word in enumerate(product("ATCG", repeat=6))}
    words = re.findall("[A-Z]{6}|[A-Z]+", sequence)
    assert tokenizer.encode(sequence).tolist() == [id_of.get(word, 0) for word in words]
    assert tokenizer.vocab_size == 4128


def test_ids_of_generator_by_hand() -> None:
    tokenizer = KmerTokenizer(special_tokens="both")
    assert tokenizer.encode("AAAAAAAAAAATGGGGGGACG").tolist() == [1, 32, 33, 4127, 0, 2]
    assert [tokenizer.token_id(token) for token in ("<oov>", "<pad>", "<mask>", "<sp2>")] == [0, 3, 4, 31]
    assert (tokenizer.pad_id, tokenizer.mask_id) == (3, 4)


@given(sequence=known_dna)
def test_both_ways_to_whole_words(sequence: str) -> None:
    short = len(sequence) % 6
    whole = KmerTokenizer(remainder="unknown")
    padded = KmerTokenizer(remainder="pad")
    cut = KmerTokenizer(remainder="drop")
    np.testing.assert_array_equal(cut.encode(sequence), whole.encode(sequence[short:]))
    np.testing.assert_array_equal(
        padded.encode(sequence), whole.encode("A" * (-len(sequence) % 6) + sequence)
    )


@pytest.mark.parametrize("layout", ["dnabert", "generator"])
@pytest.mark.parametrize("k", [1, 3, 6])
@pytest.mark.parametrize("overlapping", [False, True])
@given(data=st.data())
def test_decoding_undoes_encoding(k: int, overlapping: bool, layout, data) -> None:
    tokenizer = KmerTokenizer(k=k, overlapping=overlapping, layout=layout)
    sequence = data.draw(known_dna)
    if overlapping:
        sequence = sequence if len(sequence) >= k else ""
    else:
        sequence = sequence[: len(sequence) // k * k]
    assert tokenizer.decode(tokenizer.encode(sequence)) == sequence


def test_what_is_lost_reads_as_n() -> None:
    apart = KmerTokenizer(k=3)
    assert apart.decode(apart.encode("ACGANTTGCAC")) == "ACGNNNTGCNNN"
    overlapping = KmerTokenizer(k=3, overlapping=True)
    assert overlapping.decode(overlapping.encode("ACGTNACGNA")) == "ACGTNACGNN"
    assert overlapping.decode([]) == ""


def test_lower_case_is_read_as_asked() -> None:
    assert KmerTokenizer().encode("acgtac").tolist() == KmerTokenizer().encode("ACGTAC").tolist()
    assert KmerTokenizer(lowercase="mask").encode("ACGTAc").tolist() == [0]


@pytest.mark.parametrize("overlapping", [False, True])
@given(sequence=dna)
def test_other_strand_of_whole_words(overlapping: bool, sequence: str) -> None:
    tokenizer = KmerTokenizer(k=4, overlapping=overlapping, special_tokens="both")
    whole = sequence if overlapping and len(sequence) >= 4 else sequence[: len(sequence) // 4 * 4]
    turned = tokenizer.encode(reverse_complement(whole))
    np.testing.assert_array_equal(tokenizer.reverse_complement(tokenizer.encode(whole)), turned)
    rows = torch.from_numpy(tokenizer.encode(whole))[None]
    assert tokenizer.reverse_complement(rows)[0].tolist() == turned.tolist()


def test_bad_input_is_refused() -> None:
    with pytest.raises(SequenceError, match="'-' at position 2"):
        KmerTokenizer().encode("AC-GTA")
    with pytest.raises(SequenceError, match="no base codes"):
        KmerTokenizer().encode_codes(np.array([1, 2]))
    with pytest.raises(SequenceError, match="no token 'A'"):
        _ = KmerTokenizer().base_ids


@pytest.mark.parametrize(
    "settings",
    [
        {"k": 0},
        {"k": 9},
        {"k": "6"},
        {"overlapping": 1},
        {"layout": "bert"},
        {"remainder": "cut"},
        {"special_tokens": "sep"},
        {"lowercase": "upper"},
    ],
)
def test_settings_outside_their_choices_are_refused(settings) -> None:
    with pytest.raises(ConfigError, match=next(iter(settings))):
        KmerTokenizer(**settings)


def test_long_words_do_not_overflow() -> None:
    tokenizer = KmerTokenizer(k=8, layout="dnabert")
    assert tokenizer.encode("N" * 8).tolist() == [1]
    assert tokenizer.encode("G" * 8).tolist() == [4**8 + 4]
    assert tokenizer.encode_codes(encode_bases("GGGGGGGN")).tolist() == [1]
