"""What tasks of labels share, of sequences and recordings alike: activations, metrics, rows of tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torchmetrics import MeanMetric

from genoseq.models import SequenceModel, SignalModel
from genoseq.nn.losses import Problem
from genoseq.training.metrics import as_metrics_take, problem_metrics
from genoseq_tasks.base import SequenceTask


class LabelTask(SequenceTask):
    """Learn labels: of one class, of several, or numbers.

    Args:
        model, optimizer, schedule, seed: as for every task.
        problem: what the labels are.
        num_outputs: classes, labels or values.
    """

    def __init__(
        self,
        *,
        model: SequenceModel | SignalModel,
        optimizer: Callable[..., Optimizer],
        schedule: Callable[..., LRScheduler],
        seed: int,
        problem: Problem,
        num_outputs: int,
    ) -> None:
        super().__init__(model=model, optimizer=optimizer, schedule=schedule, seed=seed)
        self.problem = problem
        self.num_outputs = num_outputs
        self.metrics = problem_metrics(problem, num_outputs)
        self.mean_loss = MeanMetric()

    def compute_metrics(self) -> dict[str, torch.Tensor]:
        """`loss` and the metrics of the problem; those of several regression outputs as their mean."""
        values = {"loss": self.mean_loss.compute(), **self.metrics.compute()}
        self.metrics.reset()
        self.mean_loss.reset()
        return {name: value.float().mean() for name, value in values.items()}

    def _count(self, outputs: torch.Tensor, labels: torch.Tensor, loss: torch.Tensor) -> None:
        """Count activated outputs (N, C) with labels (N,) or (N, C), and their mean loss."""
        if len(outputs):
            self.mean_loss.update(loss, weight=len(outputs))
            self.metrics.update(*as_metrics_take(self.problem, outputs, labels))

    def _activate(self, logits: torch.Tensor) -> torch.Tensor:
        logits = logits.float()
        if self.problem == "single_label":
            return logits.softmax(dim=-1)
        return logits.sigmoid() if self.problem == "multi_label" else logits

    def _output_names(self) -> list[str]:
        """Names of the outputs as the data have them, else their numbers."""
        classes = getattr(self.trainer.datamodule, "classes", None)  # type: ignore[attr-defined]
        return [str(name) for name in classes or range(self.num_outputs)]

    def _columns(
        self, names: Sequence[str], outputs: torch.Tensor, labels: torch.Tensor
    ) -> dict[str, np.ndarray]:
        values, truth = outputs.cpu().numpy(), labels.cpu().numpy()
        if self.problem == "single_label":
            classes = np.array(names)
            columns = {"label": classes[truth], "prediction": classes[values.argmax(axis=1)]}
            return columns | _named("probability", names, values)
        truth = truth.reshape(len(truth), -1)
        if self.problem == "multi_label":
            columns = _named("label", names, truth) | _named("prediction", names, values > 0.5)
            return columns | _named("probability", names, values)
        if self.num_outputs == 1:
            return {"label": truth[:, 0], "prediction": values[:, 0]}
        return _named("label", names, truth) | _named("prediction", names, values)


def _named(kind: str, names: Sequence[str], values: np.ndarray) -> dict[str, np.ndarray]:
    return {f"{kind}_{name}": values[:, column] for column, name in enumerate(names)}
