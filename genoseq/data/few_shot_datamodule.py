"""Labelled sequences for a language model that is to answer from demonstrations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
import pandas as pd

from genoseq.data.controls import with_controls
from genoseq.data.datamodule import SequenceDataModule
from genoseq.data.few_shot import Episodes, Source
from genoseq.data.labelled_datamodule import LabelledDataModule
from genoseq.data.splits import SPLITS, Split
from genoseq.errors import ConfigError, require_choice
from genoseq.tokenizers import Tokenizer
from genoseq.tokenizers.base import control_token

_STRANDS = ("none", "augment")


class FewShotDataModule(SequenceDataModule):
    """Episodes for `task=in_context`: demonstrations of each class, then the sequence that is asked about.

    Demonstrations are always of train. A training episode asks about each training sequence in turn; the
    parts of evaluation ask about theirs, once for each number of shots. Files, splits, leaks and strands are
    those of `tasks`, whose `strands` are "none" or "augment".

    Args:
        tasks: labelled sequences by the name of their task, with one class a sequence and as many classes
            in all of them.
        shots: demonstrations of each class in evaluation, several numbers, none twice; 0 asks without any.
        train_shots: demonstrations of each class in training, where every one of them is answered too, from
            those before it; None for the most of `shots`.
        answers: texts of the tokens that answer, one a class, which the model knows already (bases, as in
            HyenaDNA, or special ones); None for new ones, `<class_0>` and so on.
        permute_answers: draw for each episode which of them answers for which class: what a class is then
            stands in the demonstrations alone.
        validation_questions: the most questions of each task in validation; None for all.
        global_batch_size, micro_batch_size, num_workers, pin_memory, seed: as for every data module.

    Raises:
        ConfigError: there is no task; the tasks have other labels, numbers of classes or tokenizers, or a
            policy of strands for predictions; answers, shots or questions that cannot be.
        DataError, SequenceError, LeakError: as `LabelledDataModule`.

    Source: Nguyen et al. 2023, "HyenaDNA", in-context learning by instruction fine-tuning on few-shot
    demonstrations; Min et al. 2022, "MetaICL", tuning on several tasks.
    """

    judged_as = "single_label"

    def __init__(
        self,
        *,
        tasks: Mapping[str, LabelledDataModule],
        shots: Sequence[int],
        train_shots: int | None,
        answers: Sequence[str] | None,
        permute_answers: bool,
        validation_questions: int | None,
        global_batch_size: int,
        micro_batch_size: int | None,
        num_workers: int,
        pin_memory: bool,
        seed: int,
    ) -> None:
        self.tasks = dict(tasks)
        self.shots = list(shots)
        self.train_shots = max(self.shots, default=0) if train_shots is None else train_shots
        self.permute_answers = permute_answers
        self.validation_questions = validation_questions
        tokenizer = _tokenizer_of(self.tasks)
        num_classes = _number_of_classes(self.tasks)
        self._check(tokenizer)
        if answers is None:
            labels = tuple(f"class_{number}" for number in range(num_classes))
            tokenizer = with_controls(tokenizer, labels)
            answers = [control_token(label) for label in labels]
        self.answers = list(answers)
        _require_answers(self.answers, num_classes, tokenizer)
        super().__init__(
            tokenizer=tokenizer,
            global_batch_size=global_batch_size,
            micro_batch_size=micro_batch_size,
            num_workers=num_workers,
            pin_memory=pin_memory,
            seed=seed,
        )

    def build(self, split: Split) -> Episodes:
        """The episodes of a split, in the order of `examples`."""
        return Episodes(
            [self._source(name, split) for name in self.tasks],
            shots=[self.train_shots] if split == "train" else self.shots,
            answers=np.array([self.tokenizer.token_id(text) for text in self.answers]),
            permute_answers=self.permute_answers,
            seed=(self.seed, SPLITS.index(split)),
        )

    def examples(self, split: Split) -> pd.DataFrame:
        """What each episode asks: `sequence` and `label` as the task has them, `task`, and `shots`."""
        tables = [task.examples(split)[["sequence", "label"]].assign(task=name) for name, task in self._named]
        return self._by_episode(split, tables).assign(shots=[shots for _, _, shots in self._rows(split)])

    def leaked(self, split: Split) -> np.ndarray:
        """Which episodes ask about a sequence that shares a k-mer with those it must not know, (N,) bool."""
        leaks = [pd.DataFrame({"leaked": task.leaked(split)}) for _, task in self._named]
        return self._by_episode(split, leaks)["leaked"].to_numpy()

    @cached_property
    def _named(self) -> list[tuple[str, LabelledDataModule]]:
        return list(self.tasks.items())

    def _rows(self, split: Split) -> list[tuple[int, int, int]]:
        episodes = self.dataset(split)
        assert isinstance(episodes, Episodes)
        return episodes.rows

    def _by_episode(self, split: Split, tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
        starts = np.cumsum([0, *map(len, tables)])
        places = [starts[number] + row for number, row, _ in self._rows(split)]
        return pd.concat(tables, ignore_index=True).iloc[places].reset_index(drop=True)

    def _source(self, name: str, split: Split) -> Source:
        task = self.tasks[name]
        known = task.sequences_of("train", self.tokenizer)
        asked = known if split == "train" else task.sequences_of(split, self.tokenizer)
        count = len(asked)
        most = self.validation_questions if split == "validation" else None
        # Evenly from the whole table, which may be sorted.
        questions = np.arange(count) if most is None or most >= count else np.arange(most) * count // most
        classes = {part: np.array(task.labels(part), dtype=np.int64).reshape(-1) for part in ("train", split)}
        return Source(name, known, classes["train"], asked, classes[split], questions)

    def _check(self, tokenizer: Tokenizer) -> None:
        if not self.shots or min(self.shots) < 0 or len(set(self.shots)) < len(self.shots):
            raise ConfigError(f"shots={self.shots}: give one number or more, none below 0, none twice.")
        if self.train_shots < 0:
            raise ConfigError(f"train_shots={self.train_shots}: give 0 or more, or null.")
        if self.validation_questions is not None and self.validation_questions < 1:
            raise ConfigError(f"validation_questions={self.validation_questions}: give 1 or more, or null.")
        if not len(tokenizer.suffix_ids):
            raise ConfigError(
                f"{tokenizer!r} ends no sequence, so that an answer could not be told from it: give "
                "special_tokens=sep or cls_sep."
            )


def _tokenizer_of(tasks: Mapping[str, LabelledDataModule]) -> Tokenizer:
    if not tasks:
        raise ConfigError(
            "there is no task: give one or more, each with '+data@data.tasks.NAME=labelled' "
            "data.tasks.NAME.train=FILE, and whatever other settings data=labelled has."
        )
    (first, task), *others = tasks.items()
    for name, other in others:
        if other.tokenizer != task.tokenizer:
            raise ConfigError(
                f"the tasks {first} and {name} have other tokens, {task.tokenizer!r} and "
                f"{other.tokenizer!r}: give all of them the same."
            )
    return task.tokenizer


def _number_of_classes(tasks: Mapping[str, LabelledDataModule]) -> int:
    for name, task in tasks.items():
        require_choice(f"tasks.{name}.strands", task.strands, _STRANDS)
        if task.level != "sequence" or task.problem != "single_label":
            raise ConfigError(
                f"an answer is one class a sequence; {name} has problem={task.problem}, level={task.level}."
            )
    numbers = {name: task.num_outputs for name, task in tasks.items()}
    if len(set(numbers.values())) > 1:
        given = ", ".join(f"{name} {number}" for name, number in numbers.items())
        raise ConfigError(f"the tasks have other numbers of classes ({given}): give tasks of one number.")
    return next(iter(numbers.values()))


def _require_answers(answers: Sequence[str], num_classes: int, tokenizer: Tokenizer) -> None:
    if len(answers) != num_classes or len(set(answers)) < num_classes:
        raise ConfigError(
            f"answers={list(answers)}: give {num_classes} different tokens, one a class, or null for "
            "new ones."
        )
    for answer in answers:
        tokenizer.token_id(answer)
