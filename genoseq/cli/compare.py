"""`genoseq compare`: two checkpoints on the same examples, paired."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.table import Table

from genoseq.benchmark.resampling import (
    Scored,
    difference,
    draw_weights,
    interval_over_seeds,
    resampled,
    same_labels,
)
from genoseq.cli.measuring import TABLES, measured, name_of, require_out, rows_text
from genoseq.cli.models import open_models
from genoseq.cli.tables import interval_text
from genoseq.errors import ConfigError
from genoseq.inference.outputs import atomic_file, open_table
from genoseq.training.results import compare, prediction_tensors

_LABELLED = ("single_label", "multi_label", "regression")
_SIDES = ("a", "b")
# What the columns of each side's own begin with.
_PREDICTED = (
    *("prediction", "probability", "bits", "num_correct"),
    *("squared_error", "absolute_error", "crps", "covered", "forecast", "low", "high", "reconstruction"),
    "embedding",
)


def run(config: DictConfig) -> None:
    """Print the comparison, and write `out` as `configs/compare.yaml` describes it.

    Raises:
        ConfigError: the two are for different problems, or predict different classes.
    """
    require_out(config.out)
    names, tables, problems = [], [], []
    for side in _SIDES:
        asked = {"checkpoint": config[side], "arguments": None}
        asked |= {key: config[key] for key in ("strands", "device")}
        model = open_models(OmegaConf.create(asked))
        datamodule, table = measured(config, model)
        names.append(f"{side}: {name_of(model)}")
        tables.append(table)
        problems.append(datamodule.judged_as)
    _require_same(problems, tables)
    results = compare(problems[0], config.split, names[0], tables[0], {names[1]: tables[1]})
    results |= {side: config[side] for side in _SIDES}
    # Labels of bases come many to an example: the headline's own comparison stands for them.
    if problems[0] in _LABELLED and "position" not in tables[0]:
        results["differences"] = _differences(problems[0], tables, results, config)
    _print(config, results, rows_text(tables[0]))
    if config.out is not None:
        _write(config.out, results, _side_by_side(tables))


def _require_same(problems: Sequence[str], tables: Sequence[pd.DataFrame]) -> None:
    first, second = (set(table.columns) for table in tables)
    if problems[0] != problems[1] or first != second or len(tables[0]) != len(tables[1]):
        raise ConfigError(
            f"a and b do not predict the same thing: {', '.join(sorted(first ^ second)) or 'other rows'} is "
            "of one alone. Give two checkpoints of one problem and the same classes."
        )


def _differences(
    problem: str, tables: Sequence[pd.DataFrame], results: dict[str, Any], config: DictConfig
) -> dict[str, dict[str, Any]]:
    """a minus b in each metric, by the rows that are measured."""
    leaked = tables[0]["leaked"].to_numpy(dtype=bool) if "leaked" in tables[0] else None
    chosen = {"rows": np.ones(len(tables[0]), dtype=bool)}
    if leaked is not None and leaked.any() and not leaked.all():
        chosen["leak_free_rows"] = ~leaked
    found: dict[str, dict[str, Any]] = {}
    for rows, kept in chosen.items():
        scored = [_scored(problem, table[kept]) for table in tables]
        assert same_labels(scored), "both were asked the rows of one data module"
        weights, n, unit = _drawn(tables[0][kept], config.resamples)
        found[rows] = {
            metric: asdict(_difference(metric, problem, scored, weights, n=n, unit=unit))
            for metric in results["rows"][0]["metrics"]
        }
    return found


def _drawn(table: pd.DataFrame, resamples: int) -> tuple[np.ndarray, int, str]:
    """(resamples + 1, N) how often each row is drawn; how many units are, and what they are."""
    if "channel" not in table:
        return draw_weights(len(table), resamples=resamples, seed=0), len(table), "example"
    # The channels of a window are drawn together.
    windows, number = np.unique(table["index"], return_inverse=True)
    return draw_weights(len(windows), resamples=resamples, seed=0)[:, number], len(windows), "window"


def _difference(
    metric: str, problem: str, scored: Sequence[Scored], weights: np.ndarray, *, n: int, unit: str
) -> Any:
    samples = [resampled(metric, problem, one, weights) for one in scored]
    (mine, my_means), (theirs, their_means) = (interval_over_seeds(one[:, None], seed=0) for one in samples)
    return difference(mine.mean - theirs.mean, my_means, their_means, n=n, unit=unit)


def _scored(problem: str, table: pd.DataFrame) -> Scored:
    outputs, labels = prediction_tensors(problem, table)
    return Scored(labels.numpy(), outputs.numpy())


def _side_by_side(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """What both say of each example: what differs between them as `a_...` and `b_...`, the rest once."""
    first, second = tables
    own = [name for name in first if str(name).startswith(_PREDICTED)]
    shared = first[[name for name in first if name not in own]]
    sides = [table[own].add_prefix(f"{side}_") for side, table in zip(_SIDES, (first, second), strict=True)]
    return pd.concat([shared, *sides], axis=1)


def _print(config: DictConfig, results: dict[str, Any], rows_of: str) -> None:
    table = Table(title=f"{config.split}, {rows_of}")
    shown = {"rows": "", "leak_free_rows": ", without leaks"}
    for name in ("", *(row["name"] for row in results["rows"]), "a minus b, 95 %"):
        table.add_column(name, justify="right" if name else "left")
    for rows, words in shown.items():
        if rows not in results:
            continue
        mine, theirs = (row["metrics"] for row in results[rows])
        for metric in mine:
            apart = results.get("differences", {}).get(rows, {}).get(metric)
            if apart is None and metric == results["metric"]:
                apart = results[rows][1]["versus_model"]
            cells = ["not defined" if v is None else f"{v:.4f}" for v in (mine[metric], theirs[metric])]
            table.add_row(metric.replace("_", " ") + words, *cells, interval_text(apart))
    Console(highlight=False, soft_wrap=True).print(table)


def _write(out: str, results: dict[str, Any], examples: pd.DataFrame) -> None:
    if out.lower().endswith(".json"):
        with atomic_file(out) as path:
            path.write_text(json.dumps(results, indent=2) + "\n")
        return
    with open_table(out, formats=TABLES) as writer:
        writer.write(examples)
