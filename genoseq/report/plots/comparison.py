"""The model against each baseline: paired differences with their intervals."""

from __future__ import annotations

from typing import Any

import numpy as np

from genoseq.report.folder import Results
from genoseq.report.style import INK, MODEL, MUTED, NARROW, ORANGE, PAPER, Plot, new_axes
from genoseq.report.words import Verdict, metric_label, verdict

_COLOURS: dict[Verdict, str] = {"better": MODEL.colour, "worse": ORANGE.light, "open": MUTED.light}


def difference_plot(results: Results) -> Plot | None:
    """One line a baseline: model minus baseline with its 95 % interval; None where nothing was compared."""
    rows = [row for row in results.baselines if row.versus_model is not None]
    if not rows:
        return None
    figure, axes = new_axes((NARROW[0], 1.3 + 0.62 * len(rows)))
    paper = {"facecolor": PAPER.light, "edgecolor": "none", "pad": 1.5}
    for place, row in enumerate(rows):
        estimate, outcome = row.versus_model, verdict(row, higher_is_better=results.higher_is_better)
        assert estimate is not None
        colour = _COLOURS[outcome or "open"]
        axes.plot([estimate.low, estimate.high], [place, place], color=colour, linewidth=2.5)
        axes.plot(estimate.mean, place, "o", color=colour, markersize=7)
        axes.text(
            0.01, place - 0.3, row.name, transform=axes.get_yaxis_transform(), color=INK.light, bbox=paper
        )
    axes.axvline(0, color=INK.light, linewidth=1)
    ends = [end for row in rows if (it := row.versus_model) for end in (it.low, it.mean, it.high)]
    reach = 1.15 * float(np.nanmax(np.abs(ends))) or 1.0
    axes.set(xlim=(-reach, reach), ylim=(len(rows) - 0.55, -0.75), yticks=[])
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(f"model − baseline, {metric_label(results.metric)}")
    left, right = ("baseline", "model") if results.higher_is_better else ("model", "baseline")
    above: dict[str, Any] = {"transform": axes.transAxes, "va": "bottom", "color": MUTED.light}
    axes.text(0, 1.02, f"← {left} better", ha="left", **above)
    axes.text(1, 1.02, f"{right} better →", ha="right", **above)
    caption = "Dot: mean paired difference; bar: its 95 % interval. A bar that crosses zero decides nothing."
    return Plot("comparison", "The model against its baselines", caption, figure)
