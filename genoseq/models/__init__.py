"""Models: backbones, heads, and the hub that reads and writes them."""

from genoseq.models.backbone import Backbone, BackboneOutput, StreamingBackbone
from genoseq.models.base import ModelOutput, SequenceModel
from genoseq.models.caduceus import Caduceus
from genoseq.models.dnabert2 import DNABERT2
from genoseq.models.esm2 import ESM2
from genoseq.models.generation import GeneratedSequence
from genoseq.models.had import HAD
from genoseq.models.heads import Head, LanguageModelHead, SequenceHead, TokenHead
from genoseq.models.hub import export, load, load_backbone, save
from genoseq.models.hybridna import HybriDNA
from genoseq.models.hyenadna import HyenaDNA
from genoseq.models.llama import Llama
from genoseq.models.mamba import Mamba, Mamba2
from genoseq.models.sampling import Sampling
from genoseq.models.strand_heads import MaskedLanguageModelHead, StrandSequenceHead

__all__ = [
    "Backbone",
    "BackboneOutput",
    "Caduceus",
    "DNABERT2",
    "ESM2",
    "HAD",
    "GeneratedSequence",
    "Head",
    "HybriDNA",
    "HyenaDNA",
    "LanguageModelHead",
    "Llama",
    "Mamba",
    "Mamba2",
    "MaskedLanguageModelHead",
    "ModelOutput",
    "Sampling",
    "SequenceHead",
    "SequenceModel",
    "StrandSequenceHead",
    "StreamingBackbone",
    "TokenHead",
    "export",
    "load",
    "load_backbone",
    "save",
]
