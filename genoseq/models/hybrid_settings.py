"""What the layouts of hybrids share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from genoseq.errors import CheckpointError


def pattern_of(letter: str, num_layers: int, attention_layers: Any) -> str:
    """A letter a layer: `a` at the given ones, `letter` at the others.

    Raises:
        CheckpointError: one of them is no layer.
    """
    given = set(attention_layers)
    if given - set(range(num_layers)):
        raise CheckpointError(f"config.json: attention in layers {sorted(given)}, of {num_layers}.")
    return "".join("a" if index in given else letter for index in range(num_layers))


def attention_layers(layers: str) -> list[int]:
    """Numbers of the `a` in a pattern."""
    return [index for index, letter in enumerate(layers) if letter == "a"]


def head_width(attention: Mapping[str, Any], d_model: int) -> int:
    """Channels of a head, from arguments of `Attention`."""
    return attention.get("head_dim") or d_model // attention["num_heads"]


def rotary_width(layout: str, attention: Mapping[str, Any], d_model: int) -> int:
    """Channels of a head that are rotated, from arguments of `Attention`; 0 for none.

    Raises:
        CheckpointError: positions are encoded otherwise.
    """
    if attention["position"] == "alibi":
        raise CheckpointError(f"position='alibi': the {layout} layout has no place for it.")
    if attention["position"] == "none":
        return 0
    return attention["rotary_dim"] or head_width(attention, d_model)


def require_values(layout: str, arguments: Mapping[str, Any], **wanted: Any) -> None:
    """Refuse what a layout has no setting for.

    Raises:
        CheckpointError: an argument has another value than the one that the layout implies.
    """
    for name, value in wanted.items():
        if arguments[name] != value:
            raise CheckpointError(f"{name}={arguments[name]!r}: the {layout} layout has only {value!r}.")
