"""Long-range tasks that are generated: nested lists of operations, and paths in pictures.

Source: Tay et al. 2021, "Long Range Arena", section 2; what is drawn here is of their kind, not their files.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping

import numpy as np

from genoseq.data.series_sources import SeriesSource
from genoseq.data.splits import Split
from genoseq.data.ts_files import SeriesExample, SeriesFile
from genoseq.errors import ConfigError

_SPLITS: tuple[Split, ...] = ("train", "validation", "test")


class GeneratedSource(SeriesSource):
    """So many examples a split, each a function of (seed, split, number).

    Args:
        num_train, num_validation, num_test: examples.
        generation_seed: of all of them.

    Raises:
        ConfigError: a split without an example.
    """

    classes: tuple[str, ...]

    def __init__(self, *, num_train: int, num_validation: int, num_test: int, generation_seed: int) -> None:
        self._counts: Mapping[Split, int] = {
            "train": num_train,
            "validation": num_validation,
            "test": num_test,
        }
        if min(self._counts.values()) < 1:
            raise ConfigError(
                f"num_train={num_train}, num_validation={num_validation}, num_test={num_test}: give at least "
                "1 of each."
            )
        self._seed = generation_seed

    def read(self, split: Split) -> SeriesFile:
        key = [self._seed, _SPLITS.index(split)]
        examples = [
            self.example(np.random.default_rng([*key, number])) for number in range(self._counts[split])
        ]
        return SeriesFile(examples, classes=self.classes)

    @abstractmethod
    def example(self, generator: np.random.Generator) -> SeriesExample:
        """One example."""


class ListOps(GeneratedSource):
    """Nested lists of MIN, MAX, MED and SM (the sum modulo 10) of digits; the label is what comes out.

    Tokens: 0 to 9 the digits, then the four operations with their opening bracket, then the closing one.

    Args:
        num_train, num_validation, num_test, generation_seed: see `GeneratedSource`.
        min_length, max_length: tokens of an example.
        max_arguments: of an operation; the least is 2.
        max_depth: operations within each other.

    Raises:
        ConfigError: lengths or sizes that no example has.

    Source: Nangia and Bowman 2018, "ListOps: A Diagnostic Dataset for Latent Tree Learning".
    """

    vocabulary = 15
    classes = tuple("0123456789")
    _FIRST_OPERATION, _CLOSE = 10, 14

    def __init__(
        self,
        *,
        num_train: int,
        num_validation: int,
        num_test: int,
        generation_seed: int,
        min_length: int,
        max_length: int,
        max_arguments: int,
        max_depth: int,
    ) -> None:
        super().__init__(
            num_train=num_train,
            num_validation=num_validation,
            num_test=num_test,
            generation_seed=generation_seed,
        )
        most = _most_tokens(max_arguments, max_depth)
        if not 4 <= min_length <= max_length or max_arguments < 2 or max_depth < 1 or most < min_length:
            raise ConfigError(
                f"min_length={min_length}, max_length={max_length}, max_arguments={max_arguments}, "
                f"max_depth={max_depth}: give 4 <= min_length <= max_length, 2 arguments or more, and enough "
                f"depth for min_length (these make {most:,} tokens at most)."
            )
        self._lengths = min_length, max_length
        self._max_arguments, self._max_depth = max_arguments, max_depth

    def example(self, generator: np.random.Generator) -> SeriesExample:
        """An expression with a number of tokens drawn evenly, and grown until it has about as many."""
        low, high = self._lengths
        while True:
            tokens: list[int] = []
            wanted = int(generator.integers(low, high + 1))
            value = self._grow(generator, tokens, wanted, 1)
            if low <= len(tokens) <= high:
                return SeriesExample(np.array(tokens, dtype=np.float32)[:, None], str(value))

    def _grow(self, generator: np.random.Generator, tokens: list[int], room: int, depth: int) -> int:
        """Append an operation of about `room` tokens; gives what comes out of it."""
        operation = int(generator.integers(4))
        tokens.append(self._FIRST_OPERATION + operation)
        count = int(generator.integers(2, self._max_arguments + 1))
        shares = generator.dirichlet(np.ones(count)) * max(room - 2, count)
        values = []
        for share in shares:
            # An operation has four tokens at least.
            if share >= 4 and depth < self._max_depth:
                values.append(self._grow(generator, tokens, int(share), depth + 1))
            else:
                values.append(int(generator.integers(10)))
                tokens.append(values[-1])
        tokens.append(self._CLOSE)
        return operate(operation, values)


def operate(operation: int, values: list[int]) -> int:
    """MIN, MAX, MED (rounded down) or SM of digits, by the number of the operation."""
    match operation:
        case 0:
            return min(values)
        case 1:
            return max(values)
        case 2:
            return int(np.median(values))
        case _:
            return sum(values) % 10


class Pathfinder(GeneratedSource):
    """Pictures, pixel by pixel, of dashed paths and two discs: do they end the same path?

    Args:
        num_train, num_validation, num_test, generation_seed: see `GeneratedSource`.
        size: pixels of a side.
        num_distractors: short paths that lead nowhere.

    Raises:
        ConfigError: a picture too small for a path.

    Source: Linsley et al. 2018, "Learning long-range spatial dependencies with horizontal gated recurrent
    units".
    """

    classes = ("apart", "joined")
    _MARGIN = 3
    _DASH = 4

    def __init__(
        self,
        *,
        num_train: int,
        num_validation: int,
        num_test: int,
        generation_seed: int,
        size: int,
        num_distractors: int,
    ) -> None:
        super().__init__(
            num_train=num_train,
            num_validation=num_validation,
            num_test=num_test,
            generation_seed=generation_seed,
        )
        if size < 16 or num_distractors < 0:
            raise ConfigError(
                f"size={size}, num_distractors={num_distractors}: give 16 or more, and 0 or more."
            )
        self._size = size
        self._num_distractors = num_distractors

    def example(self, generator: np.random.Generator) -> SeriesExample:
        """A picture with two long paths; the discs are at both ends of one, or at one end of each."""
        joined = bool(generator.integers(2))
        picture = np.zeros((self._size, self._size), dtype=np.float32)
        long = self._size
        first = self._path(generator, long)
        second = self._path(generator, long, away_from=first)
        for path in (first, second):
            _draw(picture, path, generator)
        for _ in range(self._num_distractors):
            _draw(picture, self._path(generator, long // 4), generator)
        ends = (first[0], first[-1]) if joined else (first[0], second[-1])
        for end in ends:
            _disc(picture, end)
        return SeriesExample(picture.reshape(-1, 1), self.classes[joined])

    def _path(
        self, generator: np.random.Generator, length: int, away_from: np.ndarray | None = None
    ) -> np.ndarray:
        """(steps, 2) a smooth walk inside the margin; of several, the one that keeps the most distance."""
        walks = [self._walk(generator, length) for _ in range(8)]
        if away_from is None:
            return max(walks, key=lambda walk: float(np.ptp(walk, axis=0).max()))
        distances = [float(np.linalg.norm(walk[:, None] - away_from[None], axis=-1).min()) for walk in walks]
        return walks[int(np.argmax(distances))]

    def _walk(self, generator: np.random.Generator, length: int) -> np.ndarray:
        low, high = self._MARGIN, self._size - 1 - self._MARGIN
        place, heading = generator.uniform(low, high, 2), generator.uniform(0, 2 * np.pi)
        steps = [place]
        for _ in range(length):
            heading += generator.normal(0, 0.25)
            ahead = place + np.array([np.sin(heading), np.cos(heading)])
            if (ahead < low).any() or (ahead > high).any():
                # Turn towards the middle.
                heading = np.arctan2(*((low + high) / 2 - place))
                ahead = place + np.array([np.sin(heading), np.cos(heading)])
            place = ahead
            steps.append(place)
        return np.array(steps)


def _draw(picture: np.ndarray, path: np.ndarray, generator: np.random.Generator) -> None:
    """Dashes along a path: three of each four steps."""
    phase = int(generator.integers(Pathfinder._DASH))
    for number, place in enumerate(path):
        if (number + phase) % Pathfinder._DASH:
            row, column = np.round(place).astype(int)
            picture[row, column] = 1.0


def _disc(picture: np.ndarray, place: np.ndarray) -> None:
    rows, columns = np.ogrid[: picture.shape[0], : picture.shape[1]]
    picture[(rows - place[0]) ** 2 + (columns - place[1]) ** 2 <= 4] = 1.0


def _most_tokens(max_arguments: int, max_depth: int) -> int:
    """Of a tree whose every argument is an operation, down to digits."""
    most = 1
    for _ in range(max_depth):
        most = min(2 + max_arguments * most, 10**9)
    return most
