"""What is known of windows, in a table and for a model: a class, several, or one of each channel.

| form | columns of the table | numbers |
|---|---|---|
| class | `label`, a name | (N,) of classes |
| classes | `label_<class>`, 0 or 1 each | (N, K) the same |
| channels | `label_<channel>`, a name each; None if it was not measured | (N, C) of classes; then -100 |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from genoseq.data.loading import IGNORED_LABEL
from genoseq.data.recordings.channels import explain_each
from genoseq.data.recordings.preparation import Preparation
from genoseq.data.recordings.windows import (
    Coverage,
    Window,
    channel_windows,
    overlap_windows,
    present_windows,
)
from genoseq.errors import ConfigError, DataError

LabelForm = Literal["class", "classes", "channels"]


def names_of_classes(classes: Mapping[str, str | Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """Description, or label, -> the names it is known by.

    Raises:
        ConfigError: one has none.
    """
    named = {str(text): _several(names) for text, names in classes.items()}
    if nameless := [text for text, names in named.items() if not names]:
        raise ConfigError(
            f"classes: {nameless[0]!r} has no name. Give it one, or leave it out: ~data.classes.NAME."
        )
    return named


def _several(names: object) -> tuple[str, ...]:
    if isinstance(names, Sequence) and not isinstance(names, str):
        return tuple(map(str, names))
    return () if names is None else (str(names),)


def first_names(names: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Description -> the name that counts where there can be one only."""
    return {text: given[0] for text, given in names.items()}


def class_names(
    form: LabelForm, names: Mapping[str, Sequence[str]], background: str | None
) -> tuple[str, ...]:
    """Names of the classes, in the order of their numbers.

    The background is the first of them, but where each class is there or not. Where one is asked for, the
    first of several names counts.
    """
    if form == "classes":
        every = [name for given in names.values() for name in given if name != background]
        return tuple(dict.fromkeys(every))
    own = [] if background is None else [background]
    return tuple(dict.fromkeys([*own, *first_names(names).values()]))


def require_stretches(
    form: LabelForm, label_source: str, classes: Sequence[str] | None, background: str | None
) -> None:
    """Refuse settings without which windows have no labels of such a form.

    Raises:
        ConfigError: they contradict each other.
    """
    if form == "class":
        return
    if label_source != "stretches":
        raise ConfigError(
            f"label_form={form} wants label_source=stretches, of which several may cover a window; "
            f"label_source={label_source} gives it one class."
        )
    if form == "channels" and background is None:
        raise ConfigError(
            "label_form=channels wants background: the class of channels that no stretch covers, such as "
            "clean."
        )
    if len(classes or ()) < (2 if form == "channels" else 1):
        raise ConfigError(
            f"label_form={form}, background={background}: classes name nothing beside the background."
        )


def stretch_windows(
    form: LabelForm,
    marks: pd.DataFrame,
    names: Mapping[str, Sequence[str]],
    windows: list[Window],
    coverage: Coverage,
    *,
    preparation: Preparation,
    present: np.ndarray,
    source: object,
) -> list[Window]:
    """Windows of a recording with what its stretches say of them.

    Args:
        form: of the labels.
        marks: `onset`, `duration`, `description`, `channels`.
        names: description -> names of its classes.
        windows, coverage: as for `overlap_windows`.
        preparation, source: see `on_channels`.
        present: (C,) bool, False for channels that were not measured.

    Raises:
        DataError: as `on_channels`, where channels have labels of their own.
    """
    if form == "classes":
        return present_windows(marks, names, windows, coverage)
    if form == "class":
        return overlap_windows(marks, first_names(names), windows, coverage)
    counted = on_channels(marks[marks["description"].isin(list(names))], preparation, source)
    return channel_windows(
        counted, first_names(names), windows, coverage, channels=preparation.names, present=present
    )


def on_channels(marks: pd.DataFrame, preparation: Preparation, source: object) -> pd.DataFrame:
    """Annotations with `channels` as the preparation calls them, such as Fp1-F7 and T7.

    Those of channels that the preparation ignores are left out. Those that it only does without are still
    there: no window has such a channel.

    Args:
        marks: `channels`, a tuple of labels each, empty for all.
        preparation: its aliases and what it ignores count.
        source: for the message.

    Raises:
        DataError: a label that nothing explains, or all are differences where the preparation has places
            alone, or the reverse.
    """
    written = list(dict.fromkeys(label for labels in marks["channels"] for label in labels))
    found = explain_each(written, preparation.aliases, preparation.ignore_channels, str(source))
    eeg = [channel.name for channel in found.values() if channel.kind == "eeg"]
    _require_one_montage(eeg, preparation, source)
    named = [tuple(found[label].name for label in labels if label in found) for labels in marks["channels"]]
    kept = [not before or bool(after) for before, after in zip(marks["channels"], named, strict=True)]
    return marks.assign(channels=pd.Series(named, marks.index, dtype=object))[np.array(kept, dtype=bool)]


def _require_one_montage(annotated: Sequence[str], preparation: Preparation, source: object) -> None:
    differences, own = ({"-" in name for name in names} for names in (annotated, preparation.names))
    if annotated and not differences & own:
        raise DataError(
            f"{source} annotates {annotated[0]}, and the preparation has {preparation.names[0]}: no channel "
            "would have a class. Give preparation.channels as they are annotated, such as double_banana, or "
            "label_form=classes."
        )


def label_columns(
    form: LabelForm, windows: Sequence[Window], classes: Sequence[str], channels: Sequence[str]
) -> dict[str, list[Any]]:
    """The columns of a table of windows that say what is known of them."""
    if form == "class":
        return {"label": [window.label for window in windows]}
    if form == "classes":
        return {f"label_{name}": [int(name in window.labels) for window in windows] for name in classes}
    return {f"label_{name}": [window.labels[row] for window in windows] for row, name in enumerate(channels)}


def label_numbers(form: LabelForm, table: pd.DataFrame, classes: Sequence[str]) -> np.ndarray:
    """int64 arrays of those columns."""
    code = {name: number for number, name in enumerate(classes)}
    columns = table[[name for name in table if str(name).startswith("label")]]
    if form != "classes":
        columns = columns.apply(lambda names: names.map(code)).fillna(IGNORED_LABEL)
    # A copy: what a table gives may not be written to, and torch asks for that.
    numbers = np.array(columns, dtype=np.int64)
    return numbers[:, 0] if form == "class" else numbers
