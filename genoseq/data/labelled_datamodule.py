"""Labelled sequences for fine-tuning."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from functools import cached_property
from typing import get_args

import numpy as np
import pandas as pd

from genoseq.data.clusters import Clusters, sequence_groups
from genoseq.data.datamodule import SequenceDataModule
from genoseq.data.labelled import Coding, LabelledSequences
from genoseq.data.labels import LabelReader, Level, Problem, label_texts
from genoseq.data.leaks import LeakPolicy, find_leaks
from genoseq.data.splits import Split, split_groups
from genoseq.data.tables import read_table, require_columns, require_sequences
from genoseq.errors import ConfigError, DataError, LeakError, require_choice
from genoseq.sequence import StrandKind, Strands, strand_policy
from genoseq.tokenizers import Tokenizer

PathLike = str | os.PathLike[str]

_log = logging.getLogger(__name__)

_COMPARED_WITH: dict[Split, tuple[Split, ...]] = {
    "train": (),
    "validation": ("train",),
    "test": ("train", "validation"),
}


class LabelledDataModule(SequenceDataModule):
    """Sequences with labels from tables (CSV, TSV, Parquet) or FASTA files with labels.

    Without a file for validation, or for test, that part is cut from the training table: by group where
    there is a group column, else by clusters of sequences that share a k-mer on either strand, or that
    MMseqs2 finds. The cut is
    the same for every `seed`. Test sequences are compared with train and validation together, validation
    with train.

    Args:
        tokenizer: makes ids.
        train: the table; validation, test: theirs, or None to cut them from `train`.
        sequence_column: column of the sequences; a FASTA has it as `sequence`.
        label_column: column of the labels, or several; see `LabelReader` for their forms.
        classes: names of the classes in the order of their numbers; None: those of the training table,
            sorted.
        problem: "single_label", "multi_label" or "regression".
        level: "sequence", or "token" for one label a base.
        validation_fraction, test_fraction: share of the training table, for what has no file.
        group_column: column of what must stay together (chromosome, gene family); None for clusters.
        split_seed: of the cut.
        strand: "stranded" where labels hold for the given strand only, "unstranded" where they hold for both.
        strands: what becomes of the two strands in training, and by default in the use of the model: "none",
            "augment", "average", "equivariant", "echo" or "repeat", see `StrandPolicy`.
        coding: "whole" where each sequence is codons from its first base to its last, for a tokenizer that
            reads them (`codon`, `frame`); the model's user is held to the same. None reads plain DNA.
        max_length: the most tokens of a sequence, special ones and both passes included; None for any number.
        truncation: cut longer sequences at their end instead of refusing them.
        window, window_stride: tokens that a model reads at once of a longer sequence, and from the start of
            one such window to the next (None: the window's own length); the head sees all of them. None for
            whole sequences.
        clusters: how relatives are found for a cut without groups: "kmers", or "mmseqs2" where that
            program is.
        leaks: what to do with rows that share a k-mer with the rows before: "error"; "report" them in the
            predictions; "drop" them from validation and test.
        leak_k: bases of that k-mer.
        global_batch_size, micro_batch_size, num_workers, pin_memory, seed: as for every data module.

    Raises:
        ConfigError: settings contradict each other.
        DataError, SequenceError: a table is missing, broken, lacks a column or holds a bad row.
        LeakError: rows leak, under "error".
    """

    def __init__(
        self,
        *,
        tokenizer: Tokenizer,
        train: PathLike,
        validation: PathLike | None,
        test: PathLike | None,
        sequence_column: str,
        label_column: str | Sequence[str],
        classes: Sequence[object] | None,
        problem: Problem,
        level: Level,
        validation_fraction: float,
        test_fraction: float,
        group_column: str | None,
        split_seed: int,
        strand: StrandKind,
        strands: Strands,
        coding: Coding | None = None,
        max_length: int | None,
        truncation: bool,
        leaks: LeakPolicy,
        leak_k: int,
        global_batch_size: int,
        micro_batch_size: int | None,
        num_workers: int,
        pin_memory: bool,
        seed: int,
        window: int | None = None,
        window_stride: int | None = None,
        clusters: Clusters = "kmers",
    ) -> None:
        super().__init__(
            tokenizer=tokenizer,
            global_batch_size=global_batch_size,
            micro_batch_size=micro_batch_size,
            num_workers=num_workers,
            pin_memory=pin_memory,
            seed=seed,
        )
        strand_policy(strands).require_labels(strand)
        require_choice("leaks", leaks, get_args(LeakPolicy))
        if coding is not None:
            require_choice("coding", coding, get_args(Coding))
        if min(validation_fraction, test_fraction) <= 0 or validation_fraction + test_fraction >= 1:
            raise ConfigError(
                f"validation_fraction={validation_fraction} and test_fraction={test_fraction} must be above "
                "0 and leave rows for training."
            )
        self.problem = self.judged_as = problem
        self.level = level
        self.strand = strand
        self.strands = strands
        require_choice("clusters", clusters, get_args(Clusters))
        self.clusters: Clusters = clusters
        self.window = window
        self.window_stride = window_stride
        self.coding = coding
        self.leaks = leaks
        self.leak_k = leak_k
        self._files: dict[Split, PathLike | None] = {"train": train, "validation": validation, "test": test}
        self._fractions: dict[Split, float] = {"validation": validation_fraction, "test": test_fraction}
        self._sequence_column = sequence_column
        self._label_columns = [label_column] if isinstance(label_column, str) else list(label_column)
        self._label_names = ["label"] if len(self._label_columns) == 1 else self._label_columns
        self._classes = None if classes is None else list(classes)
        self._group_column = group_column
        self._split_seed = split_seed
        self._max_length = max_length
        self._truncation = truncation
        self._parts: dict[Split, pd.DataFrame] = {}
        self._leaked: dict[Split, np.ndarray] = {}

    @property
    def classes(self) -> tuple[str, ...] | None:
        """Names of the outputs, in the order of their numbers; None for one number."""
        return self._reader.classes

    @property
    def num_outputs(self) -> int:
        """Numbers that a model has to give a sequence, or a base."""
        return self._reader.num_outputs

    def build(self, split: Split) -> LabelledSequences:
        """The sequences of a split; those of training may be turned."""
        return self.sequences_of(split, self.tokenizer)

    def sequences_of(
        self,
        split: Split,
        tokenizer: Tokenizer,
        *,
        controls: Sequence[int] | None = None,
        strands: Strands | None = None,
    ) -> LabelledSequences:
        """The same in the tokens of `tokenizer`, with `controls` for a language model, or other `strands`."""
        table = self.examples(split)
        if split == "train" and self.leaks == "error":
            # A leak into test must stop the run before it is trained, not after.
            self.examples("test")
        return LabelledSequences(
            table["sequence"].tolist(),
            self.labels(split),
            tokenizer,
            level=self.level,
            strand=self.strand,
            strands=self.strands if strands is None else strands,
            training=split == "train",
            coding=self.coding,
            max_length=self._max_length,
            truncation=self._truncation,
            groups=table["group"].to_numpy() if "group" in table else None,
            controls=controls,
            seed=self.seed,
        )

    def labels(self, split: Split) -> list[np.ndarray]:
        """The labels of a split as `LabelReader.read` gives them, in the order of its dataset."""
        table = self.examples(split)
        return self._reader.read(table, table["sequence"].str.len().tolist(), self._source(split))

    def examples(self, split: Split) -> pd.DataFrame:
        """The rows of a split, in the order of its dataset.

        Returns:
            `sequence`, `label` (as text; several label columns keep their names), `name` where the file has
            it, and `group` where a group column is named. Nothing else of the file is kept.
        """
        if split not in self._parts:
            self._parts[split] = self._keep_clean(split, self._part(split))
        return self._parts[split]

    def leaked(self, split: Split) -> np.ndarray:
        """Which rows of a split share a k-mer with those that it must not know, (N,) bool."""
        self.examples(split)
        return self._leaked[split]

    @cached_property
    def _reader(self) -> LabelReader:
        return LabelReader.fit(
            self._tables["train"],
            problem=self.problem,
            level=self.level,
            columns=self._label_names,
            classes=self._classes,
            source=self._source("train"),
        )

    @cached_property
    def _tables(self) -> dict[Split, pd.DataFrame]:
        """The training table, and what is cut from it."""
        whole = self._read("train")
        missing = {part: share for part, share in self._fractions.items() if self._files[part] is None}
        if not missing:
            return {"train": whole}
        if "group" in whole:
            groups = whole["group"].to_numpy()
        else:
            groups = sequence_groups(whole["sequence"].tolist(), clusters=self.clusters, k=self.leak_k)
        part_of_row = split_groups(groups, missing, seed=self._split_seed)
        parts: tuple[Split, ...] = ("train", *missing)
        return {part: whole[part_of_row == part].reset_index(drop=True) for part in parts}

    def _part(self, split: Split) -> pd.DataFrame:
        return self._tables[split] if self._files[split] is None or split == "train" else self._read(split)

    def _read(self, split: Split) -> pd.DataFrame:
        path = self._files[split]
        assert path is not None
        given = read_table(path)
        groups = [] if self._group_column is None else [self._group_column]
        require_columns(given, [self._sequence_column, *self._label_columns, *groups], path)
        require_sequences(given, self._sequence_column, path)
        columns = {"sequence": given[self._sequence_column]}
        for name, column in zip(self._label_names, self._label_columns, strict=True):
            columns[name] = pd.Series(label_texts(given, column, path))
        if "name" in given:
            columns["name"] = given["name"]
        if groups:
            columns["group"] = given[self._group_column]
        return pd.DataFrame(columns)

    def _source(self, split: Split) -> str:
        path = self._files[split]
        return str(path) if path is not None else f"{split} cut from {self._files['train']}"

    def _keep_clean(self, split: Split, table: pd.DataFrame) -> pd.DataFrame:
        """Find the rows that leak and do with them as `leaks` says."""
        known = _COMPARED_WITH[split]
        leaked = np.zeros(len(table), dtype=bool)
        if known:
            before = [text for part in known for text in self._part(part)["sequence"]]
            leaked = find_leaks(before, table["sequence"].tolist(), k=self.leak_k)
        if leaked.any():
            message = (
                f"{int(leaked.sum()):,} of {len(leaked):,} rows of {self._source(split)} share "
                f"{self.leak_k} bases with {' or '.join(known)}"
            )
            if self.leaks == "error":
                raise LeakError(
                    f"{message}, the first of them row {int(np.argmax(leaked))} (counted from 0): a model "
                    "could remember them. Split by group, or say leaks=drop to leave them out or "
                    "leaks=report to see the metrics with and without them."
                )
            _log.warning("%s%s", message, ": dropped" if self.leaks == "drop" else "")
        if self.leaks == "drop":
            table, leaked = table[~leaked].reset_index(drop=True), leaked[~leaked]
            if table.empty:
                raise DataError(f"every row of {self._source(split)} leaks: none is left. Give other data.")
        self._leaked[split] = leaked
        return table
