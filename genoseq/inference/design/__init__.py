"""New sequences that a model scores well and that hold constraints, and how they compare with known ones."""

from genoseq.inference.design.comparison import Nearest, nearest_known, pairwise_identity
from genoseq.inference.design.infilling import infill
from genoseq.inference.design.methods import METHODS, Method, Search
from genoseq.inference.design.run import Designs, design, draw
from genoseq.inference.design.scorers import ModelScorer, Scorer

__all__ = [
    "METHODS",
    "Designs",
    "Method",
    "ModelScorer",
    "Nearest",
    "Scorer",
    "Search",
    "design",
    "draw",
    "infill",
    "nearest_known",
    "pairwise_identity",
]
