"""Labelled sequences as a dataset."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from torch.utils.data import Dataset

from genoseq.data.labels import Level
from genoseq.data.loading import IGNORED_LABEL, ExampleKey, unlabelled
from genoseq.errors import ConfigError, SequenceError
from genoseq.sequence import Strand, StrandKind, Strands, reverse_complement, strand_policy
from genoseq.tokenizers import Tokenizer, encode_codons, encode_passes

Coding = Literal["whole"]


class LabelledSequences(Dataset[dict[str, Any]]):
    """Sequences with labels of the whole or of each base.

    Args:
        sequences: nucleotide letters, none empty.
        labels: one array a sequence, as `LabelReader.read` gives them.
        tokenizer: makes ids, with its special tokens; these are `unlabelled` at level "token".
        level: what a label belongs to; "token" needs a tokenizer of single bases.
        strand: "stranded" where a label holds for the strand that is given, "unstranded" for both.
        strands: what becomes of the two strands, see `StrandPolicy`; labels of bases go with the sequence, to
            the second pass where there is one.
        training: turn half of the sequences where the policy says so.
        coding: "whole" where sequences are whole codons from their first base on, which a `CodingTokenizer`
            is told; None where nothing is known of codons.
        max_length: the most tokens, special ones and both passes included; None for any number.
        truncation: cut longer sequences at their end instead of refusing them.
        groups: (N,) what must not be divided between splits; None where there is none.
        controls: token ids, one a sequence. With them an example is one of a language model: its control
            token, then the tokens of its sequence, which are its labels too; the control token has the label
            -100, and so have the special tokens after a sequence that was cut, where it does not end.
        seed: example i of epoch e is a function of (seed, e, i).

    Raises:
        ConfigError: the policy does not go with the strand, or the tokenizer has not one token a base.
        SequenceError: a sequence is longer than `max_length`, or no whole number of codons.
    """

    def __init__(
        self,
        sequences: Sequence[str],
        labels: Sequence[np.ndarray],
        tokenizer: Tokenizer,
        *,
        level: Level = "sequence",
        strand: StrandKind = "stranded",
        strands: Strands = "none",
        training: bool = False,
        coding: Coding | None = None,
        max_length: int | None = None,
        truncation: bool = False,
        groups: np.ndarray | None = None,
        controls: Sequence[int] | None = None,
        seed: int = 0,
    ) -> None:
        assert len(sequences) == len(labels)
        self._policy = strand_policy(strands)
        self._policy.require_labels(strand)
        assert controls is None or (len(controls) == len(sequences) and level == "sequence")
        assert controls is None or self._policy.passes == 1
        self.strand = strand
        self.groups = groups
        self._labels = labels
        self._tokenizer = tokenizer
        self._level = level
        self._turns = self._policy.turns and training
        self._seed = seed
        self._controls = controls
        self._coding = coding
        added = tokenizer.num_special_tokens + (controls is not None)
        self._room = None if max_length is None else (max_length - added) // self._policy.passes
        self._sequences = sequences
        self._check_tokens(max_length, truncation)

    def __len__(self) -> int:
        return len(self._sequences)

    def __getitem__(self, key: ExampleKey) -> dict[str, Any]:
        sequence, labels = self._sequences[key.index], self._labels[key.index]
        strand: Strand = "+"
        if self._turns:
            generator = np.random.default_rng([self._seed, key.epoch, key.index])
            if generator.random() < 0.5:
                sequence, strand = reverse_complement(sequence), "-"
                labels = labels[::-1] if self._level == "token" else labels
        whole = self._encode(sequence, strand)
        ids = whole[: self._room]
        given = encode_passes(self._tokenizer, ids, self._policy)
        example = {"input_ids": given.input_ids, "labels": labels, "index": key.index, "counted": key.counted}
        if self._level == "token":
            example["labels"] = self._in_place(labels[: self._room])
        if self._controls is not None:
            control, is_cut = self._controls[key.index], len(ids) < len(whole)
            return example | self._after_control(control, given.input_ids, is_cut)
        return example if given.second_pass is None else example | {"second_pass": given.second_pass}

    def _encode(self, sequence: str, strand: Strand = "+") -> np.ndarray:
        if self._coding is None:
            return self._tokenizer.encode(sequence, add_special_tokens=False)
        return encode_codons(self._tokenizer, sequence, strand)

    def _after_control(self, control: int, tokens: np.ndarray, is_cut: bool) -> dict[str, np.ndarray]:
        """Tokens and labels, (L + 1,) each, of a language model's example."""
        labels = np.concatenate(([IGNORED_LABEL], tokens))
        if is_cut:
            labels[len(labels) - len(self._tokenizer.suffix_ids) :] = IGNORED_LABEL
        return {"input_ids": np.concatenate(([control], tokens)), "labels": labels}

    def _in_place(self, labels: np.ndarray) -> np.ndarray:
        """Labels of bases beside the tokens of their bases, in the second pass where there is one."""
        before = len(self._tokenizer.prefix_ids) + (self._policy.passes - 1) * len(labels)
        ends = (before, len(self._tokenizer.suffix_ids))
        labels = labels[::-1] if self._policy.second_pass == "other" else labels
        widths = [ends, *[(0, 0)] * (labels.ndim - 1)]
        return np.pad(labels, widths, constant_values=unlabelled(labels.dtype))

    def _check_tokens(self, max_length: int | None, truncation: bool) -> None:
        for row, sequence in enumerate(self._sequences):
            try:
                tokens = len(self._encode(sequence))
            except SequenceError as error:
                raise SequenceError(f"row {row} (counted from 0): {error}") from error
            if self._level == "token" and tokens != len(sequence):
                raise ConfigError(
                    f"level=token needs one token a base; {self._tokenizer!r} gives {tokens:,} for the "
                    f"{len(sequence):,} bases of row {row}. Use a tokenizer of single bases."
                )
            if self._room is not None and tokens > self._room and not truncation:
                raise SequenceError(
                    f"row {row} (counted from 0) has {tokens:,} tokens{self._policy.remark}; "
                    f"max_length={max_length} has room for {self._room:,} beside the special ones. Raise "
                    "max_length, or cut with truncation=true."
                )
