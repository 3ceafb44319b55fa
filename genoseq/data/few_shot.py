"""Questions about sequences behind a few answered ones: episodes of learning in context."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from genoseq.data.labelled import LabelledSequences
from genoseq.data.loading import IGNORED_LABEL, ExampleKey
from genoseq.errors import ConfigError


@dataclass(frozen=True)
class Source:
    """Where the episodes of one task come from.

    Attributes:
        name: of the task.
        known: sequences of train.
        known_classes: (M,) int64 theirs.
        asked: sequences that are asked about; in training `known` itself.
        asked_classes: (N,) int64 theirs.
        questions: (n,) int64 which of `asked` are.
    """

    name: str
    known: LabelledSequences
    known_classes: np.ndarray
    asked: LabelledSequences
    asked_classes: np.ndarray
    questions: np.ndarray

    def of_class(self, number: int) -> np.ndarray:
        """Rows of `known`."""
        return np.flatnonzero(self.known_classes == number)

    @cached_property
    def longest(self) -> int:
        """Tokens of its longest sequence."""
        parts = (self.known,) if self.asked is self.known else (self.known, self.asked)
        return max(len(_tokens(part, row, epoch=0)) for part in parts for row in range(len(part)))


class Episodes(Dataset[dict[str, Any]]):
    """For each question some demonstrations of each class in random order, the sequence itself, its answer.

    A demonstration is a sequence of train with its special tokens, and behind it the token that answers for
    its class. Labels are these tokens, -100 elsewhere: a language model learns to answer from what it has
    read. Those of more shots have the demonstrations of fewer among them.

    Args:
        sources: the tasks; their episodes follow each other.
        shots: demonstrations of each class; for each number every question is asked once.
        answers: (C,) int64 the tokens of the classes.
        permute_answers: which of these tokens answers for which class is drawn for each episode, so that the
            demonstrations alone can tell.
        seed: an episode is a function of (seed, epoch, task, question).

    Raises:
        ConfigError: a class has fewer sequences of train than demonstrations are wanted, beside the one that
            is asked about.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        *,
        shots: Sequence[int],
        answers: np.ndarray,
        permute_answers: bool,
        seed: Sequence[int],
    ) -> None:
        self._sources = sources
        self._answers = answers
        self._permute_answers = permute_answers
        self._seed = seed
        self._most = max(shots)
        self._pools = [[source.of_class(number) for number in range(len(answers))] for source in sources]
        self._require_enough()
        self.rows = [
            (number, int(row), int(count))
            for count in shots
            for number, source in enumerate(sources)
            for row in source.questions
        ]
        """Of each episode the number of its task, the row that is asked about, and its shots."""

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def longest(self) -> int:
        """The most tokens of an episode, as if all its sequences were the longest of their task."""
        sequences = self._most * len(self._answers) + 1
        return sequences * (max(source.longest for source in self._sources) + 1)

    def __getitem__(self, key: ExampleKey) -> dict[str, Any]:
        number, row, shots = self.rows[key.index]
        source = self._sources[number]
        generator = np.random.default_rng([*self._seed, key.epoch, number, row])
        answers = generator.permutation(self._answers) if self._permute_answers else self._answers
        known = [pool[:shots] for pool in self._drawn(number, row, generator)]
        shown = generator.permutation(np.concatenate(known)).astype(np.int64)
        parts = [(_tokens(source.known, each, key.epoch), source.known_classes[each]) for each in shown]
        parts.append((_tokens(source.asked, row, key.epoch), source.asked_classes[row]))
        ids = np.concatenate([part for tokens, of in parts for part in (tokens, answers[of : of + 1])])
        places = np.cumsum([len(tokens) + 1 for tokens, _ in parts]) - 1
        labels = np.full(len(ids), IGNORED_LABEL)
        labels[places] = ids[places]
        return {
            "input_ids": ids,
            "labels": labels,
            "answers": answers,
            "label": source.asked_classes[row],
            "index": key.index,
            "counted": key.counted,
        }

    def _drawn(self, number: int, row: int, generator: np.random.Generator) -> list[np.ndarray]:
        """Rows of train of each class, none of them the question, enough for the most shots."""
        source, drawn = self._sources[number], []
        for pool in self._pools[number]:
            chosen = generator.choice(pool, min(self._most + 1, len(pool)), replace=False)
            drawn.append(chosen[chosen != row] if source.asked is source.known else chosen)
        return drawn

    def _require_enough(self) -> None:
        for source, pools in zip(self._sources, self._pools, strict=True):
            for number, pool in enumerate(pools):
                wanted = self._most + (source.asked is source.known)
                if len(pool) < wanted:
                    raise ConfigError(
                        f"{self._most} shots of each class, and class {number} of {source.name} has "
                        f"{len(pool)} sequences of train, where {wanted} are wanted with the one that is "
                        "asked about. Give fewer shots, or more data."
                    )


def _tokens(sequences: LabelledSequences, row: int, epoch: int) -> np.ndarray:
    """(L,) with special tokens."""
    return sequences[ExampleKey(epoch, int(row))]["input_ids"]
