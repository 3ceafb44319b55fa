"""The part of a data module that does not depend on where the sequences come from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd
import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader, Dataset, default_collate

from genoseq.data.loading import (
    BatchPlan,
    EvaluationBatchSampler,
    TrainBatchSampler,
    collate,
    plan_batches,
)
from genoseq.data.splits import Split
from genoseq.data.stages import Stages
from genoseq.data.workers import worker_arguments
from genoseq.errors import ConfigError
from genoseq.tokenizers import Tokenizer


class ExampleDataModule(LightningDataModule, ABC):
    """Datasets by split, and the loaders that make a run the same on any number of devices.

    A subclass says in `build` what a split holds, and in `collator` how examples become a batch.

    Args:
        global_batch_size: examples of one optimiser step over all devices.
        micro_batch_size: examples of one forward pass on one device; None is the device's whole share. It
            changes memory and speed, never the result.
        num_workers: processes of each device that prepare batches; 0 prepares them in the training process.
        pin_memory: page-locked batches, for a faster copy to a GPU.
        seed: of the order of examples and of their random windows and augmentation.

    Attributes:
        judged_as: what a test measures: a `language_model`, `answers`, or what the labels are.
        divisors: of the batch sizes of later stages; see `Stages`.
    """

    judged_as: str = "language_model"
    divisors: Mapping[int, int] = {0: 1}

    def __init__(
        self,
        *,
        global_batch_size: int,
        micro_batch_size: int | None,
        num_workers: int,
        pin_memory: bool,
        seed: int,
    ) -> None:
        super().__init__()
        self.global_batch_size = global_batch_size
        self.micro_batch_size = micro_batch_size
        self.num_workers = num_workers
        self.pin_memory = pin_memory
        self.seed = seed
        self._datasets: dict[str, Dataset[Any]] = {}

    @abstractmethod
    def build(self, split: Split) -> Dataset[Any]:
        """Make the map-style dataset of a split, asked for items by ExampleKey. Called once a split."""

    def describe(self) -> dict[str, Any]:
        """What a reader of a model's predictions has to know of these data, as JSON holds it; models of
        signals keep it as their `preprocessing`."""
        return {}

    def take_scale(self, preprocessing: Mapping[str, Any]) -> None:
        """Give values on the scale of a model that was trained on other data, by its `preprocessing`.

        Raises:
            ConfigError: it was trained on data of another kind.
        """

    def split_table(self) -> pd.DataFrame | None:
        """Who is in which split, for a run to write down; None where the settings say it all."""
        return None

    def collator(self) -> Callable[[Any], dict[str, torch.Tensor]]:
        """A picklable function from examples to a batch: each field stacked."""
        return default_collate

    def dataset(self, split: Split) -> Dataset[Any]:
        """The dataset of a split, made on first use: nothing opens the test split before it is asked for."""
        if split not in self._datasets:
            self._datasets[split] = self.build(split)
        return self._datasets[split]

    def num_examples(self, split: Split) -> int:
        """Number of examples of a split."""
        return len(self.dataset(split))  # type: ignore[arg-type]

    @property
    def stages(self) -> Stages:
        """Epochs and batch sizes over the optimiser steps of a run."""
        return Stages(self.num_examples("train"), self.global_batch_size, self.divisors)

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps in one pass over the training split; where there are stages, in the first."""
        return self.stages.at(0).steps

    def plan(self, world_size: int) -> BatchPlan:
        """How a global batch, of the first stage where there are several, is cut over that many devices.

        Raises:
            ConfigError: it cannot be cut, or in a later stage not.
        """
        plan = plan_batches(self.global_batch_size, self.micro_batch_size, world_size)
        wrong = [divisor for divisor in self.divisors.values() if plan.micro_batch_size % divisor]
        if wrong:
            raise ConfigError(
                f"micro-batches of {plan.micro_batch_size} examples (global_batch_size="
                f"{self.global_batch_size} over {world_size} devices and {plan.accumulation} micro-batches) "
                f"cannot become {wrong[0]} times smaller where windows become as much longer: give "
                f"micro_batch_size={max(self.divisors.values())} or a multiple of it, and a larger "
                "global_batch_size if that does not divide each device's share."
            )
        return plan

    def setup(self, stage: str) -> None:
        """Make the datasets that `stage` reads, so that bad input is found before any training."""
        splits: dict[str, tuple[Split, ...]] = {
            "fit": ("train", "validation"),
            "validate": ("validation",),
            "test": ("test",),
        }
        for split in splits[stage]:
            self.dataset(split)

    def train_dataloader(self) -> DataLoader[dict[str, torch.Tensor]]:
        """What is left of the run for this rank, as one series of micro-batches; see `TrainBatchSampler`.

        The number of the trainer's step says where it begins: that is all a resumed run has to know of its
        data.
        """
        assert self.trainer is not None, "the number of steps of a training loader is its trainer's"
        world_size = self.trainer.world_size
        sampler = TrainBatchSampler(
            self.num_examples("train"),
            stages=self.stages,
            plan=self.plan(world_size),
            num_steps=self.trainer.max_steps,
            first_step=self.trainer.global_step,
            seed=self.seed,
            rank=self.trainer.global_rank,
            world_size=world_size,
        )
        return DataLoader(self.dataset("train"), batch_sampler=sampler, **self._loader_arguments())

    def val_dataloader(self) -> DataLoader[dict[str, torch.Tensor]]:
        """The validation split, each example counted once over all ranks."""
        return self.evaluation_loader("validation")

    def test_dataloader(self) -> DataLoader[dict[str, torch.Tensor]]:
        """The test split, each example counted once over all ranks."""
        return self.evaluation_loader("test")

    def evaluation_loader(self, split: Split) -> DataLoader[dict[str, torch.Tensor]]:
        """A split in order, without augmentation; the share of this rank where a trainer is attached."""
        rank, world_size = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        sampler = EvaluationBatchSampler(
            self.num_examples(split),
            # As few as in the stage of the longest sequences.
            batch_size=self.plan(world_size).micro_batch_size // max(self.divisors.values()),
            rank=rank,
            world_size=world_size,
        )
        return DataLoader(
            self.dataset(split),
            batch_sampler=sampler,
            persistent_workers=self.num_workers > 0,
            **self._loader_arguments(),
        )

    def _loader_arguments(self) -> dict[str, Any]:
        return {
            "collate_fn": self.collator(),
            "pin_memory": self.pin_memory,
            **worker_arguments(self.num_workers),
        }


def require_same(data: Mapping[str, Any], model: Mapping[str, Any], names: Sequence[str]) -> None:
    """Check that what some data say of themselves is what a model's `preprocessing` says.

    Args:
        data: what the data describe.
        model: the model's `preprocessing`.
        names: what has to be the same in both.

    Raises:
        ConfigError: something is not, or the model does not know its scale.
    """
    missing = [name for name in (*names, "scaler") if name not in model]
    if missing:
        raise ConfigError(
            f"the checkpoint's preprocessing has no {', '.join(missing)}: it was trained on data of another "
            "kind, or elsewhere, and how these data are to be scaled for it is not known."
        )
    for name in names:
        if data[name] != model[name]:
            raise ConfigError(
                f"{name} of the data: {_apart(data[name], model[name])}; of the checkpoint: "
                f"{_apart(model[name], data[name])}. Give the data as it was trained on."
            )


def _apart(value: Any, other: Any) -> Any:
    """What of a value the other does not share; of all but mappings the value itself."""
    if not isinstance(value, Mapping) or not isinstance(other, Mapping):
        return value
    return {key: item for key, item in value.items() if key not in other or other[key] != item}


class SequenceDataModule(ExampleDataModule):
    """The same for tokens.

    Args:
        tokenizer: pads the batches.
        global_batch_size, micro_batch_size, num_workers, pin_memory, seed: as for every data module.
    """

    def __init__(
        self,
        *,
        tokenizer: Tokenizer,
        global_batch_size: int,
        micro_batch_size: int | None,
        num_workers: int,
        pin_memory: bool,
        seed: int,
    ) -> None:
        super().__init__(
            global_batch_size=global_batch_size,
            micro_batch_size=micro_batch_size,
            num_workers=num_workers,
            pin_memory=pin_memory,
            seed=seed,
        )
        self.tokenizer = tokenizer

    def collator(self) -> Callable[[Any], dict[str, torch.Tensor]]:
        """See `genoseq.data.loading.collate`."""
        return collate(self.tokenizer)
