"""What is hidden: whole codons, single bases elsewhere, and every token that would tell them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genoseq.errors import ConfigError
from genoseq.tokenizers import CharacterTokenizer, CodonTokenizer, KmerTokenizer, Tokenizer, choose_hidden

SEQUENCE = "GG" + "ATGAAATAG" * 20 + "CC"
CODING = [(2, 182)]


def hidden(tokenizer: Tokenizer, ids: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    offsets = tokenizer.offsets(ids, len(SEQUENCE))
    generator = np.random.default_rng(seed)
    return choose_hidden(offsets, len(SEQUENCE), coding=CODING, fraction=fraction, generator=generator)


@given(seed=st.integers(0, 1000), fraction=st.floats(0, 1))
def test_codons_are_hidden_whole(seed: int, fraction: float) -> None:
    characters, codons = (
        CharacterTokenizer(special_tokens="cls_sep"),
        CodonTokenizer(special_tokens="cls_sep"),
    )
    single = hidden(characters, characters.encode(SEQUENCE), fraction, seed)
    assert not single[[0, -1]].any()
    inside = single[3:183].reshape(-1, 3)
    assert (inside.any(axis=1) == inside.all(axis=1)).all()
    # The same choice in both vocabularies.
    whole = hidden(codons, codons.encode(SEQUENCE, coding=CODING), fraction, seed)
    np.testing.assert_array_equal(whole[3:-3], inside[:, 0])
    np.testing.assert_array_equal(whole[[1, 2, -3, -2]], single[[1, 2, -3, -2]])


def test_no_word_tells_a_hidden_base() -> None:
    characters, words = CharacterTokenizer(special_tokens="none"), KmerTokenizer(overlapping=True)
    bases = np.flatnonzero(hidden(characters, characters.encode(SEQUENCE), 0.1, 3))
    ids = words.encode(SEQUENCE)
    mask = hidden(words, ids, 0.1, 3)
    touched = [(np.abs(bases - (start + 2.5)) < 3).any() for start in range(len(ids))]
    np.testing.assert_array_equal(mask, touched)


def test_share_is_the_one_asked_for() -> None:
    tokenizer = CharacterTokenizer(special_tokens="none")
    shares = [hidden(tokenizer, tokenizer.encode(SEQUENCE), 0.15, seed).mean() for seed in range(200)]
    assert np.mean(shares) == pytest.approx(0.15, abs=0.01)
    with pytest.raises(ConfigError, match="fraction=15"):
        hidden(tokenizer, tokenizer.encode(SEQUENCE), 15, 0)


def test_nothing_is_hidden_of_nothing() -> None:
    empty = np.empty((0, 2), dtype=np.int64)
    assert choose_hidden(empty, 0, fraction=0.5, generator=np.random.default_rng(0)).shape == (0,)
