"""`genoseq info`: versions, devices, and which backends each operator has here."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from torch._subclasses.fake_tensor import FakeTensorMode

import genoseq
from genoseq.cli.tables import print_sections
from genoseq.inference.devices import pick_device
from genoseq.inference.outputs import atomic_file
from genoseq_kernels import (
    Backend,
    BackendUnavailable,
    causal_conv1d,
    fft_conv,
    gated_delta_rule,
    layer_norm,
    selective_scan,
    ssd,
)
from genoseq_kernels.dispatch import with_triton

_PACKAGES = ("torch", "triton", "lightning", "hydra-core", "numpy", "pandas", "pyfaidx", "wandb", "fla-core")
_DTYPES = (torch.float32, torch.bfloat16)


def run(config: DictConfig) -> None:
    """Print what is here, and write it to `out` as JSON where that is given."""
    facts = {
        "versions": _versions(),
        "devices": _devices(),
        "operators": {name: _backends(call) for name, call in _OPERATORS.items()},
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


def _call_fft_conv(like: torch.Tensor, backend: Backend) -> None:
    u = like.new_empty(1, 2, 64)
    fft_conv(u, u[0], backend=backend)


def _call_causal_conv1d(like: torch.Tensor, backend: Backend) -> None:
    causal_conv1d(like.new_empty(1, 2, 64), like.new_empty(2, 4), backend=backend)


def _call_selective_scan(like: torch.Tensor, backend: Backend) -> None:
    u, B, A = like.new_empty(1, 2, 64), like.new_empty(1, 16, 64), like.new_empty(2, 16, dtype=torch.float32)
    selective_scan(u, u, A, B, B, backend=backend)


def _call_ssd(like: torch.Tensor, backend: Backend) -> None:
    x, dt, B = like.new_empty(1, 64, 2, 16), like.new_empty(1, 64, 2), like.new_empty(1, 64, 1, 16)
    ssd(x, dt, like.new_empty(2, dtype=torch.float32), B, B, backend=backend)


def _call_gated_delta_rule(like: torch.Tensor, backend: Backend) -> None:
    q, g = like.new_empty(1, 64, 2, 16), like.new_empty(1, 64, 2)
    gated_delta_rule(q, q, q, g, g, backend=backend)


def _call_layer_norm(like: torch.Tensor, backend: Backend) -> None:
    x = like.new_empty(4, 64)
    layer_norm(x, x[0], x[0], backend=backend)


_Call = Callable[[torch.Tensor, Backend], None]
_OPERATORS: dict[str, _Call] = {
    "fft_conv": _call_fft_conv,
    "causal_conv1d": _call_causal_conv1d,
    "selective_scan": _call_selective_scan,
    "ssd": _call_ssd,
    "gated_delta_rule": _call_gated_delta_rule,
    "layer_norm": _call_layer_norm,
}


def _backends(call: _Call) -> dict[str, str]:
    """The backends that run on the best device, for each dtype; `auto` takes the first.

    Found by calling the operator on tensors without content: nothing is computed, or compiled.
    """
    device = pick_device("auto")
    with FakeTensorMode():
        likes = [torch.empty(0, device=device, dtype=dtype) for dtype in _DTYPES]
        return {
            f"{device}, {str(like.dtype).removeprefix('torch.')}": ", ".join(
                backend for backend in ("fla", *with_triton(like)) if _runs(call, like, backend)
            )
            for like in likes
        }


def _runs(call: _Call, like: torch.Tensor, backend: Backend) -> bool:
    try:
        call(like, backend)
    except BackendUnavailable:
        return False
    return True


def _print(facts: dict[str, Any]) -> None:
    sections = {name: facts[name] for name in ("versions", "devices")}
    operators = {f"backends of {name}": backends for name, backends in facts["operators"].items()}
    print_sections(sections | operators)
