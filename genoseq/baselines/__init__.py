"""Simple models to compare with; each is fitted on the same train split as the model it stands beside."""

from genoseq.baselines.base import Baseline, GenomeBaseline
from genoseq.baselines.context_mixing import ContextMixing
from genoseq.baselines.in_view import CounterInView
from genoseq.baselines.kmer import KmerLogisticRegression, OneHotLogisticRegression
from genoseq.baselines.markov import StaticMarkov
from genoseq.baselines.position_weights import PositionWeightMatrix

__all__ = [
    "Baseline",
    "ContextMixing",
    "CounterInView",
    "GenomeBaseline",
    "KmerLogisticRegression",
    "OneHotLogisticRegression",
    "PositionWeightMatrix",
    "StaticMarkov",
]
