"""Tensors on disk, in and out: no pickle is executed, and nothing is left half-written."""

from __future__ import annotations

import json
import os
import pickle
import re
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from genoseq.errors import CheckpointError

_INDEX = "model.safetensors.index.json"
_PREFERRED = ("model.safetensors", _INDEX, "pytorch_model.bin", "weights.ckpt")
_SUFFIXES = (".safetensors", ".bin", ".ckpt")
# What torch and pickle raise on a file that ends too early or never was one.
_UNREADABLE = (
    SafetensorError,
    RuntimeError,
    EOFError,
    OSError,
    ValueError,
    KeyError,
    pickle.UnpicklingError,
)


def find_weights(folder: Path) -> Path:
    """The file of weights in a folder, or the index of several: one of the usual names, else the only one of
    a known kind.

    Raises:
        CheckpointError: there is none, or several of no usual name.
    """
    for name in _PREFERRED:
        if (folder / name).is_file():
            return folder / name
    found = sorted(path for path in folder.iterdir() if path.suffix in _SUFFIXES)
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise CheckpointError(
            f"{folder}: wanted one file of weights ({', '.join(_PREFERRED)}); found {names}. "
            "Give the path of the file itself."
        )
    return found[0]


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Named tensors of a .safetensors, .bin or .ckpt file (there, of its `state_dict` if it has one), or of
    all files of an index, on the CPU.

    Tensors stay in their file, mapped into memory, until they are read (but in .bin files of old).

    Raises:
        CheckpointError: a file is truncated, is none of these, or holds other things than weights.
    """
    if path.name == _INDEX:
        return _read_indexed(path)
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        mapped = zipfile.is_zipfile(path)
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except _UNREADABLE as error:
        raise _unreadable(path, error) from error
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping) or not all(isinstance(x, torch.Tensor) for x in content.values()):
        raise CheckpointError(
            f"{path} holds no state dict: wanted named tensors, alone or under 'state_dict'."
        )
    return dict(content)


def _read_indexed(index: Path) -> dict[str, torch.Tensor]:
    files = read_json(index).get("weight_map")
    if not isinstance(files, dict) or not all(Path(name).name == name for name in map(str, files.values())):
        raise CheckpointError(f"{index} names no file beside it for each tensor, under 'weight_map'.")
    tensors: dict[str, torch.Tensor] = {}
    for name in sorted(set(files.values())):
        if not (index.parent / name).is_file():
            raise CheckpointError(f"{index} names {name}, which is not beside it: copy the checkpoint again.")
        tensors |= read_tensors(index.parent / name)
    return tensors


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object.

    Raises:
        CheckpointError: the file is not there, or is no JSON object.
    """
    if not path.is_file():
        raise CheckpointError(f"{path} does not exist: a model folder has a {path.name} beside its weights.")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path} is no JSON ({error}): copy the checkpoint again.") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds a {type(content).__name__}; wanted a JSON object.")
    return content


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON object, whole or not at all."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write text, whole or not at all."""
    _write_atomically(path, lambda beside: beside.write_text(text, encoding="utf-8"))


def write_safetensors(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Write tensors as .safetensors, whole or not at all."""
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    _write_atomically(path, lambda beside: _save_safetensors(contiguous, beside))


def write_state_dict(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Write tensors under `state_dict`, as Lightning's .ckpt files hold them, whole or not at all."""
    state = {name: tensor.detach().cpu() for name, tensor in tensors.items()}
    _write_atomically(path, lambda beside: torch.save({"state_dict": state}, beside))


def _save_safetensors(tensors: dict[str, torch.Tensor], path: Path) -> None:
    try:
        save_file(tensors, path, metadata={"format": "pt"})
    except SafetensorError as error:
        # What a disk refuses is an OSError everywhere else; here it is told in words only.
        number = re.search(r"os error (\d+)", str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from error


def _write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write(beside)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _unreadable(path: Path, error: Exception) -> CheckpointError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return CheckpointError(
        f"{path} ({path.stat().st_size:,} bytes) cannot be read as weights: {reason}. It may be truncated, "
        "or hold pickled objects, which are never executed: copy it again, or convert it to .safetensors "
        "where it came from."
    )
