"""The report of a benchmark: Markdown, HTML that opens offline, and a plot a task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from markupsafe import Markup

from genoseq.benchmark.facts import TaskFacts
from genoseq.benchmark.published import published_for
from genoseq.benchmark.resampling import LOWER_IS_BETTER
from genoseq.benchmark.suites import Task
from genoseq.benchmark.summary import Measured, words
from genoseq.inference.outputs import atomic_file
from genoseq.report.html import render as render_page
from genoseq.report.style import INK, MATPLOTLIB, MODEL, MUTED, ORANGE, Plot, new_axes
from genoseq.report.words import PROBLEMS, metric_label

_TEMPLATE = "benchmark.html.j2"
_COLUMNS = (
    "",
    "seeds",
    "mean ± deviation",
    "95 % interval",
    "without leaks",
    "minus {reference}",
    "without leaks, minus {reference}",
)


def write_reports(
    out: Path,
    measured: Sequence[Measured],
    tasks: Sequence[Task],
    facts: Mapping[str, TaskFacts],
    *,
    suite: str,
    reference: str | None,
    settings: Mapping[str, Any],
) -> Path:
    """Write `table.md`, `report.html` and `plots/*.png` into a folder.

    Args:
        out: of the benchmark.
        measured: as of `summarise`.
        tasks, facts: of the suite.
        suite: its name.
        reference: what the contenders are held against.
        settings: what else a reader has to know, shown as it is.

    Returns:
        The path of the HTML.
    """
    sections = [
        _section(task, facts[task.name], [one for one in measured if one.task == task.name], suite, reference)
        for task in tasks
    ]
    overview = _overview(measured, [task.name for task in tasks])
    with atomic_file(out / "table.md") as path:
        path.write_text(_markdown(suite, overview, sections, settings), encoding="utf-8")
    (out / "plots").mkdir(exist_ok=True)
    for place, section in enumerate(sections):
        plot = section["plot"]
        if plot is not None:
            plot.save_png(out / "plots")
            section["svg"] = Markup(plot.themed_svg(f"task{place}"))
    page = render_page(
        _TEMPLATE,
        title=f"Benchmark: {suite}",
        overview=overview,
        sections=sections,
        settings=settings,
    )
    with atomic_file(out / "report.html") as path:
        path.write_text(page, encoding="utf-8")
    return out / "report.html"


def _overview(measured: Sequence[Measured], tasks: Sequence[str]) -> dict[str, Any]:
    """A row a contender, a column a task, once on all rows and once without leaks."""
    names = list(dict.fromkeys(one.contender for one in measured))
    of = {(one.task, one.contender): one for one in measured}
    shown = [task for task in tasks if any(one.task == task for one in measured)]
    metrics = {one.task: one.metric for one in measured}
    tables = []
    for rows, caption in (("all", "All test rows"), ("leak_free", "Rows that share nothing with train")):
        best = {task: _best([one for one in measured if one.task == task], rows) for task in shown}
        lines = []
        for name in names:
            cells = []
            for task in shown:
                one = of.get((task, name))
                estimate = one.estimates[rows] if one else None
                text = "–" if estimate is None or not np.isfinite(estimate.mean) else f"{estimate.mean:.3f}"
                cells.append({"text": text, "best": best[task] == name})
            lines.append({"name": name, "cells": cells})
        tables.append({"caption": caption, "lines": lines})
    return {"tasks": [f"{task} ({metric_label(metrics[task])})" for task in shown], "tables": tables}


def _best(measured: Sequence[Measured], rows: str) -> str | None:
    known = {one.contender: e.mean for one in measured if (e := one.estimates[rows]) and np.isfinite(e.mean)}
    if not known:
        return None
    choose = min if measured[0].metric in LOWER_IS_BETTER else max
    return choose(known, key=lambda name: known[name])


def _section(
    task: Task, fact: TaskFacts, measured: Sequence[Measured], suite: str, reference: str | None
) -> dict[str, Any]:
    lower = fact.metric in LOWER_IS_BETTER
    ordered = sorted(
        measured, key=lambda one: (one.estimates["all"].mean if one.estimates["all"] else 0) * (lower or -1)
    )
    under = task.published or (suite, task.name)
    return {
        "name": task.name,
        "metric": metric_label(fact.metric),
        "columns": [text.format(reference=reference or "reference") for text in _COLUMNS],
        "rows": [_row(one) for one in ordered],
        "published": [
            {
                "name": row.model,
                "metric": row.metric,
                "value": f"{row.value:.3f}",
                "source": f"{row.source}; {row.task}",
            }
            for row in published_for(*under).itertuples()
        ],
        "facts": _facts(fact),
        "plot": _plot(task.name, fact.metric, ordered) if ordered else None,
        "svg": "",
    }


def _row(one: Measured) -> dict[str, Any]:
    whole = one.estimates["all"]
    mean = "–" if whole is None else f"{whole.mean:.3f}"
    versus = one.versus or {}
    interval = words(whole).partition(" ")[2] or "–"
    return {
        "name": one.contender,
        "is_model": one.kind == "model",
        "cells": [
            "–" if one.seeds is None else str(len(one.seeds)),
            mean if np.isnan(one.deviation) else f"{mean} ± {one.deviation:.3f}",
            interval,
            words(one.estimates["leak_free"]),
            words(versus.get("all"), signed=True),
            words(versus.get("leak_free"), signed=True),
        ],
    }


def _facts(fact: TaskFacts) -> list[tuple[str, str]]:
    test = fact.leaks["test"]
    classes = "" if fact.classes is None else f"{len(fact.classes)} outputs, "
    return [
        ("rows", ", ".join(f"{part} {count:,}" for part, count in fact.rows.items())),
        ("kind", f"{PROBLEMS[fact.problem]}, {classes}{fact.strand}, at most {fact.longest:,} bases"),
        ("split", "; ".join(f"{part}: {origin}" for part, origin in fact.split.items())),
        (
            "test rows in train or validation",
            f"{test['exact']:,} letter by letter, {test['reverse_complement']:,} as the other strand, "
            f"{test['kmer']:,} of {test['rows']:,} share {test['k']} bases; {test['repeated']:,} repeat "
            "within test",
        ),
        ("SHA-256", ", ".join(f"{part} {digest[:16]}…" for part, digest in fact.files["tables"].items())),
    ]


@matplotlib.rc_context(MATPLOTLIB)
def _plot(name: str, metric: str, measured: Sequence[Measured]) -> Plot:
    """A line a contender: mean, its interval, and each seed."""
    figure, axes = new_axes((7.0, 0.9 + 0.36 * len(measured)))
    for place, one in enumerate(measured):
        colour = MODEL.colour if one.kind == "model" else ORANGE.light
        for shift, rows, alpha in ((-0.12, "all", 1.0), (0.18, "leak_free", 0.45)):
            estimate = one.estimates[rows]
            if estimate is None or not np.isfinite(estimate.mean):
                continue
            line = [place + shift] * 2
            axes.plot([estimate.low, estimate.high], line, color=colour, linewidth=2.5, alpha=alpha)
            axes.plot(estimate.mean, place + shift, "o", color=colour, markersize=6, alpha=alpha)
        axes.plot(one.values, [place - 0.12] * len(one.values), "|", color=INK.light, markersize=7)
    axes.set_yticks(range(len(measured)), [one.contender for one in measured], color=INK.light)
    axes.set_ylim(len(measured) - 0.5, -0.6)
    axes.tick_params(axis="y", colors=MUTED.light)
    axes.set_xlabel(metric_label(metric))
    caption = (
        "Dot and bar: mean and 95 % interval over seeds and examples; ticks: seeds. Pale: without leaks."
    )
    return Plot(
        "".join(c if c.isalnum() or c in "._-" else "_" for c in name), name, caption, figure, wide=True
    )


def _markdown(
    suite: str,
    overview: Mapping[str, Any],
    sections: Sequence[Mapping[str, Any]],
    settings: Mapping[str, Any],
) -> str:
    lines = [f"# Benchmark: {suite}", ""]
    for table in overview["tables"]:
        rows = [
            [line["name"], *(f"**{c['text']}**" if c["best"] else c["text"] for c in line["cells"])]
            for line in table["lines"]
        ]
        lines += [table["caption"] + ":", "", *_table(["", *overview["tasks"]], rows), ""]
    for section in sections:
        rows = [[row["name"], *row["cells"]] for row in section["rows"]]
        lines += [f"## {section['name']}: {section['metric']}", ""]
        lines += [*_table(section["columns"], rows), ""] if rows else ["Nothing is finished yet.", ""]
        if section["published"]:
            shown = [
                [row["name"], row["metric"], row["value"], row["source"]] for row in section["published"]
            ]
            lines += ["Published:", "", *_table(["", "metric", "value", "source"], shown), ""]
        lines += [f"- {label}: {value}" for label, value in section["facts"]] + [""]
    lines += ["## Settings", "", *(f"- {label}: `{value}`" for label, value in settings.items())]
    return "\n".join(lines) + "\n"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    return [line(head), line(["---"] * len(head)), *map(line, rows)]
