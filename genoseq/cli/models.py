"""What the verbs that use a model share."""

from __future__ import annotations

import logging
from collections.abc import Iterator

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


def open_model(config: DictConfig) -> SequenceModel:
    """The model of `checkpoint` on `device`, in eval mode.

    Raises:
        CheckpointError: it cannot be read.
        ConfigError: several checkpoints are named.
        DeviceError: the device is not there.
    """
    if isinstance(config.checkpoint, ListConfig):
        raise ConfigError(
            f"checkpoint={list(config.checkpoint)}: only evaluate and predict take several; give one."
        )
    device = pick_device(config.device)
    return load_sequence_model(locate(config.checkpoint), device=str(device))


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
