"""Logos, heat maps and genes are drawn where the numbers say."""

from __future__ import annotations

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from genoseq.data import GeneModel
from genoseq.report.plots.attribution import LONGEST_LOGO, attribution_plot, heat_of, importance_of
from genoseq.report.style import MATPLOTLIB, Plot
from genoseq.sequence import Interval

GENES = [
    GeneModel("ONE", "+", ((90, 104), (110, 130)), ((95, 104),)),
    GeneModel("TWO", "-", ((100, 105),), ()),
    GeneModel("THREE", "-", ((140, 150),), ()),
]


def changes() -> pd.DataFrame:
    rows = [(0, "C", 1.0), (0, "G", 2.0), (0, "T", 3.0), (2, "A", -3.0)]
    return pd.DataFrame(rows, columns=["position", "alternate", "llr"])


def test_heat_and_importance() -> None:
    heat = heat_of(changes(), "llr", 3)
    assert heat.shape == (4, 3)
    assert heat[[1, 2, 3, 0], [0, 0, 0, 2]].tolist() == [1, 2, 3, -3]
    assert np.isnan(heat).sum() == 8
    assert importance_of(heat, "llr").tolist() == [-2, 0, 3]
    assert importance_of(heat, "distance").tolist() == [2, 0, -3]


def drawn(letters: str, **options: object) -> Plot:
    with matplotlib.rc_context(MATPLOTLIB):
        return attribution_plot("x", "title", letters, np.arange(len(letters)) - 3.0, label="llr", **options)  # type: ignore[arg-type]


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_genes_are_under_the_track_in_rows_of_their_own() -> None:
    heat = np.zeros((4, 60))
    plot = drawn("ACGT" * 15, heat=heat, heat_label="llr", interval=Interval("9", 90, 150), genes=GENES)
    assert texts(plot.figure) == ["ONE >", "THREE <", "TWO <"]
    logo, heat_axes, genes = plot.figure.axes[:3]
    assert logo.get_xlim() == (89.5, 149.5)
    assert heat_axes.images[0].get_extent()[:2] == [89.5, 149.5]
    assert [line.get_xdata().tolist() for line in genes.lines] == [
        [89.5, 129.5],
        [139.5, 149.5],
        [99.5, 104.5],
    ]


@pytest.mark.parametrize("strand", ["+", "-"])
def test_the_minus_strand_is_drawn_along_the_genome(strand: str) -> None:
    interval = Interval("9", 90, 96, strand)  # type: ignore[arg-type]
    plot = drawn("AACGTT", interval=interval)
    heights = [patch.get_path().get_extents() for patch in plot.figure.axes[0].patches]
    low = min(heights, key=lambda box: box.y0)
    assert round((low.x0 + low.x1) / 2) == (90 if strand == "+" else 95)


def test_long_sequences_are_tracks(tmp_path) -> None:  # type: ignore[no-untyped-def]
    plot = drawn("A" * (LONGEST_LOGO + 1))
    assert not plot.figure.axes[0].patches
    assert plot.save_png(tmp_path).stat().st_size > 1000
