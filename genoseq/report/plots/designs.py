"""Designed sequences beside those they began as and beside known ones."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from genoseq.report.style import GREEN, MODEL, MUTED, ORANGE, SQUARE, WIDE, Plot, new_axes
from genoseq.report.words import number

DESIGNED = "designed"
_COLOURS = (MODEL.colour, ORANGE.light, GREEN.light, MUTED.light)
_MARKERS = ("o", "s", "^", "D")
_MOST_MARKS = 2000
_BINS = (10, 60)
_LEGEND_ROOM = 1.25


def score_histogram(groups: Mapping[str, np.ndarray], name: str, what: str, caption: str) -> Plot:
    """How scores are spread in each group.

    Args:
        groups: scores by what the sequences are, the designs first.
        name: of the file.
        what: is scored.
        caption: how to read it.
    """
    finite = {label: values[np.isfinite(values)] for label, values in groups.items()}
    seen = np.concatenate(list(finite.values()))
    # As many bins as the smallest group can fill.
    bins = int(np.clip(2 * np.sqrt(min(map(len, finite.values()))), *_BINS))
    edges = np.linspace(seen.min(), seen.max() if seen.max() > seen.min() else seen.min() + 1, bins + 1)
    figure, axes = new_axes(WIDE)
    for place, (label, values) in enumerate(finite.items()):
        colour = _COLOURS[place % len(_COLOURS)]
        share = 100 * np.histogram(values, edges)[0] / max(len(values), 1)
        text = f"{label}: median {number(float(np.median(values)))}, {len(values):,} sequences"
        axes.stairs(share, edges, color=colour, linewidth=2 if label == DESIGNED else 1.3, label=text)
    axes.set(xlabel=what, ylabel="share of sequences (%)")
    axes.legend(loc="best")
    return Plot(name, f"Scores: {what}", caption, figure, wide=True)


def judge_scatter(groups: Mapping[str, pd.DataFrame], what: str, judge: str) -> Plot:
    """Score against that of the judge, a mark a sequence, at most 2,000 of each group."""
    figure, axes = new_axes(SQUARE)
    for place, (label, table) in reversed(list(enumerate(groups.items()))):
        colour, marker = _COLOURS[place % len(_COLOURS)], _MARKERS[place % len(_MARKERS)]
        part = table.head(_MOST_MARKS)
        axes.scatter(
            part["score"],
            part["judge_score"],
            s=9,
            alpha=0.5,
            linewidths=0,
            color=colour,
            marker=marker,
            label=label,
        )
    axes.set(xlabel=f"designed for: {what}", ylabel=f"judge: {judge}")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, reverse=True, markerscale=2)
    caption = (
        "What was raised, and what a scorer says that the design never saw. Designs that rise in the first "
        "alone have learnt its faults."
    )
    return Plot("judge", "An independent judge", caption, figure)


def rounds_plot(rounds: pd.DataFrame, what: str) -> Plot:
    """The best score of each design so far, by round: median and 5 to 95 %."""
    figure, axes = new_axes(SQUARE)
    axes.fill_between(
        rounds["round"], rounds["low"], rounds["high"], color=MODEL.colour, alpha=0.2, linewidth=0
    )
    axes.plot(rounds["round"], rounds["median"], color=MODEL.colour)
    axes.set(xlabel="round", ylabel=what)
    return Plot("rounds", "Progress", "The median of all designs; the band holds 90 % of them.", figure)


def identity_histogram(novelty: np.ndarray | None, diversity: np.ndarray | None) -> Plot:
    """Identities of each design to its nearest known sequence, and of pairs of designs."""
    figure, axes = new_axes(SQUARE)
    edges = np.linspace(0, 100, 51)
    for values, colour, label in (
        (novelty, MODEL.colour, "to the nearest known sequence"),
        (diversity, ORANGE.light, "of two designs"),
    ):
        if values is not None:
            share = 100 * np.histogram(100 * values, edges)[0] / len(values)
            axes.stairs(
                share, edges, color=colour, linewidth=2, label=f"{label}: median {np.median(values):.1%}"
            )
    axes.set(xlabel="identity (%)", ylabel="share (%)", xlim=(0, 100), ylim=(0, None))
    axes.set_ylim(top=axes.get_ylim()[1] * _LEGEND_ROOM)
    axes.legend(loc="upper left")
    caption = "Unrelated sequences of a few hundred bases are about half identical when aligned."
    return Plot("identity", "Novelty and diversity", caption, figure)
