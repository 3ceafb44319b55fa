"""`genoseq evaluate`: metrics of a checkpoint on one split of a data set."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from genoseq.cli.measuring import TABLES, measured, name_of, require_out, rows_text
from genoseq.cli.models import open_models
from genoseq.cli.tables import interval_text
from genoseq.inference.outputs import atomic_file, open_table
from genoseq.training.results import baseline_predictions, compare


def run(config: DictConfig) -> None:
    """Print the metrics, and write `out` as `configs/evaluate.yaml` describes it."""
    require_out(config.out)
    model = open_models(config)
    datamodule, table = measured(config, model)
    fitted = baseline_predictions(config.baselines, datamodule, config.split)
    results = compare(
        datamodule.judged_as,
        config.split,
        name_of(model),
        table,
        {name: rows for _, name, rows in fitted},
    )
    _print(config, results, rows_text(table))
    if config.out is not None:
        _write(config, results, table)


def _print(config: DictConfig, results: dict[str, Any], rows_of: str) -> None:
    table = Table(title=f"{_checkpoints(config)}: {config.split}, {rows_of}")
    table.add_column("")
    names = list(results["rows"][0]["metrics"])
    for name in names:
        table.add_column(name.replace("_", " "), justify="right")
    if config.baselines:
        table.add_column(f"{results['metric'].replace('_', ' ')}: model minus this, 95 %", justify="right")
    for row in results["rows"]:
        values = [row["metrics"][name] for name in names]
        cells = [_cell(value) for value in values]
        if config.baselines:
            cells.append(interval_text(row["versus_model"]))
        table.add_row(row["name"], *cells)
    console = Console(highlight=False, soft_wrap=True)
    console.print(table)
    if "by_length" in results:
        rows = results["by_length"]
        title = f"{rows[0]['accuracy']['n']:,} examples of each length"
        console.print(_table_within(title, {"length": "bases"}, names, rows))
    if "by_shots" in results:
        shown = {"task": "task", "shots": "shots"}
        console.print(_table_within("demonstrations of each class", shown, names, results["by_shots"]))
    if "by_unit" in results:
        console.print(_unit_table(results["by_unit"]))


def _table_within(title: str, columns: dict[str, str], names: list[str], rows: list[dict[str, Any]]) -> Table:
    """The metrics `names` of rows that are told apart by `columns`, as those are to be called."""
    table = Table(title=title)
    for name in (*columns.values(), *names):
        table.add_column(name.replace("_", " "), justify="right")
    for row in rows:
        where = [row[column] if isinstance(row[column], str) else f"{row[column]:,}" for column in columns]
        table.add_row(*where, *(_cell(row["metrics"][name]) for name in names))
    return table


def _unit_table(rows: list[dict[str, Any]]) -> Table:
    table = Table(title=f"over {rows[0]['num_subjects']:,} subjects, with 95 % intervals and p-values")
    for name in ("unit", "number", "balanced accuracy", "p", "auroc", "p"):
        table.add_column(name, justify="right")
    for row in rows:
        cells = [cell for name in ("balanced_accuracy", "auroc") for cell in _with_interval(row[name])]
        table.add_row(row["unit"], f"{row['n']:,}", *cells)
    return table


def _with_interval(estimate: dict[str, Any]) -> tuple[str, str]:
    mean, low, high, p_value = (
        "not defined" if estimate[key] is None else f"{estimate[key]:.3f}"
        for key in ("mean", "low", "high", "p_value")
    )
    return f"{mean} [{low}, {high}]", p_value


def _cell(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.4f}"


def _checkpoints(config: DictConfig) -> Any:
    """What was named, a text or a list of them."""
    return config.checkpoint if isinstance(config.checkpoint, str) else list(config.checkpoint)


def _write(config: DictConfig, results: dict[str, Any], table: pd.DataFrame) -> None:
    if config.out.lower().endswith(".json"):
        with atomic_file(config.out) as path:
            path.write_text(json.dumps({"checkpoint": _checkpoints(config), **results}, indent=2) + "\n")
        return
    with open_table(config.out, formats=TABLES) as writer:
        writer.write(table)
