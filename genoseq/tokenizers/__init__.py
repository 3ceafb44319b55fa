"""From letters to token ids and back: one contract, and the tokenizers that keep it."""

from genoseq.tokenizers.base import PaddingSide, TokenBatch, Tokenizer
from genoseq.tokenizers.character import CharacterTokenizer, SpecialTokens
from genoseq.tokenizers.control import ControlTokenizer
from genoseq.tokenizers.passes import PassBatch, Passes, encode_passes, pad_passes
from genoseq.tokenizers.storage import load_tokenizer
from genoseq.tokenizers.strands import turned_places

__all__ = [
    "CharacterTokenizer",
    "ControlTokenizer",
    "PaddingSide",
    "PassBatch",
    "Passes",
    "SpecialTokens",
    "TokenBatch",
    "Tokenizer",
    "encode_passes",
    "load_tokenizer",
    "pad_passes",
    "turned_places",
]
