"""Labelled series: one label a series."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from genoseq.data.channel_scaler import ChannelScaler, Scaling
from genoseq.data.datamodule import ExampleDataModule, require_same
from genoseq.data.labelled_series import LabelledSeries
from genoseq.data.series_sources import SeriesSource
from genoseq.data.splits import Split
from genoseq.data.ts_files import SeriesFile
from genoseq.errors import ConfigError, DataError


class SeriesDataModule(ExampleDataModule):
    """Labelled series from files or a generator.

    Args:
        source: gives the series of each split.
        sequence_length: T, the most steps of a series; shorter ones are padded. None for that of the longest
            of the training part.
        scaling: of each channel, by the training part: `standard`, `robust` or `none`; tokens have none.
        global_batch_size, micro_batch_size, num_workers, pin_memory, seed: as for every data module.
    """

    def __init__(
        self,
        *,
        source: SeriesSource,
        sequence_length: int | None,
        scaling: Scaling,
        global_batch_size: int,
        micro_batch_size: int | None,
        num_workers: int,
        pin_memory: bool,
        seed: int,
    ) -> None:
        super().__init__(
            global_batch_size=global_batch_size,
            micro_batch_size=micro_batch_size,
            num_workers=num_workers,
            pin_memory=pin_memory,
            seed=seed,
        )
        self._source = source
        self._length = sequence_length
        self._scaling: Scaling = scaling
        self._files: dict[Split, SeriesFile] = {}

    @property
    def classes(self) -> tuple[str, ...] | None:
        """Names of the classes, in the order of their numbers; None where labels are numbers."""
        train = self._read("train")
        if train.numeric:
            return None
        return train.classes or tuple(sorted({example.label for example in train.examples}))

    @property
    def problem(self) -> str:
        """What the labels are."""
        return "regression" if self.classes is None else "single_label"

    @property
    def judged_as(self) -> str:  # type: ignore[override]
        """What a test measures."""
        return self.problem

    @property
    def num_outputs(self) -> int:
        """Classes; 1 where labels are numbers."""
        return len(self.classes or (1,))

    @property
    def num_channels(self) -> int:
        """C."""
        return self._source.vocabulary or self._read("train").num_channels

    @cached_property
    def sequence_length(self) -> int:
        """T."""
        return self._length or max(len(example.values) for example in self._read("train").examples)

    @cached_property
    def scaler(self) -> ChannelScaler | None:
        """Fitted on the training series; None for tokens."""
        if self._source.vocabulary is not None:
            return None
        values = np.concatenate([example.values for example in self._read("train").examples])
        names = [f"channel {number}" for number in range(values.shape[1])]
        return ChannelScaler.fit(values.astype(np.float64), names, scaling=self._scaling)

    def build(self, split: Split) -> LabelledSeries:
        """The series of a split.

        Raises:
            DataError: one is longer than `sequence_length`, empty, of another number of channels than those
                of training, or of an unknown class.
        """
        file, train = self._read(split), self._read("train")
        for row, example in enumerate(file.examples):
            length, channels = example.values.shape
            if not 0 < length <= self.sequence_length or channels != train.num_channels:
                raise DataError(
                    f"series {row} (counted from 0) of the {split} part has {length:,} steps of {channels} "
                    f"channels; wanted are 1 to {self.sequence_length:,} of {train.num_channels}: give "
                    f"data.sequence_length={length} or more, or take it out."
                )
        return LabelledSeries(
            file.examples,
            self._labels(file, split),
            sequence_length=self.sequence_length,
            scaler=self.scaler,
            vocabulary=self._source.vocabulary,
        )

    def examples(self, split: Split) -> pd.DataFrame:
        """The series of a split: their `steps`."""
        return pd.DataFrame({"steps": [len(example.values) for example in self._read(split).examples]})

    def leaked(self, split: Split) -> None:
        """Nothing is known of leaks between series."""

    def describe(self) -> dict[str, Any]:
        """What a reader of the model's predictions has to know, as JSON holds it."""
        return {
            "problem": self.problem,
            "classes": None if self.classes is None else list(self.classes),
            "scaler": None if self.scaler is None else self.scaler.to_json(),
            "vocabulary": self._source.vocabulary,
            "sequence_length": self.sequence_length,
        }

    def take_scale(self, preprocessing: Mapping[str, Any]) -> None:
        """See `ExampleDataModule.take_scale`."""
        require_same(self.describe(), preprocessing, ("classes", "vocabulary"))
        known = preprocessing["scaler"]
        self.scaler = None if known is None else ChannelScaler.from_json(known)

    def _read(self, split: Split) -> SeriesFile:
        if split not in self._files:
            self._files[split] = self._source.read(split)
        return self._files[split]

    def _labels(self, file: SeriesFile, split: Split) -> np.ndarray:
        texts = [example.label for example in file.examples]
        if "" in texts:
            raise ConfigError(
                f"series {texts.index('')} of the {split} part has no label: give labelled files."
            )
        if self.classes is None:
            return np.array([float(text) for text in texts], dtype=np.float32)
        number = {name: place for place, name in enumerate(self.classes)}
        unknown = sorted(set(texts) - set(number))
        if unknown:
            raise DataError(f"the {split} part has the class {unknown[0]!r}, and training has none of it.")
        return np.array([number[text] for text in texts], dtype=np.int64)
