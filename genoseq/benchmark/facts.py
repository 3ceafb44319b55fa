"""What a task is made of: rows, classes, hashes, split and leaks, looked at once and written down."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import get_args

import pandas as pd
from hydra.utils import instantiate
from omegaconf import DictConfig

from genoseq.benchmark.suites import Task
from genoseq.benchmark.suites.verification import sha256_of
from genoseq.data.labelled_datamodule import LabelledDataModule
from genoseq.data.leaks import leak_report
from genoseq.data.splits import Split
from genoseq.errors import DataError
from genoseq.inference.outputs import atomic_file


@dataclass(frozen=True)
class TaskFacts:
    """Attributes:
    problem, level, strand, metric: of the task.
    num_outputs: numbers that a model has to give.
    classes: names of the outputs; None for one number.
    rows: examples of each part; classes_of_rows: of each part, how many have which label (None for numbers).
    longest: bases of the longest sequence.
    split: where validation and test come from, in words.
    leaks: of test against train and validation, and of validation against train, see `LeakReport`.
    files: SHA-256 of the tables that are read, and of the published files behind them.
    """

    problem: str
    level: str
    strand: str
    metric: str
    num_outputs: int
    classes: list[str] | None
    rows: dict[str, int]
    classes_of_rows: dict[str, dict[str, int]] | None
    longest: int
    split: dict[str, str]
    leaks: dict[str, dict[str, int]]
    files: dict[str, dict[str, str]]


def task_facts(task: Task, data: DictConfig, kept: Path) -> TaskFacts:
    """The facts of a task, from `kept` where they are there and its files are the same.

    Args:
        task: one.
        data: the config of its data module, as every model and baseline reads it.
        kept: a JSON file.

    Raises:
        DataError, LeakError, SequenceError: as the data module.
    """
    tables = {part: path for part in get_args(Split) if (path := getattr(task, part)) is not None}
    files = {
        "tables": {part: sha256_of(path) for part, path in tables.items()},
        "published": dict(task.sources or {}),
    }
    if kept.is_file():
        saved = TaskFacts(**json.loads(kept.read_text(encoding="utf-8")))
        if saved.files == files:
            return saved
    facts = _look(task, instantiate(data), files)
    kept.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(kept) as path:
        path.write_text(json.dumps(asdict(facts), indent=1) + "\n", encoding="utf-8")
    return facts


def _look(task: Task, module: LabelledDataModule, files: dict[str, dict[str, str]]) -> TaskFacts:
    parts: tuple[Split, ...] = get_args(Split)
    tables = {part: module.examples(part) for part in parts}
    sequences = {part: tables[part]["sequence"].tolist() for part in parts}
    known = [*sequences["train"], *sequences["validation"]]
    leaks = {
        "test": leak_report(known, sequences["test"], k=module.leak_k),
        "validation": leak_report(sequences["train"], sequences["validation"], k=module.leak_k),
    }
    for part in parts:
        module.labels(part)  # every label is read here, so that a bad one stops the run before it begins
    counted = module.problem == "single_label" and module.level == "sequence"
    if counted:
        _require_two_classes(task, tables["test"]["label"])
    return TaskFacts(
        problem=task.problem,
        level=task.level,
        strand=task.strand,
        metric=task.metric,
        num_outputs=module.num_outputs,
        classes=None if module.classes is None else list(module.classes),
        rows={part: len(tables[part]) for part in parts},
        classes_of_rows={p: _counts(tables[p]["label"]) for p in parts} if counted else None,
        longest=max(len(letters) for part in parts for letters in sequences[part]),
        split={part: _origin(task, part, str(module.clusters)) for part in parts},
        leaks={part: asdict(report) for part, report in leaks.items()},
        files=files,
    )


def _require_two_classes(task: Task, labels: pd.Series) -> None:
    if labels.nunique() < 2:
        raise DataError(
            f"{task.name}: all {len(labels):,} rows of test are of the class {labels.iloc[0]!r}, so that "
            "nothing is to be told apart. Give another test table, or none: it is then cut from train."
        )


def _counts(labels: pd.Series) -> dict[str, int]:
    return {str(name): int(count) for name, count in labels.value_counts().items()}


def _origin(task: Task, part: str, clusters: str) -> str:
    if getattr(task, part) is not None and part != "train":
        return "its own file"
    cut = [other for other in ("validation", "test") if getattr(task, other) is None]
    how = f"by {task.group_column}" if task.group_column else f"by clusters ({clusters})"
    return (
        f"cut from train {how}" if part in cut else "its own file" + (" without what is cut" if cut else "")
    )
