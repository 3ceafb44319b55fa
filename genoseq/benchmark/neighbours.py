"""A probe without training: classes of the nearest neighbours among a model's embeddings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from sklearn.neighbors import KNeighborsClassifier

from genoseq.baselines.classes import ClassBaseline, Labelled
from genoseq.errors import ConfigError
from genoseq.models.base import SequenceModel
from genoseq.models.chunks import batches
from genoseq.models.heads import PlainPooling
from genoseq.models.hub import load_sequence_model
from genoseq.paths import locate


class EmbeddingNeighbours(ClassBaseline):
    """k nearest neighbours by the cosine of a frozen model's vectors; k is chosen on validation.

    Args:
        checkpoint: of the model, as `genoseq.load` takes it.
        layer, pooling: see `genoseq.models.embedding.embed`.
        neighbours: numbers of neighbours to choose from.
        batch_size: sequences at a time.

    Raises:
        ConfigError: no number of neighbours, or no batch. CheckpointError: the model cannot be read.
    """

    def __init__(
        self,
        *,
        checkpoint: str,
        layer: int = -1,
        pooling: PlainPooling = "mean",
        neighbours: Sequence[int] = (1, 5, 15, 51),
        batch_size: int = 64,
    ) -> None:
        if not neighbours or min(neighbours) < 1:
            raise ConfigError(f"neighbours={list(neighbours)}: give numbers from 1 on.")
        self.name = f"nearest neighbours of {checkpoint}"
        self.checkpoint = checkpoint
        self.layer = layer
        self.pooling: PlainPooling = pooling
        self.neighbours = tuple(neighbours)
        self.batch_size = batch_size

    def classify(
        self, train: Labelled, validation: Labelled, sequences: Sequence[str], *, classes: int, strand: str
    ) -> np.ndarray:
        """(N, classes) shares among the neighbours, the nearer ones counting more."""
        device = "cuda" if torch.cuda.is_available() else "cpu"
        model = load_sequence_model(locate(self.checkpoint), device=device)
        known, unseen, asked = (
            np.concatenate(list(self._vectors(model, texts)))
            for texts in (train.sequences, validation.sequences, sequences)
        )
        best, chosen = -1.0, None
        for count in self.neighbours:
            fitted = KNeighborsClassifier(min(count, len(known)), weights="distance", metric="cosine")
            fitted.fit(known, train.labels)
            if (score := float(fitted.score(unseen, validation.labels))) > best:
                best, chosen = score, fitted
        assert chosen is not None, "there is a number of neighbours"
        shares = np.zeros((len(asked), classes))
        shares[:, chosen.classes_] = chosen.predict_proba(asked)
        return shares

    def _vectors(self, model: SequenceModel, sequences: Sequence[str]) -> Iterator[np.ndarray]:
        """(B, D) float32 of some sequences at a time."""
        for batch in batches(sequences, self.batch_size):
            yield model.embed(batch, layer=self.layer, pooling=self.pooling).cpu().numpy()
