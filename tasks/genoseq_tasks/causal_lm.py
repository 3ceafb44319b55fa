"""Next-base prediction."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import pandas as pd
import torch
from torch.nn import functional
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from genoseq.data.loading import IGNORED_LABEL
from genoseq.errors import ConfigError
from genoseq.models import SequenceModel
from genoseq.training.metrics import BaseAccuracy, BitsPerBase
from genoseq_tasks.base import Batch, SequenceTask


class Scores(NamedTuple):
    """Of the scored bases of each row.

    Attributes:
        nats: (B,) float64, sums of -ln p.
        bases: (B,) how many there are.
        correct: (B,) how many of them are the likeliest token.
    """

    nats: torch.Tensor
    bases: torch.Tensor
    correct: torch.Tensor


class CausalLM(SequenceTask):
    """Learn to predict each token from those before it; measured in bits per base, and by how many are right.

    Training is on every token that the batch labels, without labels on all. Evaluation is of A, C, G and T
    alone, each under the full distribution over the model's vocabulary, at the same positions.

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
        assert model.tokenizer is not None, "a model in training has the tokenizer of its data"
        self.bits_per_base = BitsPerBase()
        self.accuracy = BaseAccuracy()
        self.register_buffer("base_ids", torch.from_numpy(model.tokenizer.base_ids), persistent=False)
        self.base_ids: torch.Tensor

    def loss(self, batch: Batch) -> torch.Tensor:
        """Mean cross-entropy of the labelled tokens, in nats."""
        labels = _labels(batch)
        return self.model(batch["input_ids"], batch.get("attention_mask"), labels=labels, loss_only=True).loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure a batch."""
        self._score(batch)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure a batch, and keep a row a tile: `index`, `num_bases`, `num_correct`, `bits` (their sum)."""
        scores = self._score(batch)
        rows = pd.DataFrame(
            {
                "index": batch["index"].cpu().numpy(),
                "num_bases": scores.bases.cpu().numpy(),
                "num_correct": scores.correct.cpu().numpy(),
                "bits": (scores.nats / math.log(2)).cpu().numpy(),
            }
        )
        self._test_rows.append(rows[batch["counted"].cpu().numpy()])

    def compute_metrics(self) -> dict[str, torch.Tensor]:
        """`loss` (nats per base), `bits_per_base`, `perplexity` and `accuracy`."""
        bits, accuracy = self.bits_per_base.compute(), self.accuracy.compute()
        self.bits_per_base.reset()
        self.accuracy.reset()
        return {
            "loss": bits * math.log(2),
            "bits_per_base": bits,
            "perplexity": 2**bits,
            "accuracy": accuracy,
        }

    def _score(self, batch: Batch) -> Scores:
        logits = self.model(batch["input_ids"], batch.get("attention_mask")).logits[:, :-1]
        targets = _labels(batch)[:, 1:]
        scored = torch.isin(targets, self.base_ids) & batch["counted"][:, None]
        nats = functional.cross_entropy(
            logits.float().transpose(1, 2), targets.where(scored, IGNORED_LABEL), reduction="none"
        )
        correct = scored & (logits.argmax(dim=-1) == targets)
        scores = Scores(nats.double().sum(dim=1), scored.sum(dim=1), correct.sum(dim=1))
        self.bits_per_base.update(scores.nats, scores.bases)
        self.accuracy.update(scores.correct, scores.bases)
        return scores


def _labels(batch: Batch) -> torch.Tensor:
    """(B, L): what the batch labels, else every token that is no padding."""
    if "labels" in batch:
        return batch["labels"]
    if "attention_mask" in batch:
        return batch["input_ids"].where(batch["attention_mask"], IGNORED_LABEL)
    return batch["input_ids"]
