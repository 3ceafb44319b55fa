"""What backbones that run a class of transformers share.

It is installed with `genoseq[transformers]`, and imported where such a model is made.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import torch
from torch import nn

from genoseq.errors import ConfigError
from genoseq.models.backbone import BackboneOutput


def import_transformers(model: str) -> Any:
    """The library.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        return import_module("transformers")
    except ImportError as error:
        raise ConfigError(
            f"{model} is the model of transformers, which is not installed here: "
            "pip install 'genoseq[transformers]'."
        ) from error


def run_borrowed(run: Callable[..., Any], last_norm: nn.Module, *, keep: bool) -> BackboneOutput:
    """What a model of transformers gives, as our own backbones give it.

    Args:
        run: gives the model's output; takes `output_hidden_states`.
        last_norm: the norm behind its last block. transformers calls the last block's output what comes after
            it.
        keep: also give the hidden states of every layer.
    """
    blocks: list[torch.Tensor] = []
    hook = last_norm.register_forward_pre_hook(lambda _, inputs: blocks.append(inputs[0]))
    try:
        output = run(output_hidden_states=keep)
    finally:
        hook.remove()
    last = output.last_hidden_state
    return BackboneOutput(last, (*output.hidden_states[:-1], *blocks, last) if keep else None)


def reset_rotation(rotary: nn.Module, config: Any) -> None:
    """Make the buffers of a rotary embedding of transformers again."""
    for name, buffer in type(rotary)(config).named_buffers():
        rotary.get_buffer(name).copy_(buffer)
