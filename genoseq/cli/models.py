"""What the verbs that use a model share."""

from __future__ import annotations

from collections.abc import Iterator

from omegaconf import DictConfig

from genoseq.inference import Record, read_records
from genoseq.inference.devices import pick_device
from genoseq.models.base import SequenceModel
from genoseq.models.hub import load
from genoseq.paths import locate


def open_model(config: DictConfig) -> SequenceModel:
    """The model of `checkpoint` on `device`, in eval mode.

    Raises:
        CheckpointError: it cannot be read.
        DeviceError: the device is not there.
    """
    device = pick_device(config.device)
    return load(locate(config.checkpoint), device=str(device))


def open_records(config: DictConfig) -> Iterator[Record]:
    """The sequences that `input`, or `fasta` and `bed`, name."""
    return read_records(
        config.input,
        fasta=config.fasta,
        bed=config.bed,
        sequence_column=config.sequence_column,
        name_column=config.name_column,
    )
