"""Classes by compression: two sequences are near when one helps to write the other down."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Sequence
from typing import Literal, get_args

import numpy as np

from genoseq.baselines.classes import ClassBaseline, Labelled
from genoseq.errors import ConfigError, require_choice

Compressor = Literal["gzip", "bz2", "lzma", "brotli"]

_LZMA = [{"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": 1 << 16}]


class CompressionNeighbours(ClassBaseline):
    """Nearest neighbours in normalised compression distance, (C(xy) - min(C(x), C(y))) / max(C(x), C(y)).

    Each sequence is compressed together with every reference, which are drawn from train, as many of each
    class; the number of neighbours is chosen on validation, of which as many are looked at as there are
    references. A class's probability is its share among the neighbours.

    Args:
        compressor: `gzip`, `bz2`, `lzma`, or `brotli` (`pip install .[compression]`).
        references: training sequences that are compared with, of all classes together; time goes with it.
        max_length: bases of a sequence that are looked at, from its first on.
        neighbours: numbers of neighbours to choose from.

    Raises:
        ConfigError: there is no such compressor, or it is not installed; nothing to choose from.

    Source: Cilibrasi and Vitányi 2005, IEEE Trans. Inf. Theory 51:1523; Jiang et al. 2023, "Low-resource"
        text classification by gzip; Ozan 2024, DNA sequence classification with compressors.
    """

    def __init__(
        self,
        *,
        compressor: Compressor,
        references: int = 300,
        max_length: int = 1000,
        neighbours: Sequence[int] = (1, 3, 7, 15, 31),
    ) -> None:
        require_choice("compressor", compressor, get_args(Compressor))
        if references < 2 or max_length < 1 or not neighbours or min(neighbours) < 1:
            raise ConfigError(
                f"references={references}, max_length={max_length}, neighbours={list(neighbours)}: give two "
                "references or more, and numbers from 1 on."
            )
        self.name = f"compression distance ({compressor})"
        self.references = references
        self.max_length = max_length
        self.neighbours = tuple(neighbours)
        self._size = _sizer(compressor)

    def classify(
        self, train: Labelled, validation: Labelled, sequences: Sequence[str], *, classes: int, strand: str
    ) -> np.ndarray:
        """(N, classes) shares among the neighbours."""
        rows = _balanced(train.labels, self.references)
        known, labels = [self._text(train.sequences[row]) for row in rows], train.labels[rows]
        asked = _balanced(validation.labels, self.references)
        nearest = self._nearest([validation.sequences[row] for row in asked], known)
        truth = validation.labels[asked]
        choices = [k for k in self.neighbours if k <= len(known)] or [1]
        chosen = max(
            choices, key=lambda k: (_shares(labels[nearest[:, :k]], classes).argmax(axis=1) == truth).mean()
        )
        return _shares(labels[self._nearest(sequences, known)[:, :chosen]], classes)

    def _nearest(self, sequences: Sequence[str], known: Sequence[bytes]) -> np.ndarray:
        """(N, K) references of each sequence, nearest first."""
        size = self._size
        sizes = np.array([size(one) for one in known], dtype=np.float64)
        order = []
        for text in sequences:
            mine = self._text(text)
            alone = float(size(mine))
            together = np.array([size(mine + other) for other in known], dtype=np.float64)
            distance = (together - np.minimum(sizes, alone)) / np.maximum(sizes, alone)
            order.append(np.argsort(distance, kind="stable"))
        return np.stack(order)

    def _text(self, sequence: str) -> bytes:
        return sequence[: self.max_length].upper().encode()


def _sizer(compressor: Compressor) -> Callable[[bytes], int]:
    """Bytes that a text takes when it is compressed, without a container's header."""
    if compressor == "gzip":
        return lambda text: len(_deflate(text))
    if compressor == "bz2":
        return lambda text: len(bz2.compress(text))
    if compressor == "lzma":
        return lambda text: len(lzma.compress(text, format=lzma.FORMAT_RAW, filters=_LZMA))
    try:
        import brotli
    except ImportError as error:
        raise ConfigError(
            "compressor=brotli wants a package that is not here: `pip install genoseq[compression]`, or "
            "leave this baseline out."
        ) from error
    return lambda text: len(brotli.compress(text, quality=9, lgwin=16))


def _deflate(text: bytes) -> bytes:
    stream = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return stream.compress(text) + stream.flush()


def _balanced(labels: np.ndarray, wanted: int) -> np.ndarray:
    """Rows, evenly over the classes as far as there are enough, always the same for the same labels."""
    generator = np.random.default_rng(0)
    names = np.unique(labels)
    chosen = [
        generator.permutation(np.flatnonzero(labels == name))[: max(1, wanted // len(names))]
        for name in names
    ]
    return np.sort(np.concatenate(chosen))


def _shares(labels: np.ndarray, classes: int) -> np.ndarray:
    """(N, classes) of (N, k) labels; of equal shares the nearest neighbour's is a little larger."""
    shares = np.stack([(labels == one).mean(axis=1) for one in range(classes)], axis=1)
    shares[np.arange(len(labels)), labels[:, 0]] += 1e-6
    return shares / shares.sum(axis=1, keepdims=True)
