"""How a checkpoint reaches the disk and comes back."""

from __future__ import annotations

import os
from typing import Any

import torch
from lightning.fabric.plugins.io import TorchCheckpointIO


class SyncedCheckpointIO(TorchCheckpointIO):
    """Write straight to the given path and to the disk, never by way of the temporary folder."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write and sync a checkpoint.

        Raises:
            OSError: the file cannot be written, or the disk is full.
        """
        try:
            with open(path, "wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
        except RuntimeError as error:
            # torch's writer reports a disk that fills up half-way as an inconsistency of its own.
            if isinstance(error.__context__, OSError):
                raise error.__context__ from error
            raise
