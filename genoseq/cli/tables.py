"""What the tables that verbs print have in common."""

from __future__ import annotations

from collections.abc import Mapping


def interval_text(difference: Mapping[str, float] | None) -> str:
    """A paired difference of `results.json` with its interval, `-0.012 [-0.020, -0.004]`; empty if none."""
    return "" if difference is None else "{mean:+.3f} [{low:+.3f}, {high:+.3f}]".format(**difference)
