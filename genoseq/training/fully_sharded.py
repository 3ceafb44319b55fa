"""Models too large for one device: each process of a run has its part of every parameter (FSDP2)."""

from __future__ import annotations

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.strategies import ModelParallelStrategy

from genoseq.training.checkpoint_io import SyncedCheckpointIO


class FullySharded(ModelParallelStrategy):
    """Parameters, gradients and optimiser state in parts, over all processes of all hosts.

    The model is made on the meta device; the task shards it in `configure_model` and then gives it memory and
    values, so that no process ever has more of it than its part and, while they run, single layers. A
    checkpoint is one file all the same, whatever the number of processes that go on from it: to write it, its
    parts are gathered in the host memory of the first process.
    """

    def __init__(self) -> None:
        super().__init__(tensor_parallel_size=1, save_distributed_checkpoint=False)
        self.checkpoint_io = SyncedCheckpointIO()

    def setup_environment(self) -> None:
        """Join the other processes."""
        # Lightning's own default is one part a host, with every device of a host in tensor parallelism.
        self._data_parallel_size = self.num_nodes * self.num_processes
        super().setup_environment()


def is_sharded(trainer: Trainer) -> bool:
    """Whether each process of a run has a part of every parameter."""
    return isinstance(trainer.strategy, ModelParallelStrategy)


def first_device(trainer: Trainer) -> torch.device:
    """Where a run makes its models: where each process is to have a part only, without memory."""
    return torch.device("meta" if is_sharded(trainer) else "cpu")
