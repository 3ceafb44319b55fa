"""Classification and regression of whole sequences or of single tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from genoseq.data.loading import is_labelled
from genoseq.errors import ConfigError
from genoseq.models import SequenceHead, SequenceModel, TokenHead
from genoseq.tokenizers import turned_places
from genoseq_tasks.base import Batch
from genoseq_tasks.labels import LabelTask


class SequencePrediction(LabelTask):
    """Learn labels: of one class, of several, or numbers; the model's head says which, and how many.

    What becomes of the two strands, its `preprocessing` says: evaluation is as prediction will be.

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
        assert isinstance(model.head, SequenceHead | TokenHead), (
            "the head of labels is known to be one of these"
        )
        super().__init__(
            model=model,
            optimizer=optimizer,
            schedule=schedule,
            seed=seed,
            problem=model.head.problem,
            num_outputs=model.head.num_outputs,
        )
        self.policy = model.strand_policy()
        assert model.tokenizer is not None, "a model in training has the tokenizer of its data"
        self.tokenizer = model.tokenizer

    def setup(self, stage: str) -> None:
        """Check that the data allow what becomes of the strands.

        Raises:
            ConfigError: the policy takes labels to hold for both strands, and the data say that they do not.
        """
        split = "test" if stage == "test" else "validation"
        self.policy.require_labels(self.trainer.datamodule.dataset(split).strand)  # type: ignore[attr-defined]

    def loss(self, batch: Batch) -> torch.Tensor:
        """The head's own loss, mean over the labels of the batch."""
        return self._predict(batch, labels=batch["labels"]).loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure a batch."""
        self._evaluate(batch)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure a batch, and keep a row an example: `index`, `label`, `prediction`,
        `probability_<class>`."""
        outputs, labels, labelled = self._evaluate(batch)
        place = torch.nonzero(labelled).cpu().numpy()
        rows = {"index": batch["index"].cpu().numpy()[place[:, 0]]}
        if place.shape[1] == 2:
            rows["position"] = self._letter_numbers(batch)[labelled].cpu().numpy()
        columns = self._columns(self._output_names(), outputs, labels)
        self._test_rows.append(pd.DataFrame(rows | columns))

    def _evaluate(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Outputs (N, C) and labels (N,) or (N, C) of what is counted and labelled, and where that is."""
        output = self._predict(batch, labels=batch["labels"])
        values = self._activate(output.logits)
        if self.policy.averages:
            values = (values + self._other_strand(batch)) / 2
        labelled = batch["counted"]
        if values.ndim == 3:
            labels = batch["labels"] if batch["labels"].ndim == 2 else batch["labels"][..., 0]
            labelled = labelled[:, None] & is_labelled(labels)
        outputs, labels = values[labelled], batch["labels"][labelled]
        self._count(outputs, labels, output.loss)
        return outputs, labels, labelled

    def _predict(self, batch: Batch, labels: torch.Tensor | None = None) -> Any:
        if self.policy.passes > 1 and "second_pass" not in batch:
            raise ConfigError(
                f"strands={self.policy.name} wants each sequence twice, and these data give it once (no "
                "second_pass). Give strands=none, or data that do so, such as data=labelled."
            )
        mask, second_pass = (batch.get(name) for name in ("attention_mask", "second_pass"))
        return self.model(batch["input_ids"], mask, second_pass=second_pass, labels=labels)

    def _other_strand(self, batch: Batch) -> torch.Tensor:
        """Outputs for the reverse complement of each row, those of tokens in the order of the row."""
        ids = batch["input_ids"]
        turned = batch | {"input_ids": self.tokenizer.reverse_complement(ids)}
        values = self._activate(self._predict(turned).logits)
        if values.ndim == 2:
            return values
        places = turned_places(self.tokenizer.is_letter(ids))
        return values.gather(1, places.unsqueeze(-1).expand_as(values))

    def _letter_numbers(self, batch: Batch) -> torch.Tensor:
        """(B, L) the number, from 0, of the letter that each token stands for in its sequence."""
        letters = self.tokenizer.is_letter(batch["input_ids"])
        if "second_pass" in batch:
            letters &= batch["second_pass"]
        numbers = letters.cumsum(1) - 1
        return letters.sum(1, keepdim=True) - 1 - numbers if self.policy.second_pass == "other" else numbers
