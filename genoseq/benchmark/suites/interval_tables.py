"""Suites of intervals: a table of places and splits, a genome, and labels in the table or in HDF5."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from genoseq.benchmark.suites.base import Suite, Task, chromosome_of
from genoseq.data.fasta import Fasta
from genoseq.data.labels import Level, Problem
from genoseq.errors import ConfigError, DataError
from genoseq.paths import require_file
from genoseq.sequence import StrandKind, reverse_complement

_log = logging.getLogger(__name__)

_SPLITS = {
    "train": ("train",),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test",),
}


@dataclass(frozen=True)
class IntervalSet:
    """How one task of intervals is written.

    Attributes:
        table: CSV, or tabs where its name ends in .bed or .tsv, with a header.
        metric, problem, level, strand: of the task.
        labels: HDF5 file whose data set `labels` has a row a line of the table; None: they are in the table.
        label: column of them: a class, or a list of zeros and ones (`[0, 1]`), or numbers of labels (`0,3`).
        num_labels: of a task of several labels, or of classes of bases.
        genome: name of its genome in `genomes`.
        chromosome, start, end, split, turned: columns; without `end` a place is one base. `turned` holds the
            strand; None for the forward one.
        first: number of a chromosome's first base in the table.
        length: bases around the middle of each interval that are read; None for the interval itself.
    """

    table: str
    metric: str
    problem: Problem = "single_label"
    level: Level = "sequence"
    strand: StrandKind = "unstranded"
    labels: str | None = None
    label: str = "label"
    num_labels: int | None = None
    genome: str = "default"
    chromosome: str = "chromosome"
    start: str = "start"
    end: str | None = "end"
    split: str = "split"
    turned: str | None = None
    first: int = 0
    length: int | None = None


class IntervalSuite(Suite):
    """Tasks of intervals, as BEND and the genomics long-range benchmark have them.

    What reaches beyond its chromosome is left out, and the log says how much.

    Args:
        name, folder, repository, revision, tasks: as for every suite.
        genomes: FASTA of each genome, by the name that sets call it.
        sets: an `IntervalSet` for each task.
        common: what all of them have.

    Raises:
        ConfigError: a set has a setting that there is not, or no genome.
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
        sets: Mapping[str, Mapping[str, Any]],
        common: Mapping[str, Any],
    ) -> None:
        super().__init__(name=name, folder=folder, repository=repository, revision=revision, tasks=tasks)
        known = {field.name for field in fields(IntervalSet)}
        self._genomes = dict(genomes or {})
        self._sets: dict[str, IntervalSet] = {}
        for task, given in sets.items():
            settings = {**common, **given}
            unknown = sorted(set(settings) - known)
            if unknown:
                raise ConfigError(
                    f"suite.sets.{task}: there is no {', '.join(unknown)}; there are "
                    f"{', '.join(sorted(known))}."
                )
            self._sets[task] = IntervalSet(**settings)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._sets)

    def files(self, task: str) -> list[str]:
        how = self._sets[task]
        return [how.table, *([how.labels] if how.labels else [])]

    def read(self, task: str) -> Task:
        how = self._sets[task]
        genome = self._genomes.get(how.genome)
        if genome is None:
            raise ConfigError(f"suite.genomes.{how.genome}= has to be given: the FASTA that {task} is of.")
        path = require_file(genome, f"the genome of {task}")
        sources = [*(self.folder / name for name in self.files(task)), path]
        table = _read_table(self.folder / how.table, how)
        parts: dict[str, Path | None] = {}
        for part, names in _SPLITS.items():
            there = bool(table[how.split].isin(names).any())
            make = _Maker(how, self.folder, path, names)
            parts[part] = self.converted(sources, make, f"{task}\t{part}\t{how}") if there else None
        if parts["train"] is None:
            raise DataError(f"{self.folder / how.table} has no rows with {how.split}=train.")
        classes = None if how.num_labels is None else tuple(map(str, range(how.num_labels)))
        return Task(
            task,
            parts["train"],
            parts["validation"],
            parts["test"],
            metric=how.metric,
            problem=how.problem,
            level=how.level,
            strand=how.strand,
            classes=classes,
        )


@dataclass(frozen=True)
class _Maker:
    """Makes the table of one split."""

    how: IntervalSet
    folder: Path
    genome: Path
    splits: tuple[str, ...]

    def __call__(self) -> pd.DataFrame:
        fasta = Fasta(self.genome)
        rows = list(self._rows(fasta))
        beyond = sum(row is None for row in rows)
        if beyond:
            _log.warning("%s: %s intervals reach beyond their chromosome: left out", self.how.table, beyond)
        kept = [row for row in rows if row is not None]
        if not kept:
            raise DataError(f"{self.how.table}: no interval lies in {self.genome}. Is it the right genome?")
        return pd.DataFrame(kept)

    def _rows(self, fasta: Fasta) -> Iterator[dict[str, Any] | None]:
        how = self.how
        table = _read_table(self.folder / how.table, how)
        chosen = np.flatnonzero(table[how.split].isin(self.splits))
        labels = _labels_beside(self.folder / how.labels, len(table)) if how.labels else None
        for row in chosen.tolist():
            line = table.iloc[row]
            place = _place(line, how, fasta)
            if place is None:
                yield None
                continue
            chromosome, start, end = place
            letters = fasta.fetch(chromosome, start, end).upper()
            value = line[how.label] if labels is None else labels[row]
            turned = how.turned is not None and line[how.turned] == "-"
            if turned:
                letters = reverse_complement(letters)
            yield {
                "sequence": letters,
                "label": _label_text(value, how),
                "name": f"{chromosome}:{start}-{end}",
                "chromosome": chromosome,
            }


def _read_table(path: Path, how: IntervalSet) -> pd.DataFrame:
    separator = "\t" if path.name.endswith((".bed", ".tsv", ".bed.gz", ".tsv.gz")) else ","
    table = pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False)
    wanted = [how.chromosome, how.start, how.end, how.split, how.turned]
    wanted += [] if how.labels else [how.label]
    missing = [column for column in wanted if column is not None and column not in table]
    if missing:
        found = ", ".join(map(str, table))
        raise DataError(
            f"{path} has no column {', '.join(missing)}; it has {found}. Is it the official file?"
        )
    return table


def _place(line: pd.Series, how: IntervalSet, fasta: Fasta) -> tuple[str, int, int] | None:
    """Chromosome, start and end (0-based, half-open); None where that reaches beyond."""
    name = chromosome_of(str(line[how.chromosome]), fasta)
    if name is None:
        return None
    start = int(line[how.start]) - how.first
    end = start + 1 if how.end is None else int(line[how.end])
    if how.length is not None:
        start = (start + end) // 2 - how.length // 2
        end = start + how.length
    return (name, start, end) if 0 <= start < end <= fasta.lengths[name] else None


def _label_text(value: Any, how: IntervalSet) -> str:
    """As `LabelReader` reads it: a class; names apart by `;`; or a class a base apart by commas."""
    if how.level == "token":
        return ",".join(map(str, np.asarray(value).reshape(-1).tolist()))
    if how.problem != "multi_label":
        return str(value)
    if isinstance(value, str) and "[" not in value:
        return ";".join(part.strip() for part in value.split(",") if part.strip())
    if isinstance(value, str):
        value = [float(part) for part in value.strip("[] \n").replace(",", " ").split()]
    return ";".join(map(str, np.flatnonzero(np.asarray(value).reshape(-1) > 0).tolist()))


def _labels_beside(path: Path, rows: int) -> np.ndarray:
    try:
        import h5py
    except ImportError as error:
        raise ConfigError(f"{path.name} wants h5py: `pip install genoseq[hdf5]`.") from error
    with h5py.File(path, "r") as file:
        if "labels" not in file:
            raise DataError(f"{path} has no data set `labels`; it has {', '.join(file)}.")
        labels = file["labels"][:]
    if len(labels) != rows:
        raise DataError(
            f"{path} has labels of {len(labels):,} intervals, the table beside it {rows:,}. Was one of the "
            "two downloads cut short?"
        )
    return labels
