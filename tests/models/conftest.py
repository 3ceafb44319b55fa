"""Golden outputs of official implementations, read in place; a small model to work on."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from genoseq.models import HyenaDNA, LanguageModelHead, SequenceModel
from genoseq.tokenizers import CharacterTokenizer


@dataclass(frozen=True)
class GoldenSet:
    """One folder: a model in an official layout, inputs, and what came out of them."""

    folder: Path
    tensors: dict[str, torch.Tensor]
    spec: dict[str, Any]

    @property
    def model(self) -> Path:
        return self.folder / "model"

    @property
    def weights(self) -> dict[str, torch.Tensor]:
        return load_file(self.model / "model.safetensors")

    @property
    def cases(self) -> dict[str, dict[str, Any]]:
        return {case["name"]: case for case in self.spec["cases"]}

    def gradients(self, case: str) -> dict[str, torch.Tensor]:
        start = f"{case}/grad/"
        return {name.removeprefix(start): x for name, x in self.tensors.items() if name.startswith(start)}


@pytest.fixture(scope="session")
def golden(shared: Path) -> Callable[[str], GoldenSet]:
    """Reads the golden set of a name."""

    def read(name: str) -> GoldenSet:
        folder = shared / "golden" / name
        spec = json.loads((folder / "spec.json").read_text())
        return GoldenSet(folder, load_file(folder / "cases.safetensors"), spec)

    return read


@pytest.fixture
def small_model() -> SequenceModel:
    """A language model of two narrow blocks whose every parameter matters, in eval mode."""
    torch.manual_seed(3)
    backbone = HyenaDNA(d_model=16, num_layers=2, l_max=64, filter_order=8)
    model = SequenceModel(backbone, LanguageModelHead(backbone), CharacterTokenizer())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model.eval()
