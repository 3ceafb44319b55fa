"""Suites whose tasks are tables already: a file for each part, or one to cut them from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import pandas as pd
from Bio.SeqIO.FastaIO import SimpleFastaParser

from genoseq.benchmark.suites.base import Suite, Task
from genoseq.errors import ConfigError, DataError
from genoseq.paths import locate

_PARTS = ("train", "validation", "test")
_SETTINGS = {field.name for field in fields(Task)} - {"name", "sources", *_PARTS}
_SHIPPED = "genoseq:"


class TableSuite(Suite):
    """Tables of sequences and labels, as `data=labelled` reads them.

    Args:
        name, folder, repository, revision, tasks: as for every suite.
        parts: the file of each part (`train`, and `validation` and `test` where there are such), by its path
            in the folder, with `{path}` for that of the task.
        sets: settings of each task, by its name: `path`; other `parts`; and those of a `Task` that differ
            from `common`.
        common: settings of a `Task` that all of them have.
        checksums: tables with the columns `path` and `sha256` in the folder.

    Raises:
        ConfigError: a task has a setting that there is not, or no train.
    """

    def __init__(
        self,
        *,
        name: str,
        folder: str | None,
        repository: str | None,
        revision: str | None,
        tasks: Sequence[str] | None,
        parts: Mapping[str, str],
        sets: Mapping[str, Mapping[str, Any]],
        common: Mapping[str, Any],
        checksums: Sequence[str],
    ) -> None:
        super().__init__(name=name, folder=folder, repository=repository, revision=revision, tasks=tasks)
        self._checksums = tuple(checksums)
        self._sets: dict[str, dict[str, Any]] = {}
        self._parts: dict[str, dict[str, str]] = {}
        for task, given in sets.items():
            settings = {**common, **(given or {})}
            path = str(settings.pop("path", task))
            files = {**parts, **settings.pop("parts", {})}
            self._parts[task] = {part: text.format(path=path) for part, text in files.items() if text}
            self._sets[task] = settings
            unknown = sorted(set(settings) - _SETTINGS | set(files) - set(_PARTS))
            if unknown or "train" not in self._parts[task]:
                raise ConfigError(
                    f"suite.sets.{task}: {', '.join(unknown) or 'no train'}; give {', '.join(_PARTS)} as "
                    f"parts, train at least, and of the settings {', '.join(sorted(_SETTINGS))}."
                )

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._sets)

    @property
    def manifests(self) -> tuple[str, ...]:
        return self._checksums

    def files(self, task: str) -> list[str]:
        return [file for file in self._parts[task].values() if not file.startswith(_SHIPPED)]

    def read(self, task: str) -> Task:
        """The task, each of its files as `table` gives it."""
        paths = {part: self._path(task, part, file) for part, file in self._parts[task].items()}
        settings: dict[str, Any] = dict.fromkeys(_PARTS) | paths | self._sets[task]
        for several in ("label_column", "published"):
            if not isinstance(settings.get(several, ""), str):
                settings[several] = tuple(settings[several])
        return Task(name=task, **settings)

    def table(self, task: str, part: str, path: Path) -> Path:
        """A table that `data=labelled` reads; here the file itself."""
        return path

    def _path(self, task: str, part: str, file: str) -> Path:
        return locate(file) if file.startswith(_SHIPPED) else self.table(task, part, self.folder / file)


class NucleotideTransformerSuite(TableSuite):
    """The tasks of the Nucleotide Transformer, of the first version or of the revised one.

    Each task is a folder with `train` and `test`: FASTA whose headers end in `|label`, or Parquet with the
    columns `sequence`, `name` and `label`. There is no validation part: it is cut from train.

    Source: Dalla-Torre et al., Nature Methods 2024; the two data sets of InstaDeepAI on the hub.
    """

    def table(self, task: str, part: str, path: Path) -> Path:
        if path.suffix == ".parquet":
            return path
        return self.converted([path], lambda: _labelled_fasta(path), part)


def _labelled_fasta(path: Path) -> pd.DataFrame:
    """The records of a FASTA with headers `name|label`.

    Raises:
        DataError: a header has no label.
    """
    rows = []
    with path.open(encoding="utf-8") as handle:
        for title, sequence in SimpleFastaParser(handle):
            name, bar, label = title.rpartition("|")
            if not bar or not label.strip():
                raise DataError(f"{path}: the header {title!r} has no label; `name|label` is wanted.")
            rows.append({"sequence": sequence, "label": label.strip(), "name": name.strip()})
    if not rows:
        raise DataError(f"{path} holds no sequence. Was its download cut short? Fetch it again.")
    return pd.DataFrame(rows)
