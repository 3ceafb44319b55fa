"""Windows of recordings, and what their annotations make of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from genoseq.errors import ConfigError, DataError


class Window(NamedTuple):
    """A stretch of one recording.

    Attributes:
        start: its first sample.
        label: name of its class; None where it has none.
        labels: names of the classes that are there, or of the class of each channel, None of one that was not
            measured; where windows have such labels.
    """

    start: int
    label: str | None = None
    labels: tuple[str | None, ...] = ()


class Coverage(NamedTuple):
    """When stretches of a class make a window one of that class.

    Attributes:
        size: samples of a window.
        rate: samples a second.
        least: share of a window that has to be covered.
        background: class of what is covered less; None leaves such windows out.
    """

    size: int
    rate: float
    least: float
    background: str | None

    @property
    def needed(self) -> float:
        """Samples that have to be covered."""
        return max(self.least * self.size, 1)


def require_inside(annotations: pd.DataFrame, seconds: float, rate: float, source: object) -> None:
    """Check that annotations lie within their recording, to the sample.

    Args:
        annotations: `onset` and `duration` in seconds.
        seconds: length of the recording.
        rate: samples a second.
        source: for the message.

    Raises:
        DataError: one begins before the first sample, or ends after the last.
    """
    begin = annotations["onset"].to_numpy(dtype=np.float64)
    end = begin + annotations["duration"].to_numpy(dtype=np.float64)
    outside = np.flatnonzero((begin < -0.5 / rate) | (end > seconds + 1 / rate) | ~np.isfinite(end))
    if len(outside):
        first = outside[0]
        raise DataError(
            f"{source}: {len(outside)} of {len(annotations)} annotations lie beyond the recording of "
            f"{seconds:g} s, the first from {begin[first]:g} to {end[first]:g} s. Were they made for another "
            "file? Mend them, or say beyond_end=drop to do without them."
        )


def inside(annotations: pd.DataFrame, seconds: float, rate: float) -> pd.DataFrame:
    """Those annotations that `require_inside` has nothing against."""
    end = annotations["onset"] + annotations["duration"]
    return annotations[(annotations["onset"] >= -0.5 / rate) & (end <= seconds + 1 / rate)]


def regular_windows(num_samples: int, size: int, stride: int) -> list[Window]:
    """Windows of `size` samples, one every `stride`; what is left at the end is in none."""
    return [Window(start) for start in range(0, num_samples - size + 1, stride)]


def event_windows(
    annotations: pd.DataFrame,
    labels: Mapping[str, str],
    *,
    num_samples: int,
    size: int,
    rate: float,
    offset: float,
) -> list[Window]:
    """A window at each annotation of a class.

    Args:
        annotations: `onset`, `duration`, `description`.
        labels: description -> name of a class; others have no window.
        num_samples: of the recording.
        size: samples of a window.
        rate: samples a second.
        offset: seconds from the onset to the first sample.
    """
    chosen = annotations[annotations["description"].isin(list(labels))]
    starts = np.round((chosen["onset"].to_numpy(dtype=np.float64) + offset) * rate).astype(int)
    return [
        Window(int(start), labels[text])
        for start, text in zip(starts, chosen["description"], strict=True)
        if start >= 0 and start + size <= num_samples
    ]


def overlap_windows(
    stretches: pd.DataFrame,
    labels: Mapping[str, str],
    windows: list[Window],
    coverage: Coverage,
) -> list[Window]:
    """Windows with the class whose stretches cover most of each.

    Args:
        stretches: `onset`, `duration`, `description`; those of several channels count once.
        labels: description -> name of a class.
        windows: without labels.
        coverage: when one is of a class.
    """
    shares = _cover(stretches, {text: (name,) for text, name in labels.items()}, windows, coverage)
    labelled = []
    for window, covered in zip(windows, shares, strict=True):
        best = max(covered, key=lambda name: covered[name], default=None)
        if best is not None and covered[best] >= coverage.needed:
            labelled.append(Window(window.start, best))
        elif coverage.background is not None:
            labelled.append(Window(window.start, coverage.background))
    return labelled


def present_windows(
    stretches: pd.DataFrame,
    labels: Mapping[str, Sequence[str]],
    windows: list[Window],
    coverage: Coverage,
) -> list[Window]:
    """Windows with every class whose stretches cover enough of each, maybe several, or none of them.

    Args:
        stretches, windows, coverage: as for `overlap_windows`.
        labels: description -> names of its classes.
    """
    labelled = []
    shares = _cover(stretches, labels, windows, coverage)
    for window, covered in zip(windows, shares, strict=True):
        there = tuple(name for name, samples in covered.items() if samples >= coverage.needed)
        if there or coverage.background is not None:
            labelled.append(Window(window.start, labels=there))
    return labelled


def channel_windows(
    stretches: pd.DataFrame,
    labels: Mapping[str, str],
    windows: list[Window],
    coverage: Coverage,
    *,
    channels: Sequence[str],
    present: np.ndarray,
) -> list[Window]:
    """Windows with the class of each channel, which `overlap_windows` gives it by its own stretches.

    Args:
        stretches: `channels` too, a tuple of names each, empty where they are of all.
        labels, windows: as for `overlap_windows`.
        coverage: has a background, the class of channels that are covered less.
        channels: names of the C channels.
        present: (C,) bool, False for those that were not measured: they have no class.
    """
    assert coverage.background is not None, "a channel has a class in every window"
    columns: list[list[str | None]] = []
    for name, measured in zip(channels, present.tolist(), strict=True):
        if not measured:
            columns.append([None] * len(windows))
            continue
        mine = [not named or name in named for named in stretches["channels"]]
        own = stretches[np.array(mine, dtype=bool)]
        columns.append([window.label for window in overlap_windows(own, labels, windows, coverage)])
    rows = zip(*columns, strict=True)
    return [Window(window.start, labels=row) for window, row in zip(windows, rows, strict=True)]


def samples_of(name: str, seconds: float, rate: float) -> int:
    """Whole samples in a time.

    Raises:
        ConfigError: there is none.
    """
    size = round(seconds * rate)
    if size < 1:
        raise ConfigError(f"{name}={seconds}: give the seconds of one sample or more, at {rate:g} a second.")
    return size


def _cover(
    stretches: pd.DataFrame,
    labels: Mapping[str, Sequence[str]],
    windows: list[Window],
    coverage: Coverage,
) -> Iterator[dict[str, float]]:
    """Of each window, how many of its samples the stretches of each class cover, of several at once once."""
    chosen = stretches[stretches["description"].isin(list(labels))]
    begin = chosen["onset"].to_numpy(dtype=np.float64) * coverage.rate
    end = begin + chosen["duration"].to_numpy(dtype=np.float64) * coverage.rate
    named = [labels[text] for text in chosen["description"]]
    rows = {
        name: np.array([name in names for names in named])
        for name in dict.fromkeys(name for names in named for name in names)
    }
    for window in windows:
        yield {
            name: _covered(begin[own], end[own], window.start, window.start + coverage.size)
            for name, own in rows.items()
        }


def _covered(begin: np.ndarray, end: np.ndarray, start: int, stop: int) -> float:
    """Samples of [start, stop) that lie in any of the intervals."""
    clipped = sorted(
        (low, high)
        for low, high in zip(np.maximum(begin, start), np.minimum(end, stop), strict=True)
        if low < high
    )
    total, reached = 0.0, float(start)
    for low, high in clipped:
        total += max(0.0, high - max(low, reached))
        reached = max(reached, high)
    return total
