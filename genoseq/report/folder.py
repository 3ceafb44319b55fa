"""Read what a run left behind. Everything the report says comes from these files, never from a model."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow
from Bio.SeqIO.FastaIO import SimpleFastaParser
from omegaconf import DictConfig, OmegaConf
from yaml import YAMLError  # type: ignore[import-untyped]

from genoseq.errors import DataError
from genoseq.statistics import Estimate

_BASELINE_PREFIX = "predictions_"


@dataclass(frozen=True)
class Row:
    """One line of the result table.

    Attributes:
        name: what was measured, as a reader knows it.
        kind: `model` or `baseline`.
        metrics: metric name to value; a metric that is undefined on this split is NaN.
        versus_model: model minus this row in the main metric, paired over units; None for the model itself.
    """

    name: str
    kind: str
    metrics: dict[str, float]
    versus_model: Estimate | None


@dataclass(frozen=True)
class AtLength:
    """The model's answers in sequences of one length.

    Attributes:
        length: bases of a sequence.
        metrics: as in a `Row`.
        accuracy: the main metric again, with its interval over examples.
    """

    length: int
    metrics: dict[str, float]
    accuracy: Estimate


@dataclass(frozen=True)
class OfUnits:
    """How well units of one kind are told apart: windows of recordings, recordings, or people.

    Attributes:
        unit: `window`, or `channel` of one; `recording` or `subject`.
        n: number of them.
        estimates: metric name to its value, with an interval over subjects.
        p_values: the same metrics to the chance of as much, were labels exchanged between subjects.
    """

    unit: str
    n: int
    estimates: dict[str, Estimate]
    p_values: dict[str, float]


@dataclass(frozen=True)
class Results:
    """The content of `results.json`; `by_length` is of problems that are asked at several lengths, `by_unit`
    of recordings."""

    problem: str
    split: str
    metric: str
    higher_is_better: bool
    rows: tuple[Row, ...]
    leak_free_rows: tuple[Row, ...]
    by_length: tuple[AtLength, ...] = ()
    by_unit: tuple[OfUnits, ...] = ()

    @property
    def model(self) -> Row | None:
        """The row of the trained model."""
        return next((row for row in self.rows if row.kind == "model"), None)

    @property
    def baselines(self) -> tuple[Row, ...]:
        """All other rows, best first."""
        sign = -1 if self.higher_is_better else 1
        others = [row for row in self.rows if row.kind != "model" and self.metric in row.metrics]
        return tuple(sorted(others, key=lambda row: sign * row.metrics[self.metric]))


@dataclass(frozen=True)
class RunFolder:
    """The files of one run. A file that is not there reads as None or as empty."""

    path: Path

    def __post_init__(self) -> None:
        if not self.path.is_dir():
            raise DataError(f"report: {self.path} is no folder. Give the folder of a run.")

    @cached_property
    def config(self) -> DictConfig | None:
        """The resolved configuration."""
        file = self.path / "config.yaml"
        if not file.is_file():
            return None
        try:
            config = OmegaConf.load(file)
        except YAMLError as error:
            raise _broken(file, error) from error
        return config if isinstance(config, DictConfig) else None

    @property
    def name(self) -> str:
        """The run's `name` setting, else that of its folder."""
        name = OmegaConf.select(self.config, "name") if self.config is not None else None
        return str(name or self.path.resolve().name)

    @cached_property
    def results(self) -> Results | None:
        """The result table."""
        content = self._json("results.json")
        if content is None:
            return None
        try:
            return _results(content)
        except (KeyError, TypeError) as error:
            raise _broken(self.path / "results.json", error) from error

    @cached_property
    def environment(self) -> dict[str, Any] | None:
        """Versions, device and data hashes."""
        return self._json("environment.json")

    @cached_property
    def performance(self) -> dict[str, Any] | None:
        """Throughput, memory, time and size."""
        return self._json("performance.json")

    @cached_property
    def preprocessing(self) -> dict[str, Any]:
        """What the model's folder says of its input."""
        return self._json("model/preprocessing.json") or {}

    @cached_property
    def metrics(self) -> pd.DataFrame | None:
        """What was logged while training; None also where the run ended before its first line."""
        file = self.path / "metrics.csv"
        if not file.is_file() or not file.stat().st_size:
            return None
        try:
            return pd.read_csv(file)
        except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
            raise _broken(file, error) from error

    @cached_property
    def predictions(self) -> pd.DataFrame | None:
        """The model's own predictions on the evaluated split."""
        file = self.path / "predictions.parquet"
        return _parquet(file) if file.is_file() else None

    @cached_property
    def baseline_predictions(self) -> dict[str, pd.DataFrame]:
        """The same table from each baseline, by its name in the result table."""
        files = sorted(self.path.glob(f"{_BASELINE_PREFIX}*.parquet"))
        keys = [file.stem.removeprefix(_BASELINE_PREFIX) for file in files]
        names = self._baseline_names()
        return {
            names.get(key, key.replace("_", " ")): _parquet(file)
            for key, file in zip(keys, files, strict=True)
        }

    @cached_property
    def generated(self) -> list[str]:
        """Sequences the model generated."""
        return _fasta(self.path / "generated.fa")

    @cached_property
    def reference(self) -> list[str]:
        """Real sequence to hold the generated against."""
        return _fasta(self.path / "reference.fa")

    @property
    def model_name(self) -> str:
        """What tables and legends call the model."""
        model = self.results.model if self.results else None
        return model.name if model else "model"

    @property
    def trained_at(self) -> int | None:
        """Bases of a training sequence, where all have as many."""
        return OmegaConf.select(self.config, "data.length") if self.config is not None else None

    @property
    def units(self) -> dict[str, str]:
        """Of channels, where the data say so."""
        given = OmegaConf.select(self.config, "data.units") if self.config is not None else None
        return {str(name): str(unit) for name, unit in (given or {}).items()}

    def _baseline_names(self) -> dict[str, str]:
        """Key in the config to name in the result table; both are written in one order."""
        keys = list((OmegaConf.select(self.config, "baselines") if self.config is not None else None) or {})
        rows = [row for row in self.results.rows if row.kind != "model"] if self.results else []
        return {key: row.name for key, row in zip(keys, rows, strict=True)} if len(keys) == len(rows) else {}

    def _json(self, name: str) -> dict[str, Any] | None:
        file = self.path / name
        if not file.is_file():
            return None
        try:
            content = json.loads(file.read_text())
        except ValueError as error:
            raise _broken(file, error) from error
        if not isinstance(content, dict):
            raise _broken(file, f"an object was wanted, a {type(content).__name__} is there")
        return content


def _results(content: dict[str, Any]) -> Results:
    return Results(
        problem=content["problem"],
        split=content["split"],
        metric=content["metric"],
        higher_is_better=content["higher_is_better"],
        rows=tuple(_row(row) for row in content["rows"]),
        leak_free_rows=tuple(_row(row) for row in content.get("leak_free_rows") or ()),
        by_length=tuple(
            AtLength(row["length"], _metrics(row), _estimate(row["accuracy"]))
            for row in content.get("by_length") or ()
        ),
        by_unit=tuple(_of_units(row) for row in content.get("by_unit") or ()),
    )


def _of_units(content: dict[str, Any]) -> OfUnits:
    estimates = {name: dict(value) for name, value in content.items() if isinstance(value, dict)}
    p_values = {name: _defined(value.pop("p_value")) for name, value in estimates.items()}
    known = {name: _estimate(value) for name, value in estimates.items()}
    return OfUnits(content["unit"], content["n"], known, p_values)


def _row(content: dict[str, Any]) -> Row:
    versus = content.get("versus_model")
    return Row(
        content["name"], content["kind"], _metrics(content), None if versus is None else _estimate(versus)
    )


def _metrics(content: dict[str, Any]) -> dict[str, float]:
    return {name: _defined(value) for name, value in content["metrics"].items()}


def _estimate(content: dict[str, Any]) -> Estimate:
    return Estimate(**content | {end: _defined(content[end]) for end in ("mean", "low", "high")})


def _defined(value: float | None) -> float:
    """JSON has no NaN: what is undefined is null there."""
    return math.nan if value is None else float(value)


def _parquet(file: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(file)
    except (OSError, pyarrow.ArrowException) as error:
        raise _broken(file, error) from error


def _fasta(file: Path) -> list[str]:
    if not file.is_file():
        return []
    with file.open() as handle:
        return [sequence for _, sequence in SimpleFastaParser(handle) if sequence]


def _broken(file: Path, why: object) -> DataError:
    return DataError(
        f"report: {file} cannot be read: {why}. Write the run's results again, or remove this file."
    )
