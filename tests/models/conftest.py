"""Golden outputs of official implementations, read in place; small models to work on; a model in parts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import distributed
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.testing._internal.distributed.fake_pg import FakeStore

from genoseq.models import (
    DNABERT2,
    ESM2,
    HAD,
    Backbone,
    Caduceus,
    HybriDNA,
    HyenaDNA,
    LanguageModelHead,
    LifeCode,
    Llama,
    Mamba,
    Mamba2,
    MaskedLanguageModelHead,
    SequenceModel,
    StreamingBackbone,
)
from genoseq.tokenizers import CharacterTokenizer

# A new causal backbone is one line. Small ones, with room for 40 tokens where they have a limit.
BACKBONES: dict[str, Callable[[], StreamingBackbone]] = {
    "hyenadna2": lambda: HyenaDNA(d_model=8, num_layers=2, l_max=40, order=2, filter_order=8),
    "hyenadna3": lambda: HyenaDNA(d_model=8, num_layers=2, l_max=40, order=3, filter_order=8),
    "hyenadna4": lambda: HyenaDNA(d_model=8, num_layers=2, l_max=40, order=4, filter_order=8),
    "mamba": lambda: Mamba(d_model=8, num_layers=2, d_state=4),
    "mamba2": lambda: Mamba2(d_model=8, num_layers=2, d_state=4, headdim=4, chunk_size=16, norm="layer"),
    "hybridna": lambda: hybrid("mma", num_layers=3, position="rotary", l_max=40),
    "hybridna_bounded": lambda: hybrid("ma", num_layers=2, window=6, num_sinks=2, position="alibi"),
    "hybridna_delta": lambda: hybrid("dla", num_layers=3, position="rotary"),
    "transformer": lambda: hybrid("a", num_layers=2, l_max=40),
    "llama": lambda: Llama(
        d_model=8, num_layers=2, num_heads=4, num_kv_heads=2, d_inner=12, vocab_size=12, l_max=40
    ),
}
# So is one that reads both ways.
BIDIRECTIONAL: dict[str, Callable[[], Backbone]] = {
    "caduceus_ph": lambda: Caduceus(d_model=8, num_layers=2, d_state=4, symmetry="none"),
    "caduceus_conjoined": lambda: Caduceus(d_model=8, num_layers=2, d_state=4, symmetry="conjoined"),
    "caduceus_ps": lambda: Caduceus(d_model=8, num_layers=2, d_state=4, symmetry="shared"),
    "dnabert2": lambda: DNABERT2(d_model=8, num_layers=2, num_heads=2, d_inner=12, vocab_size=12),
    "had": lambda: HAD(d_model=8, num_layers=3, num_heads=2, head_dim=16, attention_heads=2, d_inner=12),
    "esm2": lambda: ESM2(d_model=8, num_layers=2, num_heads=2, d_inner=12),
    "lifecode": lambda: LifeCode(
        d_model=8,
        num_layers=3,
        pattern="dma",
        d_inner=12,
        delta={"num_heads": 2, "head_dim": 8},
        mamba2={"d_state": 4, "headdim": 4, "chunk_size": 16},
        attention={"num_heads": 2, "position": "rotary"},
    ),
}


def hybrid(pattern: str, *, num_layers: int, l_max: int | None = None, **attention: Any) -> HybriDNA:
    return HybriDNA(
        d_model=8,
        num_layers=num_layers,
        pattern=pattern,
        d_inner=12,
        mamba2={"d_state": 4, "headdim": 4, "chunk_size": 16},
        attention={"num_heads": 4, "num_kv_heads": 2, **attention},
        # The norm of what narrow heads read magnifies rounding where they read little.
        delta={"num_heads": 2, "head_dim": 8},
        linear={"num_heads": 2, "head_dim": 8},
        l_max=l_max,
    )


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


@pytest.fixture(params=list(BACKBONES))
def model(request: pytest.FixtureRequest) -> SequenceModel:
    """A language model on each of the causal backbones, in float64."""
    return language_model(BACKBONES[request.param])


@pytest.fixture(params=[*BACKBONES, *BIDIRECTIONAL])
def any_model(request: pytest.FixtureRequest) -> SequenceModel:
    """The same, and masked language models on those that read both ways."""
    return language_model((BACKBONES | BIDIRECTIONAL)[request.param])


def language_model(make: Callable[[], Backbone]) -> SequenceModel:
    torch.manual_seed(5)
    backbone = make()
    if backbone.causal:
        model = SequenceModel(backbone, LanguageModelHead(backbone))
    else:
        model = SequenceModel(
            backbone, MaskedLanguageModelHead(backbone, transform=isinstance(backbone, DNABERT2 | ESM2))
        )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model.double().eval()


class Parts:
    """This process as the last of three, whose parts are the shortest, or empty; the others are imagined.

    It is the same one in all tests: torch keeps what it once computed of a mesh.
    """

    rank, ranks = 2, 3

    def of(self, make: Callable[[], SequenceModel]) -> SequenceModel:
        """A model on the meta device, in parts."""
        with torch.device("meta"):
            model = make()
        mesh = init_device_mesh("cpu", (self.ranks,))
        for layer in model.backbone.get_submodule("layers").children():
            fully_shard(layer, mesh=mesh)
        return fully_shard(model, mesh=mesh)

    def assert_same(self, model: SequenceModel, whole: SequenceModel) -> None:
        """The tensors of `model` are its part of those of `whole`, bit for bit."""
        wanted, found = (
            dict(x.named_buffers()) | dict(x.named_parameters(remove_duplicate=False)) for x in (whole, model)
        )
        assert found.keys() == wanted.keys()
        for name, tensor in found.items():
            part = wanted[name].detach()
            if isinstance(tensor, DTensor):
                chunks = part.chunk(self.ranks)
                part = chunks[self.rank] if self.rank < len(chunks) else part[:0]
                tensor = tensor.to_local()
            assert torch.equal(tensor, part), name


@pytest.fixture
def parts() -> Iterator[Parts]:
    """See `Parts`."""
    distributed.init_process_group("fake", store=FakeStore(), rank=Parts.rank, world_size=Parts.ranks)
    yield Parts()
    distributed.destroy_process_group()
