"""What tasks that predict tokens of bases share: how they are measured."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import pandas as pd
import torch
from torch.nn import functional
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from genoseq.data.loading import IGNORED_LABEL
from genoseq.models import SequenceModel
from genoseq.training.metrics import PerBase
from genoseq_tasks.base import Batch, SequenceTask


class Predictions(NamedTuple):
    """Attributes:
    logits: (B, L, V).
    targets: (B, L) the tokens that are predicted, -100 where none is scored.
    """

    logits: torch.Tensor
    targets: torch.Tensor


class Scores(NamedTuple):
    """Of the scored tokens of each row.

    Attributes:
        nats: (B,) float64, sums of -ln p.
        bases: (B,) how many bases they are.
        tokens: (B,) how many there are.
        correct: (B,) how many of them are the likeliest one.
    """

    nats: torch.Tensor
    bases: torch.Tensor
    tokens: torch.Tensor
    correct: torch.Tensor


class LanguageModelTask(SequenceTask):
    """Learn to predict tokens; measured in bits per base, and by how many tokens are right.

    Evaluation is of A, C, G and T, and of words of nothing else, each under the full distribution over the
    model's vocabulary. Bits are per base whatever the tokens are, so that models of different tokens compare.

    Args:
        model, optimizer, schedule, seed: as for every task.
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
        assert model.tokenizer is not None, "a model in training has the tokenizer of its data"
        self.nats_per_base = PerBase()
        self.accuracy = PerBase()
        self.register_buffer("known_ids", torch.from_numpy(model.tokenizer.known_ids), persistent=False)
        self.register_buffer("num_bases", torch.from_numpy(model.tokenizer.num_bases), persistent=False)
        self.known_ids: torch.Tensor
        self.num_bases: torch.Tensor

    @abstractmethod
    def predict(self, batch: Batch) -> Predictions:
        """Logits of a batch, and the tokens that they are scored by."""

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure a batch."""
        self._score(batch)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure a batch, and keep a row an example: `index`, `num_bases`, `num_correct`, `bits` (their
        sum)."""
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
        loss, accuracy = self.nats_per_base.compute(), self.accuracy.compute()
        self.nats_per_base.reset()
        self.accuracy.reset()
        return {
            "loss": loss,
            "bits_per_base": loss / math.log(2),
            "perplexity": loss.exp(),
            "accuracy": accuracy,
        }

    def _score(self, batch: Batch) -> Scores:
        logits, targets = self.predict(batch)
        scored = targets != IGNORED_LABEL
        nats = functional.cross_entropy(logits.float().transpose(1, 2), targets, reduction="none")
        correct = scored & (logits.argmax(dim=-1) == targets)
        bases = self.num_bases[targets.clamp(min=0)] * scored
        scores = Scores(*(each.sum(dim=1) for each in (nats.double(), bases, scored, correct)))
        self.nats_per_base.update(scores.nats, scores.bases)
        self.accuracy.update(scores.correct, scores.tokens)
        return scores
