"""Layers: mixers that share one contract, the blocks around them, and losses."""

from genoseq.nn.attention import Attention, BidirectionalAttention
from genoseq.nn.bidirectional import Bidirectional
from genoseq.nn.blocks import PostNormBlock, PreNormBlock
from genoseq.nn.delta import GatedDeltaNet
from genoseq.nn.gated_mlp import GatedMlp
from genoseq.nn.hyena import HyenaMixer, HyenaState
from genoseq.nn.hyena_filter import HyenaFilter
from genoseq.nn.kv_cache import KeyValueState
from genoseq.nn.linear_attention import LinearAttention
from genoseq.nn.lstm import LstmMixer, LstmState
from genoseq.nn.mamba import MambaMixer, MambaState
from genoseq.nn.mamba2 import Mamba2Mixer, Mamba2State
from genoseq.nn.matrix_memory import MatrixMemoryState
from genoseq.nn.mixer import Mixer, MixerContext
from genoseq.nn.mlp import Mlp
from genoseq.nn.reconstruction import Reconstruction
from genoseq.nn.residual import ResidualBlock, make_norm, normed
from genoseq.nn.s4 import S4DMixer, S4Mixer
from genoseq.nn.s5 import BidirectionalS5, S5Mixer
from genoseq.nn.state_space import StateSpaceState

__all__ = [
    "Attention",
    "Bidirectional",
    "BidirectionalAttention",
    "BidirectionalS5",
    "GatedDeltaNet",
    "GatedMlp",
    "HyenaFilter",
    "HyenaMixer",
    "HyenaState",
    "KeyValueState",
    "LinearAttention",
    "LstmMixer",
    "LstmState",
    "Mamba2Mixer",
    "Mamba2State",
    "MambaMixer",
    "MambaState",
    "MatrixMemoryState",
    "Mixer",
    "MixerContext",
    "Mlp",
    "PostNormBlock",
    "PreNormBlock",
    "Reconstruction",
    "ResidualBlock",
    "S4DMixer",
    "S4Mixer",
    "S5Mixer",
    "StateSpaceState",
    "make_norm",
    "normed",
]
