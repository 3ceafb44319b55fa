"""The sequences of labelled data without their labels, for a language model that learns the labels next."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from torch.utils.data import Dataset

from genoseq.data.datamodule import SequenceDataModule
from genoseq.data.labelled import LabelledSequences
from genoseq.data.labelled_datamodule import LabelledDataModule
from genoseq.data.loading import ExampleKey
from genoseq.data.splits import Split
from genoseq.errors import ConfigError
from genoseq.sequence import StrandKind, Strands


class OwnSequencesDataModule(SequenceDataModule):
    """Examples for a language model: the sequences of a task, split as the task is, without their labels.

    Those of validation choose its best checkpoint, as in any run; those of test are opened only to see that
    none leaks, where `leaks=error`. Sequences whose labels hold for both strands are turned at random in
    training.

    Args:
        labelled: the task's data.

    Raises:
        ConfigError: data of another kind.

    Source: Amos, Berant and Gupta 2024, "Never Train from Scratch" (self-pretraining).
    """

    def __init__(self, *, labelled: LabelledDataModule) -> None:
        if not isinstance(labelled, LabelledDataModule):
            raise ConfigError(
                "language modelling first reads the sequences of labelled data, and these are a "
                f"{type(labelled).__name__}: give pretrain=none."
            )
        super().__init__(
            tokenizer=labelled.tokenizer,
            global_batch_size=labelled.global_batch_size,
            micro_batch_size=labelled.micro_batch_size,
            num_workers=labelled.num_workers,
            pin_memory=labelled.pin_memory,
            seed=labelled.seed,
        )
        self.labelled = labelled
        self.strands: Strands = "augment" if labelled.strand == "unstranded" else "none"

    @property
    def strand(self) -> StrandKind:
        """That of the task's labels."""
        return self.labelled.strand

    def build(self, split: Split) -> Dataset[dict[str, Any]]:
        """The sequences of a split."""
        return _Unlabelled(self.labelled.sequences_of(split, self.tokenizer, strands=self.strands))

    def examples(self, split: Split) -> pd.DataFrame:
        """The rows of a split as `LabelledDataModule.examples` gives them."""
        return self.labelled.examples(split)

    def leaked(self, split: Split) -> np.ndarray:
        """Which rows of a split share a k-mer with those that it must not know, (N,) bool."""
        return self.labelled.leaked(split)


class _Unlabelled(Dataset[dict[str, Any]]):
    def __init__(self, sequences: LabelledSequences) -> None:
        self.strand = sequences.strand
        self._sequences = sequences

    def __len__(self) -> int:
        return len(self._sequences)

    def __getitem__(self, key: ExampleKey) -> dict[str, Any]:
        example = self._sequences[key]
        del example["labels"]
        return example
