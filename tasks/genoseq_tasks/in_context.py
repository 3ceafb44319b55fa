"""Answers from demonstrations, by the next token."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import torch
from torch.nn import functional
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from genoseq.data.loading import IGNORED_LABEL
from genoseq.errors import ConfigError
from genoseq.models import LanguageModelHead, SequenceModel
from genoseq_tasks.base import Batch
from genoseq_tasks.labels import LabelTask


class InContext(LabelTask):
    """Learn to give the token that answers for the class of a sequence, from those before it.

    Training is on all answers of an episode, over the whole vocabulary; evaluation is of the last one, by the
    shares of the tokens that answer. Classes are called by their numbers, which all tasks of the data have in
    common.

    Args:
        model, optimizer, schedule, seed: as for every task.

    Raises:
        ConfigError: the model is no causal language model, or the data have no answers.

    Source: Nguyen et al. 2023, "HyenaDNA", in-context learning.
    """

    def __init__(
        self,
        *,
        model: SequenceModel,
        optimizer: Callable[..., Optimizer],
        schedule: Callable[..., LRScheduler],
        seed: int,
    ) -> None:
        if not (isinstance(model.head, LanguageModelHead) and model.backbone.causal):
            raise ConfigError(
                f"task=in_context answers by the next token, which a {type(model.head).__name__} on "
                f"{type(model.backbone).__name__} does not give: take a causal model and head=language_model."
            )
        answers = model.preprocessing.get("answers")
        if answers is None:
            raise ConfigError("task=in_context wants answers to learn: give data=few_shot.")
        super().__init__(
            model=model,
            optimizer=optimizer,
            schedule=schedule,
            seed=seed,
            problem="single_label",
            num_outputs=len(answers),
        )

    def setup(self, stage: str) -> None:
        """Check that the model has room for the episodes.

        Raises:
            ConfigError: it has not.
        """
        datamodule, room = self.trainer.datamodule, self.model.backbone.l_max  # type: ignore[attr-defined]
        for split in ("test",) if stage == "test" else ("train", "validation"):
            longest = datamodule.dataset(split).longest
            if room is not None and longest > room:
                raise ConfigError(
                    f"episodes of {split} have up to {longest:,} tokens, and this model reads {room:,}: give "
                    "fewer data.shots, shorter sequences (data.tasks.NAME.max_length=.. "
                    "data.tasks.NAME.truncation=true), a shorter prompt, or a model with a larger l_max."
                )

    def loss(self, batch: Batch) -> torch.Tensor:
        """Mean cross-entropy of all answers, in nats."""
        mask = batch.get("attention_mask")
        return self.model(batch["input_ids"], mask, labels=batch["labels"], loss_only=True).loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure a batch."""
        self._evaluate(batch)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure a batch, and keep a row an episode: `index`, `label`, `prediction`,
        `probability_<class>`."""
        shares = self._evaluate(batch)
        counted = batch["counted"]
        names = [str(number) for number in range(self.num_outputs)]
        columns = self._columns(names, shares[counted], batch["label"][counted])
        self._test_rows.append(pd.DataFrame({"index": batch["index"][counted].cpu().numpy()} | columns))

    def _evaluate(self, batch: Batch) -> torch.Tensor:
        """(B, C) the share of each class in what the model expects as the last answer."""
        labels, counted = batch["labels"], batch["counted"]
        number = torch.arange(labels.shape[1], device=labels.device)
        last = torch.where(labels != IGNORED_LABEL, number, 0).amax(dim=1)
        row = torch.arange(len(labels), device=labels.device)
        logits = self.model(batch["input_ids"], batch.get("attention_mask")).logits[row, last - 1].float()
        shares = self._activate(logits.gather(1, batch["answers"]))
        loss = functional.cross_entropy(logits[counted], labels[row, last][counted])
        self._count(shares[counted], batch["label"][counted], loss)
        return shares
