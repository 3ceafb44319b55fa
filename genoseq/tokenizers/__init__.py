"""From letters to token ids and back: one contract, and the tokenizers that keep it."""

from genoseq.tokenizers.base import PaddingSide, TokenBatch, Tokenizer
from genoseq.tokenizers.bpe import BpeTokenizer
from genoseq.tokenizers.character import CharacterTokenizer
from genoseq.tokenizers.codon import CodonTokenizer
from genoseq.tokenizers.control import ControlTokenizer
from genoseq.tokenizers.frame import FrameTokenizer
from genoseq.tokenizers.kmer import KmerTokenizer
from genoseq.tokenizers.maps import mean_map
from genoseq.tokenizers.masking import Fate, choose_fates, choose_hidden, choose_hidden_groups, touches
from genoseq.tokenizers.nucleotides import CodingTokenizer, SpecialTokens, encode_codons
from genoseq.tokenizers.passes import PassBatch, Passes, encode_passes, pad_passes
from genoseq.tokenizers.storage import load_tokenizer, read_tokenizer
from genoseq.tokenizers.strands import turned_places

__all__ = [
    "BpeTokenizer",
    "CharacterTokenizer",
    "CodingTokenizer",
    "CodonTokenizer",
    "ControlTokenizer",
    "Fate",
    "FrameTokenizer",
    "KmerTokenizer",
    "PaddingSide",
    "PassBatch",
    "Passes",
    "SpecialTokens",
    "TokenBatch",
    "Tokenizer",
    "choose_fates",
    "choose_hidden",
    "choose_hidden_groups",
    "encode_codons",
    "encode_passes",
    "load_tokenizer",
    "mean_map",
    "pad_passes",
    "read_tokenizer",
    "touches",
    "turned_places",
]
