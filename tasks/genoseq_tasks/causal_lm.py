"""Next-token prediction."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from genoseq.data.loading import IGNORED_LABEL
from genoseq.errors import ConfigError
from genoseq.models import SequenceModel
from genoseq_tasks.base import Batch
from genoseq_tasks.language_model import LanguageModelTask, Predictions


class CausalLM(LanguageModelTask):
    """Learn to predict each token from those before it.

    Training is on every token that the batch labels, without labels on all; evaluation is of those among
    them that are known bases.

    Args:
        model, optimizer, schedule, seed: as for every task.

    Raises:
        ConfigError: the model sees later tokens, and would only have to copy them.
    """

    def __init__(
        self,
        *,
        model: SequenceModel,
        optimizer: Callable[..., Optimizer],
        schedule: Callable[..., LRScheduler],
        seed: int,
    ) -> None:
        super().__init__(model=model, optimizer=optimizer, schedule=schedule, seed=seed)
        if not model.backbone.causal:
            raise ConfigError(
                f"task=causal_lm predicts the next token, which a {type(model.backbone).__name__} sees: give "
                "task=masked_lm head=masked_language_model."
            )

    def loss(self, batch: Batch) -> torch.Tensor:
        """Mean cross-entropy of the labelled tokens, in nats."""
        labels = _labels(batch)
        return self.model(batch["input_ids"], batch.get("attention_mask"), labels=labels, loss_only=True).loss

    def predict(self, batch: Batch) -> Predictions:
        """Logits of the next token, and the labelled tokens of known bases."""
        logits = self.model(batch["input_ids"], batch.get("attention_mask")).logits[:, :-1]
        targets = _labels(batch)[:, 1:]
        scored = torch.isin(targets, self.known_ids) & batch["counted"][:, None]
        return Predictions(logits, targets.where(scored, IGNORED_LABEL))


def _labels(batch: Batch) -> torch.Tensor:
    """(B, L): what the batch labels, else every token that is no padding."""
    if "labels" in batch:
        return batch["labels"]
    if "attention_mask" in batch:
        return batch["input_ids"].where(batch["attention_mask"], IGNORED_LABEL)
    return batch["input_ids"]
