"""How well each base is predicted along the evaluated block."""

from __future__ import annotations

import numpy as np
import pandas as pd

from genoseq.report.style import MODEL, WIDE, Plot, new_axes, series_of

_BIN_WIDTHS = (1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000, 2_000_000)
_MAX_BINS = 120
_MAX_CHROMOSOMES = 4


def bits_along(model: pd.DataFrame, baselines: dict[str, pd.DataFrame], model_name: str) -> list[Plot]:
    """One plot a chromosome, the longest first: bits per base in bins, for the model and each baseline.

    Args:
        model: one row a scored tile: `chromosome, start, end, num_bases, bits`.
        baselines: name to the same table.
        model_name: what the legend calls the model.
    """
    scored = model.groupby("chromosome")["num_bases"].sum().sort_values(ascending=False)
    return [
        _along_chromosome(str(chromosome), model, baselines, model_name)
        for chromosome in scored.index[:_MAX_CHROMOSOMES]
    ]


def _along_chromosome(
    chromosome: str, model: pd.DataFrame, baselines: dict[str, pd.DataFrame], name: str
) -> Plot:
    own = model[model["chromosome"].astype(str) == chromosome]
    width = _bin_width(own)
    figure, axes = new_axes(WIDE)
    positions, bits = _binned(own, width)
    axes.plot(positions, bits, color=MODEL.colour, linewidth=2.2, zorder=3, label=name)
    for (label, table), style in zip(baselines.items(), series_of(list(baselines)).values(), strict=True):
        positions, bits = _binned(table[table["chromosome"].astype(str) == chromosome], width)
        axes.plot(positions, bits, color=style.colour, linestyle=style.line, linewidth=1.3, label=label)
    axes.set_xlabel(f"position on {chromosome} (Mb)")
    axes.set_ylabel("bits per base")
    axes.margins(x=0.01)
    figure.legend(loc="outside upper left", ncols=2 if len(baselines) > 3 else 4)
    caption = (
        f"Mean over bins of {width / 1000:g} kb; lower is better. "
        "Dips are stretches that are easy to predict, such as repeats."
    )
    safe = "".join(letter if letter.isalnum() else "_" for letter in chromosome)
    return Plot(f"bits_along_{safe}", f"Bits per base along {chromosome}", caption, figure, wide=True)


def _bin_width(tiles: pd.DataFrame) -> int:
    """The finest round width that holds a tile and gives no more bins than can be seen."""
    span = int(tiles["end"].max() - tiles["start"].min())
    longest = int((tiles["end"] - tiles["start"]).max())
    fitting = (width for width in _BIN_WIDTHS if width >= longest and span / width <= _MAX_BINS)
    return next(fitting, max(longest, span // _MAX_BINS))


def _binned(tiles: pd.DataFrame, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Bin centres in Mb and bits per base; a stretch without a scored bin breaks the line."""
    bins = ((tiles["start"] + tiles["end"]) // 2) // width
    sums = tiles.groupby(bins)[["bits", "num_bases"]].sum()
    sums = sums[sums["num_bases"] > 0]
    if sums.empty:
        return np.empty(0), np.empty(0)
    sums = sums.reindex(range(int(sums.index.min()), int(sums.index.max()) + 1))
    return (sums.index.to_numpy() + 0.5) * width / 1e6, (sums["bits"] / sums["num_bases"]).to_numpy()
