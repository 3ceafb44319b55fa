"""Models: backbones, heads, and the hub that reads and writes them."""

from genoseq.models.backbone import Backbone, BackboneOutput, StreamingBackbone
from genoseq.models.base import ModelOutput, SequenceModel
from genoseq.models.heads import Head, LanguageModelHead, SequenceHead, TokenHead
from genoseq.models.hub import export, load, load_backbone, save
from genoseq.models.hyenadna import HyenaDNA
from genoseq.models.mamba import Mamba, Mamba2

__all__ = [
    "Backbone",
    "BackboneOutput",
    "Head",
    "HyenaDNA",
    "LanguageModelHead",
    "Mamba",
    "Mamba2",
    "ModelOutput",
    "SequenceHead",
    "SequenceModel",
    "StreamingBackbone",
    "TokenHead",
    "export",
    "load",
    "load_backbone",
    "save",
]
