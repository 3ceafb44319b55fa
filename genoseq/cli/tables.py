"""What the tables that verbs print have in common."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table
from rich.text import Text


def interval_text(difference: Mapping[str, float] | None) -> str:
    """A paired difference of `results.json` with its interval, `-0.012 [-0.020, -0.004]`; empty if none."""
    return "" if difference is None else "{mean:+.3f} [{low:+.3f}, {high:+.3f}]".format(**difference)


def print_sections(sections: Mapping[str, Mapping[str, object]]) -> None:
    """Print facts by name, under a title each."""
    console = Console(highlight=False, soft_wrap=True)
    for title, rows in sections.items():
        console.print(Text(title, style="bold"))
        table = Table(box=None, show_header=False, padding=(0, 2))
        table.add_column(style="cyan", no_wrap=True)
        table.add_column(no_wrap=True, overflow="ignore")
        for name, value in rows.items():
            table.add_row(Text(name), Text(f"{value:,}" if isinstance(value, int) else str(value)))
        console.print(table)
