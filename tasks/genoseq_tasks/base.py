"""What all learning tasks share: the optimiser, exact repetition of a step, and the loss of a whole step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.distributed
from lightning.pytorch import LightningModule
from torch.distributed.fsdp import fully_shard
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from genoseq.errors import ConfigError
from genoseq.models import SequenceModel
from genoseq.models.signal import SignalModel
from genoseq.nn.materialize import materialize
from genoseq.training.optimizers import parameter_groups

Batch = dict[str, torch.Tensor]


class SequenceTask(LightningModule, ABC):
    """A model in training.

    Torch is seeded anew at each micro-batch, from (seed, number of the micro-batch, rank). Dropout is then a
    function of the step, so that no random state has to be saved and a resumed run repeats the unbroken one.

    Args:
        model: what learns.
        optimizer: a partial of a torch optimiser; its `lr` and `weight_decay` go through `parameter_groups`.
        schedule: called as `schedule(optimizer, total_steps=...)`, stepped at every optimiser step.
        seed: of dropout and the like.

    Attributes:
        predictions: after a test, one row for each scored example or tile, in the order of the data.
    """

    def __init__(
        self,
        *,
        model: SequenceModel | SignalModel,
        optimizer: Callable[..., Optimizer],
        schedule: Callable[..., LRScheduler],
        seed: int,
    ) -> None:
        super().__init__()
        self.model: Any = model
        self.predictions = pd.DataFrame()
        self._optimizer = optimizer
        self._schedule = schedule
        self._seed = seed
        self._step_loss: torch.Tensor | float = 0.0
        self._test_rows: list[pd.DataFrame] = []

    @abstractmethod
    def loss(self, batch: Batch) -> torch.Tensor:
        """Mean loss of a batch, a scalar."""

    def num_positions(self, batch: Batch) -> int:
        """What the speed of a run is counted in: tokens of a batch."""
        return batch["input_ids"].numel()

    def configure_model(self) -> None:
        """Under FSDP2, give each device its part of every layer, and only then values; otherwise nothing.

        First values are those that `self.model.reset_parameters()` draws from the seed, for any number of
        devices. A model that is made whole draws in the order of its constructors: other numbers, of the same
        distributions.
        """
        if self.device_mesh is None:
            return
        if isinstance(self.model, SignalModel):
            raise ConfigError("trainer=fsdp2 is for models of sequences: give trainer=ddp.")
        without_memory = self.model.device.type == "meta"
        # The sharded parameters are new ones: what the old ones say of their optimiser group goes with them.
        own = {name: value._optim for name, value in self.named_parameters() if hasattr(value, "_optim")}
        mesh = self.device_mesh["data_parallel"]
        for layer in self.model.backbone.get_submodule("layers").children():
            fully_shard(layer, mesh=mesh)
        fully_shard(self.model, mesh=mesh)
        for name, parameter in self.named_parameters():
            if name in own:
                parameter._optim = own[name]  # type: ignore[attr-defined]
        if without_memory:
            materialize(self.model, self.trainer.strategy.root_device, seed=self._seed)

    def configure_optimizers(self) -> Any:
        """The optimiser with the recipe's groups, and its schedule over the steps of the whole run."""
        settings: dict[str, Any] = self._optimizer.keywords  # type: ignore[attr-defined]
        groups = parameter_groups(self, lr=settings["lr"], weight_decay=settings["weight_decay"])
        optimizer = self._optimizer(groups)
        schedule = self._schedule(optimizer, total_steps=self.trainer.max_steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Seed this micro-batch."""
        sequence = np.random.SeedSequence([self._seed, batch_idx, self.global_rank])
        torch.manual_seed(int(sequence.generate_state(1, np.uint32)[0]))

    def training_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
        """Loss of a micro-batch; `train/loss` is the mean over the whole step, on all devices."""
        loss = self.loss(batch)
        micro_batches = self.trainer.accumulate_grad_batches
        self._step_loss = self._step_loss + loss.detach() / micro_batches
        step, rest = divmod(batch_idx + 1, micro_batches)
        if rest == 0:
            if step % self.trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
                self.log("train/loss", self._step_loss, prog_bar=True, sync_dist=True)
                self._log_epoch(step)
            self._step_loss = 0.0
        return loss

    def on_validation_epoch_end(self) -> None:
        """Log the metrics of the validation split."""
        self._log_metrics("val")
        self._log_epoch(self.global_step)

    def on_test_epoch_end(self) -> None:
        """Log the metrics of the test split, and gather the predictions of all ranks in the order of the
        data."""
        self._log_metrics("test")
        mine = pd.concat(self._test_rows, ignore_index=True)
        everyone = [mine]
        if self.trainer.world_size > 1:
            everyone = [mine] * self.trainer.world_size
            torch.distributed.all_gather_object(everyone, mine)
        self.predictions = pd.concat(everyone).sort_values("index", kind="stable", ignore_index=True)
        self._test_rows = []

    @abstractmethod
    def compute_metrics(self) -> dict[str, torch.Tensor]:
        """Metrics over all counted examples of all ranks since the last call."""

    def _log_metrics(self, split: str) -> None:
        for name, value in self.compute_metrics().items():
            # The value is that of all ranks already; the mean over them only says so to Lightning.
            self.log(f"{split}/{name}", value.float(), prog_bar=name == "loss", sync_dist=True)

    def _log_epoch(self, step: int) -> None:
        datamodule = self.trainer.datamodule  # type: ignore[attr-defined]
        self.log("epoch", datamodule.stages.epochs_before(step), sync_dist=True)
