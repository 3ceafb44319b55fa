"""One look for all plots: palette, type sizes, and how a figure becomes a PNG and a themed SVG.

Plots are drawn in the light palette. The PNG keeps it; in the SVG every palette colour is replaced by a CSS
variable of the page, so that one drawing serves the light page, the dark page and paper. The series colours
follow Okabe and Ito (2008) and are told apart under the common colour blindnesses; line styles say it again.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

PNG_DPI = 200
NARROW = (5.4, 3.9)
"""Inches; half the width of the page."""
SQUARE = (5.4, 4.65)
"""Inches; half the width of the page, for axes of equal scale."""
WIDE = (10.9, 3.6)
"""Inches; the full width of the page."""


@dataclass(frozen=True)
class Colour:
    """A CSS variable of the page and its value in either theme; the light values are all different."""

    variable: str
    light: str
    dark: str


@dataclass(frozen=True)
class Series:
    """How one line of a plot is drawn."""

    colour: str
    line: str | tuple[int, tuple[int, ...]]
    marker: str


INK = Colour("--plot-ink", "#1b2430", "#e6ebf1")
MUTED = Colour("--plot-muted", "#5c6774", "#9aa7b5")
GRID = Colour("--plot-grid", "#e1e6ec", "#2b3541")
PAPER = Colour("--plot-paper", "#fefefe", "#161c24")
BLUE = Colour("--plot-blue", "#0072b2", "#4fb0ea")
ORANGE = Colour("--plot-orange", "#d98200", "#f2a93b")
GREEN = Colour("--plot-green", "#009e73", "#2fcb9f")
PURPLE = Colour("--plot-purple", "#bb6496", "#e09ac4")
RED = Colour("--plot-red", "#d55e00", "#ff8a3c")
SKY = Colour("--plot-sky", "#56b4e9", "#8fd0f5")
PALETTE = (INK, MUTED, GRID, PAPER, BLUE, ORANGE, GREEN, PURPLE, RED, SKY)

MODEL = Series(BLUE.light, "-", "o")
OTHERS = (
    Series(ORANGE.light, "--", "s"),
    Series(GREEN.light, "-.", "^"),
    Series(PURPLE.light, ":", "D"),
    Series(RED.light, (0, (6, 1, 1, 1, 1, 1)), "v"),
    Series(SKY.light, "--", "P"),
)

MATPLOTLIB: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.color": INK.light,
    "axes.labelsize": 9,
    "axes.labelcolor": INK.light,
    "axes.edgecolor": MUTED.light,
    "axes.linewidth": 0.8,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "grid.color": GRID.light,
    "grid.linewidth": 0.8,
    "xtick.color": MUTED.light,
    "ytick.color": MUTED.light,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.5,
    "lines.solid_capstyle": "round",
    "svg.fonttype": "none",
    # Class and baseline names are text, also where they hold a dollar sign.
    "text.parse_math": False,
}
"""Settings that all drawing happens under: `with matplotlib.rc_context(MATPLOTLIB)`."""


@dataclass(frozen=True)
class Plot:
    """A drawn figure and the words that go with it.

    Attributes:
        name: file name of the PNG, without its ending.
        title: what is shown, in a few words.
        caption: how to read it, for someone who is new to it.
        wide: takes the full width of the page.
    """

    name: str
    title: str
    caption: str
    figure: Figure
    wide: bool = False

    def save_png(self, folder: Path) -> Path:
        """Write `folder/name.png` on white paper."""
        path = folder / f"{self.name}.png"
        with matplotlib.rc_context(MATPLOTLIB):
            FigureCanvasAgg(self.figure).print_figure(path, dpi=PNG_DPI, facecolor="white")
        return path

    def themed_svg(self, unique: str) -> str:
        """The figure as an SVG element that takes its colours from the page.

        Args:
            unique: differs from every other figure of the page; the ids inside the SVG come from it.
        """
        buffer = io.StringIO()
        with matplotlib.rc_context(MATPLOTLIB | {"svg.hashsalt": unique}):
            self.figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
        svg = buffer.getvalue()
        svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
        # The page decides the size; ids that nothing refers to (`axes_1`) would be the same in every figure.
        svg = re.sub(r"<svg[^>]*>", lambda tag: re.sub(r' (width|height)="[^"]*"', "", tag[0]), svg, count=1)
        used = set(re.findall(r"#([\w.-]+)", svg))
        svg = re.sub(r' id="([^"]*)"', lambda name: name[0] if name[1] in used else "", svg)
        for colour in PALETTE:
            svg = svg.replace(colour.light, f"var({colour.variable})")
        return svg


def new_axes(size: tuple[float, float] = NARROW) -> tuple[Figure, Axes]:
    """A figure of its own, outside pyplot's global state, with one set of axes."""
    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.add_subplot()


def series_of(names: list[str]) -> dict[str, Series]:
    """Line styles for the baselines, in a fixed order; more than there are styles start again."""
    return {name: OTHERS[index % len(OTHERS)] for index, name in enumerate(names)}
