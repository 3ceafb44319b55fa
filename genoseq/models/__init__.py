"""Models: backbones, heads, and the hub that reads and writes them."""

from genoseq.models.backbone import Backbone, BackboneOutput, StreamingBackbone
from genoseq.models.base import ModelOutput, SequenceModel
from genoseq.models.caduceus import Caduceus
from genoseq.models.dnabert2 import DNABERT2
from genoseq.models.embedding_head import EmbeddingHead
from genoseq.models.esm2 import ESM2
from genoseq.models.generation import GeneratedSequence
from genoseq.models.had import HAD
from genoseq.models.heads import Head, LanguageModelHead, SequenceHead, TokenHead
from genoseq.models.hub import export, load, load_backbone, save
from genoseq.models.hybridna import HybriDNA
from genoseq.models.hyenadna import HyenaDNA
from genoseq.models.lifecode import LifeCode, LifeCodeHead
from genoseq.models.llama import Llama
from genoseq.models.mamba import Mamba, Mamba2
from genoseq.models.sampling import Sampling
from genoseq.models.strand_heads import MaskedLanguageModelHead, StrandSequenceHead
from genoseq.models.teachers import ESM2Teacher, ProteinTeacher, ResidueProperties

__all__ = [
    "Backbone",
    "BackboneOutput",
    "Caduceus",
    "DNABERT2",
    "ESM2",
    "ESM2Teacher",
    "EmbeddingHead",
    "HAD",
    "GeneratedSequence",
    "Head",
    "HybriDNA",
    "HyenaDNA",
    "LanguageModelHead",
    "LifeCode",
    "LifeCodeHead",
    "Llama",
    "Mamba",
    "Mamba2",
    "MaskedLanguageModelHead",
    "ModelOutput",
    "Sampling",
    "ProteinTeacher",
    "ResidueProperties",
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
