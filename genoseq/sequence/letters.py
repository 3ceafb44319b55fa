"""Sequences that are read in parts."""

from __future__ import annotations

from typing import Protocol


class Letters(Protocol):
    """Letters of which a part can be had without the rest being in memory. A text is one."""

    def __len__(self) -> int:
        """How many there are."""

    def __getitem__(self, part: slice, /) -> str:
        """Those of a part."""
