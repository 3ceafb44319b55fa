"""What `evaluate` and `compare` share: a model's predictions of one split of a data set."""

from __future__ import annotations

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
from torch.utils.data import DataLoader, Dataset

from genoseq.data.coding_datamodule import CodingDataModule
from genoseq.data.datamodule import ExampleDataModule, SequenceDataModule
from genoseq.data.few_shot_datamodule import FewShotDataModule
from genoseq.data.labelled_datamodule import LabelledDataModule
from genoseq.data.splits import Split
from genoseq.errors import ConfigError
from genoseq.inference.devices import explain_full_memory
from genoseq.inference.outputs import require_folder
from genoseq.inference.records import require_tokenizer
from genoseq.models.base import SequenceModel
from genoseq.models.embedding_head import EmbeddingHead
from genoseq.models.ensemble import Ensemble
from genoseq.models.heads import LanguageModelHead
from genoseq.models.lifecode import LifeCodeHead
from genoseq.models.signal import Forecaster, RecordingModel, SignalModel, SignalRegressor
from genoseq.models.strand_heads import MaskedLanguageModelHead
from genoseq.training.assembly import require_windows
from genoseq.training.results import describe_rows

TABLES = (".parquet", ".tsv", ".csv")
"""Endings of the files that hold a row an example."""

_LANGUAGE_MODEL = "language_model"
# What Lightning says of every loader, and of the torch it was not written for.
_NOISE = (".*does not have many workers.*", ".*LeafSpec.*")


def measured(
    config: DictConfig, model: SequenceModel | SignalModel
) -> tuple[ExampleDataModule, pd.DataFrame]:
    """The data that `config.data` describes, as the model reads them, and its predictions of `config.split`.

    Raises:
        ConfigError: there is no such split, or the model is for other data.
        DeviceError: a batch does not fit on the device.
    """
    datamodule = _open_data(config, model)
    return datamodule, describe_rows(_predict(config, model, datamodule), datamodule, config.split)


def name_of(model: SequenceModel | SignalModel) -> str:
    """What tables call a model."""
    if isinstance(model, SignalModel):
        return type(model).__name__
    backbone = type(model.backbone).__name__
    return f"{backbone}, {len(model.members)} averaged" if isinstance(model, Ensemble) else backbone


def rows_text(table: pd.DataFrame) -> str:
    """How many rows were measured, and of what."""
    if "channel" in table:
        return f"{len(table):,} channels of {table['index'].nunique():,} windows"
    return f"{len(table):,} examples"


def require_out(out: str | None) -> None:
    """Check, before the work, that a file ends as a table or as JSON does, and that its folder is there.

    Raises:
        ConfigError: another ending. DataError: no such folder.
    """
    if out is None:
        return
    endings = (".json", *TABLES)
    if Path(out).suffix.lower() not in endings:
        raise ConfigError(f"out={out}: the ending says the format; give {' or '.join(endings)}.")
    require_folder(out)


class _OneSplit(LightningDataModule):
    """Shows a trainer one split of the data, whichever, as its test split; the others stay closed."""

    def __init__(self, datamodule: ExampleDataModule, split: Split) -> None:
        super().__init__()
        self.classes = getattr(datamodule, "classes", None)
        self._datamodule = datamodule
        self._split = split

    def dataset(self, split: Split) -> Dataset[Any]:
        return self._datamodule.dataset(self._split)

    def test_dataloader(self) -> DataLoader[dict[str, torch.Tensor]]:
        return self._datamodule.evaluation_loader(self._split)


def _open_data(config: DictConfig, model: SequenceModel | SignalModel) -> ExampleDataModule:
    """The data, in the tokens of the model and with the strands that it reads, or on its scale."""
    if config.split not in ("train", "validation", "test"):
        raise ConfigError(f"split={config.split}: give train, validation or test.")
    datamodule: Any = instantiate(config.data)
    if isinstance(model, SignalModel):
        require_windows(model, datamodule)
        datamodule.take_scale(model.preprocessing)
        return datamodule
    if not isinstance(datamodule, SequenceDataModule):
        raise ConfigError(f"the checkpoint reads tokens, and a {type(datamodule).__name__} has none.")
    datamodule.tokenizer = require_tokenizer(model)
    if isinstance(datamodule, LabelledDataModule):
        datamodule.strands = model.strand_policy().name
        datamodule.coding = model.preprocessing.get("coding")
    trained_for = model.preprocessing.get("problem", _LANGUAGE_MODEL)
    problem = getattr(datamodule, "problem", _LANGUAGE_MODEL)
    if problem != trained_for:
        raise ConfigError(f"the data are of the kind {problem}, the checkpoint is for {trained_for}.")
    _require_same_classes(getattr(datamodule, "classes", None), model.preprocessing.get("classes"))
    _require_same_controls(getattr(datamodule, "controls", None), model.preprocessing.get("controls"))
    _require_same_answers(getattr(datamodule, "answers", None), model.preprocessing.get("answers"))
    return datamodule


def _require_same_classes(given: Any, known: Any) -> None:
    if given and known and list(map(str, given)) != list(map(str, known)):
        raise ConfigError(
            f"the data have the classes {', '.join(map(str, given))}, the checkpoint has "
            f"{', '.join(map(str, known))}: name them in this order as data.classes, or give other data."
        )


def _require_same_controls(wanted: dict[str, Any] | None, known: dict[str, Any] | None) -> None:
    if wanted is not None and wanted != known:
        raise ConfigError(
            f"the data have the controls {wanted}, the checkpoint has {known or 'none'}: give the train "
            "table, classes and bins that it was trained with."
        )


def _require_same_answers(wanted: list[str] | None, known: list[str] | None) -> None:
    if wanted is not None and wanted != known:
        raise ConfigError(
            f"the data want answers in {', '.join(wanted)}, the checkpoint has learnt "
            f"{', '.join(known or []) or 'none'}: give tasks of as many classes and the data.answers that it "
            "was tuned with (experiment=few_shot)."
        )


def _predict(
    config: DictConfig, model: SequenceModel | SignalModel, datamodule: ExampleDataModule
) -> pd.DataFrame:
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


def _task(config: DictConfig, model: SequenceModel | SignalModel, datamodule: ExampleDataModule) -> Any:
    """The task that measures such a model, of a package the library knows by its configs only.

    It is never trained, so how it would be does not matter.
    """
    training = {"optimizer": partial(torch.optim.SGD, lr=0.0), "schedule": torch.optim.lr_scheduler.LambdaLR}
    if isinstance(model, SignalModel):
        return _signal_task(config, model, training)
    if isinstance(model.head, EmbeddingHead):
        raise ConfigError(
            "the checkpoint gives vectors of reads, which are judged by what they find in a genome: use "
            "genoseq align."
        )
    if isinstance(datamodule, FewShotDataModule):
        return instantiate(config.tasks.in_context)(model=model, **training)
    if isinstance(model.head, LanguageModelHead):
        return instantiate(config.tasks.language_model)(model=model, **training)
    if isinstance(model.head, LifeCodeHead) and isinstance(datamodule, CodingDataModule):
        return instantiate(config.tasks.lifecode)(model=model, **training)
    if isinstance(model.head, MaskedLanguageModelHead):
        return instantiate(config.tasks.masked)(model=model, **training)
    return instantiate(config.tasks.labelled)(model=model, **training)


def _signal_task(config: DictConfig, model: SignalModel, training: dict[str, Any]) -> Any:
    """The task of the kind of model, with what its own task left in `preprocessing`."""
    known = model.preprocessing
    if isinstance(model, Forecaster):
        distribution = dict(known["distribution"])
        name = distribution.pop("name")
        return instantiate(config.tasks.forecasting)(
            model=model, distribution=name, **distribution, **training
        )
    if isinstance(model, SignalRegressor):
        return instantiate(config.tasks.signal_regression)(model=model, **training)
    assert isinstance(model, RecordingModel), "there are three kinds of models of signals"
    if model.problem is None:
        return instantiate(config.tasks.masked_recording)(model=model, **known["masking"], **training)
    return instantiate(config.tasks.recording_prediction)(model=model, **training)
