"""Variants of a genome, scored by a model."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import get_args

import numpy as np
import pandas as pd

from genoseq.data.alleles import AllelePair, AlleleReader
from genoseq.data.fasta import Fasta
from genoseq.errors import ConfigError, require_choice
from genoseq.inference.records import require_tokenizer
from genoseq.inference.variant_scores import (
    AlleleScore,
    Column,
    EmbeddingDistance,
    LikelihoodRatio,
    Metric,
    PredictionDelta,
    PseudoLikelihoodRatio,
    Score,
    default_score,
    score_policy,
)
from genoseq.models.base import SequenceModel
from genoseq.models.chunks import batches
from genoseq.models.heads import PlainPooling
from genoseq.models.strand_heads import MaskedLanguageModelHead
from genoseq.sequence import Strands, Variant

# Where neither the model nor the user knows a length.
_UNLIMITED_WINDOW = 1024


@dataclass(frozen=True)
class ScoreSettings:
    """How alleles are scored.

    Attributes:
        scores: `llr` (language models: log-likelihood ratio; of masked ones pseudo-likelihoods), `distance`
            (of embeddings), `delta` (of predictions); None: what the model's head is for.
        window: bases around a variant; None: as many as the model takes, or 1,024 where it takes any number.
        strands: what becomes of the two strands; see `score_policy`.
        layer, pooling, metric: of `distance`; see `EmbeddingDistance`.
        neighbours: of `llr` of masked models; see `PseudoLikelihoodRatio`.
        batch_size: alleles, and sequences, at a time.
    """

    scores: tuple[Score, ...] | None = None
    window: int | None = None
    strands: Strands | None = None
    layer: int = -1
    pooling: PlainPooling = "mean"
    metric: Metric = "cosine"
    neighbours: int = 0
    batch_size: int = 16


class VariantScorer:
    """A model and how it scores.

    Args:
        model: with a tokenizer.
        settings: how.

    Attributes:
        window: bases around a variant.
        columns: what `of` gives, K of them.

    Raises:
        ConfigError: the settings do not go with the model.
    """

    def __init__(self, model: SequenceModel, settings: ScoreSettings = ScoreSettings()) -> None:
        self.model = model
        self.settings = settings
        self.policy = score_policy(model, settings.strands)
        self.window = _window(model, settings.window, self.policy.passes)
        names: Sequence[Score] = settings.scores or (default_score(model),)
        if len(set(names)) < len(names):
            raise ConfigError(f"scores={list(names)}: one is named twice.")
        for name in names:
            require_choice("scores", name, get_args(Score))
        self._scores = [self._make(name) for name in names]
        self.columns: tuple[Column, ...] = tuple(column for score in self._scores for column in score.columns)

    def of(self, pairs: Sequence[AllelePair]) -> np.ndarray:
        """(N, K) float32 of N pairs of sequences.

        Raises:
            SequenceError, DeviceError: as `AlleleScore.of`.
        """
        return np.concatenate([score.of(pairs) for score in self._scores], axis=1).astype(np.float32)

    def _make(self, name: Score) -> AlleleScore:
        settings = self.settings
        common = (self.model, self.policy, settings.batch_size)
        if name == "delta":
            return PredictionDelta(*common)
        if name == "distance":
            return EmbeddingDistance(
                *common, layer=settings.layer, pooling=settings.pooling, metric=settings.metric
            )
        if isinstance(self.model.head, MaskedLanguageModelHead):
            return PseudoLikelihoodRatio(*common, neighbours=settings.neighbours)
        return LikelihoodRatio(*common)


def score_variants(
    model: SequenceModel,
    variants: Iterable[Variant],
    fasta: Fasta | str | os.PathLike[str],
    settings: ScoreSettings = ScoreSettings(),
    *,
    aliases: Mapping[str, str] | None = None,
) -> Iterator[pd.DataFrame]:
    """Scores of variants; `genoseq score` does the same for a VCF.

    Args:
        model: with a tokenizer.
        variants: those to score, in any order.
        fasta: the genome that they are of.
        settings: how they are scored.
        aliases: further names of chromosomes; `chr20` and `20` are known to be one.

    Yields:
        Batches, in order, with the columns `chromosome`, `position` (from 0), `reference`, `alternate`, and
        one a score: `llr`, `distance`, `delta` or `delta_<class>`. NaN where an allele takes more than half
        of the window.

    Raises:
        ConfigError: the settings do not go with the model.
        DataError: the genome has no such chromosome; RecordError: or another reference allele there.
        DeviceError: a batch does not fit in memory.
    """
    scorer = VariantScorer(model, settings)
    reader = AlleleReader(fasta if isinstance(fasta, Fasta) else Fasta(fasta), aliases)
    for batch in batches(variants, settings.batch_size):
        pairs = list(map(partial(reader.pair, length=scorer.window), batch))
        known = [pair for pair in pairs if pair is not None]
        scores = np.full((len(batch), len(scorer.columns)), np.nan, dtype=np.float32)
        if known:
            scores[[pair is not None for pair in pairs]] = scorer.of(known)
        table = pd.DataFrame(batch, columns=["chromosome", "position", "reference", "alternate"])
        yield table.assign(**{column.name: scores[:, i] for i, column in enumerate(scorer.columns)})


def _window(model: SequenceModel, window: int | None, passes: int) -> int:
    """Bases around a variant, checked to fit."""
    longest = model.backbone.l_max
    special = require_tokenizer(model).num_special_tokens
    # Words of several bases are fewer than the bases: a window of as many bases always fits.
    room = None if longest is None else (longest - special) // passes
    if window is None:
        return _UNLIMITED_WINDOW if room is None else room
    if window < 2:
        raise ConfigError(f"window={window}: give 2 bases or more.")
    one_base_a_token = int(require_tokenizer(model).num_bases.max()) == 1
    if room is not None and one_base_a_token and window > room:
        raise ConfigError(
            f"window={window}: this model takes {longest:,} tokens, {special} of them special, and so at "
            f"most {room:,} bases. Give a smaller window, or a model for longer sequences."
        )
    return window
