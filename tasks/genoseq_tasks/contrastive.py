"""Learn vectors in which a read lies beside the window of the genome that it comes from.

Source: Holur et al. 2025, "Embed-Search-Align": contrastive training of reads and fragments of the reference.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torchmetrics import MeanMetric

from genoseq.errors import ConfigError
from genoseq.models import EmbeddingHead, SequenceModel
from genoseq.nn.losses import contrastive_loss
from genoseq_tasks.base import Batch, SequenceTask


class Contrastive(SequenceTask):
    """Tell the partner of each sequence among the batch, both ways.

    The wrong answers are those of the micro-batch on one device: unlike elsewhere, `micro_batch_size` is part
    of what is learnt. Larger is harder, and better.

    Args:
        model, optimizer, schedule, seed: as for every task.
        temperature: of the cosine similarities.

    Raises:
        ConfigError: a head that gives no vectors, or a temperature of 0 or less.
    """

    def __init__(
        self,
        *,
        model: SequenceModel,
        optimizer: Callable[..., Optimizer],
        schedule: Callable[..., LRScheduler],
        seed: int,
        temperature: float = 0.05,
    ) -> None:
        super().__init__(model=model, optimizer=optimizer, schedule=schedule, seed=seed)
        if not isinstance(model.head, EmbeddingHead):
            raise ConfigError(
                f"task=contrastive learns vectors, not {type(model.head).__name__}: head=embedding."
            )
        if temperature <= 0:
            raise ConfigError(f"temperature={temperature}: give more than 0.")
        self.temperature = temperature
        self.mean_loss = MeanMetric()
        self.recall = MeanMetric()

    def setup(self, stage: str) -> None:
        """Refuse a test.

        Raises:
            ConfigError: recall depends on the genome that is searched, not on a batch.
        """
        if stage == "test":
            raise ConfigError(
                "recall among all windows of a genome is what `genoseq align` is judged by, see "
                "benchmarks/alignment.py: give test=false."
            )

    def loss(self, batch: Batch) -> torch.Tensor:
        """Contrastive loss of reads and windows, in nats."""
        return contrastive_loss(*self._vectors(batch), self.temperature)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure a batch."""
        reads, windows = (vectors[batch["counted"]] for vectors in self._vectors(batch))
        if not len(reads):
            return
        self.mean_loss.update(contrastive_loss(reads, windows, self.temperature), weight=len(reads))
        nearest = (reads @ windows.T).argmax(dim=1)
        self.recall.update((nearest == torch.arange(len(reads), device=reads.device)).float())

    def compute_metrics(self) -> dict[str, torch.Tensor]:
        """`loss`, and `recall`: the share of reads whose nearest window of the batch is theirs."""
        values = {"loss": self.mean_loss.compute(), "recall": self.recall.compute()}
        self.mean_loss.reset()
        self.recall.reset()
        return values

    def _vectors(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        if "window_ids" not in batch:
            raise ConfigError("task=contrastive learns from reads and windows: give data=reads.")
        reads = self.model(batch["input_ids"], batch.get("attention_mask")).logits
        return reads, self.model(batch["window_ids"]).logits
