"""Models: backbones, heads, and the hub that reads and writes them."""

from genoseq.models.backbone import Backbone, BackboneOutput, StreamingBackbone
from genoseq.models.base import ModelOutput, SequenceModel
from genoseq.models.caduceus import Caduceus
from genoseq.models.channel_forecaster import ChannelForecaster
from genoseq.models.dlinear import DLinear
from genoseq.models.dnabert2 import DNABERT2
from genoseq.models.embedding_head import EmbeddingHead
from genoseq.models.esm2 import ESM2
from genoseq.models.femba import Femba
from genoseq.models.generation import GeneratedSequence
from genoseq.models.had import HAD
from genoseq.models.heads import Head, LanguageModelHead, SequenceHead, TokenHead
from genoseq.models.hiss import FlatRegressor, HiSS
from genoseq.models.hub import load, load_backbone, load_sequence_model
from genoseq.models.hybridna import HybriDNA
from genoseq.models.hyenadna import HyenaDNA
from genoseq.models.karma import Karma
from genoseq.models.lifecode import LifeCode, LifeCodeHead
from genoseq.models.llama import Llama
from genoseq.models.mamba import Mamba, Mamba2
from genoseq.models.patchtst import PatchTST
from genoseq.models.prompted import PromptedBackbone
from genoseq.models.sampling import Sampling
from genoseq.models.series_classifier import SeriesClassifier
from genoseq.models.signal import Forecaster, RecordingModel, SignalModel, SignalOutput, SignalRegressor
from genoseq.models.signal_loading import load_encoder, load_signal_model
from genoseq.models.strand_heads import MaskedLanguageModelHead, StrandSequenceHead
from genoseq.models.teachers import ESM2Teacher, ProteinTeacher, ResidueProperties
from genoseq.models.writing import export, save

__all__ = [
    "Backbone",
    "BackboneOutput",
    "Caduceus",
    "ChannelForecaster",
    "DLinear",
    "DNABERT2",
    "ESM2",
    "ESM2Teacher",
    "EmbeddingHead",
    "HAD",
    "Femba",
    "FlatRegressor",
    "Forecaster",
    "GeneratedSequence",
    "Head",
    "HiSS",
    "HybriDNA",
    "HyenaDNA",
    "Karma",
    "LanguageModelHead",
    "LifeCode",
    "LifeCodeHead",
    "Llama",
    "Mamba",
    "Mamba2",
    "MaskedLanguageModelHead",
    "ModelOutput",
    "PatchTST",
    "PromptedBackbone",
    "ProteinTeacher",
    "RecordingModel",
    "ResidueProperties",
    "Sampling",
    "SequenceHead",
    "SeriesClassifier",
    "SequenceModel",
    "SignalModel",
    "SignalOutput",
    "SignalRegressor",
    "StrandSequenceHead",
    "StreamingBackbone",
    "TokenHead",
    "export",
    "load",
    "load_backbone",
    "load_encoder",
    "load_sequence_model",
    "load_signal_model",
    "save",
]
