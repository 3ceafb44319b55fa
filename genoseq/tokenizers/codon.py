"""Codons in coding regions, single nucleotides everywhere else.

Ids 0 to 11 are those of the character tokenizer; the codons AAA, AAC, ... TTT follow from 12 on, so that a
model of characters can be given room for them and keeps what it knows.
Source of the vocabulary of codons: Li et al. 2024, "CodonBERT".
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any, ClassVar, get_args

import numpy as np

from genoseq.errors import require_choice
from genoseq.sequence import BASES, CODON, Lowercase, codon_starts, encode_bases, require_codes
from genoseq.tokenizers.base import Ids, PaddingSide, Tokenizer
from genoseq.tokenizers.character import FIRST_BASE, FRAMES, SPECIAL_TOKENS, SpecialTokens
from genoseq.tokenizers.strands import complement_table, reverse_complement_by_table

_CODONS = ["".join(letters) for letters in product("ACGT", repeat=CODON)]
_FIRST_CODON = FIRST_BASE + len(BASES)
_N = BASES.index("N")


class CodonTokenizer(Tokenizer):
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
        require_choice("special_tokens", special_tokens, get_args(SpecialTokens))
        require_choice("lowercase", lowercase, get_args(Lowercase))
        prefix, suffix = FRAMES[special_tokens]
        super().__init__(
            vocabulary=(*SPECIAL_TOKENS, *BASES, *_CODONS),
            special_tokens=SPECIAL_TOKENS,
            prefix=prefix,
            suffix=suffix,
            pad_token="[PAD]",
            mask_token="[MASK]",
            padding_side=padding_side,
        )
        self.special_tokens = special_tokens
        self.lowercase = lowercase
        texts = np.where(self._is_special, "", self.vocabulary)
        # Rows are filled up with NUL, which is no letter.
        self._letters = texts.astype(f"S{CODON}").view(np.uint8).reshape(-1, CODON)
        self._complement = complement_table(self.vocabulary, self._is_special)
        self._is_frame = np.isin(self.vocabulary, ("[CLS]", "[SEP]", "[BOS]", "[PAD]"))

    @property
    def settings(self) -> dict[str, Any]:
        return {
            "special_tokens": self.special_tokens,
            "padding_side": self.padding_side,
            "lowercase": self.lowercase,
        }

    def encode(
        self, sequence: str | bytes, *, add_special_tokens: bool = True, coding: Sequence[tuple] = ()
    ) -> np.ndarray:
        """Token ids of one sequence, (L,) int64.

        Args:
            sequence: letters.
            add_special_tokens: put them around.
            coding: where codons are, as `genoseq.sequence.codon_starts` takes it: `(start, stop)`,
                `(start, stop, strand)` or `(start, stop, strand, phase)` of each region.

        Raises:
            SequenceError: a character that is no letter of the alphabet.
            IntervalError: a region is not inside of the sequence, or has a strand or phase that is none.
        """
        codes = encode_bases(sequence, lowercase=self.lowercase)
        ids = self.encode_codes(codes, coding=coding)
        return self._frame(ids) if add_special_tokens else ids

    def encode_codes(self, codes: np.ndarray, *, coding: Sequence[tuple] = ()) -> np.ndarray:
        """Token ids, (T,) int64, of base codes, (L,) uint8, without special tokens; `coding` as for `encode`.

        Raises:
            SequenceError: the array is not of base codes.
            IntervalError: as `encode`.
        """
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

    def reverse_complement(self, ids: Ids) -> Ids:
        self._require_ids(ids)
        return reverse_complement_by_table(ids, self._complement, self._is_frame)

    def _encode(self, sequence: str | bytes) -> np.ndarray:
        return self.encode_codes(encode_bases(sequence, lowercase=self.lowercase))

    def _decode(self, ids: np.ndarray) -> str:
        letters = self._letters[ids]
        return letters[letters > 0].tobytes().decode("ascii")
