"""`genoseq evaluate`: metrics of a checkpoint on one split of a data set."""

from __future__ import annotations

import json
import sys
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from hydra.utils import instantiate
from lightning.pytorch import LightningDataModule, Trainer
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table
from torch.utils.data import DataLoader, Dataset

from genoseq.cli.models import open_models
from genoseq.cli.tables import interval_text
from genoseq.data.coding_datamodule import CodingDataModule
from genoseq.data.datamodule import SequenceDataModule, Split
from genoseq.data.labelled_datamodule import LabelledDataModule
from genoseq.errors import ConfigError
from genoseq.inference.devices import explain_full_memory
from genoseq.inference.outputs import atomic_file, open_table, require_folder
from genoseq.inference.records import require_tokenizer
from genoseq.models.base import SequenceModel
from genoseq.models.ensemble import Ensemble
from genoseq.models.heads import LanguageModelHead
from genoseq.models.lifecode import LifeCodeHead
from genoseq.models.strand_heads import MaskedLanguageModelHead
from genoseq.training.results import baseline_predictions, compare, describe_rows

_LANGUAGE_MODEL = "language_model"
# What Lightning says of every loader, and of the torch it was not written for.
_NOISE = (".*does not have many workers.*", ".*LeafSpec.*")
_TABLES = (".parquet", ".tsv", ".csv")


def run(config: DictConfig) -> None:
    """Print the metrics, and write `out` as `configs/evaluate.yaml` describes it."""
    _require_out(config.out)
    model = open_models(config)
    datamodule = _open_data(config, model)
    table = describe_rows(_predict(config, model, datamodule), datamodule, config.split)
    fitted = baseline_predictions(config.baselines, datamodule, config.split)
    results = compare(
        datamodule.judged_as,
        config.split,
        _name(model),
        table,
        {name: rows for _, name, rows in fitted},
    )
    _print(config, results, len(table))
    if config.out is not None:
        _write(config, results, table)


def _name(model: SequenceModel) -> str:
    backbone = type(model.backbone).__name__
    return f"{backbone}, {len(model.members)} averaged" if isinstance(model, Ensemble) else backbone


class _OneSplit(LightningDataModule):
    """Shows a trainer one split of the data, whichever, as its test split; the others stay closed."""

    def __init__(self, datamodule: SequenceDataModule, split: Split) -> None:
        super().__init__()
        self.classes = getattr(datamodule, "classes", None)
        self._datamodule = datamodule
        self._split = split

    def dataset(self, split: Split) -> Dataset[Any]:
        return self._datamodule.dataset(self._split)

    def test_dataloader(self) -> DataLoader[dict[str, torch.Tensor]]:
        return self._datamodule.evaluation_loader(self._split)


def _open_data(config: DictConfig, model: SequenceModel) -> SequenceDataModule:
    """The data, in the tokens of the model and with the strands and codons that it reads."""
    if config.split not in ("train", "validation", "test"):
        raise ConfigError(f"split={config.split}: give train, validation or test.")
    datamodule: SequenceDataModule = instantiate(config.data)
    datamodule.tokenizer = require_tokenizer(model)
    if isinstance(datamodule, LabelledDataModule):
        datamodule.strands = model.strand_policy().name
        datamodule.coding = model.preprocessing.get("coding")
    trained_for = model.preprocessing.get("problem", _LANGUAGE_MODEL)
    problem = getattr(datamodule, "problem", _LANGUAGE_MODEL)
    if problem != trained_for:
        raise ConfigError(f"the data are of the kind {problem}, the checkpoint is for {trained_for}.")
    _require_same_controls(getattr(datamodule, "controls", None), model.preprocessing.get("controls"))
    return datamodule


def _require_same_controls(wanted: dict[str, Any] | None, known: dict[str, Any] | None) -> None:
    if wanted is not None and wanted != known:
        raise ConfigError(
            f"the data have the controls {wanted}, the checkpoint has {known or 'none'}: give the train "
            "table, classes and bins that it was trained with."
        )


def _predict(config: DictConfig, model: SequenceModel, datamodule: SequenceDataModule) -> pd.DataFrame:
    task = _task(config, model, datamodule)
    device = model.device
    trainer = Trainer(
        accelerator=device.type,
        devices=[device.index or 0] if device.type == "cuda" else 1,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=sys.stdout.isatty(),
    )
    with warnings.catch_warnings(), explain_full_memory(config.global_batch_size):
        for message in _NOISE:
            warnings.filterwarnings("ignore", message)
        trainer.test(task, datamodule=_OneSplit(datamodule, config.split), verbose=False)
    return task.predictions


def _task(config: DictConfig, model: SequenceModel, datamodule: SequenceDataModule) -> Any:
    """The task that measures such a model, of a package the library knows by its configs only.

    It is never trained, so how it would be does not matter.
    """
    training = {"optimizer": partial(torch.optim.SGD, lr=0.0), "schedule": torch.optim.lr_scheduler.LambdaLR}
    if isinstance(model.head, LanguageModelHead):
        return instantiate(config.tasks.language_model)(model=model, **training)
    if isinstance(model.head, LifeCodeHead) and isinstance(datamodule, CodingDataModule):
        return instantiate(config.tasks.lifecode)(model=model, **training)
    if isinstance(model.head, MaskedLanguageModelHead):
        return instantiate(config.tasks.masked)(model=model, **training)
    return instantiate(config.tasks.labelled)(model=model, **training)


def _print(config: DictConfig, results: dict[str, Any], num_rows: int) -> None:
    table = Table(title=f"{_checkpoints(config)}: {config.split}, {num_rows:,} examples")
    table.add_column("")
    names = list(results["rows"][0]["metrics"])
    for name in names:
        table.add_column(name.replace("_", " "), justify="right")
    if config.baselines:
        table.add_column(f"{results['metric'].replace('_', ' ')}: model minus this, 95 %", justify="right")
    for row in results["rows"]:
        values = [row["metrics"][name] for name in names]
        cells = ["not defined" if value is None else f"{value:.4f}" for value in values]
        table.add_row(row["name"], *cells, interval_text(row["versus_model"]))
    console = Console(highlight=False, soft_wrap=True)
    console.print(table)
    if "by_length" in results:
        console.print(_length_table(names, results["by_length"]))


def _length_table(names: list[str], rows: list[dict[str, Any]]) -> Table:
    table = Table(title=f"{rows[0]['accuracy']['n']:,} examples of each length")
    for name in ("bases", *names):
        table.add_column(name.replace("_", " "), justify="right")
    for row in rows:
        table.add_row(f"{row['length']:,}", *(f"{row['metrics'][name]:.4f}" for name in names))
    return table


def _checkpoints(config: DictConfig) -> Any:
    """What was named, a text or a list of them."""
    return config.checkpoint if isinstance(config.checkpoint, str) else list(config.checkpoint)


def _require_out(out: str | None) -> None:
    endings = (".json", *_TABLES)
    if out is None:
        return
    if Path(out).suffix.lower() not in endings:
        raise ConfigError(f"out={out}: the ending says the format; give {' or '.join(endings)}.")
    require_folder(out)


def _write(config: DictConfig, results: dict[str, Any], table: pd.DataFrame) -> None:
    if config.out.lower().endswith(".json"):
        with atomic_file(config.out) as path:
            path.write_text(json.dumps({"checkpoint": _checkpoints(config), **results}, indent=2) + "\n")
        return
    with open_table(config.out, formats=_TABLES) as writer:
        writer.write(table)
