"""Windows of genomes that suites draw themselves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from genoseq.data.fasta import Fasta
from genoseq.errors import DataError

_TRIES = 100


def draw_window(
    fasta: Fasta, names: Sequence[str], length: int, generator: np.random.Generator
) -> tuple[str, int, str]:
    """A window from anywhere in chromosomes, each place as likely; drawn again where it is mostly unknown.

    Args:
        fasta: the genome.
        names: of chromosomes of `length` bases or more.
        length: bases of the window.
        generator: of the draw.

    Returns:
        Chromosome, start and letters.

    Raises:
        DataError: windows are mostly N.
    """
    places = np.array([fasta.lengths[name] - length + 1 for name in names], dtype=np.float64)
    for _ in range(_TRIES):
        chosen = int(generator.choice(len(names), p=places / places.sum()))
        start = int(generator.integers(int(places[chosen])))
        letters = fasta.fetch(names[chosen], start, start + length).upper()
        if is_known(letters):
            return names[chosen], start, letters
    raise DataError(f"{fasta.path}: {_TRIES} windows in a row are mostly N. Give another genome.")


def is_known(letters: str) -> bool:
    """Whether no more than a tenth of them are N."""
    return letters.count("N") * 10 <= len(letters)
