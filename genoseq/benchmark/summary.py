"""From finished cells to a table: means, spreads, paired intervals, on all rows and without leaks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from genoseq.benchmark.cells import PREDICTIONS, RESULTS, Cell
from genoseq.benchmark.facts import TaskFacts
from genoseq.benchmark.resampling import (
    Scored,
    difference,
    draw_weights,
    interval_over_seeds,
    resampled,
    same_labels,
)
from genoseq.errors import DataError
from genoseq.report.words import number
from genoseq.statistics import Estimate
from genoseq.training.results import prediction_tensors

ROWS = ("all", "leak_free")
"""The test rows that are measured: all of them, and those that share no k-mer with train or validation."""


@dataclass(frozen=True)
class Measured:
    """One contender on one task.

    Attributes:
        task, contender, kind, metric: what was measured by what.
        seeds: finished ones; None where it has none.
        values: of the metric on all rows, one a seed.
        estimates: mean and interval by the rows of `ROWS`; None where no row is left.
        versus: contender minus reference, likewise; None for the reference itself.
        metrics: every metric that results have, the mean over seeds.
        seconds: of a cell, the mean; parameters: of the model, if it is one.
    """

    task: str
    contender: str
    kind: str
    metric: str
    seeds: tuple[int, ...] | None
    values: tuple[float, ...]
    estimates: dict[str, Estimate | None]
    versus: dict[str, Estimate | None] | None
    metrics: dict[str, float]
    seconds: float
    parameters: int | None

    @property
    def deviation(self) -> float:
        """Standard deviation over seeds; NaN for one."""
        return float(np.std(self.values, ddof=1)) if len(self.values) > 1 else float("nan")


def summarise(
    cells: Sequence[Cell],
    facts: Mapping[str, TaskFacts],
    *,
    reference: str | None,
    resamples: int,
    seed: int = 0,
) -> list[Measured]:
    """Every contender on every task, from what is finished.

    Args:
        cells: those of the benchmark; unfinished ones are left out.
        facts: of each task.
        reference: the contender that the others are held against; where it has no finished cell, nothing is.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Raises:
        DataError: cells of a task were measured on different rows.
    """
    found = []
    for task, fact in facts.items():
        done = [cell for cell in cells if cell.task == task and cell.finished]
        found += _of_task(task, fact, done, reference, resamples, seed)
    return found


def _of_task(
    task: str, fact: TaskFacts, done: Sequence[Cell], reference: str | None, resamples: int, seed: int
) -> list[Measured]:
    tables = {cell: pd.read_parquet(cell.folder / PREDICTIONS) for cell in done}
    if not tables:
        return []
    scored = {cell: _scored(fact, table) for cell, table in tables.items()}
    if not same_labels(list(scored.values())):
        raise DataError(
            f"{task}: the cells were measured on different test rows. Was the data changed in between? Give "
            "another out=, or remove the older cells."
        )
    leaked = next(iter(tables.values()))["leaked"].to_numpy(dtype=bool)
    samples: dict[str, dict[Cell, np.ndarray]] = {}
    for rows, chosen in zip(ROWS, (np.ones(len(leaked), dtype=bool), ~leaked), strict=True):
        weights = draw_weights(int(chosen.sum()), resamples=resamples, seed=seed) if chosen.any() else None
        samples[rows] = {
            cell: resampled(
                fact.metric, fact.problem, Scored(one.labels[chosen], one.outputs[chosen]), weights
            )
            for cell, one in scored.items()
            if weights is not None
        }
    groups: dict[str, list[Cell]] = {}
    for cell in done:
        groups.setdefault(cell.contender.name, []).append(cell)
    intervals = {
        rows: {
            name: interval_over_seeds(np.stack([of[cell] for cell in group], axis=1), seed=seed)
            for name, group in groups.items()
            if of
        }
        for rows, of in samples.items()
    }
    return [_measured(task, fact, group, samples["all"], intervals, reference) for group in groups.values()]


def _measured(
    task: str,
    fact: TaskFacts,
    group: Sequence[Cell],
    samples: Mapping[Cell, np.ndarray],
    intervals: Mapping[str, Mapping[str, tuple[Estimate, np.ndarray]]],
    reference: str | None,
) -> Measured:
    contender = group[0].contender
    estimates = {rows: found[contender.name][0] if found else None for rows, found in intervals.items()}
    versus: dict[str, Estimate | None] | None = None
    if reference is not None and contender.name != reference and reference in intervals["all"]:
        versus = {rows: _versus(found, contender.name, reference) for rows, found in intervals.items()}
    results = [json.loads((cell.folder / RESULTS).read_text(encoding="utf-8")) for cell in group]
    performance = [_json(cell, "performance.json") for cell in group]
    seeds = tuple(cell.seed for cell in group if cell.seed is not None)
    return Measured(
        task=task,
        contender=contender.name,
        kind=contender.kind,
        metric=fact.metric,
        seeds=seeds or None,
        values=tuple(float(samples[cell][0]) for cell in group),
        estimates=estimates,
        versus=versus,
        metrics=_mean_metrics([result["rows"][0]["metrics"] for result in results]),
        seconds=float(np.mean([one.get("seconds", np.nan) for one in performance])),
        parameters=performance[0].get("parameters"),
    )


def _versus(found: Mapping[str, tuple[Estimate, np.ndarray]], name: str, reference: str) -> Estimate | None:
    if not found:
        return None
    (mine, my_means), (theirs, their_means) = found[name], found[reference]
    return difference(mine.mean - theirs.mean, my_means, their_means, n=mine.n)


def _scored(fact: TaskFacts, table: pd.DataFrame) -> Scored:
    outputs, labels = prediction_tensors(fact.problem, table)
    return Scored(labels.numpy(), outputs.numpy())


def _mean_metrics(metrics: Sequence[Mapping[str, float | None]]) -> dict[str, float]:
    return {
        name: float(np.mean([np.nan if one[name] is None else one[name] for one in metrics]))
        for name in metrics[0]
    }


def _json(cell: Cell, name: str) -> dict[str, Any]:
    path = cell.folder / name
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def as_frame(measured: Sequence[Measured]) -> pd.DataFrame:
    """A row a contender and task, as `table.tsv` has it; what is not known is empty."""
    rows = []
    for one in measured:
        row: dict[str, Any] = {
            "task": one.task,
            "contender": one.contender,
            "kind": one.kind,
            "seeds": 0 if one.seeds is None else len(one.seeds),
            "metric": one.metric,
            "mean": one.estimates["all"].mean if one.estimates["all"] else None,
            "deviation": one.deviation,
        }
        for rows_of, estimate in one.estimates.items():
            row |= _columns(rows_of, estimate)
        for rows_of, estimate in (one.versus or dict.fromkeys(ROWS)).items():
            row |= _columns(f"versus_reference_{rows_of}", estimate)
        row |= {f"all_{name}": value for name, value in one.metrics.items() if name != one.metric}
        rows.append(row | {"seconds": one.seconds, "parameters": one.parameters})
    return pd.DataFrame(rows)


def _columns(prefix: str, estimate: Estimate | None) -> dict[str, float | None]:
    names = ("mean", "low", "high")
    return {f"{prefix}_{name}": None if estimate is None else getattr(estimate, name) for name in names}


def words(estimate: Estimate | None, *, signed: bool = False) -> str:
    """`0.783 [0.761, 0.802]`; a dash where there is nothing."""
    if estimate is None or not np.isfinite(estimate.mean):
        return "–"
    mean, low, high = (number(value, signed=signed) for value in (estimate.mean, estimate.low, estimate.high))
    return f"{mean} [{low}, {high}]" if np.isfinite(estimate.low) else mean
