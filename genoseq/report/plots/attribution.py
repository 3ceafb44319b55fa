"""What single bases matter: logos, heat maps, and tracks over an interval with its genes."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from genoseq.data.gene_models import GeneModel
from genoseq.errors import ConfigError
from genoseq.report.style import BLUE, GREEN, GRID, MUTED, ORANGE, PURPLE, WIDE, Plot
from genoseq.sequence import Interval

LONGEST_LOGO = 200
"""Bases; letters of a longer sequence are too narrow to be read, and it is drawn as a track."""
_BASES = list("ACGT")
# Letters as genome browsers and logos have them, in the colours of the house.
_LETTERS = {"A": GREEN.light, "C": BLUE.light, "G": ORANGE.light, "T": PURPLE.light}
_ROW_HEIGHT = 0.28
_GENE_ROWS = 6


def heat_of(table: pd.DataFrame, column: str, width: int) -> np.ndarray:
    """Scores of `saturation_mutagenesis` as (4, width) float64, rows A, C, G, T; NaN where there is none.

    Args:
        table: of one region.
        column: the score.
        width: bases of the region.
    """
    heat = np.full((len(_BASES), width), np.nan)
    rows = table["alternate"].map(_BASES.index).to_numpy()
    heat[rows, table["position"].to_numpy()] = table[column].to_numpy()
    return heat


def importance_of(heat: np.ndarray, column: str) -> np.ndarray:
    """How much each base matters, (width,): what changing it costs in the mean, or of distances moves.

    Args:
        heat: (4, width).
        column: the score; a distance has no sign to turn.
    """
    with warnings.catch_warnings():
        # An N has no score at all.
        warnings.simplefilter("ignore", RuntimeWarning)
        mean = np.nanmean(heat, axis=0)
    return np.nan_to_num(mean if column == "distance" else -mean)


def attribution_plot(
    name: str,
    title: str,
    letters: str,
    importance: np.ndarray,
    *,
    label: str,
    heat: np.ndarray | None = None,
    heat_label: str = "",
    interval: Interval | None = None,
    genes: Sequence[GeneModel] = (),
) -> Plot:
    """A logo or track, and under it a heat map of all changes and the genes, where there are any.

    Args:
        name: of the file.
        title: what it is of.
        letters: of the region, on its strand.
        importance: (L,) heights.
        label: what they are.
        heat: (4, L) a number a change; None for none.
        heat_label: what those are.
        interval: where the region is: it is drawn in the direction of the genome's coordinates.
        genes: that lie there.

    Raises:
        ConfigError: logomaker, which draws logos, is not installed.
    """
    if interval is not None and interval.strand == "-":
        # The letters stay those of the strand: they are read from right to left.
        letters, importance = letters[::-1], importance[::-1]
        heat = None if heat is None else heat[:, ::-1]
    rows = _rows_of(genes)
    heights = [
        2.0,
        *([4 * _ROW_HEIGHT] if heat is not None else []),
        *([_ROW_HEIGHT * len(rows)] if rows else []),
    ]
    figure = Figure(figsize=(WIDE[0], sum(heights) + 1.2), layout="constrained")
    panels = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    start = 0 if interval is None else interval.start
    _draw_importance(panels[0], letters, importance, start, label)
    if heat is not None:
        _draw_heat(figure, panels[1], heat, start, heat_label)
    if rows:
        _draw_genes(panels[-1], rows, start, start + len(letters))
    panels[0].set_title(title, loc="left", fontsize=9)
    panels[-1].set_xlim(start - 0.5, start + len(letters) - 0.5)
    where = "position (bases, from 0)" if interval is None else f"{interval.chromosome} (bases, from 0)"
    panels[-1].set_xlabel(f"{where}, - strand" if interval is not None and interval.strand == "-" else where)
    caption = "Tall letters are bases that the prediction depends on; those below the line speak against it."
    return Plot(name, title, caption, figure, wide=True)


def _draw_importance(axes: Axes, letters: str, importance: np.ndarray, start: int, label: str) -> None:
    places = np.arange(start, start + len(letters))
    if len(letters) <= LONGEST_LOGO:
        heights = pd.DataFrame(0.0, index=places, columns=_BASES)
        for place, letter, height in zip(places, letters, importance, strict=True):
            if letter in _BASES:
                heights.loc[place, letter] = height
        _logomaker().Logo(heights, ax=axes, color_scheme=_LETTERS, baseline_width=0, show_spines=None)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(False)
    else:
        axes.fill_between(places, importance, step="mid", color=BLUE.light, linewidth=0)
    axes.axhline(0, color=MUTED.light, linewidth=0.8)
    axes.set_ylabel(label)


def _logomaker():  # type: ignore[no-untyped-def]
    try:
        import logomaker
    except ImportError as error:
        raise ConfigError("logos are drawn with logomaker: pip install 'genoseq[attribution]'.") from error
    return logomaker


def _draw_heat(figure: Figure, axes: Axes, heat: np.ndarray, start: int, label: str) -> None:
    largest = float(np.nanmax(np.abs(heat), initial=0.0)) or 1.0
    signed = bool(np.nanmin(heat, initial=0.0) < 0)
    image = axes.imshow(
        heat,
        aspect="auto",
        interpolation="nearest",
        cmap="RdBu" if signed else "Blues",
        vmin=-largest if signed else 0.0,
        vmax=largest,
        extent=(start - 0.5, start + heat.shape[1] - 0.5, 3.5, -0.5),
    )
    axes.set_yticks(range(len(_BASES)), _BASES)
    axes.grid(False)
    axes.set_facecolor(GRID.light)
    figure.colorbar(image, ax=axes, label=label, aspect=8, pad=0.01)


def _rows_of(genes: Sequence[GeneModel]) -> list[list[GeneModel]]:
    """Transcripts in rows, none over another; what has no room in the last row is left out."""
    rows: list[list[GeneModel]] = []
    for gene in genes:
        free = next((row for row in rows if row[-1].end < gene.start), None)
        if free is not None:
            free.append(gene)
        elif len(rows) < _GENE_ROWS:
            rows.append([gene])
    return rows


def _draw_genes(axes: Axes, rows: Sequence[Sequence[GeneModel]], start: int, end: int) -> None:
    for number, row in enumerate(rows):
        for gene in row:
            low, high = max(gene.start, start), min(gene.end, end)
            axes.plot([low - 0.5, high - 0.5], [number, number], color=MUTED.light, linewidth=1)
            for parts, height in ((gene.exons, 0.3), (gene.coding, 0.6)):
                bars = [(first - 0.5, last - first) for first, last in parts]
                axes.broken_barh(bars, (number - height / 2, height), color=MUTED.light)
            arrow = {"+": " >", "-": " <"}.get(gene.strand, "")
            axes.text(low, number - 0.32, gene.name + arrow, fontsize=7, va="bottom", clip_on=True)
    axes.set_ylim(len(rows) - 0.4, -0.9)
    axes.set_yticks([])
    axes.grid(False)
    axes.spines["left"].set_visible(False)
