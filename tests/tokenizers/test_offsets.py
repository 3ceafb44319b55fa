"""Every tokenizer says which bases each of its tokens stands for, of random and of real sequence."""

from __future__ import annotations

import gzip
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from genoseq.errors import SequenceError
from genoseq.paths import data_dir
from genoseq.sequence import encode_bases
from genoseq.tokenizers import (
    BpeTokenizer,
    CharacterTokenizer,
    CodonTokenizer,
    FrameTokenizer,
    KmerTokenizer,
    Tokenizer,
)

dna = st.text(alphabet="ACGTN", max_size=100)


@cache
def phix() -> str:
    """A real genome that comes with the package."""
    packed = (data_dir() / "genomes" / "phiX174_x6.fa.gz").read_bytes()
    lines = gzip.decompress(packed).decode().splitlines()
    return "".join(line for line in lines if not line.startswith(">"))[:10_000]


TOKENIZERS: dict[str, Tokenizer] = {
    "character": CharacterTokenizer(special_tokens="cls_sep"),
    "codon": CodonTokenizer(special_tokens="cls_sep"),
    "frame": FrameTokenizer(special_tokens="cls_sep"),
    "bpe": BpeTokenizer.train([phix()], vocab_size=200),
    "generator": KmerTokenizer(special_tokens="both"),
    "generator, padded": KmerTokenizer(special_tokens="both", remainder="pad"),
    "generator, cut": KmerTokenizer(special_tokens="both", remainder="drop"),
    "dnabert": KmerTokenizer(layout="dnabert", overlapping=True, special_tokens="both"),
    "3-mers side by side": KmerTokenizer(k=3, layout="dnabert", special_tokens="start"),
    "1-mers": KmerTokenizer(k=1, special_tokens="end"),
}
each = pytest.mark.parametrize("tokenizer", TOKENIZERS.values(), ids=TOKENIZERS.keys())


def spelt_as(tokenizer: Tokenizer, index: int, bases: str) -> bool:
    """Whether a token is what is written for these bases; what is unknown stands for an N, or for too few."""
    text = tokenizer.vocabulary[index]
    if text in ("[UNK]", "<oov>"):
        return "N" in bases or len(bases) < getattr(tokenizer, "k", 1)
    padded = bases.rjust(tokenizer.k, "A") if isinstance(tokenizer, KmerTokenizer) else bases
    return text == padded


def check_offsets(tokenizer: Tokenizer, sequence: str) -> None:
    ids = tokenizer.encode(sequence)
    offsets = tokenizer.offsets(ids, len(sequence))
    assert offsets.dtype == np.int64
    assert offsets.shape == (len(ids), 2)
    special = np.isin(ids, tokenizer.special_ids)
    assert (offsets[special, 0] == offsets[special, 1]).all()
    before, behind = len(tokenizer.prefix_ids), len(tokenizer.suffix_ids)
    assert (offsets[:before] == 0).all()
    spans = offsets[~special].tolist()
    if spans:
        assert (offsets[len(ids) - behind :] == len(sequence)).all()
    covered = np.zeros(len(sequence), dtype=int)
    for index, (start, stop) in zip(ids[~special], spans, strict=True):
        assert 0 <= start < stop <= len(sequence)
        assert spelt_as(tokenizer, index, sequence[start:stop])
        covered[start:stop] += 1
    assert all(one[0] < other[0] and one[1] < other[1] for one, other in pairwise(spans))
    dropped = len(sequence) % tokenizer.k if getattr(tokenizer, "remainder", None) == "drop" else 0
    assert (covered[:dropped] == 0).all()
    most = tokenizer.k if getattr(tokenizer, "overlapping", False) else 1
    assert ((covered[dropped:] >= 1) & (covered[dropped:] <= most)).all()


@each
@given(sequence=dna)
def test_offsets_map_back_to_random_sequence(tokenizer: Tokenizer, sequence: str) -> None:
    check_offsets(tokenizer, sequence)


@each
@given(start=st.integers(0, 9_000), length=st.integers(0, 1_000))
def test_offsets_map_back_to_real_sequence(tokenizer: Tokenizer, start: int, length: int) -> None:
    check_offsets(tokenizer, phix()[start : start + length])


@each
def test_offsets_map_back_to_a_whole_genome(tokenizer: Tokenizer) -> None:
    check_offsets(tokenizer, phix())


@each
@given(sequences=st.lists(dna, min_size=1, max_size=4))
def test_padding_has_no_bases(tokenizer: Tokenizer, sequences: list[str]) -> None:
    batch = tokenizer(sequences)
    for row, mask, sequence in zip(*batch, sequences, strict=True):
        offsets = tokenizer.offsets(row, len(sequence))
        assert (offsets[~mask.numpy(), 0] == offsets[~mask.numpy(), 1]).all()
        np.testing.assert_array_equal(
            offsets[mask.numpy()], tokenizer.offsets(tokenizer.encode(sequence), len(sequence))
        )


@each
@given(sequence=dna)
def test_base_codes_give_the_ids_of_their_letters(tokenizer: Tokenizer, sequence: str) -> None:
    ids = tokenizer.encode(sequence, add_special_tokens=False)
    np.testing.assert_array_equal(tokenizer.encode_codes(encode_bases(sequence)), ids)
    assert ids.dtype == np.int64


@each
@given(sequence=st.text(alphabet="ACGT", max_size=100), cut=st.integers(0, 100))
def test_a_beginning_has_the_places_of_the_whole(tokenizer: Tokenizer, sequence: str, cut: int) -> None:
    ids = tokenizer.encode(sequence)
    np.testing.assert_array_equal(
        tokenizer.offsets(ids[:cut], len(sequence)), tokenizer.offsets(ids, len(sequence))[:cut]
    )


@each
def test_tokens_of_a_longer_sequence_are_refused(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode(phix()[:60])
    with pytest.raises(SequenceError, match="given once"):
        tokenizer.offsets(ids, 30)
    with pytest.raises(SequenceError, match="not one sequence"):
        tokenizer.offsets(torch.from_numpy(ids)[None], 60)


@each
def test_known_tokens_are_of_the_four_bases(tokenizer: Tokenizer) -> None:
    assert all(set(tokenizer.decode([index])) <= set("ACGT") for index in tokenizer.known_ids)
    assert not set(tokenizer.known_ids) & set(tokenizer.special_ids)
    assert (tokenizer.num_bases[tokenizer.known_ids] > 0).all()
    assert (tokenizer.num_bases[tokenizer.special_ids] == 0).all()
