"""The contract that every tokenizer keeps.

A kind of tokenizer gives `_encode`, `_decode`, `reverse_complement` and `settings`; special tokens, padding,
batches, places of tokens, equality and the file on disk are here.
"""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, TypeVar, get_args

import numpy as np
import torch

from genoseq.errors import ConfigError, SequenceError, require_choice
from genoseq.sequence import decode_bases

PaddingSide = Literal["left", "right"]
Ids = TypeVar("Ids", np.ndarray, torch.Tensor)

FILE_NAME = "tokenizer.json"
FORMAT_VERSION = 1


def control_token(label: str) -> str:
    """The text of the token that asks for sequences of a label."""
    return f"<{label}>"


class TokenBatch(NamedTuple):
    """Sequences of one length.

    Attributes:
        input_ids: (B, L) int64.
        attention_mask: (B, L) bool, False where `pad` filled up.
    """

    input_ids: torch.Tensor
    attention_mask: torch.Tensor


class Tokenizer(ABC):
    """Letters to token ids and back.

    Attributes:
        tokenizer_type: the name that `tokenizer.json` carries.
        vocabulary: the text of every token; its place is its id.
        padding_side: the side `pad` fills up: "left" keeps the last position of a causal model real.
        prefix_ids, suffix_ids: (n,) int64, what `encode` puts around a sequence.
        special_ids: (n,) int64, the tokens that stand for no letters.
        is_known: (V,) bool, the tokens of A, C, G and T alone: what a language model is scored by.
        num_bases: (V,) int64, by how many bases each token makes a sequence longer; 0 for special tokens.
        pad_id: the token that fills up.
        controls: labels that a sequence can be asked for by a token before it; most tokenizers have none.
        overlapping: whether neighbouring tokens have bases in common.
        turns_in_place: whether the other strand of a sequence has as many tokens, the complement of each.
    """

    tokenizer_type: ClassVar[str]
    overlapping: bool = False
    turns_in_place: ClassVar[bool] = True
    controls: tuple[str, ...] = ()

    def __init__(
        self,
        *,
        vocabulary: Sequence[str],
        special_tokens: Sequence[str],
        prefix: Sequence[str],
        suffix: Sequence[str],
        pad_token: str,
        padding_side: PaddingSide,
        mask_token: str | None = None,
    ) -> None:
        """Args are texts of tokens; `prefix`, `suffix`, `pad_token` and `mask_token` are among
        `special_tokens`. Without `mask_token` no letter can be hidden.

        Raises:
            ConfigError: the padding side is unknown.
        """
        require_choice("padding_side", padding_side, get_args(PaddingSide))
        self.vocabulary = tuple(vocabulary)
        self._id_of = {token: index for index, token in enumerate(self.vocabulary)}
        assert len(self._id_of) == len(self.vocabulary), "two tokens have one text"
        self.padding_side = padding_side
        self.special_ids = self._ids(special_tokens)
        self.prefix_ids = self._ids(prefix)
        self.suffix_ids = self._ids(suffix)
        self.pad_id = self.token_id(pad_token)
        self._mask_token = mask_token
        self._is_special = np.isin(np.arange(self.vocab_size), self.special_ids)
        self.num_bases = np.where(self._is_special, 0, [len(token) for token in self.vocabulary])
        self.is_known = np.array([not token.strip("ACGT") for token in self.vocabulary]) & ~self._is_special

    @property
    @abstractmethod
    def settings(self) -> Mapping[str, Any]:
        """The constructor's arguments, as JSON can hold them: with the type, all that makes the tokenizer."""

    @abstractmethod
    def _encode(self, sequence: str | bytes) -> np.ndarray:
        """Ids of the letters, (L,) int64, without special tokens."""

    @abstractmethod
    def _decode(self, ids: np.ndarray) -> str:
        """Letters of checked ids, (L,) int64, that hold no special token."""

    @abstractmethod
    def reverse_complement(self, ids: Ids) -> Ids:
        """Ids of the opposite strand, without going back to letters where the vocabulary allows it.

        Special tokens at the two ends keep their places; those inside are turned with the sequence.

        Args:
            ids: (L,) or (B, L) integers; without `turns_in_place` one sequence, (L,), at a time.

        Returns:
            The same type, dtype, device and (for a vocabulary that is closed under it) shape.

        Raises:
            SequenceError: an id that the vocabulary does not have.
        """

    @property
    def known_ids(self) -> np.ndarray:
        """(n,) int64, the ids that `is_known`."""
        return np.flatnonzero(self.is_known)

    @property
    def vocab_size(self) -> int:
        """Number of tokens; a model may pad its embedding beyond it."""
        return len(self.vocabulary)

    @property
    def num_special_tokens(self) -> int:
        """How many tokens `encode` adds to a sequence."""
        return len(self.prefix_ids) + len(self.suffix_ids)

    @property
    def ends_alike(self) -> bool:
        """Whether the special tokens behind a sequence are those before it, seen from its end."""
        return np.array_equal(self.prefix_ids, self.suffix_ids[::-1])

    @property
    def mask_id(self) -> int:
        """The id of the token that hides letters.

        Raises:
            SequenceError: the vocabulary has none.
        """
        if self._mask_token is None:
            raise SequenceError(f"{self!r} has no token that hides letters: take another tokenizer.")
        return self.token_id(self._mask_token)

    @cached_property
    def hidden_ids(self) -> np.ndarray:
        """(V,) int64: for each token the one that hides its letters; special tokens hide none.

        Raises:
            SequenceError: as `mask_id`.
        """
        return np.where(self._is_special, np.arange(self.vocab_size), self.mask_id)

    @cached_property
    def kinds(self) -> np.ndarray:
        """(V,) int64: tokens of one kind may stand in each other's place."""
        return np.zeros(self.vocab_size, dtype=np.int64)

    @cached_property
    def longest_token(self) -> int:
        """Bases of the longest token."""
        return max(len(self.vocabulary[index]) for index in self.known_ids)

    def begins_unit(self, ids: np.ndarray) -> np.ndarray:
        """Where what is hidden as one begins, (L,) bool of ids (L,): at each token, but for those of one
        codon."""
        return np.ones(len(ids), dtype=bool)

    @property
    def base_ids(self) -> np.ndarray:
        """(4,) int64: the ids of A, C, G and T, in this order.

        Raises:
            SequenceError: the vocabulary has no single nucleotides.
        """
        return self._ids("ACGT")

    def token_id(self, token: str) -> int:
        """The id of a token.

        Raises:
            SequenceError: the vocabulary does not have it.
        """
        if token not in self._id_of:
            raise SequenceError(f"{self!r} has no token {token!r} among its {self.vocab_size:,}.")
        return self._id_of[token]

    def control_id(self, label: str) -> int:
        """The id of the token that asks for sequences of a label.

        Raises:
            ConfigError: the label is none of `controls`.
        """
        if label not in self.controls:
            known = ", ".join(map(repr, self.controls)) or (
                "none at all: train a model on data=conditional to have some"
            )
            raise ConfigError(f"control={label!r} is no label of this model; it has {known}.")
        return self.token_id(control_token(label))

    def encode(self, sequence: str | bytes, *, add_special_tokens: bool = True) -> np.ndarray:
        """Token ids of one sequence, (L,) int64.

        Raises:
            SequenceError: a character that is no letter of the alphabet.
        """
        ids = self._encode(sequence)
        return self._frame(ids) if add_special_tokens else ids

    def encode_each(self, sequences: Sequence[str]) -> list[np.ndarray]:
        """Token ids of several sequences, each (L,) int64, without special tokens.

        Raises:
            SequenceError: a character that is no letter of the alphabet.
        """
        return [self._encode(sequence) for sequence in sequences]

    def encode_codes(self, codes: np.ndarray) -> np.ndarray:
        """Token ids, (L,) int64, of base codes, (L,) uint8, without special tokens.

        Raises:
            SequenceError: the array is not of base codes.
        """
        return self._encode(decode_bases(codes))

    def offsets(self, ids: Sequence[int] | np.ndarray | torch.Tensor, length: int) -> np.ndarray:
        """Where in its sequence each token is.

        Args:
            ids: (L,) what a sequence was encoded to: whole or cut at its end, with or without special tokens
                and padding.
            length: bases of the sequence.

        Returns:
            (L, 2) int64: first base, and the one after the last; of a special token both are the place where
            it stands.

        Raises:
            SequenceError: the tokens are of a longer sequence, there is an id that the vocabulary does not
                have, or a batch.
        """
        array = _as_array(ids)
        self._require_ids(array)
        places = self._places(array, length)
        if len(places) and places[-1, 1] > length:
            raise SequenceError(
                f"these tokens stand for {places[-1, 1]:,} bases, and the sequence has {length:,}: give the "
                "length of the sequence that they were made of, given once."
            )
        return places

    def _places(self, ids: np.ndarray, length: int) -> np.ndarray:
        """Offsets of checked ids, for tokens that stand side by side from the first base on."""
        bases = self.num_bases[ids]
        stops = np.cumsum(bases)
        return np.stack([stops - bases, stops], axis=1)

    def is_letter(self, ids: torch.Tensor) -> torch.Tensor:
        """Where ids stand for letters, bool of their shape: not at special tokens, not at padding."""
        letters = torch.as_tensor(~self._is_special, device=ids.device)
        # A third of the time of indexing by a tensor.
        return letters.index_select(0, ids.flatten()).view(ids.shape)

    def decode(
        self, ids: Sequence[int] | np.ndarray | torch.Tensor, *, skip_special_tokens: bool = True
    ) -> str:
        """Letters of one sequence of ids; without `skip_special_tokens`, the text of every token, joined.

        Raises:
            SequenceError: an id that the vocabulary does not have, or a batch.
        """
        array = _as_array(ids)
        self._require_ids(array)
        if skip_special_tokens:
            return self._decode(array[~self._is_special[array]])
        return "".join(self.vocabulary[index] for index in array)

    def pad(self, sequences: Sequence[np.ndarray | torch.Tensor], *, length: int | None = None) -> TokenBatch:
        """One batch of sequences of ids, each (L,), filled up to `length`, or to the longest.

        Raises:
            SequenceError: there is no sequence, or one is longer than `length`.
        """
        if not sequences:
            raise SequenceError("a batch needs at least one sequence; none was given.")
        longest = max(len(ids) for ids in sequences)
        width = longest if length is None else length
        if longest > width:
            raise SequenceError(
                f"a sequence of {longest:,} tokens cannot be padded to {width:,}: cut it first."
            )
        # Filled as arrays: a row of a tensor takes ten times as long to write to.
        input_ids = np.full((len(sequences), width), self.pad_id)
        attention_mask = np.zeros((len(sequences), width), dtype=bool)
        for row, ids in enumerate(sequences):
            start = width - len(ids) if self.padding_side == "left" else 0
            input_ids[row, start : start + len(ids)] = ids
            attention_mask[row, start : start + len(ids)] = True
        return TokenBatch(torch.from_numpy(input_ids), torch.from_numpy(attention_mask))

    def __call__(
        self,
        sequences: str | Sequence[str],
        *,
        add_special_tokens: bool = True,
        max_length: int | None = None,
        truncation: bool = False,
    ) -> TokenBatch:
        """Encode and pad to the longest.

        Args:
            sequences: one or more; one alone makes a batch of 1.
            max_length: the most tokens a row may have, special ones included.
            truncation: cut what is longer at its end (special tokens stay) instead of raising.

        Raises:
            SequenceError: letters that are none, a sequence longer than `max_length`, or none at all.
        """
        texts = [sequences] if isinstance(sequences, str) else sequences
        encoded = self.encode_each(texts)
        if max_length is not None:
            room = max_length - (self.num_special_tokens if add_special_tokens else 0)
            encoded = [_fit(ids, room, truncation, number) for number, ids in enumerate(encoded)]
        return self.pad([self._frame(ids) for ids in encoded] if add_special_tokens else encoded)

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write `tokenizer.json` into a folder, whole or not at all, and return its path."""
        path = Path(folder) / FILE_NAME
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{FILE_NAME}.{os.getpid()}")
        try:
            beside.write_text(json.dumps(self.description(), indent=2) + "\n", encoding="utf-8")
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
        return path

    def description(self) -> dict[str, Any]:
        """What `tokenizer.json` holds. The vocabulary is there for its readers, and checked on loading."""
        return {
            "tokenizer_type": self.tokenizer_type,
            "format_version": FORMAT_VERSION,
            "settings": dict(self.settings),
            "vocabulary": list(self.vocabulary),
        }

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Tokenizer):
            return NotImplemented
        return self.description() == other.description()

    def __hash__(self) -> int:
        return hash((self.tokenizer_type, self.vocabulary))

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value!r}" for name, value in self.settings.items())
        return f"{type(self).__name__}({settings})"

    def _frame(self, ids: np.ndarray) -> np.ndarray:
        return np.concatenate((self.prefix_ids, ids, self.suffix_ids))

    def _ids(self, tokens: Sequence[str]) -> np.ndarray:
        return np.array([self.token_id(token) for token in tokens], dtype=np.int64)

    def _require_ids(self, ids: np.ndarray | torch.Tensor) -> None:
        if 0 in ids.shape:
            return
        low, high = int(ids.min()), int(ids.max())
        if low < 0 or high >= self.vocab_size:
            raise SequenceError(
                f"{low if low < 0 else high} is no token id: {self!r} has 0 to {self.vocab_size - 1}. "
                "A model's padded vocabulary and labels of -100 have ids beyond; drop them first."
            )


def _as_array(ids: Sequence[int] | np.ndarray | torch.Tensor) -> np.ndarray:
    array = ids.detach().cpu().numpy() if isinstance(ids, torch.Tensor) else np.asarray(ids)
    if array.ndim != 1:
        raise SequenceError(f"ids of shape {array.shape} are not one sequence: decode a batch row by row.")
    return array.astype(np.int64, copy=False)


def _fit(ids: np.ndarray, room: int, truncation: bool, number: int) -> np.ndarray:
    if room < 1:
        raise SequenceError("max_length leaves no room for a letter beside the special tokens: raise it.")
    if len(ids) > room and not truncation:
        raise SequenceError(
            f"sequence {number} (counted from 0) has {len(ids):,} tokens; max_length has room for {room:,} "
            "beside the special tokens. Shorten it, raise max_length, or allow truncation=True."
        )
    return ids[:room]
