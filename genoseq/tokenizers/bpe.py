"""Byte-pair encoding: frequent words of bases, learnt from sequence, as in DNABERT-2.

Source: Sennrich et al. 2016, "Neural Machine Translation of Rare Words with Subword Units"; Zhou et al. 2024,
"DNABERT-2", and the tokenizer of its release.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal, TypeVar, get_args

import numpy as np
import tokenizers
import torch
from tokenizers.models import BPE
from tokenizers.processors import TemplateProcessing
from tokenizers.trainers import BpeTrainer

from genoseq.errors import ConfigError, SequenceError, require_choice
from genoseq.sequence import Lowercase, decode_bases, encode_bases, reverse_complement
from genoseq.tokenizers.base import Ids, PaddingSide, Tokenizer

BpeEnds = Literal["cls_sep", "none"]
_Self = TypeVar("_Self", bound="BpeTokenizer")

_UNKNOWN = "[UNK]"
_SPECIAL = ("[CLS]", "[SEP]", "[PAD]", "[MASK]")
_FIRST = (_UNKNOWN, *_SPECIAL, *"ACGT")
_OTHER_RULES = (
    *("dropout", "continuing_subword_prefix", "end_of_word_suffix"),
    *("fuse_unk", "byte_fallback", "ignore_merges"),
)
# Words are learnt in pieces of this many bases: a merge then visits the pieces that have it, not the genome.
_PIECE = 512


class BpeTokenizer(Tokenizer):
    """Words of bases that were merged from smaller ones, in the order in which they were learnt.

    An unknown base is the token [UNK], and ends the words beside it. Words of a sequence depend on what
    comes before and after them: the other strand has other words, and so may have a part of the sequence.

    Args:
        merges: two words each, "TA CG", that become one; together they are the vocabulary, after [UNK],
            [CLS], [SEP], [PAD], [MASK], A, C, G and T.
        special_tokens: "cls_sep" puts [CLS] before and [SEP] behind a sequence, as DNABERT-2 has them; "none"
            leaves it bare.
        padding_side, lowercase: as for `CharacterTokenizer`.

    Raises:
        ConfigError: a setting is none of its choices, or a merge is not of two known words.
    """

    tokenizer_type: ClassVar[str] = "bpe"
    turns_in_place: ClassVar[bool] = False

    def __init__(
        self,
        *,
        merges: Sequence[str],
        special_tokens: BpeEnds = "cls_sep",
        padding_side: PaddingSide = "right",
        lowercase: Lowercase = "base",
    ) -> None:
        require_choice("special_tokens", special_tokens, get_args(BpeEnds))
        require_choice("lowercase", lowercase, get_args(Lowercase))
        framed = special_tokens == "cls_sep"
        super().__init__(
            vocabulary=_vocabulary(merges),
            special_tokens=_SPECIAL,
            prefix=["[CLS]"] if framed else [],
            suffix=["[SEP]"] if framed else [],
            pad_token="[PAD]",
            mask_token="[MASK]",
            padding_side=padding_side,
        )
        self.merges = tuple(merges)
        self.special_tokens = special_tokens
        self.lowercase = lowercase
        self.unknown_id = self.token_id(_UNKNOWN)
        self.num_bases[self.unknown_id] = 1
        pairs = [(first, second) for first, _, second in (merge.partition(" ") for merge in merges)]
        self._words = tokenizers.Tokenizer(BPE(vocab=self._id_of, merges=pairs, unk_token=_UNKNOWN))

    @classmethod
    def train(
        cls: type[_Self],
        sequences: Iterable[str | bytes],
        *,
        vocab_size: int = 4096,
        special_tokens: BpeEnds = "cls_sep",
        padding_side: PaddingSide = "right",
        lowercase: Lowercase = "base",
    ) -> _Self:
        """Learn the words of sequences, of the training split alone where a model is to be judged.

        The same sequences give the same words. Pairs of words are counted in pieces of 512 bases, and never
        across an unknown one.

        Args:
            sequences: nucleotide letters.
            vocab_size: tokens to have, special ones included; fewer where the sequences have no more pairs.
            special_tokens, padding_side, lowercase: as for the constructor; how lower-case letters are read
                also says whether words are learnt from them.

        Raises:
            ConfigError: the vocabulary is too small for the bases and special tokens.
            SequenceError: a character that is no nucleotide letter.
        """
        if vocab_size < len(_FIRST):
            raise ConfigError(f"vocab_size={vocab_size}: give {len(_FIRST)} or more, for the bases alone.")
        require_choice("lowercase", lowercase, get_args(Lowercase))
        learner = tokenizers.Tokenizer(BPE(unk_token=_UNKNOWN))
        trainer = BpeTrainer(
            vocab_size=vocab_size,
            special_tokens=[_UNKNOWN, *_SPECIAL],
            initial_alphabet=list("ACGT"),
            show_progress=False,
        )
        learner.train_from_iterator(_pieces(sequences, lowercase), trainer)
        return cls(
            merges=[" ".join(pair) for pair in json.loads(learner.to_str())["model"]["merges"]],
            special_tokens=special_tokens,
            padding_side=padding_side,
            lowercase=lowercase,
        )

    @classmethod
    def from_hugging_face(cls: type[_Self], described: Mapping[str, Any]) -> _Self:
        """The tokenizer that a `tokenizer.json` of Hugging Face describes, such as DNABERT-2's.

        Args:
            described: the content of the file.

        Raises:
            ConfigError: it is none of bases, or does something that this class does not.
        """
        model = described["model"]
        _require_plain(described, model)
        merges = [
            " ".join(map(str, merge)) if isinstance(merge, list) else merge for merge in model["merges"]
        ]
        tokenizer = cls(merges=merges, special_tokens=_ends(described.get("post_processor")))
        if tokenizer._id_of != model["vocab"]:
            raise ConfigError(
                f"its vocabulary is not {', '.join(_FIRST)} and then the words in the order of their merges, "
                "as in DNABERT-2 and in what BpeTokenizer.train learns."
            )
        return tokenizer

    def to_hugging_face(self) -> str:
        """The content of a `tokenizer.json` for Hugging Face's own libraries, with the same ids."""
        whole = tokenizers.Tokenizer.from_str(self._words.to_str())
        whole.add_special_tokens([_UNKNOWN, *_SPECIAL])
        if len(self.prefix_ids):
            ends = [("[CLS]", self.token_id("[CLS]")), ("[SEP]", self.token_id("[SEP]"))]
            whole.post_processor = TemplateProcessing(
                single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ends
            )
        return whole.to_str(pretty=True)

    @property
    def base_ids(self) -> np.ndarray:
        """There are none: a base is written alone only where no word begins with it.

        Raises:
            SequenceError: always.
        """
        raise SequenceError(
            f"{self!r} writes bases in words, and this needs a token for each: take a model of single bases."
        )

    @property
    def settings(self) -> dict[str, Any]:
        return {
            "merges": list(self.merges),
            "special_tokens": self.special_tokens,
            "padding_side": self.padding_side,
            "lowercase": self.lowercase,
        }

    def reverse_complement(self, ids: Ids) -> Ids:
        if ids.ndim != 1:
            raise SequenceError(
                "the words of the other strand are others, and of another number: turn the letters before "
                "they are encoded, or one sequence of ids at a time."
            )
        self._require_ids(ids)
        if isinstance(ids, torch.Tensor):
            return torch.from_numpy(self.reverse_complement(ids.cpu().numpy())).to(ids)
        inside = np.flatnonzero(~np.isin(ids, self._ids(("[CLS]", "[SEP]", "[PAD]"))))
        if not len(inside):
            return ids.copy()
        first, last = inside[0], inside[-1] + 1
        if self._is_special[ids[first:last]].any():
            raise SequenceError("a sequence with hidden words has no other strand: turn it, then hide words.")
        turned = self._encode(reverse_complement(self.decode(ids[first:last])))
        return np.concatenate([ids[:first], turned, ids[last:]]).astype(ids.dtype)

    def _encode(self, sequence: str | bytes) -> np.ndarray:
        letters = decode_bases(encode_bases(sequence, lowercase=self.lowercase))
        return np.array(self._words.encode(letters, add_special_tokens=False).ids, dtype=np.int64)

    def _decode(self, ids: np.ndarray) -> str:
        return "".join([self.vocabulary[index] for index in ids]).replace(_UNKNOWN, "N")

    def __repr__(self) -> str:
        return f"BpeTokenizer({self.vocab_size:,} tokens, special_tokens={self.special_tokens!r})"


def _vocabulary(merges: Sequence[str]) -> list[str]:
    """All tokens in the order of their ids.

    Raises:
        ConfigError: a merge is not of two words that are known by then.
    """
    if isinstance(merges, str) or not isinstance(merges, Sequence):
        raise ConfigError(f"merges={merges!r}: give a list of pairs of words, each like 'TA CG'.")
    words = dict.fromkeys("ACGT")
    for number, merge in enumerate(merges):
        pair = merge.split(" ") if isinstance(merge, str) else []
        if len(pair) != 2 or not all(word in words for word in pair):
            raise ConfigError(
                f"merge {number} (counted from 0) is {merge!r}: wanted two words of A, C, G and T or of "
                "merges before it, with a space between."
            )
        words["".join(pair)] = None
    return [_UNKNOWN, *_SPECIAL, *words]


def _pieces(sequences: Iterable[str | bytes], lowercase: Lowercase) -> Iterator[str]:
    for sequence in sequences:
        for known in decode_bases(encode_bases(sequence, lowercase=lowercase)).split("N"):
            for start in range(0, len(known), _PIECE):
                yield known[start : start + _PIECE]


def _require_plain(described: Mapping[str, Any], model: Mapping[str, Any]) -> None:
    """Refuse what would give other ids than merges of letters alone.

    Raises:
        ConfigError: there is something.
    """
    kind = model.get("type")
    if kind != "BPE" or not isinstance(model.get("vocab"), dict) or not isinstance(model.get("merges"), list):
        raise ConfigError(
            f"its Hugging Face model has the type {kind!r}; wanted BPE of bases, with its vocab and merges."
        )
    given = [name for name in _OTHER_RULES if model.get(name)]
    given += ["normalizer"] if described.get("normalizer") else []
    # A sequence of letters has no white space, nor another border of words.
    splitter = (described.get("pre_tokenizer") or {}).get("type", "Whitespace")
    given += [] if splitter == "Whitespace" else [f"pre_tokenizer {splitter}"]
    given += [
        f"the token {token['content']}"
        for token in described.get("added_tokens") or []
        if token["content"] not in (_UNKNOWN, *_SPECIAL)
    ]
    given += [] if model.get("unk_token") == _UNKNOWN else [f"unk_token {model.get('unk_token')}"]
    if given:
        raise ConfigError(
            f"it has {', '.join(given)}, which DNABERT-2's has not: it is a tokenizer of text, or has other "
            "rules."
        )


def _ends(processor: Mapping[str, Any] | None) -> BpeEnds:
    """Which of the two frames a post-processor makes.

    Raises:
        ConfigError: neither.
    """
    if processor is None:
        return "none"
    parts = [next(iter(part.values())).get("id") for part in processor.get("single", [])]
    if parts != ["[CLS]", "A", "[SEP]"]:
        raise ConfigError(f"it puts {parts} around a sequence; wanted [CLS] and [SEP], or nothing.")
    return "cls_sep"
