"""The windows of a genome as vectors."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from genoseq.data.fasta import Fasta
from genoseq.errors import ConfigError, DataError
from genoseq.inference.align.encoders import ReadEncoder
from genoseq.models.chunks import batches
from genoseq.paths import require_file
from genoseq.sequence import BASES, decode_bases

_N = BASES.index("N")
_MOST_N = 0.5
_CHECKED = 8
_TOLERANCE = 2e-3
Progress = Callable[[Iterable[int]], Iterator[int]]


@dataclass(frozen=True)
class GenomeIndex:
    """Attributes:
    vectors: (N, D) float32 of length 1.
    chromosomes: (N,) int32, numbers of `names`.
    starts: (N,) int64, the first base of each window.
    names, lengths: the chromosomes of the genome and their bases.
    window_length, stride: bases of a window, and from one to the next.
    """

    vectors: np.ndarray
    chromosomes: np.ndarray
    starts: np.ndarray
    names: tuple[str, ...]
    lengths: tuple[int, ...]
    window_length: int
    stride: int

    def window(self, number: int) -> tuple[str, int, int]:
        """Chromosome, start and end of a window."""
        chromosome, start = int(self.chromosomes[number]), int(self.starts[number])
        end = min(start + self.window_length, self.lengths[chromosome])
        return self.names[chromosome], start, end


def build_index(
    encoder: ReadEncoder,
    fasta: Fasta,
    *,
    window_length: int = 375,
    stride: int = 125,
    batch_size: int = 256,
    progress: Progress = iter,
) -> GenomeIndex:
    """Embed every window of a genome, of its given strand.

    Windows that are half N or more are left out. A read that is no longer than `window_length - stride` lies
    whole in some window, wherever it comes from.

    Args:
        encoder: of reads and windows alike.
        fasta: the genome.
        window_length, stride: in bases.
        batch_size: windows at a time.
        progress: wraps the numbers of the windows, to show them.

    Raises:
        ConfigError: a stride or length that makes no sense.
        DataError: no window is left. SequenceError: windows are longer than the encoder takes.
    """
    if not 1 <= stride <= window_length:
        raise ConfigError(
            f"stride={stride}: give 1 to window_length={window_length}, so that no base is left out."
        )
    places = [
        (number, start)
        for number, (name, length) in enumerate(fasta.lengths.items())
        for start in _starts(length, window_length, stride)
        if _is_known(fasta.codes(name, start, min(start + window_length, length)))
    ]
    if not places:
        raise DataError(f"{fasta.path} has no window that is less than half N: there is nothing to align to.")
    vectors = []
    for rows in batches(progress(range(len(places))), batch_size):
        texts = [_letters(fasta, *places[row], window_length) for row in rows]
        vectors.append(encoder(texts))
    chromosomes, starts = np.array(places, dtype=np.int64).T
    return GenomeIndex(
        np.concatenate(vectors),
        chromosomes.astype(np.int32),
        starts,
        fasta.names,
        tuple(fasta.lengths.values()),
        window_length,
        stride,
    )


def save_index(index: GenomeIndex, path: Path) -> None:
    """Write an index as NPZ."""
    about = {
        "names": index.names,
        "lengths": index.lengths,
        "window_length": index.window_length,
        "stride": index.stride,
    }
    with path.open("wb") as file:
        np.savez(
            file,
            vectors=index.vectors,
            chromosomes=index.chromosomes,
            starts=index.starts,
            about=np.array(json.dumps(about)),
        )


def load_index(path: str | os.PathLike[str], encoder: ReadEncoder, fasta: Fasta) -> GenomeIndex:
    """Read an index, and check that it is of this genome and this encoder: some windows are embedded again.

    Raises:
        DataError: it is missing or broken, or of another genome or encoder.
    """
    located = require_file(path, "the index")
    try:
        with located.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            about = json.loads(str(archive["about"]))
            arrays = {name: archive[name] for name in ("vectors", "chromosomes", "starts")}
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{located} is no index of `genoseq align`: {error}. Remove it; it is made anew."
        ) from error
    index = GenomeIndex(
        **arrays, names=tuple(about.pop("names")), lengths=tuple(about.pop("lengths")), **about
    )
    if dict(zip(index.names, index.lengths, strict=True)) != fasta.lengths:
        raise DataError(
            f"{located} is of another genome than {fasta.path}: remove it, or give another index=."
        )
    rows = np.linspace(0, len(index.starts) - 1, min(_CHECKED, len(index.starts))).astype(np.int64)
    texts = [
        _letters(fasta, int(index.chromosomes[row]), int(index.starts[row]), index.window_length)
        for row in rows
    ]
    again = encoder(texts)
    if again.shape[1] != index.vectors.shape[1] or np.abs(again - index.vectors[rows]).max() > _TOLERANCE:
        raise DataError(f"{located} was made with another encoder: remove it, or give another index=.")
    return index


def _starts(length: int, window_length: int, stride: int) -> list[int]:
    last = max(length - window_length, 0)
    return [*range(0, last, stride), last] if length else []


def _letters(fasta: Fasta, number: int, start: int, window_length: int) -> str:
    name = fasta.names[number]
    return decode_bases(fasta.codes(name, start, min(start + window_length, fasta.lengths[name])))


def _is_known(codes: np.ndarray) -> bool:
    return bool((codes == _N).mean() < _MOST_N)
