"""A progress line on the terminal, and none where there is no terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")


def counted(items: Iterable[Item], *, what: str, total: int | None = None) -> Iterator[Item]:
    """Hand the items on, counting them for whoever looks on; `total` is their number where it is known."""
    with advancing(what=what, total=total) as advance:
        for item in items:
            yield item
            advance(1)


@contextmanager
def advancing(*, what: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """A function to be told how many more there are, for whoever looks on."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task(what, total=total)
        yield lambda number: progress.advance(task, number)
