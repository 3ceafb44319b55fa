"""`genoseq info`: versions, devices, and which backend each operator takes here."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

import genoseq
from genoseq.inference.devices import pick_device
from genoseq.inference.outputs import atomic_file
from genoseq_kernels import Backend, BackendUnavailable, fft_conv

_PACKAGES = ("torch", "triton", "lightning", "hydra-core", "numpy", "pandas", "pyfaidx", "wandb")
_DTYPES = (torch.float32, torch.bfloat16)
# The fastest first, as `auto` tries them.
_BACKENDS: tuple[Backend, ...] = ("triton", "reference")


def run(config: DictConfig) -> None:
    """Print what is here, and write it to `out` as JSON where that is given."""
    facts = {
        "versions": _versions(),
        "devices": _devices(),
        "operators": {name: _backends(probe) for name, probe in _PROBES.items()},
    }
    _print(facts)
    if config.out is not None:
        with atomic_file(config.out) as path:
            path.write_text(json.dumps(facts, indent=2) + "\n")


def _versions() -> dict[str, str]:
    versions = {
        "genoseq": genoseq.__version__,
        "installed in": str(Path(genoseq.__file__).parent),
        "python": platform.python_version(),
        "platform": platform.platform(),
    }
    return versions | {name: _version(name) for name in _PACKAGES}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _devices() -> dict[str, str]:
    devices = {"cpu": f"{platform.machine()}, {torch.get_num_threads()} threads"}
    for index in range(torch.cuda.device_count()):
        card = torch.cuda.get_device_properties(index)
        devices[f"cuda:{index}"] = f"{card.name}, {card.total_memory / 2**30:.0f} GiB"
    if torch.backends.mps.is_available():
        devices["mps"] = "Apple GPU"
    return devices


def _probe_fft_conv(like: torch.Tensor, backend: Backend) -> None:
    fft_conv(like, like[0], backend=backend)


_Probe = Callable[[torch.Tensor, Backend], None]
_PROBES: dict[str, _Probe] = {"fft_conv": _probe_fft_conv}


def _backends(probe: _Probe) -> dict[str, str]:
    """The backend that `auto` takes on the best device, for each dtype, found by calling the operator."""
    device = pick_device("auto")
    examples = (torch.ones(1, 2, 64, device=device, dtype=dtype) for dtype in _DTYPES)
    return {f"{device}, {str(like.dtype).removeprefix('torch.')}": _first(probe, like) for like in examples}


def _first(probe: _Probe, like: torch.Tensor) -> str:
    for backend in _BACKENDS:
        try:
            probe(like, backend)
        except BackendUnavailable:
            continue
        return backend
    return "none"


def _print(facts: dict[str, Any]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    sections = [("versions", facts["versions"]), ("devices", facts["devices"])]
    for operator, backends in facts["operators"].items():
        sections.append((f"backend of {operator}", backends))
    for title, rows in sections:
        console.print(f"[bold]{title}[/bold]")
        table = Table(box=None, show_header=False, padding=(0, 2))
        table.add_column(style="cyan", no_wrap=True)
        table.add_column(no_wrap=True, overflow="ignore")
        for name, value in rows.items():
            table.add_row(name, value)
        console.print(table)
