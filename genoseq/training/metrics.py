"""The metrics of each kind of problem, through torchmetrics."""

from __future__ import annotations

import warnings

import torch
from torchmetrics import MeanSquaredError, Metric, MetricCollection, PearsonCorrCoef, SpearmanCorrCoef
from torchmetrics import classification as of

from genoseq.nn.losses import Problem, require_problem


class PerBase(Metric):
    """Mean over the scored bases, over all ranks, of something that is known as sums over sequences."""

    is_differentiable = False
    full_state_update = False
    total: torch.Tensor
    bases: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("bases", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, sums: torch.Tensor, bases: torch.Tensor) -> None:
        """Add sequences: (B,) sums over their scored bases, and (B,) how many those are."""
        self.total += sums.double().sum()
        self.bases += bases.sum()

    def compute(self) -> torch.Tensor:
        """The mean of a base."""
        return self.total / self.bases


def problem_metrics(problem: Problem, num_outputs: int) -> MetricCollection:
    """What a labelled problem is measured by.

    Classification: accuracy, MCC, F1, AUROC, AUPRC, of the class with label 1 where there are two, of all
    labels together (accuracy of a single label) or as their unweighted mean (the others) where there are
    more.
    Regression: mean squared error, Pearson and Spearman correlation.

    Raises:
        ConfigError: the problem is none of these.
    """
    require_problem(problem)
    if problem == "regression":
        with warnings.catch_warnings():
            # A rank correlation needs every value: it says so each time that one is made.
            warnings.filterwarnings("ignore", ".*will save all targets and predictions.*")
            spearman = SpearmanCorrCoef(num_outputs=num_outputs)
        return MetricCollection(
            {
                "mse": MeanSquaredError(),
                "pearson": PearsonCorrCoef(num_outputs=num_outputs),
                "spearman": spearman,
            }
        )
    if problem == "multi_label":
        return MetricCollection(
            {
                "accuracy": of.MultilabelAccuracy(num_outputs),
                "mcc": of.MultilabelMatthewsCorrCoef(num_outputs),
                "f1": of.MultilabelF1Score(num_outputs),
                "auroc": of.MultilabelAUROC(num_outputs),
                "auprc": of.MultilabelAveragePrecision(num_outputs),
            }
        )
    if num_outputs == 2:
        return MetricCollection(
            {
                "accuracy": of.BinaryAccuracy(),
                "mcc": of.BinaryMatthewsCorrCoef(),
                "f1": of.BinaryF1Score(),
                "auroc": of.BinaryAUROC(),
                "auprc": of.BinaryAveragePrecision(),
            }
        )
    return MetricCollection(
        {
            "accuracy": of.MulticlassAccuracy(num_outputs, average="micro"),
            "mcc": of.MulticlassMatthewsCorrCoef(num_outputs),
            "f1": of.MulticlassF1Score(num_outputs),
            "auroc": of.MulticlassAUROC(num_outputs),
            "auprc": of.MulticlassAveragePrecision(num_outputs),
        }
    )


def as_metrics_take(
    problem: Problem, outputs: torch.Tensor, labels: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Outputs (N, C) and labels (N,) or (N, C) in the form that `problem_metrics` are updated with."""
    if problem == "single_label":
        return (outputs[:, 1] if outputs.shape[1] == 2 else outputs), labels
    if problem == "multi_label":
        return outputs, labels.long()
    labels = labels.float().reshape(outputs.shape)
    return (outputs[:, 0], labels[:, 0]) if outputs.shape[1] == 1 else (outputs, labels)
