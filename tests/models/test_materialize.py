"""Weights that stay in their files until a model, or a part of one, has memory for them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.distributed.tensor import DTensor

from genoseq.errors import CheckpointError
from genoseq.models import HybriDNA, LanguageModelHead, SequenceHead, SequenceModel, load, load_backbone
from genoseq.models.strict import unique_state
from genoseq.models.tensor_files import find_weights, read_tensors, write_json
from genoseq.nn.materialize import materialize
from genoseq_kernels.live_bytes import LiveBytes

CPU = torch.device("cpu")


def untied() -> SequenceModel:
    backbone = HybriDNA(
        d_model=16, num_layers=2, pattern="ma", mamba2={"headdim": 8}, attention={"num_heads": 2}
    )
    return SequenceModel(backbone, LanguageModelHead(backbone, tied=False))


def test_no_more_than_a_part_and_a_tensor_is_held(tmp_path: Path, parts: Any) -> None:
    def make() -> SequenceModel:
        backbone = HybriDNA(
            d_model=64, num_layers=16, d_inner=128, mamba2={"headdim": 16}, attention={"num_heads": 4}
        )
        return SequenceModel(backbone, LanguageModelHead(backbone))

    class OfParts(LiveBytes):
        """Of a tensor in parts, counts the part."""

        def _add(self, tensor: torch.Tensor) -> None:
            super()._add(tensor.to_local() if isinstance(tensor, DTensor) else tensor)

    folder = make().save(tmp_path / "model")
    for made in (make, lambda: load(folder)):
        model = parts.of(made)
        assert all(isinstance(x, DTensor) and x.to_local().is_meta for x in model.parameters())
        with OfParts() as watch:
            materialize(model, CPU, seed=0)
        sizes = [parameter.nbytes for parameter in model.parameters()]
        part = sum(parameter.to_local().nbytes for parameter in model.parameters())
        assert part <= watch.peak["cpu"] < part + 3 * max(sizes) < 0.5 * sum(sizes)


@pytest.fixture(params=["genoseq", "hf"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, shared: Path) -> Path:
    """A model in a layout; that of transformers has several tensors for one of ours."""
    if request.param == "hf":
        return shared / "golden" / "hybrid_bamba" / "model"
    return untied().save(tmp_path / "model")


def test_values_wait_in_their_files_for_memory(folder: Path, parts: Any) -> None:
    whole = load(folder)
    model = load(folder, device="meta")
    assert all(parameter.is_meta for parameter in model.parameters())
    materialize(model, CPU, seed=0)
    assert all(torch.equal(x, whole.state_dict()[name]) for name, x in model.state_dict().items())
    model = parts.of(lambda: load(folder))
    materialize(model, CPU, seed=0)
    parts.assert_same(model, whole)


def test_a_backbone_of_a_checkpoint_under_a_fresh_head(tmp_path: Path, parts: Any) -> None:
    saved = untied()
    saved.save(tmp_path / "model")

    def make() -> SequenceModel:
        backbone = load_backbone(checkpoint=tmp_path / "model")
        return SequenceModel(backbone, SequenceHead(backbone, num_outputs=2))

    whole = make()
    torch.manual_seed(1)
    whole.reset_parameters()
    whole.backbone.load_state_dict(saved.backbone.state_dict())
    model = parts.of(make)
    materialize(model, CPU, seed=1)
    parts.assert_same(model, whole)


def test_what_waits_is_what_is_saved(tmp_path: Path) -> None:
    folder = untied().save(tmp_path / "model")
    load(folder, device="meta").save(tmp_path / "again")
    again, whole = (unique_state(load(path)) for path in (tmp_path / "again", folder))
    assert again.keys() == whole.keys()
    assert all(torch.equal(again[name], value) for name, value in whole.items())


def test_a_tensor_that_does_not_fit_is_named_before_there_is_memory(tmp_path: Path) -> None:
    folder = untied().save(tmp_path / "model")
    tensors = read_tensors(folder / "model.safetensors")
    name = "backbone.layers.1.norm.weight"
    save_file({**tensors, name: torch.zeros(3)}, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=rf"misshapen: {name}"):
        load(folder, device="meta")


def test_weights_in_several_files(tmp_path: Path) -> None:
    folder = untied().save(tmp_path / "model")
    tensors = read_tensors(folder / "model.safetensors")
    whole = load(folder)
    places = {name: f"model-0000{1 + number % 2}-of-00002.safetensors" for number, name in enumerate(tensors)}
    for file in set(places.values()):
        save_file({name: tensors[name] for name in tensors if places[name] == file}, folder / file)
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="wanted one file of weights"):
        find_weights(folder)
    index = folder / "model.safetensors.index.json"
    write_json(index, {"weight_map": places})
    assert all(torch.equal(x, whole.state_dict()[name]) for name, x in load(folder).state_dict().items())
    for wrong in ({"weight_map": {"a": "../elsewhere.safetensors"}}, {"weight_map": ["a"]}, {}):
        index.write_text(json.dumps(wrong))
        with pytest.raises(CheckpointError, match="weight_map"):
            load(folder)
    index.write_text(json.dumps({"weight_map": {"a": "gone.safetensors"}}))
    with pytest.raises(CheckpointError, match=r"gone\.safetensors, which is not beside it"):
        load(folder)


def test_a_tensor_that_nobody_gives_values_is_named() -> None:
    class Forgetful(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.known = nn.Parameter(torch.empty(2))
            self.layer = nn.Linear(2, 2)

        def reset_parameters(self) -> None:
            nn.init.zeros_(self.known)

    with torch.device("meta"):
        model = Forgetful()
    with pytest.raises(AssertionError, match=r"without values: \['layer.weight', 'layer.bias'\]"):
        materialize(model, CPU, seed=0)
