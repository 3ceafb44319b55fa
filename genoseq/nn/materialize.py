"""First values for a module that was made without memory.

Large models are made under `torch.device("meta")`, sharded, given memory by `to_empty`, and only then drawn.
A module that owns parameters or buffers has a `reset_parameters()` that draws the ones it owns itself, and
makes again those that follow from its arguments.
"""

from __future__ import annotations

from torch import nn


def reset_children(module: nn.Module) -> None:
    """Call `reset_parameters()` of everything below a module, the innermost first."""
    for child in module.children():
        child.apply(_reset)


def _reset(module: nn.Module) -> None:
    owned = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
    reset = getattr(module, "reset_parameters", None)
    assert reset is not None or not owned, f"{type(module).__name__} owns tensors and cannot reset them"
    if reset is not None:
        reset()
