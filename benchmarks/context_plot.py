"""Draw bits per base against the context that a model sees, beside the counters.

    genoseq evaluate checkpoint=runs/1k data=celegans data.stride=512 baselines=genome out=1024.json
    genoseq evaluate checkpoint=runs/2k data=celegans data.length=2048 data.stride=1024 out=2048.json
    python benchmarks/context_plot.py FOLDER 1024.json 2048.json ...

Files are named after the context in tokens; counters are drawn from whichever file has them. The plot is
FOLDER/context.png.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib

from genoseq.report.style import MATPLOTLIB, MODEL, Plot, new_axes, series_of


@matplotlib.rc_context(MATPLOTLIB)
def draw(bits: dict[int, float], counters: dict[str, float], split: str) -> Plot:
    figure, axes = new_axes((7.0, 4.0))
    style: dict[str, Any] = {"color": MODEL.colour, "linestyle": MODEL.line, "marker": MODEL.marker}
    axes.plot(list(bits), list(bits.values()), label="HyenaDNA, trained at this context", **style)
    styles = series_of(list(counters))
    for name, value in counters.items():
        series = styles[name]
        axes.axhline(value, color=series.colour, linestyle=series.line, label=name)
    axes.set_xscale("log", base=2)
    axes.set_xticks(list(bits), [f"{context // 1024}k" for context in bits])
    axes.set_xlabel("context (tokens)")
    axes.set_ylabel(f"bits per base on the {split} block")
    figure.legend(loc="outside upper center", ncols=2)
    return Plot("context", "Bits per base against context", "", figure)


def main(out: str, *files: str) -> None:
    results = {int(Path(file).stem): json.loads(Path(file).read_text()) for file in files}
    rows = {context: result["rows"] for context, result in results.items()}
    (split,) = {result["split"] for result in results.values()}
    bits = {context: rows[context][0]["metrics"]["bits_per_base"] for context in sorted(rows)}
    baselines = [row for table in rows.values() for row in table[1:]]
    counters = {row["name"]: row["metrics"]["bits_per_base"] for row in baselines}
    draw(bits, counters, split).save_png(Path(out))
    for context, value in bits.items():
        print(f"{context:>7,} tokens  {value:.4f} bits per base")


if __name__ == "__main__":
    main(*sys.argv[1:])
