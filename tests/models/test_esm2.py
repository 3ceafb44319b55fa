"""ESM-2 is the published function: values, loss, gradients, layouts old and new."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import genoseq
from genoseq.errors import CheckpointError
from genoseq.models import ESM2, SequenceHead, SequenceModel, export

ATOL, LOSS_TOLERANCE, GRADIENT_TOLERANCE = 1e-4, 1e-5, 5e-5
Golden = Callable[[str], Any]


@pytest.fixture
def reference(golden: Golden) -> Any:
    return golden("esm2")


def close(actual: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=0, atol=ATOL)


def our_name(name: str) -> str:
    head = name.replace("lm_head.layer_norm", "head.transform.norm").replace("lm_head", "head.transform")
    return head if name.startswith("lm_head") else f"backbone.{name}"


def test_values_loss_and_gradients(reference: Any) -> None:
    tensors = reference.tensors
    model = genoseq.load(reference.model)
    ids, mask, labels = (tensors[f"fwd/in/{key}"] for key in ("input_ids", "attention_mask", "labels"))
    real = mask.bool()
    assert not real.all()
    output = model(ids, mask, labels=labels, output_hidden_states=True)
    output.loss.backward()
    close(output.logits[real], tensors["fwd/out/logits"][real])
    assert abs(output.loss.item() - tensors["fwd/out/loss"].item()) <= LOSS_TOLERANCE
    # transformers calls the last block's output what comes after the norm.
    *states, before_norm, last = output.hidden_states
    for layer, hidden in enumerate([*states, last]):
        close(hidden[real], tensors[f"fwd/out/hidden_states.{layer}"][real])
    assert torch.equal(model.backbone.esm.encoder.emb_layer_norm_after(before_norm), last)
    gradients = {key: x.grad for key, x in model.named_parameters()}
    expected = reference.gradients("fwd")
    assert len(expected) > 15
    for key, gradient in expected.items():
        error = (gradients[our_name(key)] - gradient).norm() / gradient.norm()
        assert error <= GRADIENT_TOLERANCE, key


def test_round_trip_of_the_official_layout(reference: Any, tmp_path: Path) -> None:
    model = genoseq.load(reference.model)
    export(model, tmp_path, layout="hf")
    written = load_file(tmp_path / "model.safetensors")
    assert written.keys() == reference.weights.keys()
    assert all(torch.equal(written[key], tensor) for key, tensor in reference.weights.items())
    assert genoseq.load(tmp_path).backbone.arguments == model.backbone.arguments
    official, ours = (
        json.loads((folder / "config.json").read_text()) for folder in (reference.model, tmp_path)
    )
    shared = set(official) & set(ours) - {"architectures"}
    assert {key: ours[key] for key in shared} == {key: official[key] for key in shared}


def test_own_folder(reference: Any, tmp_path: Path) -> None:
    model = genoseq.load(reference.model)
    again = genoseq.load(model.save(tmp_path))
    ids = reference.tensors["fwd/in/input_ids"]
    assert torch.equal(again(ids).logits, model(ids).logits)


@pytest.fixture
def folder(reference: Any, tmp_path: Path) -> Path:
    """A writable copy of the official folder."""
    return shutil.copytree(reference.model, tmp_path / "official", copy_function=shutil.copyfile)


def test_files_of_older_versions(folder: Path) -> None:
    """They have the wavelengths in every layer, and a table of positions that rotation has no use for."""
    expected = genoseq.load(folder)
    weights = load_file(folder / "model.safetensors")
    wavelengths = weights.pop("esm.rotary_embeddings.inv_freq")
    for layer in range(3):
        weights[f"esm.encoder.layer.{layer}.attention.self.rotary_embeddings.inv_freq"] = (
            wavelengths.half().float()
        )
    weights["esm.embeddings.position_ids"] = torch.arange(66).unsqueeze(0)
    save_file(weights, folder / "model.safetensors")
    model = genoseq.load(folder)
    assert torch.equal(model.backbone.esm.rotary_embeddings.inv_freq, wavelengths.half().float())
    assert model.state_dict().keys() == expected.state_dict().keys()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"position_embedding_type": "absolute"}, "position_embedding_type='absolute'"),
        ({"is_folding_model": True}, "is_folding_model=True"),
        ({"num_attention_heads": 5}, "num_heads=5 does not divide"),
        ({"num_hidden_layers": 2}, r"unexpected: backbone.esm.encoder.layer.2"),
    ],
)
def test_settings_of_another_function(folder: Path, change: dict[str, Any], words: str) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(ValueError, match=words):
        genoseq.load(folder)


def test_heads_that_were_never_released(folder: Path, tmp_path: Path) -> None:
    backbone = ESM2(d_model=8, num_layers=1, num_heads=2, d_inner=8)
    with pytest.raises(CheckpointError, match="no place for this SequenceHead"):
        export(SequenceModel(backbone, SequenceHead(backbone, num_outputs=2)), tmp_path, layout="hf")
    with pytest.raises(CheckpointError, match="masked language model that it is"):
        genoseq.load(folder, head="sequence")
