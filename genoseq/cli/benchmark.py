"""`genoseq benchmark`: models and baselines on the tasks of a suite, over seeds."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import torch
from hydra import compose
from hydra.utils import instantiate
from omegaconf import DictConfig, ListConfig, OmegaConf
from rich.console import Console
from rich.table import Table

import genoseq
from genoseq.benchmark.cells import (
    Cell,
    Contender,
    Keep,
    baseline_contenders,
    data_overrides,
    job_of,
    model_contenders,
    plan_cells,
    slug,
    train_command,
)
from genoseq.benchmark.facts import TaskFacts, task_facts
from genoseq.benchmark.job_queue import Job, Outcome, Places, run_jobs
from genoseq.benchmark.render import write_reports
from genoseq.benchmark.suites import Suite, Task
from genoseq.benchmark.summary import Measured, as_frame, summarise, words
from genoseq.cli.text_values import protect_text
from genoseq.errors import ConfigError, TrainingError, require_choice
from genoseq.inference.outputs import atomic_file
from genoseq.paths import locate
from genoseq.training.environment import describe_environment

log = logging.getLogger(__name__)

_SETTINGS = "settings.json"
_WIDTH = 160  # of a table that goes to a file or a pipe


def run(config: DictConfig) -> None:
    """Fill the cells that are not finished, and write the tables, as `configs/benchmark.yaml` describes it.

    Raises:
        ConfigError: settings contradict each other, or the cells of another benchmark stand in the folder.
        DataError: the suite's files are missing or broken.
        TrainingError: cells failed; the others are in the table.
    """
    require_choice("keep", config.keep, get_args(Keep))
    seeds = _seeds(config.seeds)
    out = locate(config.out)
    suite: Suite = instantiate(config.suite)
    tasks = {task.name: task for task in suite.tasks()}
    problems = {task.problem for task in tasks.values()}
    baselines = baseline_contenders(_plain(config.baselines), problems)
    contenders = [*model_contenders(_plain(config.models)), *baselines]
    data = {name: _data(task, config) for name, task in tasks.items()}
    facts = {}
    for name, task in tasks.items():
        log.info("looking at %s", name)
        facts[name] = task_facts(task, data[name], out / "tasks" / f"{slug(name)}.json")
    cells = _fitting(plan_cells(out, list(tasks), contenders, seeds), data)
    outcome = _fill(config, cells, tasks, facts, data)
    _write(config, out, cells, tasks, facts)
    if outcome.failed:
        failures = "\n".join(f"{one.job.name} ({one.job.log}):\n{one.last_lines}" for one in outcome.failed)
        raise TrainingError(
            f"{len(outcome.failed)} of {len(cells)} cells failed; the table has the others. The same command "
            f"tries them again.\n{failures}"
        )


def _seeds(given: Any) -> list[int]:
    seeds = list(range(given)) if isinstance(given, int) else [int(seed) for seed in given]
    if not seeds or len(set(seeds)) < len(seeds):
        raise ConfigError(f"seeds={given}: give how many, 1 or more, or a list of different numbers.")
    return seeds


def _plain(config: Any) -> Any:
    is_config = isinstance(config, DictConfig | ListConfig)
    return OmegaConf.to_container(config, resolve=True) if is_config else config


def _data(task: Task, config: DictConfig) -> DictConfig:
    """The settings of the task's data module, the same for every model and baseline."""
    overrides = ["experiment=finetune", *data_overrides(task, config.leak_k, config.clusters)]
    data = compose("train", overrides=[protect_text(text) for text in overrides])
    OmegaConf.resolve(data)
    return data.data


def _fitting(cells: Sequence[Cell], data: Mapping[str, DictConfig]) -> list[Cell]:
    """Without the baselines that are not for a task; the log says which."""
    modules = {name: instantiate(one) for name, one in data.items()}
    kept, said = [], set()
    for cell in cells:
        if cell.contender.kind == "baseline":
            try:
                instantiate(cell.contender.settings).require_data(modules[cell.task])
            except ConfigError as error:
                if (cell.task, cell.contender.name) not in said:
                    log.info("%s is left out of %s: %s", cell.contender.name, cell.task, error)
                    said.add((cell.task, cell.contender.name))
                continue
        kept.append(cell)
    return kept


def _fill(
    config: DictConfig,
    cells: Sequence[Cell],
    tasks: Mapping[str, Task],
    facts: Mapping[str, TaskFacts],
    data: Mapping[str, DictConfig],
) -> Outcome:
    jobs: dict[str, Cell] = {}
    todo: list[Job] = []
    for cell in cells:
        overrides = None
        if cell.contender.kind == "model":
            overrides = train_command(
                cell,
                tasks[cell.task],
                facts[cell.task],
                experiment=config.experiment,
                settings=_plain(config.settings),
                leak_k=config.leak_k,
                clusters=config.clusters,
            )
        _require_same(cell, overrides, data[cell.task])
        if not cell.finished:
            todo.append(job_of(cell, overrides, data[cell.task]))
            jobs[cell.name] = cell
    log.info("%s of %s cells are finished, %s to do", len(cells) - len(todo), len(cells), len(todo))
    done = len(cells) - len(todo)

    def on_end(job: Job, well: bool) -> None:
        nonlocal done
        done += well
        if well:
            jobs[job.name].tidy(config.keep)
        log.info("%s: %s (%s of %s)", job.name, "done" if well else "failed", done, len(cells))

    places = Places(_devices(config.devices), per_device=config.per_device, processes=config.processes)
    seconds = None if config.minutes is None else 60.0 * config.minutes
    return run_jobs(todo, places, seconds=seconds, on_end=on_end)


def _require_same(cell: Cell, overrides: Sequence[str] | None, data: DictConfig) -> None:
    """Refuse to mix cells of different settings under one name; note those of a new one."""
    given: Any = {"baseline": cell.contender.settings, "data": _plain(data)}
    if overrides is not None:  # but for the folder: a benchmark that was moved goes on
        given = [setting for setting in overrides if not setting.startswith("run_dir=")]
    kept = cell.folder / _SETTINGS
    text = json.dumps(given, indent=1) + "\n"
    if kept.is_file() and kept.read_text(encoding="utf-8") != text:
        raise ConfigError(
            f"{cell.name} was made with other settings than these ({kept} has them). Give another out=, "
            f"another name in models={{NAME:{{...}}}}, or remove {cell.folder}."
        )
    if not kept.is_file():
        cell.folder.mkdir(parents=True, exist_ok=True)
        with atomic_file(kept) as path:
            path.write_text(text, encoding="utf-8")


def _devices(given: Any) -> tuple[str, ...]:
    if given == "auto":
        return tuple(map(str, range(torch.cuda.device_count())))
    if isinstance(given, ListConfig | list):
        return tuple(map(str, given))
    raise ConfigError(f"devices={given}: give auto, a list of numbers such as [0,1], or [] for the CPU.")


def _write(
    config: DictConfig,
    out: Path,
    cells: Sequence[Cell],
    tasks: Mapping[str, Task],
    facts: Mapping[str, TaskFacts],
) -> None:
    reference = _reference(config, cells)
    measured = summarise(cells, facts, reference=reference, resamples=config.resamples)
    frame = as_frame(measured)
    with atomic_file(out / "table.tsv") as path:
        frame.to_csv(path, sep="\t", index=False)
    report = write_reports(
        out,
        measured,
        list(tasks.values()),
        facts,
        suite=config.suite.name,
        reference=reference,
        settings=_described(config, cells),
    )
    _print(measured)
    log.info("table in %s, report in %s", out / "table.md", report)


def _reference(config: DictConfig, cells: Sequence[Cell]) -> str | None:
    """The name of the contender that the others are held against; None, and a warning, for one that is not
    there."""
    names = {cell.contender.key: cell.contender.name for cell in cells}
    if config.reference is not None and config.reference not in names:
        known = ", ".join(names)
        log.warning("reference=%s is none of %s: nothing is held against it", config.reference, known)
    return names.get(config.reference)


def _described(config: DictConfig, cells: Sequence[Cell]) -> dict[str, str]:
    contenders: dict[str, Contender] = {cell.contender.name: cell.contender for cell in cells}
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    environment = describe_environment(OmegaConf.create({"data": {}}), device)
    described = {
        "genoseq": genoseq.__version__,
        "cells finished": f"{sum(cell.finished for cell in cells)} of {len(cells)}",
        "seeds": str(_seeds(config.seeds)),
        "recipe": f"experiment={config.experiment} {' '.join(_plain(config.settings))}".strip(),
        "bootstrap": f"{config.resamples} resamples of seeds and examples, the same for all contenders",
    }
    described |= {key: str(environment[key]) for key in ("torch", "lightning", "python", "device", "git")}
    return described | {name: _words_of(one.settings) for name, one in contenders.items()}


def _words_of(settings: Any) -> str:
    if isinstance(settings, Mapping):
        return " ".join(f"{key}={value}" for key, value in settings.items())
    return " ".join(settings)


def _print(measured: Sequence[Measured]) -> None:
    table = Table(title="Test splits; 95 % intervals over seeds and examples")
    for column in ("task", "", "metric"):
        table.add_column(column)
    for column in ("seeds", "all rows", "without leaks", "minus the reference"):
        table.add_column(column, justify="right")
    for one in measured:
        table.add_row(
            one.task,
            one.contender,
            one.metric,
            "" if one.seeds is None else str(len(one.seeds)),
            *(words(one.estimates[rows]) for rows in ("all", "leak_free")),
            words((one.versus or {}).get("all"), signed=True),
        )
    Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH).print(table)
