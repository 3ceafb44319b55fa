"""Residual blocks of any mixers over what a model of signals has embedded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from genoseq.models.hybridna import LAYER_KINDS, LayerKind, layer_kinds, mixer_arguments
from genoseq.nn.bidirectional import Bidirectional
from genoseq.nn.gated_mlp import GatedMlp
from genoseq.nn.mixer import Mixer, MixerContext
from genoseq.nn.residual import NormLayer, ResidualBlock, make_norm, normed
from genoseq.nn.s4 import S4DMixer
from genoseq.nn.s5 import S5Mixer

# Those of sequences, and two of continuous time.
SIGNAL_KINDS: dict[str, LayerKind] = LAYER_KINDS | {
    "q": LayerKind("s4d", S4DMixer),
    "v": LayerKind("s5", S5Mixer),
}


class MixerStack(nn.Module):
    """(B, L, D) to the same.

    Args:
        arguments: of the model: `d_model`, `num_layers`, `pattern`, `d_inner`, `dropout`, `norm`,
            `norm_epsilon`, `l_max`, and the arguments of each kind of mixer, None where the pattern has none.
        bidirectional: every mixer also reads from the end, with weights of its own.

    Raises:
        ConfigError: the pattern has unknown letters, or mixers without their arguments.
    """

    def __init__(self, arguments: Mapping[str, Any], *, bidirectional: bool = False) -> None:
        super().__init__()
        width, inner = arguments["d_model"], arguments["d_inner"]
        blocks = []
        for letter in layer_kinds(arguments["pattern"], arguments["num_layers"], SIGNAL_KINDS):
            parts = (GatedMlp(d_model=width, d_inner=inner), _norm(arguments)) if inner else ()
            mixer = _mixer(letter, arguments)
            if bidirectional:
                mixer = Bidirectional(mixer, _mixer(letter, arguments), combination="add")
            blocks.append(ResidualBlock(mixer, _norm(arguments), *parts, dropout=arguments["dropout"]))
        self.layers = nn.ModuleList(blocks)
        self.norm_f = _norm(arguments)

    def forward(self, x: torch.Tensor, context: MixerContext | None = None) -> torch.Tensor:
        """The residual stream is float32 (float64 in a float64 model), whatever the layers run in."""
        x = x.to(torch.promote_types(x.dtype, torch.float32))
        for layer in self.layers:
            x = layer(x, context)
        return normed(self.norm_f, x)


def _mixer(letter: str, arguments: Mapping[str, Any]) -> Mixer:
    return SIGNAL_KINDS[letter].mixer(**mixer_arguments(letter, arguments, SIGNAL_KINDS))


def _norm(arguments: Mapping[str, Any]) -> NormLayer:
    return make_norm(arguments["norm"], arguments["d_model"], epsilon=arguments["norm_epsilon"])
