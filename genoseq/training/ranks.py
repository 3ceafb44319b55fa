"""Agreement between the processes of a run."""

from __future__ import annotations

from typing import Literal

import torch
import torch.distributed
from lightning.pytorch import Trainer

_OPERATIONS = {"min": torch.distributed.ReduceOp.MIN, "max": torch.distributed.ReduceOp.MAX}


def agree(trainer: Trainer, value: int | torch.Tensor, operation: Literal["min", "max"]) -> int:
    """The least or greatest of an integer over all ranks, which all must ask for at the same time."""
    if trainer.world_size == 1:
        return int(value)
    shared = torch.as_tensor(value, device=trainer.strategy.root_device).clone()
    torch.distributed.all_reduce(shared, op=_OPERATIONS[operation])
    return int(shared)
