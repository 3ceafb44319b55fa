"""Windows of recordings, and what their annotations make of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from genoseq.errors import ConfigError, DataError


class Window(NamedTuple):
    """A stretch of one recording.

    Attributes:
        start: its first sample.
        label: name of its class; None where it has none.
    """

    start: int
    label: str | None = None


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
    *,
    size: int,
    rate: float,
    least: float,
    background: str | None,
) -> list[Window]:
    """Windows with the class whose stretches cover most of each.

    Args:
        stretches: `onset`, `duration`, `description`; those of several channels count once.
        labels: description -> name of a class.
        windows: without labels.
        size: samples of a window.
        rate: samples a second.
        least: share of a window that has to be covered.
        background: class of windows that are covered less; None leaves them out.
    """
    chosen = stretches[stretches["description"].isin(list(labels))]
    begin = chosen["onset"].to_numpy(dtype=np.float64) * rate
    end = begin + chosen["duration"].to_numpy(dtype=np.float64) * rate
    names = np.array([labels[text] for text in chosen["description"]], dtype=object)
    labelled = []
    for window in windows:
        covered = {
            name: _covered(begin[names == name], end[names == name], window.start, window.start + size)
            for name in dict.fromkeys(names.tolist())
        }
        best = max(covered, key=lambda name: covered[name], default=None)
        if best is not None and covered[best] >= max(least * size, 1):
            labelled.append(Window(window.start, best))
        elif background is not None:
            labelled.append(Window(window.start, background))
    return labelled


def samples_of(name: str, seconds: float, rate: float) -> int:
    """Whole samples in a time.

    Raises:
        ConfigError: there is none.
    """
    size = round(seconds * rate)
    if size < 1:
        raise ConfigError(f"{name}={seconds}: give the seconds of one sample or more, at {rate:g} a second.")
    return size


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
