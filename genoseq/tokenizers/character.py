"""One token a nucleotide, with the ids of the published HyenaDNA models.

Ids 0 to 6 are special tokens; A is 7, C 8, G 9, T 10, N 11.
Source: Nguyen et al. 2023, "HyenaDNA", the character tokenizer of the released code.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from genoseq.errors import SequenceError
from genoseq.sequence import BASES, Lowercase, require_codes
from genoseq.tokenizers.base import PaddingSide, control_token
from genoseq.tokenizers.nucleotides import FIRST_BASE, NucleotideTokenizer, SpecialTokens


class CharacterTokenizer(NucleotideTokenizer):
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
        controls = [control_token(label) for label in self.controls]
        super().__init__(
            controls,
            special=controls,
            framing=controls,
            special_tokens=special_tokens,
            padding_side=padding_side,
            lowercase=lowercase,
        )
        self._letters = np.frombuffer(("?" * FIRST_BASE + BASES).encode(), dtype=np.uint8)
        self._complement = np.arange(self.vocab_size)
        self._complement[self.base_ids] = self.base_ids[::-1]

    def encode_each(self, sequences: Sequence[str]) -> list[np.ndarray]:
        # All letters are looked up at once: for many short sequences the calls are what takes time.
        ends = np.cumsum([len(sequence) for sequence in sequences], dtype=np.int64)
        try:
            return np.split(self._encode("".join(sequences)), ends)[:-1]
        except SequenceError:
            # One by one the message says where in its own sequence the letter is.
            return super().encode_each(sequences)

    def encode_codes(self, codes: np.ndarray) -> np.ndarray:
        require_codes(codes)
        return np.add(codes, FIRST_BASE, dtype=np.int64)

    def _decode(self, ids: np.ndarray) -> str:
        return self._letters[ids].tobytes().decode("ascii")
