"""Codons in coding regions, single nucleotides everywhere else.

Ids 0 to 11 are those of the character tokenizer; the codons AAA, AAC, ... TTT follow from 12 on, so that a
model of characters can be given room for them and keeps what it knows.
Source of the vocabulary of codons: Li et al. 2024, "CodonBERT".
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import ClassVar

import numpy as np

from genoseq.sequence import BASES, CODON, Lowercase, codon_starts, require_codes
from genoseq.tokenizers.base import PaddingSide
from genoseq.tokenizers.nucleotides import FIRST_BASE, CodingTokenizer, SpecialTokens
from genoseq.tokenizers.strands import complement_table

_CODONS = ["".join(letters) for letters in product("ACGT", repeat=CODON)]
_FIRST_CODON = FIRST_BASE + len(BASES)
_N = BASES.index("N")


class CodonTokenizer(CodingTokenizer):
    """64 codons in frame inside of coding regions, single nucleotides outside.

    A codon is written as it stands on the given strand, that of a region on "-" too: decoding gives the
    sequence back, and the reverse complement of the tokens is the tokens of the reverse complement, with its
    regions `turned` (and disjoint). A codon with an unknown base is three nucleotides.

    Args:
        special_tokens, padding_side, lowercase: as for `CharacterTokenizer`.

    Raises:
        ConfigError: a setting is none of its choices.
    """

    tokenizer_type: ClassVar[str] = "codon"

    def __init__(
        self,
        *,
        special_tokens: SpecialTokens = "sep",
        padding_side: PaddingSide = "left",
        lowercase: Lowercase = "base",
    ) -> None:
        super().__init__(
            _CODONS, special_tokens=special_tokens, padding_side=padding_side, lowercase=lowercase
        )
        texts = np.where(self._is_special, "", self.vocabulary)
        # Rows are filled up with NUL, which is no letter.
        self._letters = texts.astype(f"S{CODON}").view(np.uint8).reshape(-1, CODON)
        self._complement = complement_table(self.vocabulary, self._is_special)
        self.kinds = self.num_bases

    def encode_codes(self, codes: np.ndarray, *, coding: Sequence[tuple] = ()) -> np.ndarray:
        require_codes(codes)
        ids = np.add(codes, FIRST_BASE, dtype=np.int64)
        starts = codon_starts(coding, len(codes))
        first, second, third = (codes[starts + place] for place in range(CODON))
        known = (first != _N) & (second != _N) & (third != _N)
        starts = starts[known]
        ids[starts] = _FIRST_CODON + (16 * first + 4 * second + third)[known]
        inside = np.zeros(len(codes), dtype=bool)
        inside[starts + 1] = inside[starts + 2] = True
        return ids[~inside]

    def _decode(self, ids: np.ndarray) -> str:
        letters = self._letters[ids]
        return letters[letters > 0].tobytes().decode("ascii")
