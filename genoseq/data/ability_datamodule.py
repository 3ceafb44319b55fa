"""Abilities to learn at one length, and to be tested at many."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from genoseq.data.abilities import Ability, AbilityExamples, AbilityLessons
from genoseq.data.datamodule import SequenceDataModule
from genoseq.data.length_schedule import LengthSchedule, lengths_by_step
from genoseq.data.splits import SPLITS, Split
from genoseq.data.stages import Stages
from genoseq.errors import ConfigError
from genoseq.tokenizers import Tokenizer


class AbilityDataModule(SequenceDataModule):
    """Random DNA with questions: train up to one length, validation of that length, test of several.

    Args:
        tokenizer: has single nucleotides.
        marker, key_length, num_pairs, answer_length: see `Ability`.
        length: bases of a sequence of validation, and the most of one of train; see `AbilityLessons`.
        length_schedule: length warm-up, as pairs of an optimiser step and the most bases of a sequence of
            train from there on, such as [[0, 32], [100, 64]]; the last is `length`. A stage begins an epoch.
            None for `length` throughout.
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
        length_schedule: Sequence[Sequence[int]] | None,
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
        self.length_schedule = {0: length} if length_schedule is None else lengths_by_step(length_schedule)
        self.divisors = dict.fromkeys(self.length_schedule, 1)
        self.test_lengths = list(test_lengths)
        self.examples_per_epoch = examples_per_epoch
        self.evaluation_examples = evaluation_examples
        self._check()
        self.evaluation_length = max(length, *self.test_lengths)

    def build(self, split: Split) -> AbilityLessons | AbilityExamples:
        """The examples of a split; those of test are in the order of `test_lengths`."""
        seed = (self.seed, SPLITS.index(split))
        if split == "train":
            stages = Stages(self.examples_per_epoch, self.global_batch_size, self.divisors)
            lengths = LengthSchedule(self.length, stages.by_epoch(self.length_schedule))
            return AbilityLessons(
                self.ability, self.tokenizer, number=self.examples_per_epoch, lengths=lengths, seed=seed
            )
        asked = self.test_lengths if split == "test" else [self.length]
        return AbilityExamples(
            self.ability, self.tokenizer, lengths=np.repeat(asked, self.evaluation_examples), seed=seed
        )

    def examples(self, split: Split) -> pd.DataFrame:
        """What each example of validation or test is: its `length` in bases, in the order of its dataset."""
        dataset = self.dataset(split)
        assert isinstance(dataset, AbilityExamples), "lessons are drawn anew in each epoch"
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
        least = self.ability.shortest
        if min(self.length_schedule.values()) < least:
            raise ConfigError(f"length_schedule={self.length_schedule}: no sequence is under {least} bases.")
        self.ability.require_room("test_lengths", min(self.test_lengths))
