"""Layers: mixers that share one contract, the blocks around them, and losses."""

from genoseq.nn.blocks import Mlp, PreNormBlock
from genoseq.nn.hyena import HyenaMixer, HyenaState
from genoseq.nn.hyena_filter import HyenaFilter
from genoseq.nn.mixer import Mixer, MixerContext

__all__ = ["HyenaFilter", "HyenaMixer", "HyenaState", "Mixer", "MixerContext", "Mlp", "PreNormBlock"]
