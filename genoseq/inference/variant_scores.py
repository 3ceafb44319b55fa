"""What a model makes of an allele in place of another: likelihoods, embeddings, predictions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch

from genoseq.data.alleles import AllelePair
from genoseq.errors import ConfigError, require_choice
from genoseq.inference.devices import explain_full_memory
from genoseq.inference.hidden import hidden_log_probs, require_separate
from genoseq.inference.predictions import predict
from genoseq.inference.records import Record, require_tokenizer, tokenize
from genoseq.inference.targets import output_names
from genoseq.models.base import SequenceModel
from genoseq.models.chunks import batches
from genoseq.models.embedding import embed_tokens, require_embedding
from genoseq.models.generation import require_language_model
from genoseq.models.heads import PlainPooling, SequenceHead
from genoseq.models.likelihood import log_likelihoods
from genoseq.models.strand_heads import MaskedLanguageModelHead
from genoseq.sequence import AS_GIVEN, StrandPolicy, Strands, strand_policy
from genoseq.tokenizers import Tokenizer, touches

Score = Literal["llr", "distance", "delta"]
Metric = Literal["cosine", "euclidean"]

_OF_LIKELIHOODS = ("none", "average")


class Column(NamedTuple):
    """One number of an allele.

    Attributes:
        name: as tables and files have it.
        description: what it is, in words.
    """

    name: str
    description: str


class AlleleScore(ABC):
    """Numbers for pairs of sequences, averaged over both strands where the policy says so.

    Attributes:
        columns: what `of` gives, K of them.
    """

    columns: tuple[Column, ...]

    def __init__(self, model: SequenceModel, policy: StrandPolicy, batch_size: int) -> None:
        self.model = model
        self.policy = policy
        self.batch_size = batch_size

    def of(self, pairs: Sequence[AllelePair]) -> np.ndarray:
        """(N, K) float64 of N pairs.

        Raises:
            SequenceError: a sequence is longer than the model takes.
            DeviceError: a batch does not fit in memory.
        """
        scores = self.of_strand(pairs)
        if self.policy.averages:
            scores = (scores + self.of_strand([pair.turned() for pair in pairs])) / 2
        return scores

    @abstractmethod
    def of_strand(self, pairs: Sequence[AllelePair]) -> np.ndarray:
        """(N, K) float64 of pairs as they are."""


class LikelihoodRatio(AlleleScore):
    """log p(alternate) - log p(reference) of whole windows under a causal language model, in nats."""

    def __init__(self, model: SequenceModel, policy: StrandPolicy, batch_size: int) -> None:
        super().__init__(model, policy, batch_size)
        require_language_model(model, "a likelihood ratio")
        self.columns = (Column("llr", "log-likelihood of the window with the allele minus with REF, nats"),)

    def of_strand(self, pairs: Sequence[AllelePair]) -> np.ndarray:
        reference, alternate = _of_both(self._totals, pairs)
        return (alternate - reference)[:, None]

    def _totals(self, sequences: Sequence[str]) -> np.ndarray:
        totals = []
        for batch in batches(sequences, self.batch_size):
            with explain_full_memory(len(batch)):
                tokens = tokenize([Record("window", sequence) for sequence in batch], self.model)
                totals.append(log_likelihoods(self.model, tokens.input_ids, tokens.mask))
        return np.concatenate(totals)


class PseudoLikelihoodRatio(AlleleScore):
    """Pseudo-log-likelihood of the alternate allele minus that of the reference allele, in nats.

    The pseudo-log-likelihood is the sum over the tokens of the alleles and of `neighbours` bases on each side
    of log p(token | all others), each hidden in its turn. For one changed base without neighbours it is
    log p(alternate | context) - log p(reference | context). Of two alleles of unequal length as many bases
    count, those of the longer one and what has moved into their place.

    Source: Salazar et al. 2020, "Masked Language Model Scoring"; Benegas et al. 2023, "DNA language models
    are powerful predictors of genome-wide variant effects", for single bases.
    """

    def __init__(
        self, model: SequenceModel, policy: StrandPolicy, batch_size: int, *, neighbours: int = 0
    ) -> None:
        super().__init__(model, policy, batch_size)
        if neighbours < 0:
            raise ConfigError(f"neighbours={neighbours}: give 0 bases or more.")
        self.neighbours = neighbours
        described = "pseudo-log-likelihood of the allele minus that of REF, bases hidden in turn, nats"
        self.columns = (Column("llr", described),)

    def of_strand(self, pairs: Sequence[AllelePair]) -> np.ndarray:
        questions = _Questions()
        tokenizer = require_tokenizer(self.model)
        require_separate(tokenizer, "Give scores=[distance].")
        for number, pair in enumerate(pairs):
            for sign, sequence in ((-1.0, pair.reference), (1.0, pair.alternate)):
                self._ask(questions, tokenizer, number, sign, sequence, pair)
        scores = np.zeros((len(pairs), 1))
        told = self._answers(tokenizer, questions)
        np.add.at(scores[:, 0], questions.numbers, np.array(questions.signs) * told)
        return scores

    def _ask(
        self,
        questions: _Questions,
        tokenizer: Tokenizer,
        number: int,
        sign: float,
        sequence: str,
        pair: AllelePair,
    ) -> None:
        ids = tokenizer.encode(sequence)
        offsets = tokenizer.offsets(ids, len(sequence))
        counted = np.zeros(len(sequence), dtype=bool)
        first = max(pair.offset - self.neighbours, 0)
        counted[first : pair.offset + pair.width + self.neighbours] = True
        for token in np.flatnonzero(touches(offsets, counted) & tokenizer.is_known[ids]):
            questions.add(ids, int(token), number, sign)

    @torch.inference_mode()
    def _answers(self, tokenizer: Tokenizer, questions: _Questions) -> np.ndarray:
        """log p of each question's token, (Q,) float64."""
        found: list[np.ndarray] = []
        for rows in batches(questions.rows, self.batch_size):
            with explain_full_memory(len(rows)):
                ids, mask = tokenizer.pad([row.ids for row in rows])
                # Where `pad` put a row's first token.
                begins = mask.int().argmax(1)
                places = torch.arange(len(rows)), begins + torch.tensor([row.token for row in rows])
                hidden = torch.zeros_like(mask)
                hidden[places] = True
                told = hidden_log_probs(self.model, ids, hidden, None if mask.all() else mask)
            found.append(told.cpu().numpy())
        table = np.concatenate(found)
        return table[questions.row_numbers, questions.tokens].astype(np.float64)


class _HiddenRow(NamedTuple):
    """Attributes:
    ids: (L,) tokens of a sequence.
    token: which of them is hidden.
    """

    ids: np.ndarray
    token: int


class _Questions:
    """Which tokens are asked for, and in what; the same sequence is read once for all that is asked of it."""

    def __init__(self) -> None:
        self.rows: list[_HiddenRow] = []
        self.row_numbers: list[int] = []
        self.tokens: list[int] = []
        self.numbers: list[int] = []
        self.signs: list[float] = []
        self._known: dict[tuple[bytes, int], int] = {}

    def add(self, ids: np.ndarray, token: int, number: int, sign: float) -> None:
        """Ask for one token of a sequence, for the pair of a number, with a sign."""
        others = ids.copy()
        others[token] = -1
        key = (others.tobytes(), token)
        if key not in self._known:
            self._known[key] = len(self.rows)
            self.rows.append(_HiddenRow(ids, token))
        self.row_numbers.append(self._known[key])
        self.tokens.append(int(ids[token]))
        self.numbers.append(number)
        self.signs.append(sign)


class EmbeddingDistance(AlleleScore):
    """Distance between the embeddings of the two windows.

    `cosine` is 1 minus the cosine of the angle between them, `euclidean` the length of their difference.
    """

    def __init__(
        self,
        model: SequenceModel,
        policy: StrandPolicy,
        batch_size: int,
        *,
        layer: int = -1,
        pooling: PlainPooling = "mean",
        metric: Metric = "cosine",
    ) -> None:
        super().__init__(model, policy, batch_size)
        require_choice("metric", metric, ("cosine", "euclidean"))
        require_embedding(model, layer, pooling, "none")
        self.layer, self.pooling, self.metric = layer, pooling, metric
        where = f"{metric} distance of the embeddings with the allele and with REF"
        self.columns = (Column("distance", f"{where}, layer {layer}, {pooling} over the window"),)

    def of_strand(self, pairs: Sequence[AllelePair]) -> np.ndarray:
        reference, alternate = _of_both(self._vectors, pairs)
        if self.metric == "euclidean":
            return np.linalg.norm(alternate - reference, axis=1)[:, None]
        # 1 - cos is half the squared distance of unit vectors, which keeps the digits that 1 - cos loses.
        units = [vectors / np.linalg.norm(vectors, axis=1)[:, None] for vectors in (reference, alternate)]
        return ((units[1] - units[0]) ** 2).sum(1, keepdims=True) / 2

    def _vectors(self, sequences: Sequence[str]) -> np.ndarray:
        vectors = []
        for batch in batches(sequences, self.batch_size):
            with explain_full_memory(len(batch)):
                records = [Record("window", sequence) for sequence in batch]
                tokens = tokenize(records, self.model, self.policy)
                vectors.append(
                    embed_tokens(
                        self.model, tokens.input_ids, tokens.mask, tokens.letters, self.layer, self.pooling
                    ).cpu()
                )
        return torch.cat(vectors).double().numpy()


class PredictionDelta(AlleleScore):
    """Prediction for the window with the allele minus that with REF: probabilities, or numbers."""

    def __init__(self, model: SequenceModel, policy: StrandPolicy, batch_size: int) -> None:
        super().__init__(model, policy, batch_size)
        if not isinstance(model.head, SequenceHead):
            raise ConfigError(
                "scores=[delta] is for a head of one prediction a sequence, and this is a "
                f"{type(model.head).__name__}. Give scores=[distance], or scores=[llr] for a language model."
            )
        names = output_names(model.preprocessing, model.head.num_outputs)
        kind = "prediction" if model.head.problem == "regression" else "probability"
        if model.head.problem == "regression" and len(names) == 1:
            self._read = ["prediction"]
            self.columns = (Column("delta", "prediction with the allele minus with REF"),)
        else:
            self._read = [f"{kind}_{name}" for name in names]
            self.columns = tuple(
                Column(f"delta_{name}", f"{kind} of {name} with the allele minus with REF") for name in names
            )

    def of(self, pairs: Sequence[AllelePair]) -> np.ndarray:
        # `predict` itself averages over strands, turns and repeats.
        return self.of_strand(pairs)

    def of_strand(self, pairs: Sequence[AllelePair]) -> np.ndarray:
        reference, alternate = _of_both(self._predictions, pairs)
        return alternate - reference

    def _predictions(self, sequences: Sequence[str]) -> np.ndarray:
        records = (Record("window", sequence) for sequence in sequences)
        tables = predict(self.model, records, strands=self.policy.name, batch_size=self.batch_size)
        return np.concatenate([table[self._read].to_numpy(dtype=np.float64) for table in tables])


def default_score(model: SequenceModel) -> Score:
    """What a model's head is for: `llr` of a language model, `delta` of predictions, else `distance`."""
    if model.head.head_type == "language_model" or isinstance(model.head, MaskedLanguageModelHead):
        return "llr"
    return "delta" if isinstance(model.head, SequenceHead) else "distance"


def score_policy(model: SequenceModel, strands: Strands | None) -> StrandPolicy:
    """What becomes of the two strands when alleles are scored.

    Args:
        model: that of labels scores as it predicts, see `StrandPolicy`.
        strands: None: as the model was trained; for language models `average`, or `none` where the model is
            blind to strand by itself.

    Raises:
        ConfigError: the policy does not go with the model or its labels.
    """
    if default_score(model) != "llr":
        return model.strand_policy(strands)
    if strands is None:
        return AS_GIVEN if model.head.strand_symmetric else strand_policy("average")
    require_choice("strands", strands, _OF_LIKELIHOODS)
    return strand_policy(strands)


def _of_both(
    function: Callable[[Sequence[str]], np.ndarray], pairs: Sequence[AllelePair]
) -> tuple[np.ndarray, np.ndarray]:
    """A function of sequences for both of each pair; equal sequences are asked once."""
    sequences = [pair.reference for pair in pairs] + [pair.alternate for pair in pairs]
    different = {sequence: number for number, sequence in enumerate(dict.fromkeys(sequences))}
    values = function(list(different))[[different[sequence] for sequence in sequences]]
    return values[: len(pairs)], values[len(pairs) :]
