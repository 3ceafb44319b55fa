"""What generated sequence is made of, beside real sequence: k-mers and GC."""

from __future__ import annotations

import numpy as np
from matplotlib.ticker import LogLocator, NullFormatter
from scipy.spatial.distance import jensenshannon

from genoseq.report.style import GREEN, MODEL, MUTED, ORANGE, SQUARE, WIDE, Plot, new_axes
from genoseq.sequence import encode_bases

_LARGEST_K = 8
_SAMPLED_PLACES = 20
_GC_WINDOW = 100
_GC_BINS = np.linspace(0, 1, 51)
_N = 4


def kmer_counts(sequences: list[np.ndarray], k: int) -> np.ndarray:
    """(4**k,) int64 counts of the k-mers in alphabetical order, as read; those that hold an N are left out.

    Args:
        sequences: base codes, each (L,) uint8.
        k: length of the words.
    """
    total = np.zeros(4**k, dtype=np.int64)
    for codes in sequences:
        places = len(codes) - k + 1
        if places < 1:
            continue
        words = np.zeros(places, dtype=np.int32)
        known = np.ones(places, dtype=bool)
        for offset in range(k):
            letters = codes[offset : offset + places]
            words = words * 4 + letters
            known &= letters < _N
        total += np.bincount(words[known], minlength=4**k)
    return total


def gc_fractions(sequences: list[np.ndarray], window: int) -> np.ndarray:
    """GC share of each whole window, among its A, C, G and T; windows that are half N are left out."""
    fractions = [np.empty(0)]
    for codes in sequences:
        windows = codes[: len(codes) // window * window].reshape(-1, window)
        known = (windows < _N).sum(axis=1)
        counted = known * 2 > window
        fractions.append(((windows == 1) | (windows == 2)).sum(axis=1)[counted] / known[counted])
    return np.concatenate(fractions)


def composition_plots(generated: list[str], reference: list[str]) -> list[Plot]:
    """k-mer spectrum, distance by k, and GC of generated beside real sequence.

    Args:
        generated: sequences that a model made.
        reference: real sequence of the same kind.
    """
    ours, real = ([encode_bases(sequence) for sequence in side] for side in (generated, reference))
    plots = [
        _spectrum(ours, real, _readable_k(sum(map(len, ours)))),
        _distance_by_k(ours, real),
        _gc(ours, real),
    ]
    return [plot for plot in plots if plot is not None]


def _readable_k(num_bases: int) -> int:
    """The largest k, 2 to 6, whose k-mers are seen about ten times each."""
    return int(np.clip(np.log(max(num_bases, 1) / 10) / np.log(4), 2, 6))


def _spectrum(generated: list[np.ndarray], reference: list[np.ndarray], k: int) -> Plot | None:
    ours, real = kmer_counts(generated, k), kmer_counts(reference, k)
    if not ours.sum() or not real.sum():
        return None
    # Per thousand; half a count keeps what one side never shows on the logarithmic axes.
    ours_rate, real_rate = (1000 * np.maximum(counts, 0.5) / counts.sum() for counts in (ours, real))
    figure, axes = new_axes(SQUARE)
    gc = _gc_share(k)
    for chosen, colour, marker, label in (
        (gc < 0.34, ORANGE.light, "s", "mostly A and T"),
        ((gc >= 0.34) & (gc <= 0.66), MUTED.light, "o", "mixed"),
        (gc > 0.66, MODEL.colour, "^", "mostly G and C"),
    ):
        axes.scatter(
            real_rate[chosen],
            ours_rate[chosen],
            s=14,
            color=colour,
            marker=marker,
            alpha=0.65,
            linewidths=0,
            label=label,
        )
    ends = [min(ours_rate.min(), real_rate.min()) * 0.8, max(ours_rate.max(), real_rate.max()) * 1.25]
    axes.plot(ends, ends, color=MUTED.light, linestyle=(0, (2, 3)), linewidth=1)
    # Over three tenfolds and more, names of twos and fives would lie over each other.
    steps = (1,) if ends[1] > 1000 * ends[0] else (1, 2, 5)
    axes.set(xscale="log", yscale="log", xlim=ends, ylim=ends)
    axes.set_xlabel(f"{k}-mers in real sequence (per thousand)")
    axes.set_ylabel(f"{k}-mers in generated sequence (per thousand)")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=steps))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter(NullFormatter())
    axes.legend(loc="upper left")
    caption = f"One mark for each of the {4**k:,} words of {k} bases; on the dotted line both are alike."
    return Plot("kmer_spectrum", f"{k}-mer spectrum", caption, figure)


def _gc_share(k: int) -> np.ndarray:
    digits = np.arange(4**k)[:, None] // 4 ** np.arange(k) % 4
    return ((digits == 1) | (digits == 2)).mean(axis=1)


def _distance_by_k(generated: list[np.ndarray], reference: list[np.ndarray]) -> Plot | None:
    """Jensen–Shannon distance for each k, with what a real sample of the same size shows by chance alone."""
    sample, rest = _real_sample(sum(map(len, generated)), reference)
    if not len(sample[0]):
        return None
    sizes = range(1, _LARGEST_K + 1)
    figure, axes = new_axes(SQUARE)
    for name, sequences, colour, line, marker in (
        ("generated", generated, MODEL.colour, "-", "o"),
        ("real sample of the same size", sample, GREEN.light, "-.", "^"),
    ):
        distances = [_distance(kmer_counts(sequences, k), kmer_counts(rest, k)) for k in sizes]
        axes.plot(sizes, distances, color=colour, linestyle=line, marker=marker, markersize=5, label=name)
    axes.set(xlabel="k (bases)", ylabel="distance to real k-mers (0 same, 1 disjoint)", xticks=list(sizes))
    axes.set_ylim(bottom=0)
    axes.legend(loc="upper left")
    caption = (
        "Jensen–Shannon distance between k-mer frequencies. The green line holds real sequence against "
        "the rest of itself: generated sequence cannot be expected to fall much below it."
    )
    return Plot("kmer_distance", "Distance to real sequence", caption, figure)


def _real_sample(num_bases: int, reference: list[np.ndarray]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Runs from evenly spread places, `num_bases` in all and at most half of what there is; and the rest."""
    places = np.array_split(np.concatenate(reference), _SAMPLED_PLACES)
    run = min(num_bases // _SAMPLED_PLACES, len(places[-1]) // 2)
    return [place[:run] for place in places], [place[run:] for place in places]


def _distance(ours: np.ndarray, real: np.ndarray) -> float:
    return float(jensenshannon(ours, real, base=2)) if ours.sum() and real.sum() else float("nan")


def _gc(generated: list[np.ndarray], reference: list[np.ndarray]) -> Plot | None:
    window = min(_GC_WINDOW, max(map(len, generated)))
    ours, real = gc_fractions(generated, window), gc_fractions(reference, window)
    if not len(ours) or not len(real):
        return None
    figure, axes = new_axes(WIDE)
    for name, values, colour, outlined in (
        ("real", real, MUTED.light, False),
        ("generated", ours, MODEL.colour, True),
    ):
        share = 100 * np.histogram(values, _GC_BINS)[0] / len(values)
        label = f"{name}: mean {values.mean():.1%}, {len(values):,} windows"
        style = {"linewidth": 2} if outlined else {"fill": True, "alpha": 0.3, "linewidth": 0}
        axes.stairs(share, 100 * _GC_BINS, color=colour, label=label, **style)
    seen = np.concatenate([ours, real])
    axes.set_xlim(100 * max(seen.min() - 0.04, 0), 100 * min(seen.max() + 0.04, 1))
    axes.set_xlabel(f"GC in windows of {window:,} bases (%)")
    axes.set_ylabel("share of windows (%)")
    axes.legend()
    caption = "How GC varies along the sequence: the outline should cover the grey."
    return Plot("gc_content", "GC content", caption, figure, wide=True)
