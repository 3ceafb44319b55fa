"""What is hidden: whole codons, single bases elsewhere, and every token that would tell them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genoseq.errors import ConfigError
from genoseq.tokenizers import (
    BpeTokenizer,
    CharacterTokenizer,
    CodonTokenizer,
    KmerTokenizer,
    Tokenizer,
    choose_hidden,
    choose_hidden_groups,
    touches,
)

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


PAIR = {
    "characters": CharacterTokenizer(special_tokens="cls_sep"),
    "6-mers": KmerTokenizer(special_tokens="both"),
    "4-mers": KmerTokenizer(k=4, remainder="drop"),
    "words that overlap": KmerTokenizer(k=3, overlapping=True),
    "BPE": BpeTokenizer.train([SEQUENCE + "ATTACAGATTACCAGGACCATTGACA" * 3], vocab_size=24),
}
dna = st.text(alphabet="ACGTN", min_size=8, max_size=90)


@given(
    sequence=dna,
    of=st.sampled_from(sorted(PAIR)),
    other=st.sampled_from(sorted(PAIR)),
    group_size=st.integers(1, 4),
    fraction=st.floats(0, 1),
    seed=st.integers(0, 1000),
)
def test_no_visible_token_of_either_tokenizer_tells_what_is_hidden(
    sequence: str, of: str, other: str, group_size: int, fraction: float, seed: int
) -> None:
    length = len(sequence)
    offsets = [PAIR[name].offsets(PAIR[name].encode(sequence), length) for name in (of, other)]
    bases = choose_hidden_groups(
        *offsets, length, group_size=group_size, fraction=fraction, generator=np.random.default_rng(seed)
    )
    chosen = [
        {base for start, end in each[touches(each, bases)] for base in range(start, end)} for each in offsets
    ]
    visible = [
        {base for start, end in each[~touches(each, bases)] for base in range(start, end)} for each in offsets
    ]
    hidden = set(np.flatnonzero(bases))
    for seen in visible:
        assert not seen & hidden
    if "words that overlap" not in (of, other):
        # What a hidden token of one has, no visible token of the other has.
        assert not chosen[0] & visible[1]
        assert not chosen[1] & visible[0]


def test_groups_are_hidden_whole() -> None:
    words, single = PAIR["6-mers"], PAIR["characters"]
    of, other = (each.offsets(each.encode(SEQUENCE), len(SEQUENCE)) for each in (words, single))
    shares = []
    for seed in range(200):
        bases = choose_hidden_groups(
            of, other, len(SEQUENCE), group_size=2, fraction=0.15, generator=np.random.default_rng(seed)
        )
        groups = np.pad(bases, (0, -len(bases) % 12), mode="edge").reshape(-1, 12)
        assert (groups.all(axis=1) == groups.any(axis=1)).all()
        shares.append(groups[:, 0].mean())
        assert not touches(of, bases)[[0, -1]].any()
    assert np.mean(shares) == pytest.approx(0.15, abs=0.02)
    with pytest.raises(ConfigError, match="fraction=15"):
        choose_hidden_groups(of, other, 184, fraction=15, generator=np.random.default_rng(0))
    with pytest.raises(ConfigError, match="group_size=0"):
        choose_hidden_groups(of, other, 184, group_size=0, fraction=0.1, generator=np.random.default_rng(0))
