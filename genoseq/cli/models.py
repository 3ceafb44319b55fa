"""What the verbs that use a model share."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig

from genoseq.errors import ConfigError
from genoseq.inference import Record, ScoreSettings, read_records
from genoseq.inference.devices import pick_device
from genoseq.inference.outputs import TableWriter
from genoseq.models.base import SequenceModel
from genoseq.models.chunks import plan_reading
from genoseq.models.ensemble import Ensemble
from genoseq.models.hub import load, load_sequence_model
from genoseq.models.signal import SignalModel
from genoseq.paths import locate

log = logging.getLogger(__name__)

# How sequences are found and read, and what that is where nobody says so.
_OF_SEQUENCES = {
    "fasta": None,
    "bed": None,
    "sequence_column": "sequence",
    "name_column": None,
    "chunk_length": None,
    "context": None,
}


def open_model(config: DictConfig) -> SequenceModel:
    """The model of `checkpoint` on `device`, in eval mode.

    Raises:
        CheckpointError: it cannot be read.
        ConfigError: several checkpoints are named.
        DeviceError: the device is not there.
    """
    path = _only(config)
    return load_sequence_model(path, device=str(pick_device(config.device)))


def open_any_model(config: DictConfig) -> SequenceModel | SignalModel:
    """The same, of sequences or of signals."""
    path = _only(config)
    return load(path, device=str(pick_device(config.device)))


def open_models(config: DictConfig) -> SequenceModel | SignalModel:
    """The same, or the ensemble of the checkpoints that a list names; with other `arguments`, and read as
    `strands` says, where they say anything. One checkpoint may be a model of signals.

    Raises:
        CheckpointError: one cannot be read, or they predict different things.
        ConfigError: the list is empty, or a model has no such argument or is not for such a policy of
            strands.
        DeviceError: the device is not there.
    """
    several = isinstance(config.checkpoint, ListConfig)
    paths = list(config.checkpoint) if several else [config.checkpoint]
    if not paths:
        raise ConfigError("checkpoint=[] names none: give a model folder, or several.")
    device = pick_device(config.device)
    arguments = config.arguments
    if not isinstance(arguments, DictConfig | None):
        raise ConfigError(f"arguments={arguments}: give names and values, such as {{max_taps: 1024}}.")
    if not several:
        model = load(locate(paths[0]), device=str(device), arguments=arguments)
        if isinstance(model, SignalModel):
            if config.strands is not None:
                raise ConfigError(f"strands={config.strands}: signals have none. Leave it out.")
            return model
        members = [model]
    else:
        members = [
            load_sequence_model(locate(path), device=str(device), arguments=arguments) for path in paths
        ]
    if config.strands is not None:
        for member in members:
            member.preprocessing["strands"] = member.strand_policy(config.strands).name
    return Ensemble(members) if len(members) > 1 else members[0]


def require_left_out(config: DictConfig, settings: Mapping[str, Any], why: str) -> None:
    """Refuse settings that are for something else.

    Args:
        config: of the verb.
        settings: names of the settings, and what they are where nobody gives them.
        why: what they are for.

    Raises:
        ConfigError: one is given.
    """
    given = [f"{name}={config[name]}" for name, default in settings.items() if config[name] != default]
    if given:
        raise ConfigError(f"{', '.join(given)}: {why}. Leave it out.")


def require_input_alone(config: DictConfig, settings: Mapping[str, Any], what: str) -> None:
    """Refuse what is for sequences, where `input` alone is read.

    Args:
        config: of the verb.
        settings: of the verb alone that are for sequences; see `require_left_out`.
        what: is read.

    Raises:
        ConfigError: one is given, or there is no input.
    """
    require_left_out(config, {**_OF_SEQUENCES, **settings}, f"for sequences, not for {what}")
    if config.input is None:
        raise ConfigError(f"{what} want input=: a table, a .ts file, or a folder of recordings.")


def open_records(config: DictConfig) -> Iterator[Record]:
    """The sequences that `input`, or `fasta` and `bed`, name."""
    return read_records(
        config.input,
        fasta=config.fasta,
        bed=config.bed,
        sequence_column=config.sequence_column,
        name_column=config.name_column,
        lazily=config.chunk_length is not None,
    )


def note_reading(table: TableWriter, model: SequenceModel, config: DictConfig) -> None:
    """Say in the table and in the log how long sequences are read, where that is not at once.

    Raises:
        ConfigError: the model does not read so.
    """
    reading = plan_reading(model, chunk_length=config.chunk_length, context=config.context)
    if reading is not None:
        table.notes["reading"] = reading.describe()
        log.info("read in %s", table.notes["reading"])


def score_settings(config: DictConfig, *, window: int | None) -> ScoreSettings:
    """How the alleles of `score` and `mutate` are scored."""
    return ScoreSettings(
        scores=None if config.scores is None else tuple(config.scores),
        window=window,
        strands=config.strands,
        layer=config.layer,
        pooling=config.pooling,
        metric=config.metric,
        neighbours=config.neighbours,
        batch_size=config.batch_size,
    )


def _only(config: DictConfig) -> Path:
    if isinstance(config.checkpoint, ListConfig):
        raise ConfigError(
            f"checkpoint={list(config.checkpoint)}: only evaluate and predict take several; give one."
        )
    return locate(config.checkpoint)
