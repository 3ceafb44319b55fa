"""How good a sequence is, according to a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch

from genoseq.errors import ConfigError
from genoseq.inference.design.measures import measure_of
from genoseq.inference.devices import explain_full_memory
from genoseq.inference.records import Record, require_tokenizer, tokenize
from genoseq.models.base import SequenceModel
from genoseq.models.chunks import batches
from genoseq.sequence import decode_bases, reverse_complement


class Scorer(Protocol):
    """Anything that gives numbers to sequences."""

    @property
    def name(self) -> str:
        """What is measured, for tables and plots."""

    def __call__(self, sequences: Sequence[str]) -> np.ndarray:
        """(N,) float64."""


class ModelScorer:
    """A trained model as a scorer.

    | head | score |
    |---|---|
    | one of several classes | natural log-odds of the target against all others |
    | several labels | natural log-odds of the target |
    | numbers | the target's value |
    | causal language model | natural log-probability a base |
    | masked language model | natural pseudo-log-likelihood a base |

    A model whose predictions are the mean over both strands gives the mean of their scores.

    Args:
        model: a head for classes, labels or numbers of whole sequences, or a language model.
        target: name of the class or number; None for the second of two classes, or the only output.
        passes: of a masked language model: times that it reads a sequence, with every so-many-th token
            hidden; None hides each token alone.
        batch_size: sequences at a time.

    Raises:
        ConfigError: the model predicts nothing of whole sequences, or a setting is not for it.
        CheckpointError: it has no tokenizer.
    """

    def __init__(
        self,
        model: SequenceModel,
        *,
        target: str | None = None,
        passes: int | None = None,
        batch_size: int = 128,
    ) -> None:
        require_tokenizer(model)
        self._model = model
        self._batch_size = batch_size
        self._policy = model.strand_policy()
        self._measure = measure_of(model, target=target, passes=passes)
        self.name = self._measure.name

    def __call__(self, sequences: Sequence[str]) -> np.ndarray:
        """(N,) float64.

        Raises:
            SequenceError: a sequence that is empty, too long or no nucleotides.
            DeviceError: a batch does not fit in memory.
        """
        found = []
        with torch.inference_mode():
            for batch in batches(sequences, self._batch_size):
                scores = self._of(batch)
                if self._policy.averages:
                    scores = (scores + self._of([reverse_complement(text) for text in batch])) / 2
                found.append(scores.double().cpu().numpy())
        return np.concatenate(found) if found else np.empty(0)

    def differentiable(self, codes: np.ndarray, soft: torch.Tensor) -> torch.Tensor:
        """Scores that carry gradients to the shares of bases.

        Args:
            codes: (B, L) uint8, the sequences.
            soft: (B, L, 4) shares of A, C, G and T, read in their place.

        Returns:
            (B,) float32.

        Raises:
            ConfigError: gradients do not reach the sequence, see `read_shares`: tokens of several bases, or
                sequences that are given twice.
            DeviceError: the batch does not fit in memory.
        """
        if self._policy.passes > 1:
            raise ConfigError(
                f"gradients need each sequence once, and this model reads with strands={self._policy.name}: "
                "use method=evolution or sampling."
            )
        texts = [decode_bases(row) for row in codes]
        scores = self._of(texts, soft)
        if self._policy.averages:
            turned = [reverse_complement(text) for text in texts]
            scores = (scores + self._of(turned, soft.flip(1, 2))) / 2
        return scores

    def _of(self, texts: Sequence[str], soft: torch.Tensor | None = None) -> torch.Tensor:
        """(B,) scores of one strand, read as they stand or, with `soft` (B, L, 4), as mixtures."""
        records = [Record(str(number), text) for number, text in enumerate(texts)]
        tokens = tokenize(records, self._model, self._policy)
        with explain_full_memory(len(texts)):
            return self._measure(tokens, soft)
