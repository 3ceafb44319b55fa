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
from genoseq.tokenizers import Fate, choose_fates
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
    batch labels; codons whole, and of words that overlap all that have a hidden base, see `choose_fates`.
    Evaluation hides every chosen one, the same ones each time: one that was kept would give itself away.

    Args:
        model, optimizer, schedule, seed: as for every task.
        chosen_fraction: of the tokens, those that count.
        hidden_fraction: of the chosen ones, those that become [MASK] in training.
        exchanged_fraction: of the chosen ones, those that become any of the known bases or words of their
            kind, see `Tokenizer.kinds`; the rest is kept.

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
        self.tokenizer = model.tokenizer
        self.register_buffer("hidden_ids", torch.from_numpy(self.tokenizer.hidden_ids), persistent=False)
        self.hidden_ids: torch.Tensor
        known = self.tokenizer.known_ids
        self._is_known = np.isin(np.arange(self.tokenizer.vocab_size), known)
        self._alike = known[np.argsort(self.tokenizer.kinds[known], kind="stable")]
        self._first_alike, self._num_alike = _groups(self.tokenizer.kinds, known)

    def loss(self, batch: Batch) -> torch.Tensor:
        """Mean cross-entropy of the chosen tokens, in nats."""
        datamodule = self.trainer.datamodule  # type: ignore[attr-defined]
        corrupted = self.corrupt(batch, epoch=datamodule.stages.at(self.global_step).epoch)
        return self.model(
            corrupted.input_ids, batch.get("attention_mask"), labels=corrupted.labels, loss_only=True
        ).loss

    def predict(self, batch: Batch) -> Predictions:
        """Logits where every chosen token is hidden, and those tokens."""
        ids = batch["input_ids"]
        fates, _ = self._draw(batch, epoch=0, hidden=1.0, exchanged=0.0)
        hidden = (fates == Fate.HIDDEN) & batch["counted"][:, None]
        logits = self.model(
            torch.where(hidden, self.hidden_ids[ids], ids), batch.get("attention_mask")
        ).logits
        return Predictions(logits, ids.where(hidden & self._labelled(batch), IGNORED_LABEL))

    def corrupt(self, batch: Batch, *, epoch: int) -> Corrupted:
        """Choose tokens of a batch, and hide or exchange them as in training."""
        ids = batch["input_ids"]
        fates, others = self._draw(
            batch, epoch, hidden=self.hidden_fraction, exchanged=self.exchanged_fraction
        )
        corrupted = torch.where(fates == Fate.HIDDEN, self.hidden_ids[ids], ids)
        corrupted = torch.where(fates == Fate.EXCHANGED, others, corrupted)
        return Corrupted(corrupted, ids.where((fates != Fate.LEFT) & self._labelled(batch), IGNORED_LABEL))

    def _labelled(self, batch: Batch) -> torch.Tensor:
        """(B, L) bool, the tokens that are learnt and scored where they are hidden."""
        known = torch.isin(batch["input_ids"], self.known_ids)
        if "attention_mask" in batch:
            known &= batch["attention_mask"]
        return known & (batch["labels"] != IGNORED_LABEL) if "labels" in batch else known

    def _draw(
        self, batch: Batch, epoch: int, *, hidden: float, exchanged: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """What becomes of each token, a `Fate`, (B, L), and the token that it would be exchanged for."""
        rows, labelled = batch["input_ids"].cpu().numpy(), self._labelled(batch).cpu().numpy()
        real = batch["attention_mask"].cpu().numpy() if "attention_mask" in batch else None
        fates, others = np.full_like(rows, Fate.LEFT), rows.copy()
        for row, index in enumerate(batch["index"].tolist()):
            # Padding is left out, so that it moves no number.
            place = slice(None) if real is None else real[row]
            ids = rows[row][place]
            generator = np.random.default_rng([self._seed, _STREAM, epoch, index])
            fate = choose_fates(
                self.tokenizer.begins_unit(ids),
                labelled[row][place],
                overlapping=self._offsets(ids) if self.tokenizer.overlapping else None,
                fraction=self.chosen_fraction,
                hidden=hidden,
                exchanged=exchanged,
                generator=generator,
            )
            fates[row][place] = fate * self._is_known[ids]
            others[row][place] = self._substitutes(ids, generator)
        device = batch["input_ids"].device
        return torch.from_numpy(fates).to(device), torch.from_numpy(others).to(device)

    def _offsets(self, ids: np.ndarray) -> np.ndarray:
        return self.tokenizer.offsets(ids, len(self.tokenizer.decode(ids)))

    def _substitutes(self, ids: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """A known token of the kind of each, (L,), drawn at random; any where its kind has none."""
        kinds = self.tokenizer.kinds[ids]
        drawn = (generator.random(len(ids)) * self._num_alike[kinds]).astype(np.int64)
        return self._alike[(self._first_alike[kinds] + drawn) % len(self._alike)]


def _groups(kinds: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of known tokens in the order of their kinds: where each kind begins, and how many it has."""
    counts = np.bincount(kinds[known], minlength=kinds.max() + 1)
    return np.cumsum(counts) - counts, counts


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
