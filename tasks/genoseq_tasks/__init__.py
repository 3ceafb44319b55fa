"""Learning tasks as LightningModules, one file a task. Hydra reaches them through `_target_`."""

from genoseq_tasks.base import SequenceTask
from genoseq_tasks.causal_lm import CausalLM
from genoseq_tasks.contrastive import Contrastive
from genoseq_tasks.distillation import Distillation
from genoseq_tasks.forecasting import Forecasting
from genoseq_tasks.in_context import InContext
from genoseq_tasks.lifecode import LifeCodeTask
from genoseq_tasks.masked_lm import MaskedLM
from genoseq_tasks.recordings import MaskedRecording, RecordingPrediction
from genoseq_tasks.sequence_prediction import SequencePrediction
from genoseq_tasks.signal_regression import SignalRegression

__all__ = [
    "CausalLM",
    "Contrastive",
    "Distillation",
    "Forecasting",
    "InContext",
    "LifeCodeTask",
    "MaskedLM",
    "MaskedRecording",
    "RecordingPrediction",
    "SequencePrediction",
    "SequenceTask",
    "SignalRegression",
]
