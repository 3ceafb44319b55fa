"""Draw bits per base against the context that a model sees, beside the counters, a panel a genome.

    genoseq evaluate checkpoint=RUN data.length=1024 data.stride=512 baselines=in_view out=FOLDER/1024.json
    genoseq evaluate checkpoint=RUN data.length=8192 data.stride=4096 baselines=in_view out=FOLDER/8192.json
    python benchmarks/context_plot.py OUT.png "C. elegans=FOLDER" ...

Files are named after the context in tokens. Counters whose bits depend on it, those of `baselines=in_view`,
are curves; the others, alike in all files, are lines. Printed are the bits, and the model's minus each
counter's with the interval of the pairs.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from genoseq.cli.tables import interval_text
from genoseq.report.style import MATPLOTLIB, MODEL, Plot, Series, series_of

Results = Mapping[int, dict[str, Any]]
"""Content of `results.json` by context."""


def read(folder: Path) -> Results:
    """The results of a folder, in the order of their contexts."""
    found = {int(file.stem): json.loads(file.read_text()) for file in folder.glob("*.json")}
    return dict(sorted(found.items()))


def bits(results: Results) -> dict[str, dict[int, float]]:
    """Bits per base of the model, which is first, and of each counter, by context."""
    curves: dict[str, dict[int, float]] = {}
    for context, result in results.items():
        for row in result["rows"]:
            curves.setdefault(row["name"], {})[context] = row["metrics"]["bits_per_base"]
    return curves


def draw_panel(axes: Axes, title: str, results: Results, styles: Mapping[str, Series]) -> None:
    for name, curve in bits(results).items():
        style: dict[str, Any] = {"color": styles[name].colour, "ls": styles[name].line, "label": name}
        values = list(curve.values())
        if styles[name] is MODEL or max(values) - min(values) > 1e-4:
            axes.plot(list(curve), values, marker=styles[name].marker, **style)
        else:
            axes.axhline(values[0], **style)
    axes.set_xscale("log", base=2)
    axes.set_xticks(list(results), [f"{context // 1024}k" for context in results])
    axes.set_xlabel("context (tokens)")
    axes.set_title(title, loc="left")


@matplotlib.rc_context(MATPLOTLIB)
def draw(panels: Mapping[str, Results], name: str) -> Plot:
    figure = Figure(figsize=(0.5 + 4.2 * len(panels), 4.2), layout="constrained")
    grid = figure.subplots(1, len(panels), squeeze=False)[0]
    names = list(dict.fromkeys(name for results in panels.values() for name in bits(results)))
    styles = {names[0]: MODEL, **series_of(names[1:])}
    for axes, (title, results) in zip(grid, panels.items(), strict=True):
        draw_panel(axes, title, results, styles)
    (split,) = {result["split"] for results in panels.values() for result in results.values()}
    grid[0].set_ylabel(f"bits per base on the {split} block")
    handles = {text: handle for handle, text in zip(*grid[0].get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles, loc="outside upper center", ncols=min(len(handles), 3))
    return Plot(name, "Bits per base against context", "", figure)


def main(out: str, *folders: str) -> None:
    panels = {title: read(Path(folder)) for title, folder in (text.split("=", 1) for text in folders)}
    draw(panels, Path(out).stem).save_png(Path(out).parent)
    for title, results in panels.items():
        print(title)
        for context, result in results.items():
            model, *counters = result["rows"]
            print(f"{context:>9,} tokens  {model['metrics']['bits_per_base']:.4f} {model['name']}")
            for row in counters:
                print(
                    f"{'':18}{row['metrics']['bits_per_base']:.4f} {row['name']}; model minus this "
                    f"{interval_text(row['versus_model'])}"
                )


if __name__ == "__main__":
    main(*sys.argv[1:])
