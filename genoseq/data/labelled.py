"""Labelled sequences as a dataset."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
from torch.utils.data import Dataset

from genoseq.data.labels import Level
from genoseq.data.loading import IGNORED_LABEL, ExampleKey
from genoseq.errors import ConfigError, SequenceError, require_choice
from genoseq.sequence import reverse_complement as other_strand
from genoseq.tokenizers import Tokenizer

StrandKind = Literal["stranded", "unstranded"]


class LabelledSequences(Dataset[dict[str, Any]]):
    """Sequences with labels of the whole or of each base.

    Args:
        sequences: nucleotide letters, none empty.
        labels: one array a sequence, as `LabelReader.read` gives them.
        tokenizer: makes ids, with its special tokens; these have the label -100 at level "token".
        level: what a label belongs to; "token" needs a tokenizer of single bases.
        strand: "stranded" where a label holds for the strand that is given, "unstranded" where it holds for
        both. reverse_complement: turn half of the sequences, at random; labels of bases are turned with them.
        max_length: the most tokens, special ones included; None for any number.
        truncation: cut longer sequences at their end instead of refusing them.
        groups: (N,) what must not be divided between splits; None where there is none.
        controls: token ids, one a sequence. With them an example is one of a language model: its control
            token, then the tokens of its sequence, which are its labels too; the control token has the label
            -100, and so have the special tokens after a sequence that was cut, where it does not end.
        seed: example i of epoch e is a function of (seed, e, i).

    Raises:
        ConfigError: stranded sequences would be turned, or the tokenizer has not one token a base.
        SequenceError: a sequence is longer than `max_length`.
    """

    def __init__(
        self,
        sequences: Sequence[str],
        labels: Sequence[np.ndarray],
        tokenizer: Tokenizer,
        *,
        level: Level = "sequence",
        strand: StrandKind = "stranded",
        reverse_complement: bool = False,
        max_length: int | None = None,
        truncation: bool = False,
        groups: np.ndarray | None = None,
        controls: Sequence[int] | None = None,
        seed: int = 0,
    ) -> None:
        assert len(sequences) == len(labels)
        assert controls is None or (len(controls) == len(sequences) and level == "sequence")
        require_strand(strand, reverse_complement)
        self.strand = strand
        self.groups = groups
        self._labels = labels
        self._tokenizer = tokenizer
        self._level = level
        self._reverse_complement = reverse_complement
        self._seed = seed
        self._controls = controls
        added = tokenizer.num_special_tokens + (controls is not None)
        self._room = None if max_length is None else max_length - added
        self._sequences = sequences
        self._check_tokens(max_length, truncation)

    def __len__(self) -> int:
        return len(self._sequences)

    def __getitem__(self, key: ExampleKey) -> dict[str, Any]:
        sequence, labels = self._sequences[key.index], self._labels[key.index]
        if self._reverse_complement:
            generator = np.random.default_rng([self._seed, key.epoch, key.index])
            if generator.random() < 0.5:
                sequence = other_strand(sequence)
                labels = labels[::-1] if self._level == "token" else labels
        ids = self._tokenizer.encode(sequence, add_special_tokens=False)
        is_cut = self._room is not None and len(ids) > self._room
        ids = ids[: self._room]
        if self._level == "token":
            labels = self._with_ends(labels[: self._room])
        tokens = np.concatenate((self._tokenizer.prefix_ids, ids, self._tokenizer.suffix_ids))
        if self._controls is not None:
            tokens, labels = self._after_control(self._controls[key.index], tokens, is_cut)
        return {"input_ids": tokens, "labels": labels, "index": key.index, "counted": key.counted}

    def _after_control(self, control: int, tokens: np.ndarray, is_cut: bool) -> tuple[np.ndarray, np.ndarray]:
        """Tokens and labels, (L + 1,) each, of a language model's example."""
        labels = np.concatenate(([IGNORED_LABEL], tokens))
        if is_cut:
            labels[len(labels) - len(self._tokenizer.suffix_ids) :] = IGNORED_LABEL
        return np.concatenate(([control], tokens)), labels

    def _with_ends(self, labels: np.ndarray) -> np.ndarray:
        ends = (len(self._tokenizer.prefix_ids), len(self._tokenizer.suffix_ids))
        return np.pad(labels, [ends, *[(0, 0)] * (labels.ndim - 1)], constant_values=IGNORED_LABEL)

    def _check_tokens(self, max_length: int | None, truncation: bool) -> None:
        for row, sequence in enumerate(self._sequences):
            tokens = len(self._tokenizer.encode(sequence, add_special_tokens=False))
            if self._level == "token" and tokens != len(sequence):
                raise ConfigError(
                    f"level=token needs one token a base; {self._tokenizer!r} gives {tokens:,} for the "
                    f"{len(sequence):,} bases of row {row}. Use a tokenizer of single bases."
                )
            if self._room is not None and tokens > self._room and not truncation:
                raise SequenceError(
                    f"row {row} (counted from 0) has {tokens:,} tokens; max_length={max_length} has room for "
                    f"{self._room:,} beside the special ones. Raise max_length, or cut with truncation=true."
                )


def require_strand(strand: str, reverse_complement: bool) -> None:
    """Refuse an unknown strand, and turning sequences whose labels hold for one strand.

    Raises:
        ConfigError: either.
    """
    require_choice("strand", strand, get_args(StrandKind))
    if strand == "stranded" and reverse_complement:
        raise ConfigError(
            "reverse_complement=true would turn sequences whose labels are declared to hold for the given "
            "strand only. Give reverse_complement=false, or strand=unstranded if the labels hold for both."
        )
