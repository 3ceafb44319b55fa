"""Single nucleotides that know their places in codons.

Ids 0 to 11 are those of the character tokenizer, for bases outside of codons. Then, for each of the three
places of a codon on either strand, A, C, G, T, N and a hidden base. One id says all there is to know of a
base: a model that reads nucleotides and codons needs nothing beside its token ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from genoseq.sequence import BASES, CODON, Lowercase, find_codons, require_codes
from genoseq.tokenizers.base import PaddingSide
from genoseq.tokenizers.nucleotides import FIRST_BASE, CodingTokenizer, SpecialTokens

_FIRST_PLACE = FIRST_BASE + len(BASES)
_PLACES = 2 * CODON
_EACH = len(BASES) + 1
_HIDDEN = len(BASES)
_PLACE_NAMES = [f"{strand}{place}" for strand in "+-" for place in range(1, CODON + 1)]
_COMPLEMENT = np.array([3, 2, 1, 0, 4, 5])


class FrameTokenizer(CodingTokenizer):
    """One token a base, which inside of a coding region also says its place in its codon.

    Places 0, 1 and 2 are those of a codon of the given strand, 3, 4 and 5 of one of the other strand, each in
    the order in which the codon is read. The reverse complement of the tokens is the tokens of the reverse
    complement, with its (disjoint) regions `turned`. Without coding regions the tokens are characters.

    Args:
        special_tokens, padding_side, lowercase: as for `CharacterTokenizer`.

    Attributes:
        bases: (V,) int64, code of each token's base, 0 to 3; 4 where it is none of A, C, G and T, or hidden.
        places: (V,) int64, each token's place; -1 outside of codons.
        hidden_ids: (V,) int64, for each token the one that hides its base and keeps its place.
        kinds: (V,) int64, the places, 0 outside of codons: a base may stand for another of its place.

    Raises:
        ConfigError: a setting is none of its choices.
    """

    tokenizer_type: ClassVar[str] = "frame"

    def __init__(
        self,
        *,
        special_tokens: SpecialTokens = "none",
        padding_side: PaddingSide = "right",
        lowercase: Lowercase = "base",
    ) -> None:
        letters = [*BASES, "[MASK]"]
        super().__init__(
            [f"{letter}{place}" for place in _PLACE_NAMES for letter in letters],
            special=[f"[MASK]{place}" for place in _PLACE_NAMES],
            special_tokens=special_tokens,
            padding_side=padding_side,
            lowercase=lowercase,
        )
        codes, places = np.divmod(np.arange(_PLACES * _EACH), _EACH)[::-1]
        self.places = np.concatenate((np.full(_FIRST_PLACE, -1), places))
        codes = np.concatenate((np.full(FIRST_BASE, _HIDDEN), np.arange(len(BASES)), codes))
        self.bases = np.minimum(codes, len(BASES) - 1)
        # A token's text is longer than its base.
        self.num_bases = np.where(self._is_special, 0, 1)
        self.is_known = self.bases < len(BASES) - 1
        self.hidden_ids = np.where(
            self.places >= 0, _FIRST_PLACE + _EACH * self.places + _HIDDEN, np.arange(self.vocab_size)
        )
        self.hidden_ids[FIRST_BASE:_FIRST_PLACE] = self.mask_id
        self.kinds = self.places + 1
        self.longest_token = 1
        self._inside = np.isin(self.places, [1, 2, CODON, CODON + 1])
        self._letters = np.frombuffer(f"{BASES}?".encode(), dtype=np.uint8)[codes]
        self._complement = np.arange(self.vocab_size)
        self._complement[self.base_ids] = self.base_ids[::-1]
        turned = (places + CODON) % _PLACES
        self._complement[_FIRST_PLACE:] = _FIRST_PLACE + _EACH * turned + _COMPLEMENT[codes[_FIRST_PLACE:]]

    def encode_codes(self, codes: np.ndarray, *, coding: Sequence[tuple] = ()) -> np.ndarray:
        require_codes(codes)
        ids = np.add(codes, FIRST_BASE, dtype=np.int64)
        starts, backward = find_codons(coding, len(codes))
        for step in range(CODON):
            place = np.where(backward, _PLACES - 1 - step, step)
            ids[starts + step] = _FIRST_PLACE + _EACH * place + codes[starts + step]
        return ids

    def begins_unit(self, ids: np.ndarray) -> np.ndarray:
        return ~self._inside[ids]

    def _decode(self, ids: np.ndarray) -> str:
        return self._letters[ids].tobytes().decode("ascii")
