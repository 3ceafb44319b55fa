"""What a run was made with: versions, device, code and data."""

from __future__ import annotations

import hashlib
import platform
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning
import torch
from omegaconf import DictConfig, OmegaConf

import genoseq
from genoseq.paths import locate


def describe_environment(config: DictConfig, device: torch.device) -> dict[str, Any]:
    """Versions, the device, the commit of a checkout, and the SHA-256 of every file that `config.data`
    names."""
    return {
        "genoseq": genoseq.__version__,
        "torch": torch.__version__,
        "lightning": lightning.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": _device_name(device),
        "git": _commit(),
        "data": data_hashes(config),
    }


def data_hashes(config: DictConfig) -> dict[str, str]:
    """The SHA-256 of every file that `config.data` names, by the name it has there."""
    names = _files(OmegaConf.to_container(config.data, resolve=True))
    return {name: _sha256(locate(name)) for name in names}


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.processor() or platform.machine()} ({torch.get_num_threads()} threads)"


def _commit() -> str | None:
    folder = Path(__file__).resolve().parent
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def _files(settings: Any) -> Iterator[str]:
    if isinstance(settings, dict):
        settings = list(settings.values())
    if isinstance(settings, list):
        for value in settings:
            yield from _files(value)
    elif isinstance(settings, str) and locate(settings).is_file():
        yield settings


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
