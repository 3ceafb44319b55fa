"""Abilities to learn at one length, and to be tested at many."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from genoseq.data.abilities import Ability, AbilityExamples
from genoseq.data.datamodule import SequenceDataModule, Split
from genoseq.data.splits import SPLITS
from genoseq.errors import ConfigError
from genoseq.tokenizers import Tokenizer


class AbilityDataModule(SequenceDataModule):
    """Random DNA with questions: train and validation of one length, test of a series of lengths.

    Args:
        tokenizer: has single nucleotides.
        marker, key_length, num_pairs, answer_length: see `Ability`.
        length: bases of a sequence of train and validation.
        test_lengths: bases of the sequences of test, several lengths, none twice.
        examples_per_epoch: sequences of an epoch; every epoch has new ones.
        evaluation_examples: sequences of validation, and of each length of test.
        global_batch_size, micro_batch_size, num_workers, pin_memory, seed: as for every data module.

    Raises:
        ConfigError: settings contradict each other, or a length has no room for the questions.
    """

    strand = "stranded"
    judged_as = "answers"

    def __init__(
        self,
        *,
        tokenizer: Tokenizer,
        marker: str,
        key_length: int,
        num_pairs: int,
        answer_length: int | None,
        length: int,
        test_lengths: Sequence[int],
        examples_per_epoch: int,
        evaluation_examples: int,
        global_batch_size: int,
        micro_batch_size: int | None,
        num_workers: int,
        pin_memory: bool,
        seed: int,
    ) -> None:
        super().__init__(
            tokenizer=tokenizer,
            global_batch_size=global_batch_size,
            micro_batch_size=micro_batch_size,
            num_workers=num_workers,
            pin_memory=pin_memory,
            seed=seed,
        )
        self.ability = Ability(
            marker=marker, key_length=key_length, num_pairs=num_pairs, answer_length=answer_length
        )
        self.length = length
        self.test_lengths = list(test_lengths)
        self.examples_per_epoch = examples_per_epoch
        self.evaluation_examples = evaluation_examples
        self._check()
        self.evaluation_length = max(length, *self.test_lengths)

    def build(self, split: Split) -> AbilityExamples:
        """The examples of a split; those of test are in the order of `test_lengths`."""
        lengths = {
            "train": np.repeat(self.length, self.examples_per_epoch),
            "validation": np.repeat(self.length, self.evaluation_examples),
            "test": np.repeat(self.test_lengths, self.evaluation_examples),
        }
        return AbilityExamples(
            self.ability, self.tokenizer, lengths=lengths[split], seed=(self.seed, SPLITS.index(split))
        )

    def examples(self, split: Split) -> pd.DataFrame:
        """What each example of a split is: its `length` in bases, in the order of its dataset."""
        dataset = self.dataset(split)
        assert isinstance(dataset, AbilityExamples)
        return pd.DataFrame({"length": dataset.lengths})

    def _check(self) -> None:
        if not self.test_lengths or len(set(self.test_lengths)) < len(self.test_lengths):
            raise ConfigError(f"test_lengths={self.test_lengths}: give one length or more, none twice.")
        if min(self.examples_per_epoch, self.evaluation_examples) < 1:
            raise ConfigError(
                f"examples_per_epoch={self.examples_per_epoch}, "
                f"evaluation_examples={self.evaluation_examples}: give at least 1."
            )
        self.ability.require_room("length", self.length)
        self.ability.require_room("test_lengths", min(self.test_lengths))
