"""From letters to token ids and back: one contract, and the tokenizers that keep it."""

from genoseq.tokenizers.base import PaddingSide, TokenBatch, Tokenizer
from genoseq.tokenizers.character import CharacterTokenizer, SpecialTokens
from genoseq.tokenizers.control import ControlTokenizer
from genoseq.tokenizers.storage import load_tokenizer

__all__ = [
    "CharacterTokenizer",
    "ControlTokenizer",
    "PaddingSide",
    "SpecialTokens",
    "TokenBatch",
    "Tokenizer",
    "load_tokenizer",
]
