"""Abilities of long-range models, asked in random DNA: copying, induction, recall and passkey."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from torch.utils.data import Dataset

from genoseq.data.length_schedule import LengthSchedule
from genoseq.data.loading import IGNORED_LABEL, ExampleKey
from genoseq.errors import ConfigError
from genoseq.sequence import encode_bases
from genoseq.tokenizers import Tokenizer

CHANCE = 0.25
"""Share of answer bases that are right without looking back, to within 4 ** (1 - bases of a marker)."""

_FEWEST_CUE_BASES = 4


class Questions(NamedTuple):
    """Attributes:
    codes: (L,) uint8 base codes.
    answered: (L,) bool, where the answers to the questions are.
    """

    codes: np.ndarray
    answered: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Ability:
    """What is to be looked up in a sequence, and how much of it.

    A sequence ends in `num_pairs` questions, each a cue and its answer; one that is too short for them in
    fewer, or in one with a shorter answer. Before them, anywhere in what may be a long background, stands
    each cue with its answer once, and nowhere else: whoever finds the cue reads the answer off. A cue is the
    marker, which all sequences share and which stands before keys only, and a key, which is drawn anew. Bases
    of keys, answers and background, places and the order of the questions are drawn with equal chances.

    | ability | marker | keys | answers | what it takes |
    |---|---|---|---|---|
    | copying | yes | none | one, half of the sequence | to hold ever more, all of it announced |
    | passkey | yes | none | one, short | to hold little, announced, over ever more that is of no use |
    | recall | yes | several | several, short | to hold announced pairs, and to tell them apart |
    | induction | none | one | one, short | to find again what nothing announced |

    The alphabet has four letters and no others: where the papers have one token for a key, a value or a
    separator, a run of bases stands here, long enough to be told from chance.

    Sources. Copying: Arjovsky et al. 2016, "Unitary Evolution Recurrent Neural Networks"; with a copied part
    that grows, as here, Jelassi et al. 2024, "Repeat After Me". Passkey: Mohtashami and Jaggi 2023, "Landmark
    Attention". Recall: Fu et al. 2022, "Hungry Hungry Hippos"; with several questions, as here, Arora et al.
    2023, "Zoology" (MQAR). Induction: Olsson et al. 2022, "In-context Learning and Induction Heads":
    [A][B] ... [A] -> [B].

    Attributes:
        marker: letters A, C, G, T; empty for none.
        key_length: bases of a key.
        num_pairs: the most cues of a sequence; several need keys.
        answer_length: the most bases of an answer; None for as many as there is room for.

    Raises:
        ConfigError: cues that are too short or too few to differ, or an answer of no base.
    """

    marker: str
    key_length: int
    num_pairs: int
    answer_length: int | None

    def __post_init__(self) -> None:
        if not isinstance(self.marker, str) or set(self.marker) - set("ACGT"):
            raise ConfigError(f"marker={self.marker!r}: give letters A, C, G and T, or '' for none.")
        if self.key_length < 0 or len(self.marker or " " * self.key_length) < _FEWEST_CUE_BASES:
            raise ConfigError(
                f"marker={self.marker!r} and key_length={self.key_length}: a cue is told from what stands "
                f"there by chance where the marker, or the key without one, has {_FEWEST_CUE_BASES} bases or "
                "more."
            )
        # Twice as many keys as are asked for: some hold the marker.
        most = max(1, 4**self.key_length // 2)
        if not 1 <= self.num_pairs <= most:
            raise ConfigError(
                f"num_pairs={self.num_pairs}: keys of key_length={self.key_length} bases allow 1 to {most:,}."
            )
        if self.answer_length is None and self.num_pairs > 1:
            raise ConfigError(
                f"num_pairs={self.num_pairs}: with answer_length=null one answer takes all room; give 1."
            )
        if self.answer_length is not None and self.answer_length < 1:
            raise ConfigError(f"answer_length={self.answer_length}: give at least 1, or null.")

    @property
    def cue_length(self) -> int:
        """Bases of a cue."""
        return len(self.marker) + self.key_length

    @property
    def shortest(self) -> int:
        """Bases of the shortest sequence there is: one question, answered by one base."""
        return 2 * (self.cue_length + 1)

    def require_room(self, name: str, length: int) -> None:
        """Refuse sequences that are too short for whole answers to all questions.

        Raises:
            ConfigError: the setting `name` says too few bases.
        """
        least = 2 * self.num_pairs * (self.cue_length + (self.answer_length or 1))
        if length < least:
            raise ConfigError(
                f"{name}={length} has no room: {self.num_pairs} cues of {self.cue_length} bases with their "
                f"answers, and as many questions, take {least}. Give that or more."
            )

    def draw(self, length: int, generator: np.random.Generator) -> Questions:
        """A sequence of `length` bases, `shortest` or more."""
        assert length >= self.shortest
        cue, answer = self.cue_length, self.answer_length or length
        number = min(max(length // (2 * (cue + answer)), 1), self.num_pairs)
        answer = min(answer, length // (2 * number) - cue)
        questions = length - (cue + answer) * np.arange(number, 0, -1)
        pairs = _apart(number, cue + answer, int(questions[0]), generator)
        asked = generator.permutation(number)
        # Base i is a copy of base origin[i]: an answer is drawn where its pair stands.
        origin = np.arange(length)
        origin[_runs(questions + cue, answer)] = _runs(pairs[asked] + cue, answer)
        codes = generator.integers(0, 4, length, dtype=np.uint8)[origin]
        cues = self._cues(number, generator)
        codes[_runs(pairs, cue)], codes[_runs(questions, cue)] = cues, cues[asked]
        words = [encode_bases(self.marker)] if self.marker else list(cues)
        codes = _without(words, np.concatenate((pairs, questions)), cue, codes, origin, generator)
        return Questions(codes, np.isin(np.arange(length), _runs(questions + cue, answer)))

    def _cues(self, number: int, generator: np.random.Generator) -> np.ndarray:
        """(number, cue) uint8; keys differ, and none makes a second marker."""
        marker = encode_bases(self.marker)
        cues: dict[bytes, np.ndarray] = {}
        while len(cues) < number:
            key = generator.integers(0, 4, self.key_length, dtype=np.uint8)
            cue = np.concatenate((marker, key))
            if not self.marker or len(_places(marker, cue)) == 1:
                cues.setdefault(cue.tobytes(), cue)
        return np.stack(list(cues.values()))


class _AbilityDataset(Dataset[dict[str, Any]], ABC):
    """Sequences that ask for an ability; labels are the bases of the answers, and -100 elsewhere.

    Args:
        ability: what is asked.
        tokenizer: has single nucleotides; nothing but A, C, G and T is in a sequence.
        seed: example i of epoch e is a function of (seed, e, i).

    Raises:
        SequenceError: the tokenizer has no single nucleotides.
    """

    strand: Literal["stranded"] = "stranded"
    groups = None

    def __init__(self, ability: Ability, tokenizer: Tokenizer, *, seed: Sequence[int]) -> None:
        self._ability = ability
        self._base_ids = tokenizer.base_ids
        self._seed = seed

    def __getitem__(self, key: ExampleKey) -> dict[str, Any]:
        generator = np.random.default_rng([*self._seed, key.epoch, key.index])
        codes, answered = self._ability.draw(self._length(key, generator), generator)
        ids = self._base_ids[codes]
        return {
            "input_ids": ids,
            "labels": np.where(answered, ids, IGNORED_LABEL),
            "index": key.index,
            "counted": key.counted,
        }

    @abstractmethod
    def _length(self, key: ExampleKey, generator: np.random.Generator) -> int:
        """Bases of an example."""


class AbilityLessons(_AbilityDataset):
    """Sequences to learn from, drawn anew in each epoch.

    They are of any length from the ability's shortest to that of the epoch, with equal chances: at one length
    alone a copy could be told by its distance, and without short ones there is little to begin with.

    Args:
        ability, tokenizer, seed: as for all examples.
        number: sequences of an epoch.
        lengths: the most bases of a sequence.

    Raises:
        SequenceError: the tokenizer has no single nucleotides.
    """

    def __init__(
        self,
        ability: Ability,
        tokenizer: Tokenizer,
        *,
        number: int,
        lengths: LengthSchedule,
        seed: Sequence[int],
    ) -> None:
        super().__init__(ability, tokenizer, seed=seed)
        self._number = number
        self._lengths = lengths

    def __len__(self) -> int:
        return self._number

    def _length(self, key: ExampleKey, generator: np.random.Generator) -> int:
        return int(generator.integers(self._ability.shortest, self._lengths.at(key.epoch) + 1))


class AbilityExamples(_AbilityDataset):
    """Sequences of given lengths.

    Args:
        ability, tokenizer, seed: as for all examples.
        lengths: (N,) bases of each example.

    Raises:
        SequenceError: the tokenizer has no single nucleotides.
    """

    def __init__(
        self, ability: Ability, tokenizer: Tokenizer, *, lengths: np.ndarray, seed: Sequence[int]
    ) -> None:
        super().__init__(ability, tokenizer, seed=seed)
        self.lengths = lengths

    def __len__(self) -> int:
        return len(self.lengths)

    def _length(self, key: ExampleKey, generator: np.random.Generator) -> int:
        return int(self.lengths[key.index])


def _apart(number: int, width: int, room: int, generator: np.random.Generator) -> np.ndarray:
    """(number,) ascending starts of blocks in `room` positions, none on another, all choices alike."""
    slots = room - number * (width - 1)
    return np.sort(generator.choice(slots, number, replace=False)) + (width - 1) * np.arange(number)


def _runs(starts: np.ndarray, width: int) -> np.ndarray:
    """(number, width) positions."""
    return starts[:, None] + np.arange(width)


def _places(word: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Where a word begins."""
    if len(codes) < len(word):
        return np.empty(0, dtype=np.int64)
    windows = np.lib.stride_tricks.sliding_window_view(codes, len(word))
    return np.flatnonzero((windows == word).all(axis=1))


def _without(
    words: Sequence[np.ndarray],
    starts: np.ndarray,
    cue: int,
    codes: np.ndarray,
    origin: np.ndarray,
    generator: np.random.Generator,
) -> np.ndarray:
    """The codes, drawn again wherever a word begins that is not at the `starts` of cues, of `cue` bases each.

    Such a word has a base of no cue: an answer stands between any two.
    """
    fixed = _runs(starts, cue)
    while True:
        found = [_runs(np.setdiff1d(_places(word, codes), starts), len(word)).ravel() for word in words]
        stray = np.concatenate(found)
        if not stray.size:
            return codes
        free = np.unique(origin[np.setdiff1d(stray, fixed)])
        codes[free] = generator.integers(0, 4, len(free), dtype=np.uint8)
        codes = codes[origin]
