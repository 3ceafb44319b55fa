"""Prediction of hidden tokens from everything around them.

Source: Devlin et al. 2019, "BERT", section 3.1 (15 %, of which 80 % hidden, 10 % exchanged, 10 % kept).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from genoseq.data.loading import IGNORED_LABEL
from genoseq.errors import ConfigError
from genoseq.models import MaskedLanguageModelHead, SequenceModel
from genoseq_tasks.base import Batch
from genoseq_tasks.language_model import LanguageModelTask, Predictions

# Apart from the random numbers that the data draw from (seed, epoch, index).
_STREAM = 0x4D4C4D


class Corrupted(NamedTuple):
    """Attributes:
    input_ids: (B, L) with tokens hidden or exchanged.
    labels: (B, L) the true tokens at the chosen places, -100 elsewhere.
    """

    input_ids: torch.Tensor
    labels: torch.Tensor


class MaskedLM(LanguageModelTask):
    """Learn to tell hidden tokens.

    Which tokens of an example are chosen is a function of (seed, epoch, index) and of the example alone: not
    of the batch, its padding or the device. Chosen are A, C, G and T, or words of them, at positions that the
    batch labels. Evaluation hides every chosen one, the same ones each time: one that was kept would give
    itself away.

    Args:
        model, optimizer, schedule, seed: as for every task.
        chosen_fraction: of the tokens, those that count.
        hidden_fraction: of the chosen ones, those that become [MASK] in training.
        exchanged_fraction: of the chosen ones, those that become any of the known bases or words; the rest is
            kept.

    Raises:
        ConfigError: a fraction outside its range, or a head that predicts something else.
        SequenceError: the tokenizer has no [MASK].
    """

    def __init__(
        self,
        *,
        model: SequenceModel,
        optimizer: Callable[..., Optimizer],
        schedule: Callable[..., LRScheduler],
        seed: int,
        chosen_fraction: float = 0.15,
        hidden_fraction: float = 0.8,
        exchanged_fraction: float = 0.1,
    ) -> None:
        super().__init__(model=model, optimizer=optimizer, schedule=schedule, seed=seed)
        _check(model, chosen_fraction, hidden_fraction, exchanged_fraction)
        assert model.tokenizer is not None, "a model in training has the tokenizer of its data"
        self.chosen_fraction = chosen_fraction
        self.hidden_fraction = hidden_fraction
        self.exchanged_fraction = exchanged_fraction
        self.mask_id = model.tokenizer.mask_id

    def loss(self, batch: Batch) -> torch.Tensor:
        """Mean cross-entropy of the chosen tokens, in nats."""
        datamodule = self.trainer.datamodule  # type: ignore[attr-defined]
        corrupted = self.corrupt(batch, epoch=datamodule.stages.at(self.global_step).epoch)
        return self.model(
            corrupted.input_ids, batch.get("attention_mask"), labels=corrupted.labels, loss_only=True
        ).loss

    def predict(self, batch: Batch) -> Predictions:
        """Logits where every chosen token is hidden, and those tokens."""
        chosen, _, _ = self._draw(batch, epoch=0)
        chosen &= batch["counted"][:, None]
        ids = batch["input_ids"]
        logits = self.model(ids.masked_fill(chosen, self.mask_id), batch.get("attention_mask")).logits
        return Predictions(logits, ids.where(chosen, IGNORED_LABEL))

    def corrupt(self, batch: Batch, *, epoch: int) -> Corrupted:
        """Choose tokens of a batch, and hide or exchange them as in training."""
        ids = batch["input_ids"]
        chosen, fate, substitute = self._draw(batch, epoch)
        hidden = chosen & (fate < self.hidden_fraction)
        exchanged = chosen & ~hidden & (fate < self.hidden_fraction + self.exchanged_fraction)
        corrupted = ids.masked_fill(hidden, self.mask_id)
        corrupted = torch.where(
            exchanged, self.known_ids[(substitute * len(self.known_ids)).long()], corrupted
        )
        return Corrupted(corrupted, ids.where(chosen, IGNORED_LABEL))

    def _draw(self, batch: Batch, epoch: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The chosen places (B, L) bool, and two random numbers in [0, 1) for each place, (B, L)."""
        ids = batch["input_ids"]
        known = torch.isin(ids, self.known_ids)
        if "attention_mask" in batch:
            known &= batch["attention_mask"]
        numbers = [
            np.random.default_rng([self._seed, _STREAM, epoch, index]).random((ids.shape[1], 3), np.float32)
            for index in batch["index"].tolist()
        ]
        # A token has the numbers of its rank among those of its row, wherever padding has moved it.
        rank = (known.cumsum(1) - 1).clamp(min=0).unsqueeze(-1).expand(-1, -1, 3)
        choice, fate, substitute = (
            torch.from_numpy(np.stack(numbers)).to(ids.device).gather(1, rank).unbind(-1)
        )
        chosen = known & (choice < self.chosen_fraction)
        if "labels" in batch:
            chosen &= batch["labels"] != IGNORED_LABEL
        return chosen, fate, substitute


def _check(model: SequenceModel, chosen: float, hidden: float, exchanged: float) -> None:
    if not isinstance(model.head, MaskedLanguageModelHead):
        raise ConfigError(
            f"task=masked_lm predicts hidden bases, head.head_type={model.head.head_type!r} something else: "
            "give head=masked_language_model."
        )
    if not 0 < chosen <= 1:
        raise ConfigError(f"chosen_fraction={chosen}: give a share above 0, at most 1.")
    if hidden < 0 or exchanged < 0 or hidden + exchanged > 1:
        raise ConfigError(
            f"hidden_fraction={hidden}, exchanged_fraction={exchanged}: neither below 0, together at most 1."
        )
