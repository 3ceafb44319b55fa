"""What a model says of whole sequences, as one number each that gradients can flow through."""

from __future__ import annotations

from typing import Protocol

import torch

from genoseq.errors import ConfigError
from genoseq.inference.hidden import hidden_log_probs, hidden_tokens, require_separate
from genoseq.inference.records import Tokens, require_tokenizer
from genoseq.inference.targets import chosen_output
from genoseq.models.base import SequenceModel
from genoseq.models.generation import require_language_model
from genoseq.models.heads import SequenceHead
from genoseq.models.modes import evaluating
from genoseq.models.strand_heads import MaskedLanguageModelHead
from genoseq.models.token_shares import one_hot_tokens, read_shares, shares_of_bases
from genoseq.tokenizers import Tokenizer


class Measure(Protocol):
    """A number of each sequence of a batch.

    Attributes:
        name: what is measured, for tables and plots.
    """

    name: str

    def __call__(self, tokens: Tokens, soft: torch.Tensor | None = None) -> torch.Tensor:
        """(B,) floats of tokens (B, T), read as they stand or, with `soft` (B, L, 4), as mixtures."""


def measure_of(model: SequenceModel, *, target: str | None = None, passes: int | None = None) -> Measure:
    """The measure that a model's head is for.

    Args:
        model: a head for classes, labels or numbers of whole sequences, or a language model.
        target: name of the class or number; None for the second of two classes, or the only output.
        passes: of a masked language model, see `PseudoLikelihood`.

    Raises:
        ConfigError: the model predicts nothing of whole sequences, has no such target, or is no masked
            language model and passes are given.
    """
    masked = isinstance(model.head, MaskedLanguageModelHead)
    if passes is not None and not masked:
        raise ConfigError(
            f"passes={passes}: only a masked language model hides tokens, and this is a "
            f"{type(model.head).__name__}. Leave it out."
        )
    if isinstance(model.head, SequenceHead):
        return Prediction(model, model.head, target)
    if target is not None:
        raise ConfigError(f"target={target}: a language model has no targets, leave it out.")
    return PseudoLikelihood(model, passes) if masked else Likelihood(model)


class Prediction:
    """Natural log-odds of a class against all others or of a label, or a number as it is predicted."""

    def __init__(self, model: SequenceModel, head: SequenceHead, target: str | None) -> None:
        self._model, self._problem = model, head.problem
        self._target = chosen_output(model, head, target)
        names = model.preprocessing.get("classes")
        what = "value" if head.problem == "regression" else "log-odds"
        self.name = f"{what} of {names[self._target]}" if names else what

    def __call__(self, tokens: Tokens, soft: torch.Tensor | None = None) -> torch.Tensor:
        logits = _read(self._model, tokens, soft)
        own = logits[:, self._target]
        if self._problem != "single_label":
            return own
        others = torch.cat([logits[:, : self._target], logits[:, self._target + 1 :]], dim=1)
        return own - others.logsumexp(dim=1)


class Likelihood:
    """Natural log-probability a base of a causal language model; a first token that nothing comes before does
    not count."""

    name = "log-likelihood a base"

    def __init__(self, model: SequenceModel) -> None:
        self._model, self._tokenizer = model, require_language_model(model, "designing")

    def __call__(self, tokens: Tokens, soft: torch.Tensor | None = None) -> torch.Tensor:
        counted = _known(self._tokenizer, tokens)
        counted[:, 0] = False
        logits = _read(self._model, tokens, soft)[:, :-1][counted[:, 1:]]
        log_probs = logits[:, : self._tokenizer.vocab_size].log_softmax(dim=-1)
        return _a_base(
            _told(self._tokenizer, log_probs, counted, tokens, soft), self._tokenizer, tokens, counted
        )


class PseudoLikelihood:
    """Natural pseudo-log-likelihood a base of a masked language model: of each token given all others.

    Args:
        model: masked, with tokens that stand side by side.
        passes: times that a sequence is read, with every so-many-th token hidden each time; None hides each
            token alone, which reads it as often as it has tokens. Fewer are faster, and an approximation: of
            7, about as many tokens are hidden as in training.

    Raises:
        ConfigError: `passes` is below 1, or tokens overlap.

    Source: Salazar et al. 2020, "Masked Language Model Scoring", equation 1: tokens hidden alone.
    """

    name = "pseudo-log-likelihood a base"

    def __init__(self, model: SequenceModel, passes: int | None = None) -> None:
        if passes is not None and passes < 1:
            raise ConfigError(f"passes={passes}: give 1 or more, or leave it out to hide each token alone.")
        self._model, self._tokenizer, self._passes = model, require_tokenizer(model), passes
        require_separate(self._tokenizer, "Design with another model.")

    def __call__(self, tokens: Tokens, soft: torch.Tensor | None = None) -> torch.Tensor:
        counted = _known(self._tokenizer, tokens)
        numbers = counted.cumsum(1) - 1
        passes = self._passes or int(counted.sum(1).max())
        told = torch.zeros(counted.shape, device=counted.device)
        for turn in range(passes):
            hidden = counted & (numbers % passes == turn)
            told = told + self._told(tokens, hidden, soft)
        return _a_base(told, self._tokenizer, tokens, counted)

    def _told(self, tokens: Tokens, hidden: torch.Tensor, soft: torch.Tensor | None) -> torch.Tensor:
        if soft is None:
            log_probs = hidden_log_probs(self._model, tokens.input_ids, hidden, tokens.mask)
        else:
            shown = torch.where(hidden, hidden_tokens(self._tokenizer, tokens.input_ids), tokens.input_ids)
            logits = _read(self._model, tokens._replace(input_ids=shown), soft, hidden)[hidden]
            log_probs = logits[:, : self._tokenizer.vocab_size].log_softmax(dim=-1)
        return _told(self._tokenizer, log_probs, hidden, tokens, soft)


def _read(
    model: SequenceModel,
    tokens: Tokens,
    soft: torch.Tensor | None,
    hidden: torch.Tensor | None = None,
) -> torch.Tensor:
    """Logits of one pass, float32; where tokens (B, T) are hidden, mixtures are not seen."""
    with evaluating(model):
        if soft is None:
            return model(tokens.input_ids, tokens.mask, second_pass=tokens.second_pass).logits.float()
        ids, bases = tokens.input_ids, soft.to(model.device)
        shares = shares_of_bases(model, require_tokenizer(model), ids, tokens.letters, bases)
        if hidden is not None:
            shares = torch.where(hidden[..., None], one_hot_tokens(model, ids).to(shares.dtype), shares)
        return read_shares(model, shares, ids, tokens.mask).logits.float()


def _known(tokenizer: Tokenizer, tokens: Tokens) -> torch.Tensor:
    """(B, T) bool: the tokens of A, C, G and T alone."""
    known = torch.from_numpy(tokenizer.known_ids).to(tokens.input_ids.device)
    return tokens.letters & torch.isin(tokens.input_ids, known)


def _told(
    tokenizer: Tokenizer,
    log_probs: torch.Tensor,
    counted: torch.Tensor,
    tokens: Tokens,
    soft: torch.Tensor | None,
) -> torch.Tensor:
    """(B, T) log-probability of each token that counts, from those (H, V) of all that could stand there, or
    of the mixture (B, L, 4) that does; 0 elsewhere."""
    if soft is None:
        own = log_probs.gather(1, tokens.input_ids[counted][:, None])[:, 0]
    else:
        bases = torch.from_numpy(tokenizer.base_ids).to(log_probs.device)
        shares = soft.new_zeros(*counted.shape, 4).to(log_probs.device)
        shares = shares.masked_scatter(tokens.letters[..., None], soft.to(log_probs.device))
        own = (log_probs[:, bases] * shares[counted]).sum(1)
    return own.new_zeros(counted.shape).masked_scatter(counted, own)


def _a_base(told: torch.Tensor, tokenizer: Tokenizer, tokens: Tokens, counted: torch.Tensor) -> torch.Tensor:
    """(B,) the mean of (B, T) over the bases of the tokens that count."""
    bases = torch.from_numpy(tokenizer.num_bases).to(told.device)[tokens.input_ids]
    return told.sum(1) / (bases * counted).sum(1)
