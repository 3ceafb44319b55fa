"""One token a nucleotide, with the ids of the published HyenaDNA models.

Ids 0 to 6 are special tokens; A is 7, C 8, G 9, T 10, N 11.
Source: Nguyen et al. 2023, "HyenaDNA", the character tokenizer of the released code.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal, get_args

import numpy as np

from genoseq.errors import require_choice
from genoseq.sequence import BASES, Lowercase, encode_bases, require_codes
from genoseq.tokenizers.base import Ids, PaddingSide, Tokenizer, control_token
from genoseq.tokenizers.strands import reverse_complement_by_table

SpecialTokens = Literal["cls_sep", "sep", "none"]

SPECIAL_TOKENS = ("[CLS]", "[SEP]", "[BOS]", "[MASK]", "[PAD]", "[RESERVED]", "[UNK]")
FRAMES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "cls_sep": (("[CLS]",), ("[SEP]",)),
    "sep": ((), ("[SEP]",)),
    "none": ((), ()),
}
FIRST_BASE = len(SPECIAL_TOKENS)


class CharacterTokenizer(Tokenizer):
    """Single nucleotides.

    Letters are read as `genoseq.sequence.encode_bases` reads them: U as T, IUPAC ambiguity as N.

    Args:
        special_tokens: "sep" puts [SEP] after a sequence, as HyenaDNA was pretrained; "cls_sep" also [CLS]
            before it, as the Hugging Face release does; "none" leaves it bare.
        padding_side: "left" is the official one for a causal model.
        lowercase: "base" reads soft-masked letters as bases, "mask" as N.

    Raises:
        ConfigError: a setting is none of its choices.
    """

    tokenizer_type: ClassVar[str] = "character"

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
        controls = [control_token(label) for label in self.controls]
        super().__init__(
            vocabulary=(*SPECIAL_TOKENS, *BASES, *controls),
            special_tokens=(*SPECIAL_TOKENS, *controls),
            prefix=prefix,
            suffix=suffix,
            pad_token="[PAD]",
            mask_token="[MASK]",
            padding_side=padding_side,
        )
        self.special_tokens = special_tokens
        self.lowercase = lowercase
        self._letters = np.frombuffer(("?" * FIRST_BASE + BASES).encode(), dtype=np.uint8)
        self._complement = np.arange(self.vocab_size)
        self._complement[self.base_ids] = self.base_ids[::-1]
        # [MASK] and [UNK] stand for a base, wherever they are: they are turned with the sequence.
        self._is_frame = np.isin(self.vocabulary, ("[CLS]", "[SEP]", "[BOS]", "[PAD]", *controls))

    @property
    def settings(self) -> dict[str, Any]:
        return {
            "special_tokens": self.special_tokens,
            "padding_side": self.padding_side,
            "lowercase": self.lowercase,
        }

    def encode_codes(self, codes: np.ndarray) -> np.ndarray:
        require_codes(codes)
        return np.add(codes, FIRST_BASE, dtype=np.int64)

    def reverse_complement(self, ids: Ids) -> Ids:
        self._require_ids(ids)
        return reverse_complement_by_table(ids, self._complement, self._is_frame)

    def _encode(self, sequence: str | bytes) -> np.ndarray:
        return np.add(encode_bases(sequence, lowercase=self.lowercase), FIRST_BASE, dtype=np.int64)

    def _decode(self, ids: np.ndarray) -> str:
        return self._letters[ids].tobytes().decode("ascii")
