"""New sequences from a causal language model, base by base, or word by word of as many bases each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from genoseq.errors import ConfigError, SequenceError
from genoseq.models.backbone import StreamingBackbone
from genoseq.models.modes import evaluating
from genoseq.models.repetition import RepetitionControl
from genoseq.models.restriction import Restriction
from genoseq.models.sampling import Sampling, choose
from genoseq.sequence.feasible import Feasible
from genoseq.tokenizers import Tokenizer

if TYPE_CHECKING:
    from genoseq.models.base import SequenceModel


@dataclass(frozen=True)
class GeneratedSequence:
    """Attributes:
    sequence: the letters, the prompt included.
    log_probs: (N,) float32, a number a letter: the model's own natural log-probability of it given those
        before, over the tokenizer's vocabulary, whatever the settings of the draws; each letter of a word has
        its even share of the word's. NaN where the letter was not the model's choice: in the prompt, and at a
        first base or word that nothing comes before.
    stopped: whether a stop token ended it before its length.
    control: the label that was asked for, if one was.
    """

    sequence: str
    log_probs: np.ndarray
    stopped: bool = False
    control: str | None = None

    @property
    def log_likelihood(self) -> float:
        """Natural logarithm of the probability of all that was generated."""
        return float(np.nansum(self.log_probs, dtype=np.float64))

    @property
    def num_generated(self) -> int:
        """How many bases were the model's choice."""
        return int((~np.isnan(self.log_probs)).sum())

    @property
    def bits_per_base(self) -> float:
        """Mean over the bases that were the model's choice, NaN without any; 2 is a guess among four."""
        count = self.num_generated
        return float(-self.log_likelihood / np.log(2) / count) if count else float("nan")


@torch.inference_mode()
def generate(
    model: SequenceModel,
    prompt: str | None = None,
    *,
    length: int,
    num_sequences: int = 1,
    control: str | None = None,
    sampling: Sampling = Sampling(),  # noqa: B008 - frozen
    seed: int = 0,
    first_index: int = 0,
    feasible: Feasible | None = None,
    drawn: Callable[[int], None] = lambda _: None,
) -> list[GeneratedSequence]:
    """Sequences of A, C, G and T that start with a prompt.

    Sequence i is drawn with random numbers of (seed, first_index + i) alone, so that batches of any size
    give the same sequences.

    Args:
        model: a causal language model with a tokenizer of single nucleotides, or of words of one length that
            stand side by side; all that is said of bases in `sampling` then holds of words.
        prompt: letters that every sequence starts with, in whole words; where nothing at all comes before the
            first base or word, it is drawn evenly.
        length: bases of each sequence, the prompt included, in whole words; fewer where a stop token ends it.
        num_sequences: how many.
        control: the label that the sequences are to have, one of the tokenizer's `controls`; its token comes
            before everything else.
        sampling: how bases are drawn.
        seed: of the random numbers.
        first_index: number of the first sequence.
        feasible: only bases are drawn from which a sequence of `length` can follow that holds its
            constraints. GC in windows is looked ahead for: in the rare case that nothing is left by it, the
            rest is drawn freely.
        drawn: is told as bases are drawn how many more there are, the given ones counted with the first.

    Raises:
        ConfigError: the model is no causal language model or does not know the control, a setting is
            outside its range, or the constraints are for another length.
        SequenceError: the prompt is no sequence, is longer than `length`, either is no whole number of words,
            tokens are words of several lengths, or `length` is beyond the model's l_max.
    """
    tokenizer, backbone = _readers(model)
    if length < 1 or num_sequences < 1:
        raise ConfigError(f"length={length}, num_sequences={num_sequences}: both are 1 or more.")
    if feasible is not None:
        _require_for(feasible, tokenizer, length)
    word = _require_whole_words(tokenizer, prompt or "", length)
    lead = tokenizer.prefix_ids
    if control is not None:
        lead = np.concatenate([[tokenizer.control_id(control)], lead])
    given = np.concatenate([lead, tokenizer.encode(prompt or "", add_special_tokens=False)])
    wanted = length // word + len(lead)
    numbers = [
        np.random.default_rng([seed, first_index + i]).random(length // word) for i in range(num_sequences)
    ]
    uniforms = torch.from_numpy(np.stack(numbers)).to(model.device)
    if len(given):
        tokens = torch.from_numpy(given).to(model.device).expand(num_sequences, -1)
    else:
        words = torch.from_numpy(_first_words(tokenizer, feasible)).to(model.device)
        tokens = words[(uniforms[:, :1] * len(words)).long()]
    drawing = _Drawing(model, tokenizer, sampling, tokens, uniforms, wanted)
    if feasible is not None:
        drawing.restriction = Restriction(feasible, tokens[:, drawing.lead :], tokenizer.base_ids)
    with evaluating(model):
        for letters in drawing.run(backbone):
            drawn(letters * word)
    return drawing.results(control)


class _Drawing:
    """Sequences that are being drawn.

    Args:
        tokens: (B, L) what they start with.
        uniforms: (B, tokens of the letters) a random number a token.
        wanted: tokens of a whole sequence, with those before its letters.
    """

    def __init__(
        self,
        model: SequenceModel,
        tokenizer: Tokenizer,
        sampling: Sampling,
        tokens: torch.Tensor,
        uniforms: torch.Tensor,
        wanted: int,
    ) -> None:
        self.model, self.tokenizer, self.sampling = model, tokenizer, sampling
        self.given, self.wanted = tokens.shape[1], wanted
        self.lead = wanted - uniforms.shape[1]
        self.uniforms = uniforms
        stop = _stop_ids(tokenizer, sampling.stop_tokens)
        self.stop_ids = torch.tensor(stop, dtype=torch.int64, device=tokens.device)
        self.candidates = torch.tensor([*tokenizer.known_ids.tolist(), *stop], device=tokens.device)
        self.columns = list(tokens.unbind(1))
        self.scores: list[torch.Tensor] = []
        self.stopped = torch.zeros(len(tokens), dtype=torch.bool, device=tokens.device)
        controlled = sampling.no_repeat_ngram_size is not None or sampling.repetition_penalty != 1
        letters = tokens[:, self.lead :]
        words = tokenizer.known_ids.tolist()
        self.control = RepetitionControl(sampling, letters, words) if controlled else None
        self.restriction: Restriction | None = None

    def run(self, backbone: StreamingBackbone) -> Iterator[int]:
        """Draw until every sequence is done; tells how many tokens of letters there are more each time."""
        rows = len(self.stopped)
        if self.given > self.lead:
            yield rows * (self.given - self.lead)
        if self.given == self.wanted:
            return
        # The last token is drawn, but never read.
        state = backbone.init_state(rows, max_length=self.wanted - 1)
        self._draw(backbone.forward_chunk(torch.stack(self.columns, dim=1), state)[:, -1])
        yield rows
        while len(self.columns) < self.wanted and not (len(self.stop_ids) and self.stopped.all()):
            self._draw(backbone.step(self.columns[-1], state))
            yield rows

    def results(self, control: str | None) -> list[GeneratedSequence]:
        """The sequences, each up to its stop token."""
        rows = torch.stack(self.columns, dim=1)
        unknown = torch.full((len(rows), self.given), torch.nan, device=rows.device)
        scores = torch.cat([unknown, *(score.unsqueeze(1) for score in self.scores)], dim=1)
        ends = torch.isin(rows, self.stop_ids)
        ends[:, : self.given] = False
        results = []
        for row, score, end in zip(rows.cpu(), scores.cpu(), ends.cpu(), strict=True):
            length = int(end.int().argmax()) if end.any() else len(row)
            text = self.tokenizer.decode(row[self.lead : length])
            word = _word_length(self.tokenizer)
            scored = np.repeat(score[self.lead : length].numpy() / word, word)
            results.append(GeneratedSequence(text, scored, bool(end.any()), control))
        return results

    def _draw(self, hidden: torch.Tensor) -> None:
        """One more token of every sequence from the last hidden states (B, D)."""
        logits = self.model.head(hidden)
        options = logits[:, self.candidates]
        if self.control is not None:
            options = self.control.adjust(options)
        if self.restriction is not None:
            options = self.restriction.adjust(options)
        # Columns count from the end: special tokens before the sequence use no random numbers.
        uniforms = self.uniforms[:, len(self.columns) - self.wanted]
        rules = self.sampling
        drawn = self.candidates[
            choose(
                options,
                uniforms,
                temperature=rules.temperature,
                top_k=rules.top_k,
                top_p=rules.top_p,
                min_p=rules.min_p,
            )
        ]
        known = logits[:, : self.tokenizer.vocab_size].float().log_softmax(-1)
        self.scores.append(known.gather(1, drawn.unsqueeze(1)).squeeze(1))
        self.columns.append(drawn)
        self.stopped |= torch.isin(drawn, self.stop_ids)
        for rule in (self.control, self.restriction):
            if rule is not None:
                rule.append(drawn)


def _readers(model: SequenceModel) -> tuple[Tokenizer, StreamingBackbone]:
    """What reads letters and what reads tokens, of a model that can generate."""
    tokenizer = require_language_model(model, "generation")
    if not isinstance(model.backbone, StreamingBackbone):
        raise ConfigError(
            f"generation needs a backbone with a state; {type(model.backbone).__name__} has none."
        )
    return tokenizer, model.backbone


def _require_whole_words(tokenizer: Tokenizer, prompt: str, length: int) -> int:
    """Bases of a word, of which the prompt and all that is wanted are whole numbers, the prompt no longer."""
    word = _word_length(tokenizer)
    for what, count in (("length=", length), ("a prompt of ", len(prompt))):
        if count % word:
            raise SequenceError(
                f"{what}{count:,} bases: this model writes words of {word}; give whole words."
            )
    if len(prompt) > length:
        raise SequenceError(f"the prompt has {len(prompt):,} bases, more than length={length:,}: raise it.")
    return word


def _require_for(feasible: Feasible, tokenizer: Tokenizer, length: int) -> None:
    """Check that constraints are for sequences of this length and for these tokens."""
    if feasible.length != length:
        raise ConfigError(
            f"the constraints are for {feasible.length:,} bases, and length={length:,}: give both alike."
        )
    require_single_bases(tokenizer)


def require_single_bases(tokenizer: Tokenizer) -> None:
    """Check that tokens are single nucleotides, which constraints are on.

    Raises:
        SequenceError: they are others.
    """
    if not np.array_equal(tokenizer.known_ids, tokenizer.base_ids):
        raise SequenceError(f"constraints are on single nucleotides, and {tokenizer!r} has other tokens.")


def _first_words(tokenizer: Tokenizer, feasible: Feasible | None) -> np.ndarray:
    """Tokens that a sequence may begin with."""
    words = tokenizer.known_ids
    return words if feasible is None else words[feasible.walk(1).allowed()[0]]


def _word_length(tokenizer: Tokenizer) -> int:
    """Bases of each token that can be drawn.

    Raises:
        SequenceError: words overlap, or are of several lengths.
    """
    drawn = tokenizer.known_ids
    lengths = {len(tokenizer.vocabulary[index]) for index in drawn} | set(tokenizer.num_bases[drawn].tolist())
    if len(lengths) != 1:
        raise SequenceError(
            f"{tokenizer!r} has words that overlap or are of several lengths, and sequences are generated of "
            "words of one length, side by side: take another model."
        )
    return int(lengths.pop())


def _stop_ids(tokenizer: Tokenizer, names: tuple[str, ...]) -> list[int]:
    """Ids of special tokens; a control token is never drawn, and so ends nothing.

    Raises:
        ConfigError: a name is none of them.
    """
    controls = [tokenizer.control_id(label) for label in tokenizer.controls]
    special = {
        tokenizer.vocabulary[index]: int(index) for index in tokenizer.special_ids if index not in controls
    }
    unknown = [name for name in names if name not in special]
    if unknown:
        raise ConfigError(f"stop_tokens={list(names)}: {unknown[0]!r} is none of {', '.join(special)}.")
    return [special[name] for name in names]


def require_language_model(model: SequenceModel, purpose: str) -> Tokenizer:
    """The tokenizer of a model that predicts the next letter.

    Raises:
        ConfigError: the model is not causal, has another head, or no tokenizer.
    """
    if not model.backbone.causal or model.head.head_type != "language_model" or model.tokenizer is None:
        raise ConfigError(
            f"{purpose} needs a causal language model with a tokenizer; this is a "
            f"{type(model.head).__name__} on {type(model.backbone).__name__}, "
            f"{'without a' if model.tokenizer is None else 'with a'} tokenizer."
        )
    return model.tokenizer
