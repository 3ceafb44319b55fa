"""Training: optimiser groups, schedules, callbacks, the run folder, and `train` itself."""

from genoseq.training.averaging import ExponentialMovingAverage
from genoseq.training.checkpoint import RunCheckpoint
from genoseq.training.csv_logger import CsvLogger
from genoseq.training.fully_sharded import FullySharded
from genoseq.training.optimizers import parameter_groups
from genoseq.training.run import RunResult, train
from genoseq.training.schedules import constant_warmup, cosine_warmup, halving, linear_warmup, staged_cosine

__all__ = [
    "CsvLogger",
    "ExponentialMovingAverage",
    "FullySharded",
    "RunCheckpoint",
    "RunResult",
    "constant_warmup",
    "cosine_warmup",
    "halving",
    "linear_warmup",
    "parameter_groups",
    "staged_cosine",
    "train",
]
