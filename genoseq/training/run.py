"""A training run, from its config to its folder."""

from __future__ import annotations

import json
import logging
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

import pandas as pd
import torch
from hydra.utils import instantiate
from lightning.pytorch import LightningModule, Trainer, seed_everything
from omegaconf import DictConfig

from genoseq.data.datamodule import ExampleDataModule
from genoseq.errors import DeviceError
from genoseq.models import SequenceModel
from genoseq.models.signal import SignalModel
from genoseq.training.assembly import build_model, build_task, finetuning_of, load_weights, require_whole
from genoseq.training.callbacks import Throughput
from genoseq.training.checkpoint import BEST, RunCheckpoint
from genoseq.training.environment import describe_environment
from genoseq.training.fully_sharded import first_device
from genoseq.training.results import baseline_predictions, compare, describe_rows, require_baselines
from genoseq.training.run_folder import RunFolder
from genoseq.training.self_pretraining import from_pretrained, pretraining_config
from genoseq.training.trainer import build_trainer

_log = logging.getLogger(__name__)
AnyCallback = TypeVar("AnyCallback")

# What Lightning says of every run, and a user can do nothing about or has decided already.
_NOISE = (
    ".*does not have many workers.*",
    ".*is smaller than the logging interval.*",
    ".*your dataloader is not resumable.*",
    ".*overridden `on_before_batch_transfer`.*",
    # A frozen backbone draws no dropout.
    ".*module.s. in eval mode at the start of training.*",
    ".*`isinstance.treespec, LeafSpec.` is deprecated.*",
)


class RunResult(NamedTuple):
    """What a run leaves behind.

    Attributes:
        folder: the run folder.
        results: the content of `results.json`; None where the test split was not opened.
    """

    folder: Path
    results: dict[str, Any] | None


def train(config: DictConfig) -> RunResult:
    """Run, or go on with, the training that a config describes.

    With `pretrain`, the model learns from the training split without labels first, in a run of its own in
    `pretraining/`. The best checkpoint by validation becomes `model/`; with `test: true` the test split is
    then opened, once, and the baselines are fitted and compared. In a distributed run every process calls
    this, and the first one writes.

    Raises:
        GenoseqError: something that the user can mend; its message says how. What was written stays good.
        SystemExit: SIGTERM or SIGUSR1 asked the run to stop; it did, with a checkpoint.
    """
    if config.resume not in ("never", "auto"):
        config.run_dir = config.resume
    folder = RunFolder.open(config)
    with _logging_to(folder), warnings.catch_warnings():
        for message in _NOISE:
            warnings.filterwarnings("ignore", message)
        return _train(config, folder)


def _train(config: DictConfig, folder: RunFolder) -> RunResult:
    datamodule: ExampleDataModule = instantiate(config.data)
    if config.test:
        require_baselines(config.baselines, datamodule)
    # The saved settings of an older run have no such key.
    if config.get("pretrain"):
        config = _pretrain(config, datamodule, folder)
    trainer = build_trainer(config, datamodule, run_dir=str(folder.path))
    seed_everything(config.seed, verbose=False)
    task = build_task(config, _new_model(config, trainer, datamodule))
    if trainer.is_global_zero:
        environment = describe_environment(config, trainer.strategy.root_device)
        folder.write_json(folder.environment, environment)
        _write_split(datamodule, folder)
    _fit(trainer, task, datamodule, folder.checkpoint(config))
    best = _best_model(config, trainer, task, datamodule, folder)
    if trainer.is_global_zero:
        _write_model(best, folder)
        _write_performance(trainer, folder)
        folder.write_json(folder.validation, _callback(trainer, RunCheckpoint).best_metrics)
    trainer.strategy.barrier("model written")
    results = _test(config, trainer, best, datamodule, folder) if config.test else None
    return RunResult(folder.path, results)


def _pretrain(config: DictConfig, datamodule: ExampleDataModule, folder: RunFolder) -> DictConfig:
    """Make the run that comes first, or what is left of it, and give the config of what follows."""
    first = pretraining_config(config, folder)
    if not RunFolder(folder.pretraining).finished:
        # What is wrong with the task itself is said now, and not when the pretraining is done.
        datamodule.setup("fit")
        build_task(config, build_model(config, datamodule))
        train(first)
    return from_pretrained(config, folder)


def _new_model(
    config: DictConfig, trainer: Trainer, datamodule: ExampleDataModule
) -> SequenceModel | SignalModel:
    with first_device(trainer):
        return build_model(config, datamodule)


def _best_model(
    config: DictConfig,
    trainer: Trainer,
    task: LightningModule,
    datamodule: ExampleDataModule,
    folder: RunFolder,
) -> SequenceModel | SignalModel:
    """The model of the best checkpoint, as it is written: plain, with all that its user has to know."""
    best = _new_model(config, trainer, datamodule)
    # What the task says of the predictions goes with the model.
    best.preprocessing |= cast(Any, task).model.preprocessing
    load_weights(best, folder.checkpoints / BEST)
    if isinstance(best, SequenceModel):
        finetuning_of(config).finish(best)
    return best


def _fit(
    trainer: Trainer, task: LightningModule, datamodule: ExampleDataModule, checkpoint: Path | None
) -> None:
    if checkpoint is not None:
        require_whole(checkpoint)
        _log.info("going on from %s", checkpoint)
    try:
        trainer.fit(task, datamodule=datamodule, ckpt_path=checkpoint, weights_only=True)
    except (torch.OutOfMemoryError, RuntimeError) as error:
        if not _is_out_of_memory(error):
            raise
        raise DeviceError(
            "a batch does not fit in the memory of the device. Three settings help: a smaller "
            "micro_batch_size (the result stays the same), a smaller data.length, or "
            "model.activation_checkpointing=true (slower, same result). The device said: "
            f"{str(error).splitlines()[0]}"
        ) from error


def _is_out_of_memory(error: RuntimeError) -> bool:
    # On the CPU torch raises a plain RuntimeError of its allocator.
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def _test(
    config: DictConfig,
    trainer: Trainer,
    model: SequenceModel | SignalModel,
    datamodule: ExampleDataModule,
    folder: RunFolder,
) -> dict[str, Any] | None:
    if folder.results.exists():
        # The test split is opened once: a run that is resumed after its end does not open it again.
        return json.loads(folder.results.read_text(encoding="utf-8"))
    task = build_task(config, model)
    trainer.test(task, datamodule=datamodule, verbose=False)
    if not trainer.is_global_zero:
        return None
    table = describe_rows(cast(pd.DataFrame, task.predictions), datamodule, "test")
    with folder.writing():
        table.to_parquet(folder.predictions)
    baselines: dict[str, pd.DataFrame] = {}
    for key, baseline, rows in baseline_predictions(config.baselines, datamodule, "test"):
        with folder.writing():
            rows.to_parquet(folder.path / f"predictions_{key}.parquet")
        baselines[baseline] = rows
    name = type(model.backbone if isinstance(model, SequenceModel) else model).__name__
    results = compare(datamodule.judged_as, "test", name, table, baselines)
    folder.write_json(folder.results, results)
    return results


def _write_split(datamodule: ExampleDataModule, folder: RunFolder) -> None:
    table = datamodule.split_table()
    if table is not None:
        with folder.writing():
            table.to_csv(folder.split, sep="\t", index=False)


def _write_model(model: SequenceModel | SignalModel, folder: RunFolder) -> None:
    part = folder.path / ".model.part"
    shutil.rmtree(part, ignore_errors=True)
    with folder.writing():
        model.save(part)
        shutil.rmtree(folder.model, ignore_errors=True)
        part.rename(folder.model)


def _callback(trainer: Trainer, kind: type[AnyCallback]) -> AnyCallback:
    return next(item for item in trainer.callbacks if isinstance(item, kind))  # type: ignore[attr-defined]


def _write_performance(trainer: Trainer, folder: RunFolder) -> None:
    measured = _callback(trainer, Throughput).summary()
    if measured["parameters"]:
        folder.write_json(folder.performance, measured)


@contextmanager
def _logging_to(folder: RunFolder) -> Iterator[None]:
    handler = logging.FileHandler(folder.log, encoding="utf-8", delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    ours, lightnings = logging.getLogger("genoseq"), logging.getLogger("lightning.pytorch")
    levels = {logger: logger.level for logger in (ours, lightnings)}
    ours.setLevel(logging.INFO)
    # Its notes say which devices there are not, and advertise; its warnings are worth a line.
    lightnings.setLevel(logging.WARNING)
    for logger in levels:
        logger.addHandler(handler)
    try:
        yield
    finally:
        for logger, level in levels.items():
            logger.setLevel(level)
            logger.removeHandler(handler)
        handler.close()
