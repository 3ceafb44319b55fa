"""From a config to a model and a task that trains it."""

from __future__ import annotations

import logging
import zipfile
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from lightning.pytorch import LightningModule
from omegaconf import DictConfig

from genoseq.data.datamodule import ExampleDataModule, SequenceDataModule
from genoseq.errors import CheckpointError, ConfigError
from genoseq.models import Backbone, SequenceModel, StreamingBackbone
from genoseq.models.signal import RecordingModel, SignalModel
from genoseq.models.strict import load_strictly
from genoseq.models.tensor_files import read_tensors
from genoseq.models.vocabulary import extend_vocabulary
from genoseq.tokenizers import Tokenizer
from genoseq.training.finetuning import FineTuning, FullFineTuning
from genoseq.training.recording_heads import require_head

_log = logging.getLogger(__name__)

# What a reader of the model folder has to know of the data to predict for new sequences, or to ask for some.
_DESCRIBED = (
    "problem",
    "classes",
    "controls",
    "answers",
    "strand",
    "strands",
    "coding",
    "window",
    "window_stride",
)
# What a model of signals is made for, and its data may have; a model that says None or 0 does not care.
_OF_WINDOWS = ("sequence_length", "horizon", "num_channels", "num_marks", "num_outputs")
_OF_SAMPLES = ("input_channels", "samples_per_prediction")


def build_model(config: DictConfig, datamodule: ExampleDataModule) -> SequenceModel | SignalModel:
    """Backbone and head of a config, with the tokenizer of the data, ready to learn; or its model of signals.

    Control tokens for which the embedding has no row get new ones, whether the model is a checkpoint's or
    begins anew.

    Raises:
        ConfigError: the head does not have the outputs that the data need, the model is not for windows of
            such data, or not for what the data say becomes of the strands.
    """
    backbone = instantiate(config.model)
    if isinstance(backbone, SignalModel):
        require_windows(backbone, datamodule)
        backbone.preprocessing = datamodule.describe()
        return backbone
    if not isinstance(datamodule, SequenceDataModule):
        raise ConfigError(
            f"a {type(datamodule).__name__} has no tokens, and {type(backbone).__name__} reads nothing else: "
            "take a model of signals."
        )
    _make_room_for_controls(backbone, datamodule.tokenizer)
    head = instantiate(config.head)(backbone)
    _require_fit(head, datamodule)
    described = {name: getattr(datamodule, name) for name in _DESCRIBED if hasattr(datamodule, name)}
    model = SequenceModel(backbone, head, tokenizer=datamodule.tokenizer, preprocessing=described)
    finetuning_of(config).prepare(model)
    return model


def finetuning_of(config: DictConfig) -> FineTuning:
    """What of the model learns; everything, where the settings of an older run do not say."""
    chosen = config.get("finetuning")
    return FullFineTuning() if chosen is None else instantiate(chosen)


def require_windows(model: SignalModel, datamodule: ExampleDataModule) -> None:
    """Check that a model of signals is made for the windows of some data.

    Raises:
        ConfigError: it is for others.
    """
    if isinstance(datamodule, SequenceDataModule):
        raise ConfigError(
            f"{type(model).__name__} reads signals, and a {type(datamodule).__name__} has tokens: take other "
            "data."
        )
    names = [*_OF_WINDOWS, *_OF_SAMPLES]
    if isinstance(model, RecordingModel) and hasattr(datamodule, "label_form"):
        require_head(model, datamodule)
        names.remove("num_outputs")
    for name in names:
        wanted, given = getattr(datamodule, name, None), getattr(model, name, None)
        if wanted is not None and given and given != wanted:
            raise ConfigError(
                f"model.{name}={given} does not go with the data, which have {wanted}: give "
                f"model.{name}={wanted}."
            )


def build_task(config: DictConfig, model: SequenceModel | SignalModel) -> LightningModule:
    """The task of a config around a model."""
    return instantiate(config.task)(
        model=model, optimizer=instantiate(config.optimizer), schedule=instantiate(config.schedule)
    )


def load_weights(model: SequenceModel | SignalModel, checkpoint: Path) -> None:
    """Give a model the weights of a training checkpoint: with an average of weights, the average.

    A model on the meta device has them once it has memory; until then they stay in the file.

    Raises:
        CheckpointError: the file is truncated or is no checkpoint, or is of another model.
    """
    weights = _read_weights(checkpoint)
    own = "model."
    tensors = {name.removeprefix(own): value for name, value in weights.items() if name.startswith(own)}
    load_strictly(model, tensors, source=str(checkpoint))


def _read_weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    if checkpoint.is_dir():
        # A folder is what DeepSpeed writes: parts of the parameters, one file a device.
        from lightning.pytorch.utilities.deepspeed import convert_zero_checkpoint_to_fp32_state_dict

        return convert_zero_checkpoint_to_fp32_state_dict(checkpoint, checkpoint / "whole.ckpt")["state_dict"]
    require_whole(checkpoint)
    return read_tensors(checkpoint)


def require_whole(checkpoint: Path) -> None:
    """Check that a checkpoint file has its end.

    Raises:
        CheckpointError: it has not.
    """
    if checkpoint.is_file() and not zipfile.is_zipfile(checkpoint):
        raise CheckpointError(
            f"{checkpoint} is truncated or is no checkpoint. Restore it from a copy, or delete it to begin "
            "anew."
        )


def _make_room_for_controls(backbone: Backbone, tokenizer: Tokenizer) -> None:
    num_rows, count = backbone.vocab_size, len(tokenizer.controls)
    others = tokenizer.vocab_size - count
    if not isinstance(backbone, StreamingBackbone) or not others <= num_rows < tokenizer.vocab_size:
        return
    extend_vocabulary(backbone, tokenizer.vocab_size)
    _log.info(
        "the embedding was extended from %s to %s rows, for %s control tokens after %s others",
        num_rows,
        backbone.vocab_size,
        count,
        others,
    )


def _require_fit(head: Any, datamodule: SequenceDataModule) -> None:
    for name in ("problem", "num_outputs"):
        wanted, given = getattr(datamodule, name, None), getattr(head, name, None)
        if wanted != given:
            raise ConfigError(
                f"head.{name}={given} does not go with the data, which need {wanted}: give "
                + (f"head.{name}={wanted}." if wanted is not None else "head=language_model.")
            )
