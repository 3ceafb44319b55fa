"""The report: one HTML file that opens offline, from the files of one or several runs."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from genoseq.errors import DataError
from genoseq.report import facts
from genoseq.report.folder import Results, Row, RunFolder
from genoseq.report.plots import plots_of
from genoseq.report.style import PALETTE, Plot
from genoseq.report.words import detail, headline, interval, metric_label, number, standing, units, verdict

_TEMPLATE = "template.html.j2"
_SECTION_TITLES = {
    "predictions": "Results on the {split} split",
    "composition": "Generated sequence beside real sequence",
    "curves": "Learning curves",
}
_SHOWN_SEQUENCES = 3
_SHOWN_BASES = 240
_VERDICTS = {"better": "model better", "worse": "baseline better", "open": "no clear difference"}


@dataclass(frozen=True)
class Table:
    """A result table as text, one list of cells a row in the order of `metrics`, names under `heading`."""

    caption: str
    heading: str
    metrics: list[str]
    rows: list[dict[str, Any]]

    @property
    def compared(self) -> bool:
        """Whether any row was held against the model."""
        return any(row["comparison"] for row in self.rows)


def write_report(run: Path | list[Path], *, out: Path | None = None, title: str | None = None) -> Path:
    """Write `plots/*.png` into each run folder, and one self-contained HTML report.

    Files that a run lacks are sections left out.

    Args:
        run: a run folder, or several for one report with a section each.
        out: where the report goes; by default `report.html` in the run folder, or beside
            the first of several.
        title: of the page; the names of the runs by default.

    Returns:
        The path of the report.

    Raises:
        DataError: a folder is missing, one of its files is broken, or the report cannot be written.
    """
    paths = [run] if isinstance(run, Path) else list(run)
    if not paths:
        raise DataError("report: no run was given. Give the folder of at least one run.")
    runs = [RunFolder(path) for path in paths]
    if out is None:
        out = paths[0] / "report.html" if len(paths) == 1 else paths[0].parent / "report.html"
    sections = [_section(folder, f"run{place}") for place, folder in enumerate(runs)]
    page = render(_TEMPLATE, title=title or " · ".join(folder.name for folder in runs), runs=sections)
    _write(out, page)
    return out


def render(template: str, **content: Any) -> str:
    """A page of one of the templates here, with the palette of all."""
    return _template(template).render(palette=PALETTE, **content)


def _template(name: str) -> Template:
    environment = Environment(
        loader=PackageLoader("genoseq.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)


def _section(run: RunFolder, unique: str) -> dict[str, Any]:
    """What the template shows of one run."""
    results = run.results
    plots = plots_of(run)
    _save_plots(run.path / "plots", [plot for group in plots.values() for plot in group])
    split = results.split if results else "evaluated"
    return {
        "id": unique,
        "name": run.name,
        "headline": headline(results) if results else "",
        "detail": detail(results) if results and results.model else "",
        "value": _value(results) if results else "",
        "standing": standing(results) if results else "",
        "tables": _tables(results) if results else [],
        "comparison": shown_figures(plots["comparison"], unique),
        "groups": [
            {"title": title.format(split=split), "figures": shown_figures(plots[name], unique)}
            for name, title in _SECTION_TITLES.items()
            if plots[name]
        ],
        "generated": [sequence[:_SHOWN_BASES] for sequence in run.generated[:_SHOWN_SEQUENCES]],
        "num_generated": len(run.generated),
        "settings": facts.settings(run),
        "performance": facts.performance(run),
        "environment": facts.environment(run),
        "config": facts.config_text(run),
    }


def _value(results: Results) -> str:
    model = results.model
    if model is None or results.metric not in model.metrics:
        return ""
    return f"{number(model.metrics[results.metric])} {metric_label(results.metric)}"


def shown_figures(plots: list[Plot], unique: str) -> list[dict[str, Any]]:
    """Plots as the templates show them; `unique` tells those of a page apart."""
    return [
        {
            "title": plot.title,
            "caption": plot.caption,
            "wide": plot.wide,
            # The SVG is matplotlib's own, its labels escaped by it.
            "svg": Markup(plot.themed_svg(f"{unique}-{plot.name}")),
        }
        for plot in plots
    ]


def _tables(results: Results) -> list[Table]:
    tables = [_table(results, results.rows, "")]
    if results.leak_free_rows:
        caption = f"Only the {results.split} examples that share no k-mer with the training data"
        tables.append(_table(results, results.leak_free_rows, caption))
    if results.by_length:
        tables.append(_length_table(results))
    if results.by_unit:
        tables.append(_unit_table(results))
    return tables


def _table(results: Results, rows: tuple[Row, ...], caption: str) -> Table:
    """The model first, then its baselines from best to worst; the main metric in the first column."""
    names = dict.fromkeys([results.metric, *(name for row in rows for name in row.metrics)])
    sign = -1 if results.higher_is_better else 1
    ordered = sorted(
        rows, key=lambda row: (row.kind != "model", sign * row.metrics.get(results.metric, float("inf")))
    )
    shown = []
    for row in ordered:
        outcome = verdict(row, higher_is_better=results.higher_is_better)
        shown.append(
            {
                "name": row.name,
                "is_model": row.kind == "model",
                "cells": [number(row.metrics[name]) if name in row.metrics else "–" for name in names],
                "comparison": interval(row.versus_model) if row.versus_model else "",
                "units": units(row.versus_model) if row.versus_model else "",
                "verdict": outcome,
                "verdict_words": _VERDICTS[outcome] if outcome else "",
            }
        )
    return Table(caption, "Method", [metric_label(name) for name in names], shown)


def _length_table(results: Results) -> Table:
    """The model's metrics at each length."""
    names = list(results.by_length[0].metrics)
    rows = [
        {
            "name": f"{row.length:,}",
            "is_model": False,
            "cells": [number(row.metrics[name]) for name in names],
            "comparison": "",
        }
        for row in results.by_length
    ]
    caption = f"{results.by_length[0].accuracy.n:,} examples of each length"
    return Table(caption, "Bases", [metric_label(name) for name in names], rows)


def _unit_table(results: Results) -> Table:
    """How well windows, recordings and subjects are told apart."""
    names = list(results.by_unit[0].estimates)
    rows = [
        {
            "name": f"{row.n:,} {row.unit}{'' if row.n == 1 else 's'}",
            "is_model": False,
            "cells": [
                cell
                for name in names
                for cell in (interval(row.estimates[name], signed=False), number(row.p_values[name]))
            ],
            "comparison": "",
        }
        for row in results.by_unit
    ]
    caption = f"By unit: 95 % intervals and p-values over {units(results.by_unit[0].estimates[names[0]])}"
    heads = [head for name in names for head in (metric_label(name), "p")]
    return Table(caption, "Told apart", heads, rows)


def _save_plots(folder: Path, plots: list[Plot]) -> None:
    try:
        folder.mkdir(exist_ok=True)
        for plot in plots:
            plot.save_png(folder)
    except OSError as error:
        raise DataError(
            f"report: plots cannot be written to {folder}: {error}. Free space or change its permissions."
        ) from error


def _write(path: Path, page: str) -> None:
    """Beside first, then renamed: a report is whole or not there."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_text(page, encoding="utf-8")
        os.replace(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise DataError(
            f"report: {path} cannot be written: {error}. Give another out=, or free space."
        ) from error
