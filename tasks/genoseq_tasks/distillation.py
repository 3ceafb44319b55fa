"""A student that learns from another model what to make of visible bases, and hidden bases themselves.

Source: Yang et al. 2025, "HAD: Hybrid Architecture Distillation Outperforms Teacher in Genomic Sequence
Modeling": masking in two stages (groups of the teacher's tokens, then the student's characters of the same
bases), alignment of features at visible tokens, reconstruction of hidden bases by cross-attention. The code
is not public; what the paper leaves open is chosen here and said at the arguments.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torchmetrics import MeanMetric

from genoseq.data.loading import IGNORED_LABEL
from genoseq.errors import ConfigError, SequenceError
from genoseq.models import SequenceModel
from genoseq.nn import Reconstruction
from genoseq_tasks.base import Batch
from genoseq_tasks.language_model import LanguageModelTask, Predictions
from genoseq_tasks.teacher import Teacher, View, view

# Apart from the random numbers that the data draw from (seed, epoch, index).
_STREAM = 0x484144
_TERMS = ("alignment", "reconstruction", "prediction")


class Terms(NamedTuple):
    """Attributes:
    alignment: () mean smooth L1 distance of the student's features from the teacher's, at visible tokens.
    reconstruction: () mean nats of the hidden tokens, told by cross-attention from the visible ones.
    prediction: () mean nats of the hidden tokens under the student's own head.
    """

    alignment: torch.Tensor
    reconstruction: torch.Tensor
    prediction: torch.Tensor


class Distillation(LanguageModelTask):
    """Learn from a teacher, whose tokens, width and number of positions may be others than the student's.

    What is hidden of an example is a function of (seed, epoch, index) and of the example alone; evaluation
    hides the same each time. The student alone is saved, and measured as in masked language modelling, by its
    own predictions of all hidden tokens; `val/alignment`, `val/reconstruction` and their weighted sum
    `val/objective` are of the validation split.

    Args:
        model: the student, under a head that predicts hidden tokens.
        optimizer, schedule, seed: as for every task.
        teacher: what `genoseq.load` takes; it stays as it is.
        group_size: neighbouring tokens of the teacher that are hidden together.
        hidden_fraction: share of the groups that is hidden, from the student, and from the teacher where
            `hide_from_teacher`. The paper's: 0.15.
        hide_from_teacher: as in the paper. Without it the teacher reads everything: for one that never learnt
            to do with hidden tokens, such as a causal one. Nothing leaks, for it is compared where the
            student sees too.
        project: learn a linear map from the student's width to the teacher's; without it they have to be one.
        alignment_weight, reconstruction_weight: of the two terms of the paper. Features are compared by
            smooth L1 distance, the teacher's normalised at each token, so that no channel outweighs the rest;
            the student's are the mean over the bases of the teacher's token.
        prediction_weight: of the student's own prediction of the hidden tokens. Not in the paper: without it
            the head, which the model folder has, learns nothing.
        decoder_heads, decoder_inner: of the cross-attention, see `Reconstruction`.

    Raises:
        CheckpointError: the teacher cannot be read.
        ConfigError: settings are out of range, the head predicts something else, the teacher reads no
            nucleotides, or its width is not the student's and nothing maps between them.
        SequenceError: a tokenizer has no [MASK].
    """

    def __init__(
        self,
        *,
        model: SequenceModel,
        optimizer: Callable[..., Optimizer],
        schedule: Callable[..., LRScheduler],
        seed: int,
        teacher: str | os.PathLike[str],
        group_size: int = 1,
        hidden_fraction: float = 0.15,
        hide_from_teacher: bool = True,
        project: bool = True,
        alignment_weight: float = 1.0,
        reconstruction_weight: float = 1.0,
        prediction_weight: float = 1.0,
        decoder_heads: int = 4,
        decoder_inner: int = 128,
    ) -> None:
        super().__init__(model=model, optimizer=optimizer, schedule=schedule, seed=seed)
        weights = (alignment_weight, reconstruction_weight, prediction_weight)
        _check(model, group_size, hidden_fraction, weights)
        assert model.tokenizer is not None, "a model in training has the tokenizer of its data"
        self.tokenizer = model.tokenizer
        self.mask_id = model.tokenizer.mask_id
        self.teacher = Teacher(teacher)
        self.teacher_mask_id = self.teacher.tokenizer.mask_id if hide_from_teacher else None
        self.group_size = group_size
        self.hidden_fraction = hidden_fraction
        self.weights = weights
        self.projection = _projection(model, self.teacher, project)
        self.decoder = Reconstruction(
            d_model=model.backbone.d_model,
            num_heads=decoder_heads,
            d_inner=decoder_inner,
            num_outputs=model.backbone.vocab_size,
        )
        self.terms = nn.ModuleDict({name: MeanMetric() for name in _TERMS})

    def configure_model(self) -> None:
        """Raises:
        ConfigError: the model is to be in parts on several devices.
        """
        if self.device_mesh is not None:
            raise ConfigError(
                "task=distillation keeps the student whole on each device: give trainer=gpu or trainer=ddp."
            )

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Choose what is hidden on the CPU, while the device still works at the step before."""
        return self.prepare(batch)

    def prepare(self, batch: Any) -> Any:
        """The batch with its `view`, where it has none yet.

        Raises:
            SequenceError: the teacher does not take as many tokens.
        """
        if "view" in batch:
            return batch
        epoch = self._epoch() if self.training else 0
        generators = [
            np.random.default_rng([self._seed, _STREAM, epoch, index]) for index in batch["index"].tolist()
        ]
        mask = batch.get("attention_mask")
        seen = view(
            batch["input_ids"].cpu(),
            None if mask is None else mask.cpu(),
            self.tokenizer,
            self.teacher.tokenizer,
            group_size=self.group_size,
            fraction=self.hidden_fraction,
            generators=generators,
        )
        length, room = seen.teacher_ids.shape[1], self.teacher.l_max
        if room is not None and length > room:
            raise SequenceError(
                f"the teacher {self.teacher.name} takes {room:,} tokens, and windows have {length:,} of its "
                "tokens: give a smaller data.length, or a teacher with a larger l_max."
            )
        return batch | {"view": seen.to(batch["input_ids"].device)}

    def loss(self, batch: Batch) -> torch.Tensor:
        """The weighted sum of the terms."""
        return self._objective(self.compare(batch))

    def compare(self, batch: Batch) -> Terms:
        """The terms of a batch."""
        batch = self.prepare(batch)
        seen: View = batch["view"]  # type: ignore[assignment]
        ids, mask = batch["input_ids"], batch.get("attention_mask")
        labels = self._labels(batch)
        own = self.model(ids.masked_fill(seen.hidden, self.mask_id), mask, labels=labels, loss_only=True)
        states = own.last_hidden_state
        visible = ~seen.hidden if mask is None else ~seen.hidden & mask
        told = self.decoder(states, visible, seen.places)
        asked = labels.gather(1, seen.places).where(seen.asked, IGNORED_LABEL)
        nats = F.cross_entropy(told.flatten(0, 1).float(), asked.flatten(), reduction="sum")
        return Terms(self._align(states, seen), nats / (asked != IGNORED_LABEL).sum().clamp_min(1), own.loss)

    def predict(self, batch: Batch) -> Predictions:
        """The student's own logits where everything chosen is hidden, and the tokens that are there."""
        batch = self.prepare(batch)
        seen: View = batch["view"]  # type: ignore[assignment]
        ids = batch["input_ids"].masked_fill(seen.hidden, self.mask_id)
        logits = self.model(ids, batch.get("attention_mask")).logits
        return Predictions(logits, self._labels(batch).where(batch["counted"][:, None], IGNORED_LABEL))

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure a batch."""
        super().validation_step(batch, batch_idx)
        weight = batch["counted"].sum()
        for name, value in self.compare(batch)._asdict().items():
            self._metric(name).update(value, weight)

    def compute_metrics(self) -> dict[str, torch.Tensor]:
        """Those of the hidden tokens under the student's own head; after validation also the terms and the
        objective."""
        values = super().compute_metrics()
        # A test is of the student, as it is loaded: what helped it to learn is not there.
        if self.trainer.testing:
            return values
        terms = Terms(*(self._metric(name).compute() for name in _TERMS))
        for name in _TERMS:
            self._metric(name).reset()
        found = {"alignment": terms.alignment, "reconstruction": terms.reconstruction}
        return values | found | {"objective": self._objective(terms)}

    def _align(self, states: torch.Tensor, seen: View) -> torch.Tensor:
        ids = seen.teacher_ids
        if self.teacher_mask_id is not None:
            ids = ids.masked_fill(seen.teacher_hidden, self.teacher_mask_id)
        features = self.teacher.features(ids, seen.teacher_mask).flatten(0, 1)[seen.compared]
        shares = states.flatten(0, 1)[seen.columns] * seen.weights.unsqueeze(1)
        means = shares.new_zeros(len(features), shares.shape[1]).index_add(0, seen.rows, shares)
        distances = F.smooth_l1_loss(self.projection(means).float(), features, reduction="sum")
        return distances / max(features.numel(), 1)

    def _labels(self, batch: Batch) -> torch.Tensor:
        """(B, L) the tokens of known bases that are hidden, and that the batch labels; -100 elsewhere."""
        ids = batch["input_ids"]
        seen: View = batch["view"]  # type: ignore[assignment]
        chosen = seen.hidden & torch.isin(ids, self.known_ids)
        if "labels" in batch:
            chosen &= batch["labels"] != IGNORED_LABEL
        return ids.where(chosen, IGNORED_LABEL)

    def _objective(self, terms: Terms) -> torch.Tensor:
        parts = [weight * term for weight, term in zip(self.weights, terms, strict=True)]
        return torch.stack(parts).sum()

    def _metric(self, name: str) -> MeanMetric:
        return cast(MeanMetric, self.terms[name])

    def _epoch(self) -> int:
        return self.trainer.datamodule.stages.at(self.global_step).epoch  # type: ignore[attr-defined]


def _projection(model: SequenceModel, teacher: Teacher, project: bool) -> nn.Module:
    width = model.backbone.d_model
    if project:
        return nn.Linear(width, teacher.width)
    if width != teacher.width:
        raise ConfigError(
            f"the teacher {teacher.name} has features of width {teacher.width}, the student of {width}: give "
            f"task.project=true, or a student with model.d_model={teacher.width}."
        )
    return nn.Identity()


def _check(model: SequenceModel, group_size: int, fraction: float, weights: tuple[float, ...]) -> None:
    if model.head.head_type != "masked_language_model":
        raise ConfigError(
            f"task=distillation hides bases that the student has to tell, and head.head_type="
            f"{model.head.head_type!r} tells something else: give head=masked_language_model."
        )
    if not 0 < fraction < 1:
        raise ConfigError(f"hidden_fraction={fraction}: give a share above 0 and below 1.")
    if group_size < 1:
        raise ConfigError(f"group_size={group_size}: a group has 1 token or more.")
    if min(weights) < 0 or not any(weights):
        named = ", ".join(f"{name}_weight={weight}" for name, weight in zip(_TERMS, weights, strict=True))
        raise ConfigError(f"{named}: none is below 0, and one is above.")
