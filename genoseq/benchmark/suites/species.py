"""Which species is a stretch of DNA of? Windows drawn of whole genomes, split by chromosome."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import get_args

import numpy as np
import pandas as pd

from genoseq.benchmark.suites.base import Suite, Task
from genoseq.benchmark.suites.windows import draw_window
from genoseq.data.fasta import Fasta
from genoseq.data.splits import Split
from genoseq.errors import ConfigError, DataError
from genoseq.paths import require_file


class SpeciesClassification(Suite):
    """Windows of one length, as many of each species, always the same for the same files and seed.

    Windows with more than a tenth of N are drawn again.

    Args:
        name, folder, repository, revision, tasks: as for every suite; genomes are on no hub.
        genomes: FASTA of each species in the folder, by its name, which is the class.
        chromosomes: of each part, by its name; a species without them has its chromosomes shared out in their
            order. A chromosome is of one part.
        length: bases of a window.
        windows: of each species, by part.
        seed: of the draw.

    Raises:
        ConfigError: fewer than two species, or a chromosome of two parts.

    Source: Nguyen et al. 2023, HyenaDNA, section 4.4.1.
    """

    def __init__(
        self,
        *,
        name: str,
        folder: str | None,
        repository: str | None,
        revision: str | None,
        tasks: Sequence[str] | None,
        genomes: Mapping[str, str],
        chromosomes: Mapping[str, Sequence[str]],
        length: int,
        windows: Mapping[str, int],
        seed: int,
    ) -> None:
        super().__init__(name=name, folder=folder, repository=repository, revision=revision, tasks=tasks)
        named = [str(one) for names in chromosomes.values() for one in names]
        if len(genomes) < 2 or len(set(named)) < len(named):
            raise ConfigError(
                f"suite.genomes={list(genomes)}, suite.chromosomes={dict(chromosomes)}: give two species or "
                "more, and each chromosome to one part."
            )
        self._genomes = dict(genomes)
        self._chromosomes = {part: [str(one) for one in names] for part, names in chromosomes.items()}
        self._length = length
        self._windows = dict(windows)
        self._seed = seed

    @property
    def names(self) -> tuple[str, ...]:
        return (f"{len(self._genomes)} species, {self._length}",)

    def files(self, task: str) -> list[str]:
        return list(self._genomes.values())

    def read(self, task: str) -> Task:
        sources = [require_file(self.folder / path, "a genome") for path in self._genomes.values()]
        described = f"{self._length} {self._windows} {self._seed} {self._chromosomes}"
        train, validation, test = (
            self.converted(sources, _Drawing(self, part), f"{part} {described}") for part in get_args(Split)
        )
        return Task(
            task, train, validation, test, metric="accuracy", strand="unstranded", published=("species", task)
        )

    def draw(self, part: str) -> pd.DataFrame:
        """The windows of a part: sequence, label and name."""
        rows = []
        for number, (species, path) in enumerate(self._genomes.items()):
            fasta = Fasta(self.folder / path)
            names = self._of(fasta, part, species)
            generator = np.random.default_rng([self._seed, list(get_args(Split)).index(part), number])
            for _ in range(self._windows[part]):
                chromosome, start, letters = draw_window(fasta, names, self._length, generator)
                rows.append(
                    {
                        "sequence": letters,
                        "label": species,
                        "name": f"{species} {chromosome}:{start}-{start + self._length}",
                    }
                )
        return pd.DataFrame(rows)

    def _of(self, fasta: Fasta, part: str, species: str) -> list[str]:
        long = [name for name, length in fasta.lengths.items() if length >= self._length]
        parts = list(get_args(Split))
        chosen = [name for name in long if name in self._chromosomes.get(part, ())]
        named = {name for names in self._chromosomes.values() for name in names}
        if not named & set(fasta.lengths):
            chosen = long[parts.index(part) :: len(parts)]
        if not chosen:
            raise DataError(
                f"{species} has no chromosome of {self._length:,} bases or more for {part}; it has "
                f"{', '.join(list(fasta.lengths)[:10])}. Name some in suite.chromosomes.{part}, or give a "
                "smaller suite.length."
            )
        return chosen


class _Drawing:
    """Draws the windows of one part."""

    def __init__(self, suite: SpeciesClassification, part: str) -> None:
        self._suite, self._part = suite, part

    def __call__(self) -> pd.DataFrame:
        return self._suite.draw(self._part)
