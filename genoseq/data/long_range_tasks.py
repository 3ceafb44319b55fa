"""Long-range tasks that are generated: nested lists of operations, and paths in pictures.

Source: Tay et al. 2021, "Long Range Arena", section 2; what is drawn here is of their kind, not their files.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping

import numpy as np

from genoseq.compiled import Integer, compiled
from genoseq.data.series_sources import SeriesSource
from genoseq.data.splits import Split
from genoseq.data.ts_files import SeriesExample, SeriesFile
from genoseq.errors import ConfigError

_SPLITS: tuple[Split, ...] = ("train", "validation", "test")
_FIRST_OPERATION, _CLOSE = 10, 14
_WALKS, _DASH = 8, 4


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
        tokens = np.empty(high, dtype=np.float32)
        while True:
            wanted = int(generator.integers(low, high + 1))
            value, used = _grow(generator, tokens, 0, wanted, 1, self._max_arguments, self._max_depth)
            if low <= used <= high:
                return SeriesExample(tokens[:used, None].copy(), str(value))


@compiled
def operate(operation: Integer, values: np.ndarray) -> Integer:
    """MIN, MAX, MED (rounded down) or SM of digits (n,), by the number of the operation."""
    if operation == 0:
        return values.min()
    if operation == 1:
        return values.max()
    if operation == 2:
        return int(np.median(values))
    return values.sum() % 10


@compiled
def _grow(
    generator: np.random.Generator,
    tokens: np.ndarray,
    used: Integer,
    room: Integer,
    depth: Integer,
    max_arguments: Integer,
    max_depth: Integer,
) -> tuple[Integer, Integer]:
    """Write an operation of about `room` tokens behind the first `used`.

    Returns:
        What comes out of it, and how many tokens there are then; where `tokens` is too short for them, more
        than it holds.
    """
    count = generator.integers(2, max_arguments + 1)
    if used + count + 2 > len(tokens):
        return 0, len(tokens) + 1
    operation = generator.integers(0, 4)
    tokens[used] = _FIRST_OPERATION + operation
    used += 1
    # Every division of the room is as likely as any other: a flat Dirichlet distribution.
    shares = generator.standard_exponential(count)
    shares *= max(room - 2, count) / shares.sum()
    values = np.empty(count, dtype=np.int64)
    for place in range(count):
        # An operation has four tokens at least.
        if shares[place] >= 4 and depth < max_depth:
            values[place], used = _grow(
                generator, tokens, used, int(shares[place]), depth + 1, max_arguments, max_depth
            )
        else:
            values[place] = generator.integers(0, 10)
            if used < len(tokens):
                tokens[used] = values[place]
            used += 1
    if used < len(tokens):
        tokens[used] = _CLOSE
    return operate(operation, values), used + 1


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
        walks = _walks(generator, length, self._MARGIN, self._size - 1 - self._MARGIN)
        if away_from is None:
            merits = np.ptp(walks, axis=1).max(axis=1)
        else:
            merits = np.linalg.norm(walks[:, :, None] - away_from, axis=-1).min(axis=(1, 2))
        return walks[np.argmax(merits)]


@compiled
def _walks(generator: np.random.Generator, length: Integer, low: Integer, high: Integer) -> np.ndarray:
    """(8, length + 1, 2) smooth walks of steps of one pixel, between `low` and `high`."""
    walks = np.empty((_WALKS, length + 1, 2))
    middle = (low + high) / 2
    for walk in walks:
        walk[0, 0], walk[0, 1] = generator.uniform(low, high), generator.uniform(low, high)
        heading = generator.uniform(0, 2 * np.pi)
        for step in range(length):
            heading += generator.normal(0, 0.25)
            row, column = walk[step, 0] + np.sin(heading), walk[step, 1] + np.cos(heading)
            if min(row, column) < low or max(row, column) > high:
                # Turn towards the middle.
                heading = np.arctan2(middle - walk[step, 0], middle - walk[step, 1])
                row, column = walk[step, 0] + np.sin(heading), walk[step, 1] + np.cos(heading)
            walk[step + 1, 0], walk[step + 1, 1] = row, column
    return walks


def _draw(picture: np.ndarray, path: np.ndarray, generator: np.random.Generator) -> None:
    """Dashes along a path: three of each four steps."""
    phase = int(generator.integers(_DASH))
    rows, columns = np.round(path[(np.arange(len(path)) + phase) % _DASH > 0]).astype(int).T
    picture[rows, columns] = 1.0


def _disc(picture: np.ndarray, place: np.ndarray) -> None:
    rows, columns = np.ogrid[: picture.shape[0], : picture.shape[1]]
    picture[(rows - place[0]) ** 2 + (columns - place[1]) ** 2 <= 4] = 1.0


def _most_tokens(max_arguments: int, max_depth: int) -> int:
    """Of a tree whose every argument is an operation, down to digits."""
    most = 1
    for _ in range(max_depth):
        most = min(2 + max_arguments * most, 10**9)
    return most
