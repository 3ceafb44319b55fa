"""Where labelled series come from: files, or images read pixel by pixel."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from genoseq.data.splits import Split
from genoseq.data.time_series import PathLike
from genoseq.data.ts_files import SeriesExample, SeriesFile, read_ts
from genoseq.errors import ConfigError, DataError


class SeriesSource(ABC):
    """Labelled series by split.

    Attributes:
        vocabulary: series hold the numbers of tokens, below this; None where they hold values.
    """

    vocabulary: int | None = None

    @abstractmethod
    def read(self, split: Split) -> SeriesFile:
        """The series of a split.

        Raises:
            DataError: they cannot be read.
        """


class TsFiles(SeriesSource):
    """Files of the UEA and UCR archives.

    Args:
        train, test: `.ts` files.
        validation: another; None for a part of the training file, with all classes in it.
        validation_fraction: how much of it.
        split_seed: of the draw.

    Raises:
        ConfigError: a fraction outside of 0 and 1.
    """

    def __init__(
        self,
        *,
        train: PathLike,
        test: PathLike,
        validation: PathLike | None,
        validation_fraction: float,
        split_seed: int,
    ) -> None:
        if not 0 < validation_fraction < 1:
            raise ConfigError(f"validation_fraction={validation_fraction}: give a share between 0 and 1.")
        self._files: dict[Split, PathLike | None] = {"train": train, "validation": validation, "test": test}
        self._fraction = validation_fraction
        self._seed = split_seed

    def read(self, split: Split) -> SeriesFile:
        path = self._files[split]
        if path is None or (split == "train" and self._files["validation"] is None):
            train = self._files["train"]
            assert train is not None
            whole = read_ts(train)
            kept, held = cut(whole, self._fraction, seed=self._seed, source=str(train))
            return kept if split == "train" else held
        return read_ts(path)


class SequentialDigits(SeriesSource):
    """Handwritten digits of 8 x 8 pixels (scikit-learn's), pixel by pixel: 64 steps, one channel.

    Shares of the images, drawn with all digits in each: who wrote which is not known.

    Args:
        validation_fraction, test_fraction: shares.
        split_seed: of the draw.

    Raises:
        ConfigError: fractions that leave nothing.
    """

    def __init__(self, *, validation_fraction: float, test_fraction: float, split_seed: int) -> None:
        if min(validation_fraction, test_fraction) <= 0 or validation_fraction + test_fraction >= 1:
            raise ConfigError(
                f"validation_fraction={validation_fraction}, test_fraction={test_fraction}: give positive "
                "shares that leave some for training."
            )
        self._fractions = validation_fraction, test_fraction
        self._seed = split_seed

    def read(self, split: Split) -> SeriesFile:
        images, digits = load_digits(return_X_y=True)
        examples = [
            SeriesExample(image[:, None].astype(np.float32), str(digit))
            for image, digit in zip(images, digits, strict=True)
        ]
        whole = SeriesFile(examples, classes=tuple("0123456789"))
        validation, test = self._fractions
        rest, held = cut(whole, test, seed=self._seed, source="digits")
        if split == "test":
            return held
        train, chosen = cut(rest, validation / (1 - test), seed=self._seed, source="digits")
        return train if split == "train" else chosen


def cut(whole: SeriesFile, fraction: float, *, seed: int, source: str) -> tuple[SeriesFile, SeriesFile]:
    """Two parts in the order of the file, the second with about a `fraction` of each class.

    Raises:
        DataError: there are too few of a class for both.
    """
    labels = None if whole.numeric else [example.label for example in whole.examples]
    rows = np.arange(len(whole.examples))
    try:
        first, second = train_test_split(rows, test_size=fraction, random_state=seed, stratify=labels)
    except ValueError as error:
        raise DataError(f"{source} cannot be divided: {error} Give a file for each part.") from error
    parts = ([whole.examples[row] for row in sorted(part)] for part in (first, second))
    kept, held = (replace(whole, examples=part) for part in parts)
    return kept, held
