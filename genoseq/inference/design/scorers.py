"""How good a sequence is, according to a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch

from genoseq.errors import ConfigError
from genoseq.inference.devices import explain_full_memory
from genoseq.inference.records import Record, Tokens, require_tokenizer, tokenize
from genoseq.inference.targets import chosen_output
from genoseq.models.base import SequenceModel
from genoseq.models.chunks import batches
from genoseq.models.generation import require_language_model
from genoseq.models.heads import SequenceHead
from genoseq.models.modes import evaluating
from genoseq.models.token_shares import read_shares, shares_of_bases
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
    | causal language model | mean natural log-probability a base |

    A model whose predictions are the mean over both strands gives the mean of their scores.

    Args:
        model: a head for classes, labels or numbers of whole sequences, or a causal language model.
        target: name of the class or number; None for the second of two classes, or the only output.
        batch_size: sequences at a time.

    Raises:
        ConfigError: the model predicts nothing of whole sequences, or has no such target.
        CheckpointError: it has no tokenizer.
    """

    def __init__(self, model: SequenceModel, *, target: str | None = None, batch_size: int = 128) -> None:
        self._model = model
        self._tokenizer = require_tokenizer(model)
        self._batch_size = batch_size
        self._policy = model.strand_policy()
        if isinstance(model.head, SequenceHead):
            self._target = chosen_output(model, model.head, target)
            names = model.preprocessing.get("classes")
            what = "log-odds" if model.head.problem != "regression" else "value"
            self.name = f"{what} of {names[self._target]}" if names else what
        else:
            require_language_model(model, "designing")
            if target is not None:
                raise ConfigError(f"target={target}: a language model has no targets, leave it out.")
            self.name = "log-likelihood a base"

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
        with explain_full_memory(len(texts)), evaluating(self._model):
            if soft is None:
                output = self._model(tokens.input_ids, tokens.mask, second_pass=tokens.second_pass)
            else:
                ids, bases = tokens.input_ids, soft.to(self._model.device)
                shares = shares_of_bases(self._model, self._tokenizer, ids, tokens.letters, bases)
                output = read_shares(self._model, shares, ids, tokens.mask)
        logits = output.logits.float()
        if not isinstance(self._model.head, SequenceHead):
            return self._likelihood(logits, tokens, soft)
        own = logits[:, self._target]
        if self._model.head.problem != "single_label":
            return own
        others = torch.cat([logits[:, : self._target], logits[:, self._target + 1 :]], dim=1)
        return own - others.logsumexp(dim=1)

    def _likelihood(self, logits: torch.Tensor, tokens: Tokens, soft: torch.Tensor | None) -> torch.Tensor:
        """Mean over the letters that have a token before them."""
        expected = logits[:, :-1, : self._tokenizer.vocab_size].log_softmax(dim=-1)
        counted = tokens.letters[:, 1:]
        if soft is None:
            own = expected.gather(-1, tokens.input_ids[:, 1:, None]).squeeze(-1)
            return (own * counted).sum(1) / counted.sum(1)
        bases = torch.from_numpy(self._tokenizer.base_ids).to(logits.device)
        # Where nothing comes before the first letter, its share has no part.
        shares = soft.to(logits.device)[:, soft.shape[1] - int(counted[0].sum()) :]
        letters = expected[counted].reshape(*shares.shape[:2], -1)
        return (letters[..., bases] * shares).sum(-1).mean(1)
