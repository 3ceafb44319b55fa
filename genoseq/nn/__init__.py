"""Layers: mixers that share one contract, the blocks around them, and losses."""

from genoseq.nn.attention import Attention, BidirectionalAttention
from genoseq.nn.blocks import Mlp, PostNormBlock, PreNormBlock
from genoseq.nn.gated_mlp import GatedMlp
from genoseq.nn.hyena import HyenaMixer, HyenaState
from genoseq.nn.hyena_filter import HyenaFilter
from genoseq.nn.kv_cache import KeyValueState
from genoseq.nn.mamba import MambaMixer, MambaState
from genoseq.nn.mamba2 import Mamba2Mixer, Mamba2State
from genoseq.nn.mixer import Mixer, MixerContext
from genoseq.nn.residual import ResidualBlock, make_norm, normed

__all__ = [
    "Attention",
    "BidirectionalAttention",
    "GatedMlp",
    "HyenaFilter",
    "HyenaMixer",
    "HyenaState",
    "KeyValueState",
    "Mamba2Mixer",
    "Mamba2State",
    "MambaMixer",
    "MambaState",
    "Mixer",
    "MixerContext",
    "Mlp",
    "PostNormBlock",
    "PreNormBlock",
    "ResidualBlock",
    "make_norm",
    "normed",
]
