"""Which device a verb computes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from genoseq.errors import DeviceError


def pick_device(name: str) -> torch.device:
    """The device that a setting names; "auto" is the first CUDA device, else Apple's, else the CPU.

    Raises:
        DeviceError: it is no device, or not one of this machine.
    """
    if name == "auto":
        return torch.device(_best())
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f"device={name}: give auto, cpu, cuda, cuda:1 or mps.") from error
    available = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    count = available.get(device.type, 0)
    if (device.index or 0) >= count:
        raise DeviceError(
            f"device={name}: torch {torch.__version__} finds {count} device(s) of that kind here. "
            "Give device=cpu or device=auto."
        )
    return device


@contextmanager
def explain_full_memory(batch_size: int) -> Iterator[None]:
    """Turn a device that runs out of memory into advice.

    Raises:
        DeviceError: the batch did not fit.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise DeviceError(
            f"a batch of {batch_size} sequences does not fit in the device's memory. Lower batch_size, give "
            "shorter sequences (embedding and scoring bases take chunk_length= for long ones), or use "
            "device=cpu."
        ) from error


def _best() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
