"""The nearest word to a mistyped one."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(given: str, candidates: Iterable[str]) -> str:
    """A sentence naming the candidates nearest to what was typed, or nothing where none is near.

    A dotted candidate is also found by its last part: `lr` finds `optimizer.lr`.
    """
    names = sorted(set(candidates))
    same_leaf = [name for name in names if name.rpartition(".")[2] == given]
    near = same_leaf or get_close_matches(given, names, n=1, cutoff=0.6) or _near_leaf(given, names)
    return f"Did you mean {' or '.join(near[:3])}?" if near else ""


def _near_leaf(given: str, names: list[str]) -> list[str]:
    leaf = given.rpartition(".")[2]
    leaves = get_close_matches(leaf, {name.rpartition(".")[2] for name in names}, n=1, cutoff=0.75)
    return [name for name in names if name.rpartition(".")[2] in leaves]
