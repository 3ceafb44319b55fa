"""`results.json`: the model beside its baselines, on the same examples."""

from __future__ import annotations

import dataclasses
import logging
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, cast

import numpy as np
import pandas as pd
import torch
from hydra.utils import instantiate

from genoseq.data.datamodule import ExampleDataModule
from genoseq.data.splits import Split
from genoseq.nn.losses import Problem
from genoseq.statistics import Estimate, mean_interval, paired_bootstrap
from genoseq.training.grouped_results import by_unit
from genoseq.training.metrics import as_metrics_take, problem_metrics

_log = logging.getLogger(__name__)

BLOCK = 20_000
# The metric that each problem is judged by, and whether more of it is better.
_HEADLINE = {
    "language_model": ("bits_per_base", False),
    "answers": ("accuracy", True),
    "single_label": ("accuracy", True),
    "multi_label": ("accuracy", True),
    "regression": ("mse", False),
    "forecasting": ("mse", False),
    "reconstruction": ("mse", False),
}

# The column whose rows are measured as one, where neighbours are not independent, and what such a one is.
_SUMMED_OVER = {"forecasting": ("block", "block of windows"), "reconstruction": ("recording", "recording")}


def describe_rows(predictions: pd.DataFrame, datamodule: Any, split: Split) -> pd.DataFrame:
    """A task's predictions with what the data say of each row, of which an example may have several: a tile's
    place; a length; a window's time; a name, a group, a control, a leak."""
    index = predictions["index"].to_numpy()
    if datamodule.judged_as in ("answers", "forecasting"):
        examples = datamodule.examples(split).iloc[index].reset_index(drop=True)
        return pd.concat([examples, predictions.drop(columns="index")], axis=1)
    if hasattr(datamodule, "tiles"):
        tiles = datamodule.tiles(split).iloc[index].reset_index(drop=True)
        return pd.concat([tiles[["chromosome", "start", "end"]], predictions[["num_bases", "bits"]]], axis=1)
    examples = datamodule.examples(split).iloc[index].reset_index(drop=True)
    kept = examples[
        [
            column
            for column in ("name", "recording", "group", "control", "task", "shots")
            if column in examples
        ]
    ]
    table = pd.concat([predictions, kept], axis=1)
    leaked = datamodule.leaked(split)
    return table if leaked is None else table.assign(leaked=leaked[index])


def require_baselines(settings: Mapping[str, Any], datamodule: ExampleDataModule) -> None:
    """Refuse configured baselines that are not for these data.

    Raises:
        ConfigError: one is not.
    """
    for component in settings.values():
        instantiate(component).require_data(datamodule)


def baseline_predictions(
    settings: Mapping[str, Any], datamodule: ExampleDataModule, split: Split
) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Fit each configured baseline on the train split: its key, its name, and its predictions of `split`.

    Raises:
        ConfigError: one is not for these data.
    """
    require_baselines(settings, datamodule)
    for key, component in settings.items():
        _log.info("fitting the baseline %s", key)
        baseline = instantiate(component)
        rows = baseline.predict(datamodule, split=split)
        yield key, baseline.name, rows


def compare(
    problem: str, split: str, name: str, table: pd.DataFrame, baselines: Mapping[str, pd.DataFrame]
) -> dict[str, Any]:
    """The content of `results.json`.

    Args:
        problem: `language_model`, `answers`, `single_label`, `multi_label`, `regression`, `forecasting` or
            `reconstruction`.
        split: the part of the data that was predicted.
        name: of the model.
        table: its predictions.
        baselines: predictions of each baseline on the same rows, by its name.

    Returns:
        Rows of metrics; each baseline with the paired difference (model minus baseline) and its interval.
        Where the table says which rows were leaked, the same again without them, if any is left. For answers,
        the model's metrics at each length; for episodes, those of each task and number of shots; for
        recordings, those by window (or channel), recording and subject.
    """
    metric, higher_is_better = _HEADLINE[problem]
    results = {
        "problem": problem,
        "split": split,
        "metric": metric,
        "higher_is_better": higher_is_better,
        "rows": _rows(problem, name, table, baselines),
    }
    if problem == "answers":
        results["by_length"] = _within(problem, table, ["length"])
    if "shots" in table:
        results["by_shots"] = _within(problem, table, ["task", "shots"])
    if problem == "single_label" and "recording" in table:
        results["by_unit"] = by_unit(table)
    if "leaked" in table and not table["leaked"].all():
        clean = ~table["leaked"].to_numpy(dtype=bool)
        results["leak_free_rows"] = _rows(
            problem, name, table[clean], {key: rows[clean] for key, rows in baselines.items()}
        )
    return results


def _rows(
    problem: str, name: str, table: pd.DataFrame, baselines: Mapping[str, pd.DataFrame]
) -> list[dict[str, Any]]:
    def row(row_name: str, kind: str, rows: pd.DataFrame, versus: Estimate | None) -> dict[str, Any]:
        difference = None if versus is None else _finite(dataclasses.asdict(versus))
        return {"name": row_name, "kind": kind, "metrics": metrics(problem, rows), "versus_model": difference}

    return [
        row(name, "model", table, None),
        *(row(key, "baseline", rows, _difference(problem, table, rows)) for key, rows in baselines.items()),
    ]


def metrics(problem: str, table: pd.DataFrame) -> dict[str, float | None]:
    """The metrics of a table of predictions; None where one is not defined.

    Bits per base are given for each control too, where the table has such a column; translation and
    distillation where it counts residues.
    """
    if problem == "language_model":
        bits = _bits_per_base(table)
        controls = sorted(set(table["control"])) if "control" in table else []
        each = {f"bits_per_base_{name}": _bits_per_base(table[table["control"] == name]) for name in controls}
        return {"bits_per_base": bits, "perplexity": 2**bits, **each, **_of_residues(table)}
    if problem == "answers":
        return {
            "accuracy": float(_scores(problem, table).mean()),
            "solved": float((table["num_correct"] == table["num_bases"]).mean()),
            "bits_per_base": float((table["bits"] / table["num_bases"]).mean()),
        }
    if problem == "forecasting":
        return _of_forecasts(table)
    if problem == "reconstruction":
        error, power, count = table[["squared_error", "power", "num_values"]].sum()
        return {"mse": float(error / count), "explained": float(1 - error / power)}
    problem = cast(Problem, problem)
    outputs, labels = prediction_tensors(problem, table)
    collection = problem_metrics(problem, outputs.shape[1])
    collection.update(*as_metrics_take(problem, outputs, labels))
    return _finite({key: float(value.float().mean()) for key, value in collection.compute().items()})


def _bits_per_base(table: pd.DataFrame) -> float:
    return float(table["bits"].sum() / table["num_bases"].sum())


def prediction_tensors(problem: str, table: pd.DataFrame) -> tuple[torch.Tensor, torch.Tensor]:
    """What a table of predictions of a labelled problem holds.

    Args:
        problem: `single_label`, `multi_label` or `regression`.
        table: columns `label` and `probability_<class>`, or as `SequencePrediction` writes them.

    Returns:
        Outputs (N, C) float32, and labels: (N,) int64 of one class, or (N, C) float32.
    """
    kind = "prediction" if problem == "regression" else "probability"
    columns = [column for column in map(str, table.columns) if re.match(rf"{kind}(_|$)", column)]
    names = [column.removeprefix(kind) for column in columns]
    if problem == "single_label":
        index = {name.removeprefix("_"): number for number, name in enumerate(names)}
        labels = np.array([index[label] for label in table["label"].astype(str)])
    else:
        labels = np.array(table[[f"label{name}" for name in names]], dtype=np.float32, order="C")
    return torch.from_numpy(np.array(table[columns], dtype=np.float32, order="C")), torch.from_numpy(labels)


def _within(problem: str, table: pd.DataFrame, columns: list[str]) -> list[dict[str, Any]]:
    """The same metrics for each value of some columns, and accuracy with its interval over examples."""
    found: list[dict[str, Any]] = []
    for _, rows in table.groupby(columns):
        first = rows.iloc[0]
        where = {name: first[name] if isinstance(first[name], str) else int(first[name]) for name in columns}
        accuracy = mean_interval(_scores(problem, rows), unit="example")
        measured = {"metrics": metrics(problem, rows), "accuracy": _finite(dataclasses.asdict(accuracy))}
        found.append(where | measured)
    return found


def _difference(problem: str, model: pd.DataFrame, baseline: pd.DataFrame) -> Estimate:
    if problem in _SUMMED_OVER:
        column, unit = _SUMMED_OVER[problem]
        mine, theirs = (table.groupby(column).sum(numeric_only=True) for table in (model, baseline))
        return paired_bootstrap(
            mine["squared_error"] / mine["num_values"],
            theirs["squared_error"] / theirs["num_values"],
            weights=mine["num_values"],
            unit=unit,
        )
    if problem == "language_model":
        mine, theirs = _blocks(model), _blocks(baseline)
        assert mine.index.equals(theirs.index), "a baseline scores the tiles of the model"
        return paired_bootstrap(
            mine["bits"] / mine["num_bases"],
            theirs["bits"] / theirs["num_bases"],
            weights=mine["num_bases"],
            unit="20 kb block",
        )
    if "channel" in model:
        # The channels of one window are no independent witnesses.
        own, other = (
            pd.Series(_scores(problem, table)).groupby(table["index"].to_numpy())
            for table in (model, baseline)
        )
        return paired_bootstrap(own.mean(), other.mean(), weights=own.size(), unit="window")
    return paired_bootstrap(_scores(problem, model), _scores(problem, baseline), unit="example")


def _of_forecasts(table: pd.DataFrame) -> dict[str, float | None]:
    sums = table[["squared_error", "absolute_error", "crps", "covered"]].sum(skipna=False)
    means = sums / table["num_values"].sum()
    names = {"squared_error": "mse", "absolute_error": "mae", "crps": "crps", "covered": "coverage"}
    return _finite({names[str(name)]: float(value) for name, value in means.items()})


def _of_residues(table: pd.DataFrame) -> dict[str, float | None]:
    if "num_residues" not in table:
        return {}
    sums = table[["num_correct", "num_bases", "num_translated", "num_residues", "cosine", "num_taught"]].sum()
    shares = {
        "accuracy": sums["num_correct"] / sums["num_bases"],
        "translation_accuracy": sums["num_translated"] / sums["num_residues"],
        "distillation_cosine": sums["cosine"] / sums["num_taught"],
    }
    return _finite({name: float(share) for name, share in shares.items()})


def _blocks(table: pd.DataFrame) -> pd.DataFrame:
    blocks = table.groupby(["chromosome", table["start"] // BLOCK])[["bits", "num_bases"]].sum()
    return blocks[blocks["num_bases"] > 0]


def _scores(problem: str, table: pd.DataFrame) -> np.ndarray:
    """What each example adds to the headline metric."""
    if problem == "answers":
        return (table["num_correct"] / table["num_bases"]).to_numpy()
    outputs, labels = prediction_tensors(problem, table)
    if problem == "single_label":
        return (outputs.argmax(dim=1) == labels).double().numpy()
    if problem == "multi_label":
        return ((outputs > 0.5) == labels.bool()).double().mean(dim=1).numpy()
    return ((outputs - labels) ** 2).double().mean(dim=1).numpy()


def _finite(values: dict[str, Any]) -> dict[str, Any]:
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in values.items()
    }
