"""Where vectors are kept so that the nearest are found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch

from genoseq.errors import ConfigError, require_choice

_QUERIES = 1024
_VECTORS = 1 << 18
_LINKS = 32
_SEARCHED = 128


class VectorStore(Protocol):
    """Vectors of length 1 that are searched by their products."""

    def search(self, queries: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """The nearest of each query (Q, D): products (Q, K) float32, falling, and numbers (Q, K) int64."""


class ExactStore:
    """Every product, in torch, on the device of the encoder."""

    def __init__(self, vectors: np.ndarray, device: torch.device) -> None:
        self._vectors = torch.from_numpy(vectors).to(device)

    def search(self, queries: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """See `VectorStore`."""
        parts = [self._of(torch.from_numpy(part), count) for part in _parts(queries)]
        products, numbers = (torch.cat(several).numpy() for several in zip(*parts, strict=True))
        return products, numbers

    def _of(self, queries: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        best = queries.new_empty(len(queries), 0), torch.empty(len(queries), 0, dtype=torch.int64)
        for first in range(0, len(self._vectors), _VECTORS):
            block = self._vectors[first : first + _VECTORS]
            found = (queries.to(block.device) @ block.T).topk(min(count, len(block)), dim=1)
            products = torch.cat([best[0], found.values.cpu()], dim=1)
            numbers = torch.cat([best[1], found.indices.cpu() + first], dim=1)
            kept = products.topk(min(count, products.shape[1]), dim=1)
            best = kept.values, numbers.gather(1, kept.indices)
        return best


class FaissStore:
    """A graph of neighbours (HNSW) of faiss: a little may be missed, and time hardly grows with the genome.

    Raises:
        ConfigError: faiss is not installed.
    """

    def __init__(self, vectors: np.ndarray, device: torch.device) -> None:
        try:
            import faiss
        except ImportError as error:
            raise ConfigError(
                "store=faiss needs faiss: pip install .[align], or give store=exact."
            ) from error
        self._index = faiss.IndexHNSWFlat(vectors.shape[1], _LINKS, faiss.METRIC_INNER_PRODUCT)
        self._index.hnsw.efSearch = _SEARCHED
        self._index.add(np.ascontiguousarray(vectors))

    def search(self, queries: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """See `VectorStore`."""
        return self._index.search(np.ascontiguousarray(queries), min(count, self._index.ntotal))


STORES: dict[str, Callable[[np.ndarray, torch.device], VectorStore]] = {
    "exact": ExactStore,
    "faiss": FaissStore,
}


def make_store(kind: str, vectors: np.ndarray, device: torch.device) -> VectorStore:
    """A store of one of the kinds that there are.

    Args:
        kind: `exact` or `faiss`.
        vectors: (N, D) float32 of length 1.
        device: where products are computed, if the kind can.

    Raises:
        ConfigError: there is no such kind, or it is not installed.
    """
    require_choice("store", kind, tuple(STORES))
    return STORES[kind](vectors, device)


def _parts(queries: np.ndarray) -> list[np.ndarray]:
    return [queries[first : first + _QUERIES] for first in range(0, len(queries), _QUERIES)]
