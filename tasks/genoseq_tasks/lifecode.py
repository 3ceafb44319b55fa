"""Life-Code: hidden bases and codons, translation, and what a teacher says of the residues, learnt at once.

Source: Liu et al. 2025, "Life-Code". The losses are means over what each is of, and their weights a setting:
the paper leaves them open.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, cast

import pandas as pd
import torch
from torch import nn
from torch.nn import functional as F
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from genoseq.data.loading import IGNORED_LABEL
from genoseq.errors import ConfigError
from genoseq.models import LifeCode, LifeCodeHead, ProteinTeacher, SequenceModel
from genoseq.models.lifecode import NUM_MEANINGS, UNKNOWN_CODON, CodonReader, residue_states
from genoseq.training.metrics import PerBase
from genoseq_tasks.base import Batch, SequenceTask


class Part(NamedTuple):
    """What is learnt in one way, of N bases, codons or residues of a batch.

    Attributes:
        losses: (N,) of each.
        scores: (N,) by which each is measured: 1 where it is right, or the cosine.
        rows: (N,) the example that each is of.
    """

    losses: torch.Tensor
    scores: torch.Tensor
    rows: torch.Tensor


# What the score of each part is called.
_SCORES = {
    "masked": "masked_accuracy",
    "codon": "codon_accuracy",
    "translation_visible": "translation_accuracy",
    "translation_hidden": "translation_accuracy_hidden",
    "distillation": "distillation_cosine",
}


class LifeCodeTask(SequenceTask):
    """Learn from coding sequences, and from DNA around them.

    Four losses are summed by their weights, each a mean over the batch, and over the whole split in
    evaluation: cross-entropy of hidden bases (`masked`); of hidden codons, of which the tokens say the frame,
    from the states of their residues (`codon`); of the residue of every codon, hidden or not (`translation`);
    and 1 - cosine between what the head makes of each residue's state and the teacher's (`distillation`).

    Args:
        model, optimizer, schedule, seed: as for every task.
        teacher: states of residues; None to learn without.
        masked_weight, codon_weight, translation_weight, distillation_weight: of the losses.

    Raises:
        ConfigError: another model or head, a weight below 0, or a teacher of another width than the head's.
    """

    def __init__(
        self,
        *,
        model: SequenceModel,
        optimizer: Callable[..., Optimizer],
        schedule: Callable[..., LRScheduler],
        seed: int,
        teacher: ProteinTeacher | None = None,
        masked_weight: float = 1.0,
        codon_weight: float = 1.0,
        translation_weight: float = 1.0,
        distillation_weight: float = 1.0,
    ) -> None:
        super().__init__(model=model, optimizer=optimizer, schedule=schedule, seed=seed)
        head = _head_of(model)
        self.weights = {
            "masked": masked_weight,
            "codon": codon_weight,
            "translation": translation_weight,
            "distillation": distillation_weight,
        }
        if min(self.weights.values()) < 0:
            raise ConfigError(f"weights of losses are 0 or more; given are {self.weights}.")
        _require_width(head, teacher)
        self.teacher = teacher
        self.codons = CodonReader()
        self.losses = _means(self.weights)
        self.scores = _means(_SCORES)

    def loss(self, batch: Batch) -> torch.Tensor:
        """The weighted sum; `train/masked_loss` and so on are the summands, each without its weight."""
        parts = self.parts(batch)
        means = {name: parts[name].losses.sum() / max(1, len(parts[name].losses)) for name in self._learnt}
        for name, mean in means.items():
            self.log(f"train/{name}_loss", mean.detach())
        return torch.stack([self.weights[name] * mean for name, mean in means.items()]).sum()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure a batch."""
        self._measure(batch)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure a batch, and keep a row an example: `index`, of its hidden bases `num_bases`, `num_correct`
        and `bits`, of the residues of its visible codons `num_residues` and `num_translated`, and of all that
        the teacher knows `num_taught` and `cosine`, their sum."""
        parts = self._measure(batch)
        size = len(batch["index"])

        def total(values: torch.Tensor, name: str) -> torch.Tensor:
            return torch.zeros(size, device=values.device).index_add_(0, parts[name].rows, values.float())

        columns = {"index": batch["index"], "bits": total(parts["masked"].losses, "masked") / math.log(2)}
        names = {
            "masked": ("num_bases", "num_correct"),
            "translation_visible": ("num_residues", "num_translated"),
            "distillation": ("num_taught", "cosine"),
        }
        for name, (number, score) in names.items():
            columns[number] = total(torch.ones_like(parts[name].scores), name).long()
            columns[score] = total(parts[name].scores, name)
        rows = pd.DataFrame({name: values.cpu().numpy() for name, values in columns.items()})
        self._test_rows.append(rows[batch["counted"].cpu().numpy()])

    def compute_metrics(self) -> dict[str, torch.Tensor]:
        """`loss`, the weighted sum, and each of its summands; bits a hidden base; accuracies of hidden bases
        and codons, and of the residues of visible and of hidden codons; the cosine with the teacher. What
        the data have none of is left out."""
        losses = {name: metric.compute() for name, metric in self.losses.items()}
        scores = {_SCORES[name]: metric.compute() for name, metric in self.scores.items()}
        for metric in (*self.losses.values(), *self.scores.values()):
            metric.reset()
        there = {name: value for name, value in losses.items() if not value.isnan()}
        total = torch.stack([self.weights[name] * value for name, value in there.items()]).sum()
        return {
            "loss": total,
            **{f"{name}_loss": value for name, value in there.items()},
            "bits_per_base": losses["masked"] / math.log(2),
            **{name: value for name, value in scores.items() if not value.isnan()},
        }

    def parts(self, batch: Batch) -> dict[str, Part]:
        """All that there is to learn of a batch, and `translation` in two: of visible and hidden codons."""
        output = self.model(batch["input_ids"], batch.get("attention_mask"))
        counted = batch["counted"][:, None]
        hidden = (batch["labels"] != IGNORED_LABEL) & counted
        starts = (batch["residues"] != IGNORED_LABEL) & counted
        rows = starts.nonzero()[:, 0]
        states = residue_states(output.last_hidden_state, starts)
        residues = batch["residues"][starts]
        parts = {
            "masked": _classified(output.logits[hidden], batch["labels"][hidden], hidden.nonzero()[:, 0]),
            "codon": self._codons(batch["labels"], states, starts, rows),
            # Residues that no codon alone stands for are one class, the last.
            "translation": _classified(
                self.head.translation(states), residues.clamp(max=NUM_MEANINGS - 1), rows
            ),
            "distillation": self._distilled(states, batch["residues"], starts, rows),
        }
        covered = (batch["labels"] != IGNORED_LABEL)[starts]
        for name, chosen in (("translation_visible", ~covered), ("translation_hidden", covered)):
            parts[name] = Part(*(values[chosen] for values in parts["translation"]))
        return parts

    @property
    def head(self) -> LifeCodeHead:
        """The model's."""
        return _head_of(self.model)

    @property
    def _learnt(self) -> list[str]:
        return [name for name in self.weights if name != "distillation" or self.teacher is not None]

    def _codons(
        self, labels: torch.Tensor, states: torch.Tensor, starts: torch.Tensor, rows: torch.Tensor
    ) -> Part:
        """Codons that are hidden as a whole."""
        assert self.model.tokenizer is not None
        true = self.codons(labels.where(labels != IGNORED_LABEL, self.model.tokenizer.pad_id))[starts]
        chosen = (true >= 0) & (true < UNKNOWN_CODON)
        return _classified(self.head.codon(states[chosen]), true[chosen], rows[chosen])

    def _distilled(
        self, states: torch.Tensor, residues: torch.Tensor, starts: torch.Tensor, rows: torch.Tensor
    ) -> Part:
        if self.teacher is None or self.head.distillation is None:
            nothing = states.new_empty(0)
            return Part(nothing, nothing, rows[:0])
        known = self.teacher.knows.to(residues.device)[residues[starts]]
        proteins, mask = gather_rows(residues, starts)
        taught = self.teacher(proteins, mask)[mask][known]
        cosines = F.cosine_similarity(self.head.distillation(states[known]).float(), taught.float(), dim=-1)
        return Part(1 - cosines, cosines, rows[known])

    def _measure(self, batch: Batch) -> dict[str, Part]:
        parts = self.parts(batch)
        for name, part in parts.items():
            number = torch.tensor(len(part.losses), device=part.losses.device)
            if name in self.losses:
                self.losses[name].update(part.losses, number)
            if name in self.scores:
                self.scores[name].update(part.scores, number)
        return parts


def gather_rows(values: torch.Tensor, chosen: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What is chosen of each row, moved to its left: values (B, R), and a mask (B, R), False where it is
    filled up. R is 1 or more.

    Args:
        values: (B, L).
        chosen: (B, L) bool.
    """
    counts = chosen.sum(1, keepdim=True)
    most = max(1, int(counts.max()))
    places = torch.argsort((~chosen).int(), dim=1, stable=True)[:, :most]
    mask = torch.arange(most, device=chosen.device) < counts
    return values.gather(1, places).masked_fill(~mask, 0), mask


def _means(names: Iterable[str]) -> Mapping[str, PerBase]:
    return cast(Mapping[str, PerBase], nn.ModuleDict({name: PerBase() for name in names}))


def _classified(logits: torch.Tensor, targets: torch.Tensor, rows: torch.Tensor) -> Part:
    logits = logits.float()
    losses = F.cross_entropy(logits, targets, reduction="none")
    return Part(losses, (logits.argmax(-1) == targets).float(), rows)


def _head_of(model: SequenceModel) -> LifeCodeHead:
    if isinstance(model.backbone, LifeCode) and isinstance(model.head, LifeCodeHead):
        return model.head
    raise ConfigError(
        f"task=lifecode is for Life-Code and its head, not for {type(model.backbone).__name__} with "
        f"{type(model.head).__name__}: give model=lifecode_tiny head=lifecode."
    )


def _require_width(head: LifeCodeHead, teacher: ProteinTeacher | None) -> None:
    wanted = None if teacher is None else teacher.width
    if head.teacher_width != wanted:
        raise ConfigError(
            f"the teacher ({teacher}) has states of {wanted} numbers, the head has room for "
            f"{head.teacher_width}: give head.teacher_width={wanted or 'null'}, or another task.teacher."
        )
