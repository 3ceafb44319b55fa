"""What is kept for a layer's backward pass: all, its input alone, or its input in the host's memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal

import torch
from torch.autograd.graph import save_on_cpu
from torch.utils.checkpoint import checkpoint

from genoseq.errors import ConfigError

Checkpointing = bool | Literal["offload"]


def require_checkpointing(value: object) -> None:
    """Refuse a setting of `activation_checkpointing` that is none.

    Raises:
        ConfigError: it is none of true, false and `offload`.
    """
    if value is not True and value is not False and value != "offload":
        raise ConfigError(f"activation_checkpointing={value!r}: choose one of false, true, offload.")


def checkpointed(mode: Checkpointing, layer: Callable[..., torch.Tensor], x: torch.Tensor, *args: Any) -> Any:
    """`layer(x, *args)`.

    Args:
        mode: False keeps what the layer keeps for its backward pass; True keeps `x` and computes the layer
            again; `offload` does so with `x` in page-locked memory of the host instead of the GPU's.
        layer: a layer.
        x: its input, (B, L, D).
        args: what else it takes, such as a `MixerContext`.
    """
    if not mode or not torch.is_grad_enabled():
        return layer(x, *args)
    if mode != "offload":
        return checkpoint(layer, x, *args, use_reentrant=False)
    # The hooks see what the checkpoint keeps; what the layer keeps inside never gets to them.
    with save_on_cpu(pin_memory=x.device.type == "cuda"):
        return checkpoint(layer, x, *args, use_reentrant=False)


def through_layers(
    mode: Checkpointing,
    layers: Iterable[Callable[..., torch.Tensor]],
    x: torch.Tensor,
    *args: Any,
    keep: bool,
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """x after `layer(x, *args)` of all layers, `checkpointed`; with `keep` also x before the first and after
    each."""
    kept = [x] if keep else []
    for layer in layers:
        x = checkpointed(mode, layer, x, *args)
        if keep:
            kept.append(x)
    return x, kept
