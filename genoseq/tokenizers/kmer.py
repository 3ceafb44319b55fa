"""All words of k bases, overlapping or side by side, in the vocabularies of DNABERT and of GENERator.

Source: Ji et al. 2021, "DNABERT", and the vocabulary files of its release; Wu et al. 2025, "GENERator", and
the tokenizer of its release.
"""

from __future__ import annotations

from itertools import product
from typing import Any, ClassVar, Literal, NamedTuple, get_args

import numpy as np

from genoseq.errors import ConfigError, require_choice
from genoseq.sequence import BASES, Lowercase, encode_bases, require_codes
from genoseq.tokenizers.base import Ids, PaddingSide, Tokenizer
from genoseq.tokenizers.strands import complement_table, reverse_complement_by_table

Layout = Literal["dnabert", "generator"]
Remainder = Literal["unknown", "pad", "drop"]
Ends = Literal["both", "start", "end", "none"]

# In both vocabularies the bases count in this order.
_ORDER = "ATCG"
_LARGEST_K = 8
_A, _N = BASES.index("A"), BASES.index("N")


class _Vocabulary(NamedTuple):
    """What comes before the k-mers, and which of it plays which part."""

    leading: tuple[str, ...]
    unknown: str
    start: str
    end: str
    pad: str
    mask: str


_LAYOUTS: dict[str, _Vocabulary] = {
    "dnabert": _Vocabulary(
        leading=("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
        unknown="[UNK]",
        start="[CLS]",
        end="[SEP]",
        pad="[PAD]",
        mask="[MASK]",
    ),
    "generator": _Vocabulary(
        leading=(
            *("<oov>", "<s>", "</s>", "<pad>", "<mask>", "<bog>", "<eog>", "<bok>", "<eok>", "<+>", "<->"),
            *("<cds>", "<pseudo>", "<tRNA>", "<rRNA>", "<ncRNA>", "<miscRNA>"),
            *("<mam>", "<vrt>", "<inv>", "<pln>", "<fng>", "<prt>", "<arc>", "<bct>"),
            *("<mit>", "<plt>", "<plm>", "<vir>", "<sp0>", "<sp1>", "<sp2>"),
        ),
        unknown="<oov>",
        start="<s>",
        end="</s>",
        pad="<pad>",
        mask="<mask>",
    ),
}


class KmerTokenizer(Tokenizer):
    """Words of k bases.

    A word with an unknown base is the unknown token, as in both releases; decoded it reads as k N, of
    overlapping words only where no other word knows the base.

    Args:
        k: bases of a word, 1 to 8.
        overlapping: a word begins at every base; otherwise they stand side by side.
        layout: "dnabert" ([PAD], [UNK], [CLS], [SEP], [MASK] and the words) or "generator" (its 32 others and
            the words).
        remainder: what becomes of the r bases that are too few for a word: those at the end of words side by
            side, or all of a sequence shorter than k. "unknown" makes them an unknown token at the end, as
            GENERator's own tokenizer does; "pad" puts k - r A before the sequence and "drop" leaves its first
            r bases out, the two ways that its authors ask for before generation.
        special_tokens: "both" puts the layout's start token before a sequence and its end token behind it;
            "start", "end" or "none" of them.
        padding_side, lowercase: as for `CharacterTokenizer`.

    Raises:
        ConfigError: a setting is none of its choices.
    """

    tokenizer_type: ClassVar[str] = "kmer"

    def __init__(
        self,
        *,
        k: int = 6,
        overlapping: bool = False,
        layout: Layout = "generator",
        remainder: Remainder = "unknown",
        special_tokens: Ends = "none",
        padding_side: PaddingSide = "left",
        lowercase: Lowercase = "base",
    ) -> None:
        if k not in range(1, _LARGEST_K + 1):
            raise ConfigError(f"k={k!r}: give a whole number, 1 to {_LARGEST_K}.")
        if not isinstance(overlapping, bool):
            raise ConfigError(f"overlapping={overlapping!r}: give true or false.")
        require_choice("layout", layout, get_args(Layout))
        require_choice("remainder", remainder, get_args(Remainder))
        require_choice("special_tokens", special_tokens, get_args(Ends))
        require_choice("lowercase", lowercase, get_args(Lowercase))
        part = _LAYOUTS[layout]
        super().__init__(
            vocabulary=(*part.leading, *map("".join, product(_ORDER, repeat=k))),
            special_tokens=[token for token in part.leading if token != part.unknown],
            prefix=[part.start] if special_tokens in ("both", "start") else [],
            suffix=[part.end] if special_tokens in ("both", "end") else [],
            pad_token=part.pad,
            mask_token=part.mask,
            padding_side=padding_side,
        )
        self.k = k
        self.overlapping = overlapping
        self.layout = layout
        self.remainder = remainder
        self.special_tokens = special_tokens
        self.lowercase = lowercase
        self.unknown_id = self.token_id(part.unknown)
        self._step = 1 if overlapping else k
        self._first_word = len(part.leading)
        self.num_bases = np.where(self._is_special, 0, self._step)
        without_letters = np.arange(self.vocab_size) < self._first_word
        texts = np.where(without_letters, "N" * k, self.vocabulary).astype(f"S{k}")
        self._letters = texts.view(np.uint8).reshape(-1, k)
        # Of base codes; an N makes a word as large as no word of bases is, wherever it stands.
        self._digits = np.array([_ORDER.find(base) for base in BASES], dtype=np.int32)
        self._digits[_N] = 4**k
        self._complement = complement_table(self.vocabulary, without_letters)
        self._is_frame = self._is_special.copy()
        self._is_frame[self.mask_id] = False

    @property
    def settings(self) -> dict[str, Any]:
        names = ("k", "overlapping", "layout", "remainder", "special_tokens", "padding_side", "lowercase")
        return {name: getattr(self, name) for name in names}

    def encode_codes(self, codes: np.ndarray) -> np.ndarray:
        require_codes(codes)
        short = self._remainder(len(codes))
        if short and self.remainder == "drop":
            codes = codes[short:]
        elif short and self.remainder == "pad":
            codes = np.concatenate([np.full(self.k - short, _A, dtype=np.uint8), codes])
        words = self._words(codes)
        return np.append(words, self.unknown_id) if short and self.remainder == "unknown" else words

    def reverse_complement(self, ids: Ids) -> Ids:
        self._require_ids(ids)
        return reverse_complement_by_table(ids, self._complement, self._is_frame)

    def _remainder(self, length: int) -> int:
        """Bases of a sequence that are in no word."""
        return length if length < self.k else (length - self.k) % self._step

    def _words(self, codes: np.ndarray) -> np.ndarray:
        number = max(len(codes) - self.k, -1) // self._step + 1
        digits = self._digits[codes]
        words = np.zeros(number, dtype=np.int32)
        for place in range(self.k):
            words *= 4
            words += digits[place : place + number * self._step : self._step][:number]
        ids = np.add(words, self._first_word, dtype=np.int64)
        ids[words >= 4**self.k] = self.unknown_id
        return ids

    def _encode(self, sequence: str | bytes) -> np.ndarray:
        return self.encode_codes(encode_bases(sequence, lowercase=self.lowercase))

    def _decode(self, ids: np.ndarray) -> str:
        if not self.overlapping or not len(ids):
            return self._letters[ids].tobytes().decode("ascii")
        letters = np.full(len(ids) + self.k - 1, ord("N"), dtype=np.uint8)
        known = ids != self.unknown_id
        for place in range(self.k):
            letters[place : place + len(ids)][known] = self._letters[ids[known], place]
        return letters.tobytes().decode("ascii")

    def _places(self, ids: np.ndarray, length: int) -> np.ndarray:
        short = self._remainder(length)
        first = {"unknown": 0, "pad": short - self.k if short else 0, "drop": short}[self.remainder]
        is_word = ~self._is_special[ids]
        number = np.cumsum(is_word)
        starts = np.maximum(first + (number - 1) * self._step, 0)
        stops = first + (number - 1) * self._step + self.k
        if short and self.remainder == "unknown":
            stops[number == length // self.k + 1] = length
        # A special token stands behind the last word before it.
        starts, stops = (np.where(is_word, ends, np.where(number > 0, stops, 0)) for ends in (starts, stops))
        return np.stack([starts, stops], axis=1)
