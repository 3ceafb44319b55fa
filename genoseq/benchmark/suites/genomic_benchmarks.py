"""GenomicBenchmarks: intervals of reference genomes, or the sequences that were made of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from genoseq.benchmark.suites.base import Suite, Task, chromosome_of
from genoseq.data.fasta import Fasta
from genoseq.errors import ConfigError, DataError
from genoseq.paths import require_file
from genoseq.sequence import StrandKind, reverse_complement

_SPLITS = ("train", "test")
_COLUMNS = ("region", "start", "end", "strand")


class GenomicBenchmarks(Suite):
    """Sets of two or three classes, a folder `{task}/{train,test}` each.

    In it there is, for each class, a table of intervals `{class}.csv.gz` (`id`, `region`, `start`, `end`,
    `strand`; 0-based, half-open) which are read from a genome, or a folder `{class}` of text files, one
    sequence each, as the authors' tool writes them. There is no validation part: it is cut from train.

    Args:
        name, folder, repository, revision, tasks: as for every suite; the hub has other forms of these sets,
            so that a folder has to be given.
        genomes: FASTA of each genome that intervals are read from, by task; `default` for all others. None
            where the sequences are there.
        classes: names of the classes of each task; the folder's own where a task is not named.
        strand: whether labels hold for the given strand only, by task; `default` for all others.
        published: names of tasks under which there are published results, where they are others.

    Source: Grešová et al., BMC Genomic Data 2023; ML-Bioinfo-CEITEC/genomic_benchmarks.
    """

    def __init__(
        self,
        *,
        name: str,
        folder: str | None,
        repository: str | None,
        revision: str | None,
        tasks: Sequence[str] | None,
        genomes: Mapping[str, str] | None,
        classes: Mapping[str, Sequence[str]],
        strand: Mapping[str, StrandKind],
        published: Mapping[str, str],
    ) -> None:
        super().__init__(name=name, folder=folder, repository=repository, revision=revision, tasks=tasks)
        self._genomes = dict(genomes or {})
        self._classes = {task: tuple(names) for task, names in classes.items()}
        self._strand = dict(strand)
        self._published = dict(published)
        self._open: dict[str, Fasta] = {}

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._classes)

    def files(self, task: str) -> list[str]:
        """Tables of intervals, or the text files that are there; one stands for each class that has none."""
        found = []
        for split in _SPLITS:
            for label in self._classes[task]:
                place = f"{task}/{split}/{label}"
                texts = sorted((self.folder / place).glob("*.txt"))
                intervals = [f"{place}{end}" for end in (".csv.gz", ".csv")]
                there = [name for name in intervals if (self.folder / name).is_file()]
                of_texts = [path.relative_to(self.folder).as_posix() for path in texts]
                found += of_texts or there[:1] or intervals[:1]
        return found

    def read(self, task: str) -> Task:
        train, test = (self._table(task, split) for split in _SPLITS)
        strand = self._strand.get(task, self._strand.get("default", "stranded"))
        under = (self.name, self._published.get(task, task))
        return Task(task, train, None, test, metric="accuracy", strand=strand, published=under)

    def _table(self, task: str, split: str) -> Path:
        prefix = f"{task}/{split}/"
        sources = [self.folder / name for name in self.files(task) if name.startswith(prefix)]
        intervals = [path for path in sources if path.suffix != ".txt"]
        make: Callable[[], pd.DataFrame]
        if not intervals:
            return self.converted(sources, lambda: _texts(sources), split)
        genome = require_file(self._genome(task), f"the genome of {task}")
        make = lambda: _intervals(intervals, self._fasta(genome), genome)  # noqa: E731
        return self.converted([*intervals, genome], make, split)

    def _genome(self, task: str) -> str:
        genome = self._genomes.get(task, self._genomes.get("default"))
        if genome is None:
            raise ConfigError(
                f"{task} has intervals and no sequences: give suite.genomes.{task}= (or "
                "suite.genomes.default=), the FASTA of the genome that they are of."
            )
        return genome

    def _fasta(self, path: Path) -> Fasta:
        return self._open.setdefault(str(path), Fasta(path))


def _texts(paths: Sequence[Path]) -> pd.DataFrame:
    """One sequence a file, its folder the class."""
    rows = [
        {
            "sequence": path.read_text(encoding="ascii").strip().upper(),
            "label": path.parent.name,
            "name": path.stem,
        }
        for path in paths
    ]
    return pd.DataFrame(rows)


def _intervals(paths: Sequence[Path], fasta: Fasta, genome: Path) -> pd.DataFrame:
    """The sequences of intervals, their table the class.

    Raises:
        DataError: a table has not the columns, or an interval lies on no chromosome of the genome.
    """
    rows = []
    for path in paths:
        table = pd.read_csv(path, dtype={"region": str, "strand": str})
        missing = [column for column in _COLUMNS if column not in table]
        if missing:
            raise DataError(f"{path} has no column {', '.join(missing)}; {', '.join(_COLUMNS)} are wanted.")
        label = path.name.split(".")[0]
        for region, start, end, strand in table[list(_COLUMNS)].itertuples(index=False):
            chromosome = _chromosome(region, fasta, genome)
            letters = fasta.fetch(chromosome, int(start), int(end)).upper()
            rows.append(
                {
                    "sequence": reverse_complement(letters) if strand == "-" else letters,
                    "label": label,
                    "name": f"{region}:{start}-{end}({strand})",
                    "chromosome": chromosome,
                }
            )
    return pd.DataFrame(rows)


def _chromosome(region: str, fasta: Fasta, genome: Path) -> str:
    """As the genome calls it, with or without `chr`."""
    name = chromosome_of(region, fasta)
    if name is not None:
        return name
    raise DataError(
        f"{region} is no chromosome of {genome}, which has {', '.join(list(fasta.lengths)[:10])}. Give the "
        "genome that the intervals are of."
    )
