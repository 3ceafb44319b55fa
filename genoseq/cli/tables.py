"""What the tables that verbs print have in common."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.text import Text

_WIDEST_NAME = 40


def interval_text(difference: Mapping[str, float] | None) -> str:
    """A paired difference of `results.json` with its interval, `-0.012 [-0.020, -0.004]`; empty if none."""
    return "" if difference is None else "{mean:+.3f} [{low:+.3f}, {high:+.3f}]".format(**difference)


def print_sections(sections: Mapping[str, Mapping[str, object]]) -> None:
    """Print facts by name, under a title each; nothing is cut, however narrow the window is."""
    console = Console(highlight=False, soft_wrap=True)
    for title, rows in sections.items():
        console.print(Text(title, style="bold"))
        width = max((len(name) for name in rows if len(name) <= _WIDEST_NAME), default=0)
        for name, value in rows.items():
            words = f"{value:,}" if isinstance(value, int) else str(value)
            # What a long name means stands under it.
            between = "  " if len(name) <= width else "\n      "
            console.print(Text("  ").append(name.ljust(width), style="cyan").append(f"{between}{words}"))
