"""Whether a run fits its device, before it: `genoseq train ... plan=true`."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig

from genoseq.data.datamodule import SequenceDataModule
from genoseq.data.genome_datamodule import GenomeDataModule
from genoseq.data.loading import ExampleKey, collate
from genoseq.errors import ConfigError
from genoseq.training.plan_advice import Attempt, attempts
from genoseq.training.plan_trace import BatchShape, StepMemory, trace_step
from genoseq.training.trainer import build_trainer

# Of a device's memory; the rest is for what its allocator cannot put together.
_USABLE = 0.95
_EXAMPLES_LOOKED_AT = 1000


@dataclass(frozen=True)
class Plan:
    """What a run would take, and what there is.

    Attributes:
        memory: of one device, at its peak.
        shape: of the largest micro-batch.
        precision: that the run computes in.
        device: its name.
        available: bytes that the device has for us.
        usable: how many of them a run can count on.
        attempts: where the run does not fit: what was tried, the cheapest first; the last one fits, unless
            none does.
    """

    memory: StepMemory
    shape: BatchShape
    precision: str
    device: str
    available: int
    usable: int
    attempts: Sequence[Attempt]

    @property
    def fits(self) -> bool:
        """Whether the run fits."""
        return self.memory.total <= self.usable


def plan(config: DictConfig, *, available: int | None = None) -> Plan:
    """Predict the peak of a run's memory on its device. Nothing is trained, and nothing written.

    Args:
        config: as for `train`.
        available: bytes of the device; None for what it has now.

    Raises:
        GenoseqError: as `train`, for settings, data or a device that are not there.
    """
    config = config.copy()
    config.callbacks, config.logger = {}, {"_target_": "genoseq.training.CsvLogger", "folder": config.run_dir}
    # Which devices there are not, and advertisements.
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    datamodule = instantiate(config.data)
    if not isinstance(datamodule, SequenceDataModule):
        raise ConfigError("plan=true counts the memory of tokens, and these data have none. Leave it out.")
    trainer = build_trainer(config, datamodule, run_dir=config.run_dir)

    def measure(settings: DictConfig, shape: BatchShape) -> StepMemory:
        return trace_step(settings, datamodule, trainer, shape)

    shape = largest_batch(datamodule, trainer.world_size)
    memory = measure(config, shape)
    device = trainer.strategy.root_device
    available = _available(device) if available is None else available
    usable = int(available * _USABLE)
    tried = [] if memory.total <= usable else attempts(config, shape, measure, usable, device.type)
    return Plan(memory, shape, str(trainer.precision), _name(device), available, usable, tried)


def largest_batch(datamodule: SequenceDataModule, world_size: int) -> BatchShape:
    """The micro-batch of a run that takes the most: of its longest example (of a thousand, where there are
    more)."""
    dataset = datamodule.dataset("train")
    schedule = getattr(datamodule, "length_schedule", None) or {}
    longest = max(schedule, key=lambda start: (schedule[start], start), default=0)
    place = datamodule.stages.at(longest)
    total = datamodule.num_examples("train")
    # Windows of a genome are of one length.
    looked_at = 1 if isinstance(datamodule, GenomeDataModule) else min(total, _EXAMPLES_LOOKED_AT)
    keys = [ExampleKey(place.epoch, index * total // looked_at) for index in range(looked_at)]
    examples = (dataset[key] for key in keys)
    longest = max(examples, key=lambda example: len(example["input_ids"]))
    batch = collate(datamodule.tokenizer)([longest])
    tokens = batch["input_ids"].shape[1]
    evaluated = getattr(datamodule, "evaluation_length", None)
    shape = BatchShape(
        {name: (tuple(value.shape), value.dtype) for name, value in batch.items()},
        tokens if evaluated is None else tokens * evaluated // getattr(datamodule, "length", evaluated),
    )
    return shape.resized(examples=datamodule.plan(world_size).micro_batch_size // place.divisor)


def _name(device: torch.device) -> str:
    return f"{device}, {torch.cuda.get_device_name(device)}" if device.type == "cuda" else "the host"


def _available(device: torch.device) -> int:
    """Bytes that this process could still have."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device)
    if device.type == "mps":
        return torch.mps.recommended_max_memory()
    return int(min(_free_host_memory(), _free_in_container()))


def _free_host_memory() -> int:
    table = Path("/proc/meminfo")
    if table.is_file():
        rows = dict(line.split(":") for line in table.read_text(encoding="ascii").splitlines())
        return int(rows["MemAvailable"].split()[0]) * 1024
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _free_in_container() -> float:
    """What the limit of a container leaves; no end where there is none."""
    limit, used = (Path("/sys/fs/cgroup") / name for name in ("memory.max", "memory.current"))
    if not limit.is_file() or not used.is_file() or limit.read_text().strip() == "max":
        return float("inf")
    return int(limit.read_text()) - int(used.read_text())
