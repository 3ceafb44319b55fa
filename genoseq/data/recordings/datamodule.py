"""Recordings of many people for training: windows, classes, and splits by subject."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from genoseq.data.channel_scaler import ChannelScaler
from genoseq.data.datamodule import ExampleDataModule, require_same
from genoseq.data.recordings.cache import CachedRecording, prepared
from genoseq.data.recordings.datasets import RecordingWindows, fit_scaler
from genoseq.data.recordings.folders import Layout, Recording, find_recordings, read_intervals
from genoseq.data.recordings.labels import (
    LabelForm,
    class_names,
    first_names,
    label_columns,
    label_numbers,
    names_of_classes,
    require_stretches,
    stretch_windows,
)
from genoseq.data.recordings.opening import annotations_of, open_recording
from genoseq.data.recordings.preparation import DroppedRecordingError, Preparation
from genoseq.data.recordings.subjects import cut, fingerprint, fold, numbered
from genoseq.data.recordings.windows import (
    Coverage,
    Window,
    event_windows,
    inside,
    regular_windows,
    require_inside,
    samples_of,
)
from genoseq.data.splits import Split
from genoseq.errors import ConfigError, DataError, require_choice

PathLike = str | os.PathLike[str]
LabelSource = Literal["none", "recording", "events", "stretches"]
OnError = Literal["raise", "skip"]
BeyondEnd = Literal["error", "drop"]

_log = logging.getLogger(__name__)


class RecordingDataModule(ExampleDataModule):
    """A folder of recordings as windows.

    Subjects are never divided: the splits are those that the layout or a table declares, or are cut by
    subject, the same for every `seed`. What was decided is in `split_table`, which a run writes down. Reports
    and caches know subjects and recordings by numbers only.

    Args:
        path: a folder, or a file.
        layout, table: see `find_recordings`.
        preparation: channels, reference, filters and rate.
        window: seconds of a window.
        stride: seconds from one to the next; None for windows side by side.
        label_source: where classes come from: "none"; the "recording" (layout, table or set); "events", a
            window at each annotation; "stretches", windows whose greater part an annotation covers. The
            last two read the annotations of the file, or the intervals beside it where there are any.
        label_form: what stretches say of a window: its "class"; "classes", each there or not; "channels", the
            class of each channel. Annotations of no channel are of all; those of channels that the
            preparation leaves out do not count.
        unlabelled: take all windows and no labels, for pretraining, with the splits that labels would have.
        classes: description, or label, -> name of a class, or of several: all count for
            label_form="classes", the first for the others. None: labels of recordings as they are.
        offset: seconds from an event to the first sample of its window.
        least_overlap: share of a window that stretches of its class have to cover.
        background: class of windows, or channels, that are covered less; None leaves such windows out. For
            label_form="classes" they have no class.
        beyond_end: annotations beyond the end of the recording: "error", or "drop" them.
        validation_fraction, test_fraction: share of the recordings, where no split is declared.
        folds, fold: cross-validation by subject instead: the test part is the fold of that number.
        split_seed: of the cut.
        on_error: a recording that cannot be read: "raise", or "skip" it, which is logged.
        global_batch_size, micro_batch_size, num_workers, pin_memory, seed: as for every data module.

    Raises:
        ConfigError: settings contradict each other.
        DataError: see `find_recordings` and `Preparation`.
        LeakError: a subject, or the same recording, is in two splits.
    """

    def __init__(
        self,
        *,
        path: PathLike,
        layout: Layout,
        table: PathLike | None,
        preparation: Preparation,
        window: float,
        stride: float | None,
        label_source: LabelSource,
        label_form: LabelForm,
        unlabelled: bool,
        classes: Mapping[str, str | Sequence[str]] | None,
        offset: float,
        least_overlap: float,
        background: str | None,
        beyond_end: BeyondEnd,
        validation_fraction: float,
        test_fraction: float,
        folds: int | None,
        fold: int | None,
        split_seed: int,
        on_error: OnError,
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
        require_choice("label_source", label_source, get_args(LabelSource))
        require_choice("label_form", label_form, get_args(LabelForm))
        require_choice("on_error", on_error, get_args(OnError))
        require_choice("beyond_end", beyond_end, get_args(BeyondEnd))
        if (folds is None) != (fold is None):
            raise ConfigError(f"folds={folds}, fold={fold}: give both, or neither.")
        if label_source in ("events", "stretches") and not classes:
            raise ConfigError(f"label_source={label_source} wants classes, such as {{T1: left, T2: right}}.")
        self._names = None if classes is None else names_of_classes(classes)
        self.label_form: LabelForm = label_form
        named = None if self._names is None else class_names(label_form, self._names, background)
        require_stretches(label_form, label_source, named, background)
        if not 0 < least_overlap <= 1:
            raise ConfigError(f"least_overlap={least_overlap}: give a share above 0, at most 1.")
        self.preparation = preparation
        self.label_source = label_source
        self._unlabelled = unlabelled
        self._path, self._layout, self._table = path, layout, table
        self._window, self._stride = window, window if stride is None else stride
        self._offset, self._least_overlap, self._background = offset, least_overlap, background
        self._beyond_end = beyond_end
        self._fractions = (validation_fraction, test_fraction)
        self._folds, self._fold, self._split_seed = folds, fold, split_seed
        self._on_error = on_error
        self._tables: dict[Split, pd.DataFrame] = {}
        self._ready: dict[Split, list[tuple[int, CachedRecording]]] = {}

    @cached_property
    def recordings(self) -> list[Recording]:
        """All that were found, sorted; nothing of their samples has been read."""
        found = find_recordings(self._path, self._layout, self._table)
        if self.label_source != "recording":
            return found
        if any(recording.label is None for recording in found):
            raise DataError(
                f"{self._path}: recordings have no labels in the layout {self._layout}. Give table= with a "
                "column label, another layout, or another label_source."
            )
        return [item for item in found if self._names is None or item.label in self._names]

    @cached_property
    def splits(self) -> np.ndarray:
        """(N,) the split of each recording."""
        validation, test = self._fractions
        if self._folds is not None and self._fold is not None:
            return fold(
                self.recordings,
                number=self._fold,
                folds=self._folds,
                validation=validation,
                seed=self._split_seed,
            )
        return cut(self.recordings, validation=validation, test=test, seed=self._split_seed)

    @cached_property
    def subjects(self) -> np.ndarray:
        """(N,) numbers of the subjects of the recordings, from 1."""
        return numbered([recording.subject for recording in self.recordings])

    @cached_property
    def classes(self) -> tuple[str, ...] | None:
        """Names of the classes, in the order of their numbers."""
        if self.label_source == "none" or self._unlabelled:
            return None
        if self._names is None:
            return tuple(sorted({str(recording.label) for recording in self.recordings}))
        return class_names(self.label_form, self._names, self._background)

    @property
    def problem(self) -> str | None:
        """What the labels are; None where there are none."""
        if self.label_source == "none" or self._unlabelled:
            return None
        return "multi_label" if self.label_form == "classes" else "single_label"

    @property
    def judged_as(self) -> str:  # type: ignore[override]
        """What a test measures."""
        return self.problem or "reconstruction"

    @property
    def num_outputs(self) -> int:
        """Number of classes; 0 where there are none."""
        return len(self.classes or ())

    @property
    def num_channels(self) -> int:
        """C."""
        return len(self.preparation.names)

    @property
    def sequence_length(self) -> int:
        """T, samples of a window."""
        return samples_of("window", self._window, self.rate)

    @cached_property
    def rate(self) -> float:
        """Samples a second of every window."""
        return self.preparation.rate or self._prepared("train")[0][1].rate

    @cached_property
    def scaler(self) -> ChannelScaler:
        """Fitted on the training recordings."""
        return fit_scaler([item for _, item in self._prepared("train")], self.preparation.names)

    def build(self, split: Split) -> RecordingWindows:
        """The windows of a split.

        Raises:
            DataError: there is none, or a recording cannot be read. LeakError: a subject is in two splits.
        """
        rows = self.examples(split)
        numbers = [number for number, _ in self._prepared(split)]
        place = {number: row for row, number in enumerate(numbers)}
        labels = None if self.classes is None else label_numbers(self.label_form, rows, self.classes)
        return RecordingWindows(
            [item for _, item in self._prepared(split)],
            rows["recording"].map(lambda number: place[number - 1]).to_numpy(dtype=np.int64),
            rows["sample"].to_numpy(dtype=np.int64),
            size=self.sequence_length,
            labels=labels,
            scaler=self.scaler,
        )

    def examples(self, split: Split) -> pd.DataFrame:
        """The windows of a split: `recording` and `group`, the subject, as numbers from 1; `sample`, the
        first; `start` in seconds; where there are classes what `label_columns` says of them."""
        if split not in self._tables:
            found = [
                (number, item, window)
                for number, item in self._prepared(split)
                for window in self._windows(self.recordings[number], item)
            ]
            if not found:
                raise DataError(
                    f"no recording of the {split} part has a window of {self._window:g} s. Give a shorter "
                    "window, or recordings (and classes) that have one."
                )
            rows = [
                (number + 1, self.subjects[number], window.start, window.start / item.rate)
                for number, item, window in found
            ]
            table = pd.DataFrame(rows, columns=["recording", "group", "sample", "start"])
            if self.classes is not None:
                windows = [window for *_, window in found]
                names = self.preparation.names
                table = table.assign(**label_columns(self.label_form, windows, self.classes, names))
            self._tables[split] = table
        return self._tables[split]

    def leaked(self, split: Split) -> None:
        """Nothing is: leaks are refused."""

    def split_table(self) -> pd.DataFrame:
        """What a run writes down: `recording`, `subject`, `content` (a hash), `split`, a row a recording."""
        return pd.DataFrame(
            {
                "recording": np.arange(len(self.recordings)) + 1,
                "subject": self.subjects,
                "content": [fingerprint(recording.source) for recording in self.recordings],
                "split": self.splits,
            }
        )

    def describe(self) -> dict[str, Any]:
        """What a reader of the model's predictions has to know, as JSON holds it."""
        settings = self.preparation.described()
        return {
            "problem": self.problem,
            "classes": None if self.classes is None else list(self.classes),
            "label_form": self.label_form,
            "channels": list(self.preparation.names),
            "sampling_rate": self.rate,
            "units": "µV",
            "reference": settings["reference"],
            "filters": {"notch": settings["notch"], "band": settings["band"]},
            "scaler": self.scaler.to_json(),
            "preparation": settings,
            "sequence_length": self.sequence_length,
        }

    def take_scale(self, preprocessing: Mapping[str, Any]) -> None:
        """See `ExampleDataModule.take_scale`; recordings have to be prepared as those of training were."""
        own = {
            "classes": None if self.classes is None else list(self.classes),
            "label_form": self.label_form,
            "preparation": self.preparation.described(),
        }
        # Where nothing is labelled, how it would be does not matter.
        compared = ("classes", "preparation") if self.classes is None else tuple(own)
        # Models that do not say it were trained when there was one form.
        require_same(own, {"label_form": "class", **preprocessing}, compared)
        self.scaler = ChannelScaler.from_json(preprocessing["scaler"])

    def _prepared(self, split: Split) -> list[tuple[int, CachedRecording]]:
        """The recordings of a split that can be used, with their numbers from 0."""
        if split not in self._ready:
            numbers = np.flatnonzero(self.splits == split).tolist()
            with ThreadPoolExecutor(max(1, self.num_workers)) as pool:
                made = list(pool.map(self._prepare, numbers))
            ready = [(number, item) for number, item in zip(numbers, made, strict=True) if item is not None]
            if not ready:
                raise DataError(f"no recording is left for the {split} part: {self._path} has too few.")
            self._require_one_rate(ready)
            self._ready[split] = ready
        return self._ready[split]

    def _prepare(self, number: int) -> CachedRecording | None:
        try:
            return prepared(self.recordings[number].source, self.preparation)
        except DroppedRecordingError as error:
            _log.warning("left out, as missing_channels=drop says: recording %s: %s", number + 1, error)
        except DataError as error:
            if self._on_error == "raise":
                raise
            _log.warning("left out, as on_error=skip says: recording %s: %s", number + 1, error)
        return None

    def _require_one_rate(self, ready: list[tuple[int, CachedRecording]]) -> None:
        known = [rows[0][1].rate for rows in self._ready.values()]
        rates = sorted({item.rate for _, item in ready} | set(known))
        if len(rates) > 1:
            raise DataError(
                f"{self._path} has recordings of {', '.join(f'{rate:g}' for rate in rates)} samples a "
                "second: say which they are to have, preparation.rate=."
            )

    def _windows(self, recording: Recording, item: CachedRecording) -> list[Window]:
        size = samples_of("window", self._window, item.rate)
        stride = samples_of("stride", self._stride, item.rate)
        regular = regular_windows(item.num_samples, size, stride)
        if self.classes is None:
            return regular
        if self.label_source == "recording":
            label = str(recording.label)
            name = label if self._names is None else self._names[label][0]
            return [Window(window.start, name) for window in regular]
        assert self._names is not None
        marks = self._annotations(recording, item)
        if self.label_source == "events":
            return event_windows(
                marks,
                first_names(self._names),
                num_samples=item.num_samples,
                size=size,
                rate=item.rate,
                offset=self._offset,
            )
        return stretch_windows(
            self.label_form,
            marks,
            self._names,
            regular,
            Coverage(size, item.rate, self._least_overlap, self._background),
            preparation=self.preparation,
            present=item.present,
            source=recording.intervals or recording.source,
        )

    def _annotations(self, recording: Recording, item: CachedRecording) -> pd.DataFrame:
        if recording.intervals is not None:
            marks = read_intervals(recording.intervals)
        else:
            marks = annotations_of(recording.source, open_recording(recording.source))
        seconds = item.num_samples / item.rate
        if self._beyond_end == "drop":
            return inside(marks, seconds, item.rate)
        require_inside(marks, seconds, item.rate, recording.source)
        return marks
