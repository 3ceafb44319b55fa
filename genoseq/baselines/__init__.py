"""Simple models to compare with; each is fitted on the same train split as the model it stands beside."""

from genoseq.baselines.base import Baseline, GenomeBaseline
from genoseq.baselines.cnn import SmallCnn
from genoseq.baselines.compression import CompressionNeighbours
from genoseq.baselines.context_mixing import ContextMixing
from genoseq.baselines.forecasts import ForecastBaseline, Persistence, SeasonalNaive
from genoseq.baselines.in_view import CounterInView
from genoseq.baselines.kmer import KmerLogisticRegression, OneHotLogisticRegression
from genoseq.baselines.markov import StaticMarkov
from genoseq.baselines.markov_classifier import MarkovClassifier
from genoseq.baselines.position_weights import PositionWeightMatrix

__all__ = [
    "Baseline",
    "CompressionNeighbours",
    "ContextMixing",
    "CounterInView",
    "ForecastBaseline",
    "GenomeBaseline",
    "KmerLogisticRegression",
    "MarkovClassifier",
    "OneHotLogisticRegression",
    "Persistence",
    "PositionWeightMatrix",
    "SeasonalNaive",
    "SmallCnn",
    "StaticMarkov",
]
