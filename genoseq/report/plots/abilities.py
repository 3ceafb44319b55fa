"""How many answers are right in ever longer sequences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from genoseq.data.abilities import CHANCE
from genoseq.report.folder import AtLength
from genoseq.report.style import MODEL, MUTED, WIDE, Plot, new_axes, series_of


def accuracy_by_length(models: Mapping[str, Sequence[AtLength]], *, trained_at: int | None) -> Plot:
    """One line a model, with chance and the training length marked.

    Args:
        models: name to the model's answers, by length.
        trained_at: bases of a training sequence; None where it is not known.
    """
    figure, axes = new_axes(WIDE)
    first, *others = models
    for name, series in {first: MODEL, **series_of(others)}.items():
        rows = models[name]
        lengths = [row.length for row in rows]
        axes.plot(
            lengths,
            [row.accuracy.mean for row in rows],
            color=series.colour,
            linestyle=series.line,
            marker=series.marker,
            label=name,
        )
        low, high = ([getattr(row.accuracy, end) for row in rows] for end in ("low", "high"))
        axes.fill_between(lengths, low, high, color=series.colour, alpha=0.15, linewidth=0)
    axes.axhline(CHANCE, color=MUTED.light, linestyle=(0, (2, 3)), linewidth=1, label="chance")
    if trained_at is not None:
        axes.axvline(trained_at, color=MUTED.light, linewidth=1, label="length trained at")
    shown = sorted({row.length for rows in models.values() for row in rows})
    axes.set_xscale("log", base=2)
    axes.set_xticks(shown, [f"{length:,}" for length in shown])
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("bases of the sequence")
    axes.set_ylabel("share of answer bases that are right")
    figure.legend(loc="outside upper left", ncols=4)
    caption = "Bands: 95 % intervals over examples. Beyond the length trained at, nothing was learned anew."
    return Plot("accuracy_by_length", "Answers against length", caption, figure, wide=True)
