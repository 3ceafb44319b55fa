"""One cell of a benchmark, a contender on a task with a seed: its folder, and the command that fills it."""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from genoseq.benchmark.facts import TaskFacts
from genoseq.benchmark.job_queue import Job
from genoseq.benchmark.suites import Task
from genoseq.errors import ConfigError
from genoseq.paths import configs_dir, portable
from genoseq.training.run_folder import PRETRAINING

Kind = Literal["model", "baseline"]
Keep = Literal["results", "models"]

RESULTS = "results.json"
PREDICTIONS = "predictions.parquet"
_CONFIG = "config.yaml"
_MONITORED = {"single_label": "val/mcc", "multi_label": "val/auroc", "regression": "val/spearman"}
_HEADS = {"single_label": "classification", "multi_label": "multi_label", "regression": "regression"}


@dataclass(frozen=True, eq=False)  # settings may be a dictionary: each is equal to itself alone
class Contender:
    """What is measured.

    Attributes:
        key: in settings, and as the name of its folders.
        name: in tables.
        kind: whether it is trained by `genoseq train`, or a baseline.
        settings: of a model, the overrides of `genoseq train`; of a baseline, its component.
        seeded: it depends on the seed; what does not has one cell a task.
    """

    key: str
    name: str
    kind: Kind
    settings: Any
    seeded: bool = True


@dataclass(frozen=True, eq=False)
class Cell:
    """Attributes:
    folder: everything of it is in there; it is finished when `results.json` is.
    """

    task: str
    contender: Contender
    seed: int | None
    folder: Path

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to do."""
        return (self.folder / RESULTS).is_file() and (self.folder / PREDICTIONS).is_file()

    @property
    def name(self) -> str:
        """In logs."""
        seed = "" if self.seed is None else f", seed {self.seed}"
        return f"{self.task}, {self.contender.name}{seed}"

    def tidy(self, keep: Keep) -> None:
        """Remove what nobody reads once the cell is finished: checkpoints, and by `keep` the model."""
        models = ["model", PRETRAINING] if keep == "results" else []
        for name in ("checkpoints", *models):
            shutil.rmtree(self.folder / name, ignore_errors=True)


def model_contenders(models: Sequence[str] | Mapping[str, Mapping[str, Any]]) -> list[Contender]:
    """The models that are named: presets, checkpoints, or names with settings of `genoseq train`.

    Args:
        models: a list of presets (`configs/model`) and of checkpoints, which are then fine-tuned; or settings
            by name, such as `{small: {model: hybridna_small, optimizer.lr: 3e-4}}`.

    Raises:
        ConfigError: two have one name, or a name has no settings.
    """
    if isinstance(models, Mapping):
        wrong = [name for name, given in models.items() if not isinstance(given, Mapping)]
        if wrong:
            raise ConfigError(
                f"models: {', '.join(map(str, wrong))} has no settings; write models={{NAME:{{model:PRESET,"
                "optimizer.lr:1e-3}}, or a list of presets and checkpoints."
            )
        return [
            Contender(
                str(name), str(name), "model", tuple(f"{key}={_text(value)}" for key, value in given.items())
            )
            for name, given in models.items()
        ]
    found = []
    for given in map(str, models):
        if (configs_dir() / "model" / f"{given}.yaml").is_file():
            found.append(_model(given, (f"model={given}",)))
        else:
            settings = ("model=pretrained", f"model.checkpoint={given}")
            found.append(_model(Path(given).name, settings))
    names = [contender.name for contender in found]
    if len(set(names)) < len(names):
        raise ConfigError(
            f"models={list(models)}: two have one name; write models={{NAME:{{model:PRESET}},...}}."
        )
    return found


def _model(name: str, settings: tuple[str, ...]) -> Contender:
    return Contender(name, name, "model", settings)


def _text(value: Any) -> str:
    """A value as it is written on the command line."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list):
        return f"[{','.join(map(_text, value))}]"
    return str(value)


def baseline_contenders(baselines: Mapping[str, Any], problems: Collection[str]) -> list[Contender]:
    """The baselines of a config, on tasks of such problems: those that take a seed are run with each."""
    names = {key: instantiate(component).name_for(problems) for key, component in baselines.items()}
    times = Counter(names.values())
    return [
        Contender(
            key,
            names[key] if times[names[key]] == 1 else f"{names[key]}, {key}",
            "baseline",
            component,
            seeded="seed" in component,
        )
        for key, component in baselines.items()
    ]


def plan_cells(
    out: Path, tasks: Sequence[str], contenders: Sequence[Contender], seeds: Sequence[int]
) -> list[Cell]:
    """All cells, those of the first seed first: a run that is cut short has a table of everything."""
    cells = []
    for place, seed in enumerate(seeds):
        for task in tasks:
            for contender in contenders:
                if not contender.seeded and place:
                    continue
                folder = out / "cells" / slug(task) / slug(contender.key)
                number = seed if contender.seeded else None
                cells.append(
                    Cell(task, contender, number, folder / (f"seed_{seed}" if contender.seeded else "once"))
                )
    return cells


def slug(name: str) -> str:
    """A name as that of a folder."""
    return "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in name)


def data_overrides(task: Task, leak_k: int, clusters: str = "kmers") -> list[str]:
    """The settings of `data=labelled` for a task."""
    column = task.label_column
    columns = column if isinstance(column, str) else f"[{','.join(column)}]"
    parts = {"train": task.train, "validation": task.validation, "test": task.test}
    return [
        "data=labelled",
        *(f"data.{part}={'null' if path is None else portable(path)}" for part, path in parts.items()),
        f"data.label_column={columns}",
        f"data.group_column={'null' if task.group_column is None else task.group_column}",
        f"data.classes={'null' if task.classes is None else '[' + ','.join(task.classes) + ']'}",
        f"data.problem={task.problem}",
        f"data.level={task.level}",
        f"data.strand={task.strand}",
        f"data.strands={'average' if task.strand == 'unstranded' else 'none'}",
        "data.leaks=report",
        f"data.leak_k={leak_k}",
        f"data.clusters={clusters}",
    ]


def train_command(
    cell: Cell,
    task: Task,
    facts: TaskFacts,
    *,
    experiment: str,
    settings: Sequence[str],
    leak_k: int,
    clusters: str = "kmers",
) -> list[str]:
    """The overrides of `genoseq train` that fill a model's cell; the model's own come last and win."""
    monitor = _MONITORED[task.problem]
    head = "token" if task.level == "token" else _HEADS[task.problem]
    own = list(cell.contender.settings)
    chosen = [] if any(text.startswith("head=") for text in own) else [f"head={head}"]
    return [
        f"experiment={experiment}",
        *data_overrides(task, leak_k, clusters),
        *chosen,
        f"head.problem={task.problem}",
        f"head.num_outputs={facts.num_outputs}",
        f"callbacks.checkpoint.monitor={monitor}",
        "callbacks.checkpoint.mode=max",
        f"callbacks.early_stop.monitor={monitor}",
        "callbacks.early_stop.mode=max",
        "baselines=none",
        "test=true",
        "report=false",
        *settings,
        *own,
        f"seed={cell.seed}",
        f"name={slug(cell.task)}",
        f"run_dir={cell.folder}",
        "resume=auto",
    ]


def job_of(cell: Cell, overrides: Sequence[str] | None, data: DictConfig) -> Job:
    """The command line of a cell: `genoseq train` with overrides, or a baseline on data."""
    if overrides is not None:
        command = (sys.executable, "-m", "genoseq", "train", *overrides)
    else:
        cell.folder.mkdir(parents=True, exist_ok=True)
        component = dict(cell.contender.settings)
        if cell.contender.seeded:
            component["seed"] = cell.seed
        config = OmegaConf.create({"baseline": component, "name": cell.contender.name, "data": data})
        OmegaConf.save(config, cell.folder / _CONFIG, resolve=True)
        command = (sys.executable, "-m", "genoseq.benchmark.baseline_cell", str(cell.folder))
    return Job(cell.name, command, cell.folder / "cell.log", on_device=cell.contender.seeded)
