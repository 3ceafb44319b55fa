"""What a suite is: labelled tasks that everybody measures on, read from folders in their official form."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from genoseq.benchmark.suites.fetching import fetch
from genoseq.benchmark.suites.verification import known_checksums, verify_files
from genoseq.data.cache import FileStamp, cached_file
from genoseq.data.fasta import Fasta
from genoseq.data.labels import Level, Problem
from genoseq.errors import ConfigError, DataError
from genoseq.paths import locate
from genoseq.sequence import StrandKind


@dataclass(frozen=True)
class Task:
    """One data set of a suite, as `data=labelled` takes it.

    Attributes:
        name: of the task, as its suite calls it.
        train, validation, test: tables; without one that part is cut from train, by groups.
        metric: what the task is judged by.
        problem, level, strand: see `LabelledDataModule`.
        label_column: column of the labels, or several.
        group_column: what must not be divided by a cut; None for clusters of shared k-mers.
        classes: names of the outputs in their order; None: those of train, sorted.
        published: suite and task (or category) that published results of it stand under.
        sources: SHA-256 of each file as it was published, by its path.
    """

    name: str
    train: Path
    validation: Path | None
    test: Path | None
    metric: str
    problem: Problem = "single_label"
    level: Level = "sequence"
    strand: StrandKind = "stranded"
    label_column: str | tuple[str, ...] = "label"
    group_column: str | None = None
    classes: tuple[str, ...] | None = None
    published: tuple[str, str] | None = None
    sources: dict[str, str] | None = None


class Suite(ABC):
    """Tasks in a folder of the official form, fetched where there is a network and none is given.

    Args:
        name: of the suite, as published results call it.
        folder: where the files are; None: fetched from `repository` into the cache of huggingface_hub.
        repository: of data sets on the Hugging Face hub; None where there is none.
        revision: commit, tag or branch of it.
        tasks: names of the tasks to take; None for all.

    Raises:
        ConfigError: there is no such task, or neither folder nor repository.
    """

    def __init__(
        self,
        *,
        name: str,
        folder: str | None,
        repository: str | None,
        revision: str | None,
        tasks: Sequence[str] | None,
    ) -> None:
        self.name = name
        self._folder = folder
        self._repository = repository
        self._revision = revision
        self._chosen = None if tasks is None else [str(task) for task in tasks]

    @property
    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """All tasks that there are."""

    @abstractmethod
    def files(self, task: str) -> list[str]:
        """The files that a task is made of, by their paths in the folder."""

    @abstractmethod
    def read(self, task: str) -> Task:
        """A task, its files being there."""

    @property
    def manifests(self) -> tuple[str, ...]:
        """Tables of checksums in the folder."""
        return ()

    def tasks(self) -> list[Task]:
        """The tasks that were chosen.

        Raises:
            ConfigError: there is no such task.
            DataError: files are missing, cut short, or not in the official form.
        """
        chosen = list(self.names) if self._chosen is None else self._chosen
        unknown = [name for name in chosen if name not in self.names]
        if unknown:
            raise ConfigError(
                f"suite.tasks: {self.name} has no {', '.join(unknown)}; it has {', '.join(self.names)}."
            )
        self._wanted = [file for name in chosen for file in self.files(name)]
        return [self._checked(name) for name in chosen]

    @cached_property
    def folder(self) -> Path:
        """Where the files are, fetched if they have to be.

        Raises:
            ConfigError: neither folder nor repository is given.
            DataError: there is no such folder, or the files cannot be fetched.
        """
        if self._folder is not None:
            located = locate(self._folder)
            if not located.is_dir():
                raise DataError(f"suite.folder={self._folder} is no folder. Give the one with {self.name}.")
            return located
        if self._repository is None:
            raise ConfigError(
                f"suite.folder= has to be given: {self.name} is in no repository that it can be fetched from."
            )
        return fetch(self._repository, self._wanted, revision=self._revision)

    def _checked(self, name: str) -> Task:
        known = known_checksums(self.folder, self.manifests)
        sources = verify_files(self.folder, self.files(name), known)
        task = self.read(name)
        return Task(**{**task.__dict__, "sources": sources})

    def converted(self, sources: Sequence[Path], make: Callable[[], pd.DataFrame], part: str) -> Path:
        """A table made of files that are none themselves: once, kept in the cache folder.

        Args:
            sources: the files; where one changes, the table is made again.
            make: the table.
            part: tells tables of the same files apart.
        """
        states = [FileStamp.of(path) for path in sources]
        text = "\n".join(f"{state.path}\t{state.size}\t{state.modified}" for state in states)
        stamp = FileStamp(
            f"{type(self).__name__}\t{part}\t{hashlib.sha256(text.encode()).hexdigest()}",
            sum(state.size for state in states),
            max(state.modified for state in states),
        )
        return cached_file(stamp, ".parquet", lambda path: make().to_parquet(path))


def chromosome_of(name: str, fasta: Fasta) -> str | None:
    """What a genome calls a chromosome, with or without `chr`; None where it has none of that name."""
    names = (name, f"chr{name}", name.removeprefix("chr"))
    return next((one for one in names if one in fasta.lengths), None)
