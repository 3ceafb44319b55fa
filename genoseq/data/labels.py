"""Labels of sequences or of their bases, from the text of a table to arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pandas as pd

from genoseq.data.loading import unlabelled
from genoseq.data.tables import require_columns
from genoseq.errors import ConfigError, DataError, require_choice

Problem = Literal["single_label", "multi_label", "regression"]
Level = Literal["sequence", "token"]

_SEVERAL = ";"
_UNLABELLED = "."
_BINARY = {"0": 0.0, "1": 1.0, "0.0": 0.0, "1.0": 1.0, "False": 0.0, "True": 1.0, "false": 0.0, "true": 1.0}


@dataclass(frozen=True)
class LabelReader:
    """How the label columns of a table become arrays.

    | problem | columns | array of a sequence | array of a sequence of L bases, level "token" |
    |---|---|---|---|
    | single_label | one, a class | () int64 | (L,) int64 |
    | multi_label | one, classes apart by `;`, or one 0/1 column a class | (C,) float32 | (L, C) float32 |
    | regression | one number or several columns | () or (T,) float32 | (L,) or (L, T) float32 |

    At level "token" a field holds one label a base: letters without anything between them (`EEIIN`), or
    apart by commas or spaces; "." where a base has none, which becomes -100, or NaN among numbers.

    Attributes:
        classes: names of the outputs, in the order of their numbers; None for one number.
    """

    problem: Problem
    level: Level
    columns: tuple[str, ...]
    classes: tuple[str, ...] | None

    @classmethod
    def fit(
        cls,
        table: pd.DataFrame,
        *,
        problem: Problem,
        level: Level,
        columns: Sequence[str],
        classes: Sequence[object] | None,
        source: object,
    ) -> LabelReader:
        """The reader for a training table; without `classes` they are those that the table has, sorted.

        Raises:
            ConfigError: the settings contradict each other. DataError: a column is missing, a row has no
                label, or all rows have the same class.
        """
        _require_settings(problem, level, columns, classes)
        require_columns(table, columns, source)
        names: tuple[str, ...] | None = tuple(columns) if len(columns) > 1 else None
        if classes is not None:
            names = tuple(map(str, classes))
        elif len(columns) == 1 and problem != "regression":
            names = _sorted_classes(
                {
                    label
                    for text in label_texts(table, columns[0], source)
                    for label in _split(text, problem, level)
                }
            )
            _require_two(names, problem, columns[0], source)
        return cls(problem, level, tuple(columns), names)

    @property
    def num_outputs(self) -> int:
        """Numbers that a model has to give a sequence, or a base."""
        return len(self.classes) if self.classes else 1

    def read(self, table: pd.DataFrame, lengths: Sequence[int], source: object) -> list[np.ndarray]:
        """The labels of each row.

        Args:
            table: holds `columns`.
            lengths: bases of each row's sequence.
            source: what messages call the table.

        Raises:
            DataError: a column is missing, or a label is missing, outside the classes, no number, or not one
                a base.
        """
        require_columns(table, self.columns, source)
        columns = [label_texts(table, column, source) for column in self.columns]
        labels = []
        for row, texts in enumerate(zip(*columns, strict=True)):
            try:
                labels.append(self._read_row(texts, lengths[row]))
            except _BadLabelError as error:
                raise DataError(f"{source}, row {row} (counted from 0): {error}") from None
        return labels

    def _read_row(self, texts: tuple[str, ...], length: int) -> np.ndarray:
        if self.level == "sequence":
            values = self._values(texts)
            return values if len(values) > 1 or self.problem == "multi_label" else values[0]
        fields = [_split(text, self.problem, "token") for text in texts]
        for column, labels in zip(self.columns, fields, strict=True):
            if len(labels) != length:
                raise _BadLabelError(
                    f"{column} has {len(labels):,} labels for {length:,} bases; give one a base."
                )
        if self.problem == "regression":
            numbers = np.stack([_numbers(labels) for labels in fields], axis=1)
            numbers[np.isnan(numbers).any(axis=1)] = np.nan
            return numbers if len(self.columns) > 1 else numbers[:, 0]
        rows = [self._token_values(labels) for labels in zip(*fields, strict=True)]
        values = np.stack(rows)
        return values if len(self.columns) > 1 else values[:, 0]

    def _token_values(self, texts: tuple[str, ...]) -> np.ndarray:
        if _UNLABELLED in texts:
            kind = np.dtype(np.int64 if self.problem == "single_label" else np.float32)
            return np.full(len(texts), unlabelled(kind), dtype=kind)
        return self._values(texts)

    def _values(self, texts: tuple[str, ...]) -> np.ndarray:
        if self.problem == "regression":
            return np.array([_number(text) for text in texts], dtype=np.float32)
        assert self.classes is not None
        if self.problem == "single_label":
            return np.array([self._class_number(texts[0])], dtype=np.int64)
        if len(texts) > 1:
            return np.array([_binary(text) for text in texts], dtype=np.float32)
        present = np.zeros(len(self.classes), dtype=np.float32)
        for name in _split(texts[0], self.problem, "sequence"):
            present[self._class_number(name)] = 1.0
        return present

    def _class_number(self, name: str) -> int:
        assert self.classes is not None
        if not name:
            raise _BadLabelError("it has no label. Remove the row, or give it one.")
        if name not in self.classes:
            known = ", ".join(self.classes[:20])
            raise _BadLabelError(
                f"the label {name!r} is none of the classes {known}. Mend it, or name it in classes."
            )
        return self.classes.index(name)


class _BadLabelError(ValueError):
    """A field that is no label; `read` adds where it stands."""


def _require_settings(
    problem: str, level: str, columns: Sequence[str], classes: Sequence[object] | None
) -> None:
    require_choice("problem", problem, get_args(Problem))
    require_choice("level", level, get_args(Level))
    if not columns:
        raise ConfigError("label_column names no column; give the column or columns that hold the labels.")
    if problem == "single_label" and len(columns) > 1:
        raise ConfigError(
            f"problem=single_label has one label column; {len(columns)} were given. Use problem=multi_label "
            "for one 0/1 column a class."
        )
    if level == "token" and problem == "multi_label" and len(columns) == 1:
        raise ConfigError(
            "several labels a base need a column of 0/1 for each class; label_column names one only."
        )
    if classes is not None and (problem == "regression" or len(columns) > 1):
        raise ConfigError(
            "classes names the values of one label column; columns name the outputs themselves."
        )


def _require_two(names: Sequence[str], problem: str, column: str, source: object) -> None:
    least = 2 if problem == "single_label" else 1
    if len(names) < least:
        found = f"one class only, {names[0]!r}" if names else "no label at all"
        raise DataError(
            f"{source}: {column} holds {found}: there is nothing to tell apart. Give a table with rows of "
            "every class, another label_column, or the names in classes."
        )


def label_texts(table: pd.DataFrame, column: str, source: object) -> list[str]:
    """A column as text; numbers that are all whole lose their `.0`, so that 1.0 is the class 1.

    Raises:
        DataError: a row has no label.
    """
    values = table[column]
    if values.isna().any():
        row = int(np.flatnonzero(values.isna())[0])
        raise DataError(f"{source}, row {row} (counted from 0): {column} has no label. Remove the row.")
    if pd.api.types.is_float_dtype(values) and (values % 1 == 0).all():
        values = values.astype("int64")
    return [str(value).strip() for value in values]


def _split(text: str, problem: str, level: str) -> list[str]:
    if level == "token":
        apart = text.replace(",", " ").split()
        return apart if len(apart) > 1 or problem == "regression" else list(text)
    if problem == "multi_label":
        return [name.strip() for name in text.split(_SEVERAL) if name.strip()]
    return [text]


def _sorted_classes(names: set[str]) -> tuple[str, ...]:
    found = names - {_UNLABELLED, ""}
    try:
        return tuple(sorted(found, key=float))
    except ValueError:
        return tuple(sorted(found))


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise _BadLabelError(f"the label {text!r} is no number.") from None
    if not np.isfinite(value):
        raise _BadLabelError(f"the label {text!r} is not finite. Remove the row.")
    return value


def _numbers(texts: Sequence[str]) -> np.ndarray:
    """(L,) float32, NaN where there is no label: signals of many bases, so all at once where that goes."""
    if _UNLABELLED not in texts:
        try:
            values = np.array(texts, dtype=np.float64)
        except ValueError:
            values = np.array([np.nan])
        if np.isfinite(values).all():
            return values.astype(np.float32)
    # One by one: what is no number is named.
    return np.array([np.nan if text == _UNLABELLED else _number(text) for text in texts], dtype=np.float32)


def _binary(text: str) -> float:
    if text not in _BINARY:
        raise _BadLabelError(f"the label {text!r} is neither 0 nor 1, as columns of several labels hold.")
    return _BINARY[text]
