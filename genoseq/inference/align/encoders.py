"""What makes vectors of reads and windows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch

from genoseq.errors import ConfigError, SequenceError
from genoseq.inference.devices import explain_full_memory
from genoseq.inference.records import Record, tokenize
from genoseq.models.base import SequenceModel
from genoseq.models.chunks import batches
from genoseq.models.embedding_head import EmbeddingHead
from genoseq.sequence import BASES, encode_bases

_N = BASES.index("N")


class ReadEncoder(Protocol):
    """Sequences to vectors in which a read lies close to the window it comes from."""

    @property
    def device(self) -> torch.device:
        """Where it computes, and where products of vectors may be computed too."""

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """(N, D) float32 of length 1."""


class ModelEncoder:
    """An encoder that was trained with task=contrastive.

    Args:
        model: its head gives vectors.
        batch_size: sequences at a time.

    Raises:
        ConfigError: the head is no `EmbeddingHead`.
    """

    def __init__(self, model: SequenceModel, *, batch_size: int = 512) -> None:
        if not isinstance(model.head, EmbeddingHead):
            raise ConfigError(
                f"aligning needs an encoder of reads, and this checkpoint has a {type(model.head).__name__}: "
                "train one with experiment=reads, or give checkpoint=kmers."
            )
        self._model = model
        self._batch_size = batch_size
        self.device = model.device

    @torch.inference_mode()
    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """(N, D) float32 of length 1.

        Raises:
            SequenceError: a sequence that is empty, too long or no nucleotides.
            DeviceError: a batch does not fit in memory.
        """
        found = []
        for batch in batches(texts, self._batch_size):
            tokens = tokenize([Record(str(row), text) for row, text in enumerate(batch)], self._model)
            with explain_full_memory(len(batch)):
                found.append(self._model(tokens.input_ids, tokens.mask).logits.float().cpu().numpy())
        return np.concatenate(found)


class KmerEncoder:
    """Shares of k-mers less what they are by chance, in a random projection: what needs no training.

    Distances between such vectors are nearly those between the shares (Johnson and Lindenstrauss 1984).

    Args:
        k: bases of a word.
        width: numbers of a vector.
        seed: of the projection.
    """

    device = torch.device("cpu")

    def __init__(self, *, k: int = 6, width: int = 128, seed: int = 0) -> None:
        self._k = k
        table = np.random.default_rng(seed).normal(size=(4**k, width)).astype(np.float32)
        self._table = table - table.mean(axis=0)
        self._powers = 4 ** np.arange(k)

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """(N, D) float32 of length 1; words with an N are none.

        Raises:
            SequenceError: a sequence without a word, or that is no nucleotides.
        """
        vectors = np.stack([self._mean(text) for text in texts])
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def _mean(self, text: str) -> np.ndarray:
        codes = encode_bases(text).astype(np.int64)
        if len(codes) >= self._k:
            words = np.lib.stride_tricks.sliding_window_view(codes, self._k)
            known = words[(words < _N).all(axis=1)]
            if len(known):
                return self._table[known @ self._powers].mean(axis=0)
        raise SequenceError(f"a sequence of {len(codes)} bases has no {self._k} known ones side by side.")
