"""What tokenizers share whose first ids are those of single nucleotides."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np

from genoseq.errors import ConfigError, SequenceError, require_choice
from genoseq.sequence import BASES, CODON, CodingRegion, Lowercase, Strand, encode_bases
from genoseq.tokenizers.base import Ids, PaddingSide, Tokenizer
from genoseq.tokenizers.strands import reverse_complement_by_table

SpecialTokens = Literal["cls_sep", "sep", "none"]

SPECIAL_TOKENS = ("[CLS]", "[SEP]", "[BOS]", "[MASK]", "[PAD]", "[RESERVED]", "[UNK]")
FRAMES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "cls_sep": (("[CLS]",), ("[SEP]",)),
    "sep": ((), ("[SEP]",)),
    "none": ((), ()),
}
FIRST_BASE = len(SPECIAL_TOKENS)


class NucleotideTokenizer(Tokenizer):
    """Special tokens, A, C, G, T and N, then more.

    Args:
        tokens: those that follow.
        special: which of them are special.
        framing: which of them stand around a sequence, and stay there when it is turned.
        special_tokens, padding_side, lowercase: as for `CharacterTokenizer`.

    Raises:
        ConfigError: a setting is none of its choices.
    """

    _complement: np.ndarray
    """(V,) the token that each is on the other strand."""

    def __init__(
        self,
        tokens: Sequence[str],
        *,
        special: Sequence[str] = (),
        framing: Sequence[str] = (),
        special_tokens: SpecialTokens,
        padding_side: PaddingSide,
        lowercase: Lowercase,
    ) -> None:
        require_choice("special_tokens", special_tokens, get_args(SpecialTokens))
        require_choice("lowercase", lowercase, get_args(Lowercase))
        prefix, suffix = FRAMES[special_tokens]
        super().__init__(
            vocabulary=(*SPECIAL_TOKENS, *BASES, *tokens),
            special_tokens=(*SPECIAL_TOKENS, *special),
            prefix=prefix,
            suffix=suffix,
            pad_token="[PAD]",
            mask_token="[MASK]",
            padding_side=padding_side,
        )
        self.special_tokens = special_tokens
        self.lowercase = lowercase
        # [MASK] and [UNK] stand for a base, wherever they are: they are turned with the sequence.
        self._is_frame = np.isin(self.vocabulary, ("[CLS]", "[SEP]", "[BOS]", "[PAD]", *framing))

    @property
    def settings(self) -> dict[str, Any]:
        return {
            "special_tokens": self.special_tokens,
            "padding_side": self.padding_side,
            "lowercase": self.lowercase,
        }

    def reverse_complement(self, ids: Ids) -> Ids:
        self._require_ids(ids)
        return reverse_complement_by_table(ids, self._complement, self._is_frame)

    def _encode(self, sequence: str | bytes) -> np.ndarray:
        return self.encode_codes(encode_bases(sequence, lowercase=self.lowercase))


class CodingTokenizer(NucleotideTokenizer):
    """One that may be told where codons are."""

    def encode(
        self, sequence: str | bytes, *, add_special_tokens: bool = True, coding: Sequence[tuple] = ()
    ) -> np.ndarray:
        """Token ids of one sequence, (L,) int64.

        Args:
            sequence: letters.
            add_special_tokens: put them around.
            coding: where codons are, as `genoseq.sequence.find_codons` takes it: `(start, stop)`,
                `(start, stop, strand)` or `(start, stop, strand, phase)` of each region.

        Raises:
            SequenceError: a character that is no letter of the alphabet.
            IntervalError: a region is not inside of the sequence, or has a strand or phase that is none.
        """
        ids = self.encode_codes(encode_bases(sequence, lowercase=self.lowercase), coding=coding)
        return self._frame(ids) if add_special_tokens else ids

    @abstractmethod
    def encode_codes(self, codes: np.ndarray, *, coding: Sequence[tuple] = ()) -> np.ndarray:
        """Token ids, (T,) int64, of base codes, (L,) uint8, without special tokens; `coding` as for `encode`.

        Raises:
            SequenceError: the array is not of base codes.
            IntervalError: as `encode`.
        """


def encode_codons(tokenizer: Tokenizer, sequence: str, strand: Strand = "+") -> np.ndarray:
    """Token ids, (L,) int64, without special tokens, of a sequence that is codons from one end to the other.

    Args:
        tokenizer: one that may be told where codons are.
        sequence: letters.
        strand: "-" where it is the reverse complement of such a sequence.

    Raises:
        SequenceError: no whole number of codons, or a character that is no letter of the alphabet.
        ConfigError: the tokenizer has no codons.
    """
    if not isinstance(tokenizer, CodingTokenizer):
        raise ConfigError(f"{tokenizer!r} has no codons: take tokenizer=codon or tokenizer=frame.")
    if not sequence or len(sequence) % CODON:
        raise SequenceError(
            f"{len(sequence):,} bases are no whole number of codons: with coding=whole each sequence begins "
            "with a codon and ends with one. Cut off what is beyond, or read plain DNA with coding=null."
        )
    region = CodingRegion(0, len(sequence), strand)
    return tokenizer.encode(sequence, add_special_tokens=False, coding=[region])
