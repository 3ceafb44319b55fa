"""Caduceus is the published functions, and PS is blind to strand to the last bit."""

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
from genoseq.errors import CheckpointError, ConfigError, SequenceError
from genoseq.models import (
    Caduceus,
    HyenaDNA,
    MaskedLanguageModelHead,
    SequenceModel,
    StrandSequenceHead,
    export,
)
from genoseq.nn.losses import IGNORED
from genoseq.nn.strands import swap_strands

SETS = ("caduceus_ph", "caduceus_ps", "caduceus_ps_unfused")
SHARED = SETS[1:]
PAD = 4
ATOL, LOSS_TOLERANCE, GRADIENT_TOLERANCE = 1e-4, 1e-5, 5e-5
Golden = Callable[[str], Any]


def close(actual: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=0, atol=ATOL)


def our_name(name: str) -> str:
    return name.removeprefix("caduceus.").replace("lm_head.lm_head.", "head.").replace("lm_head.", "head.")


def small(symmetry: Any, **arguments: Any) -> Caduceus:
    torch.manual_seed(5)
    backbone = Caduceus(d_model=8, num_layers=2, d_state=4, symmetry=symmetry, **arguments)
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return backbone.eval()


def bases(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(7, 12, shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", SETS)
def test_values_losses_and_gradients(golden: Golden, name: str) -> None:
    reference = golden(name)
    tensors = reference.tensors
    model = genoseq.load(reference.model)
    labels = tensors["mlm/in/labels"]
    # The release ignores padding; here -100 does.
    labels = labels.masked_fill(labels == PAD, IGNORED)
    output = model(tensors["mlm/in/input_ids"], labels=labels)
    output.loss.backward()
    close(output.logits, tensors["mlm/out/logits"])
    assert abs(output.loss.item() - tensors["mlm/out/loss"].item()) <= LOSS_TOLERANCE
    gradients = {key: x.grad for key, x in model.named_parameters(remove_duplicate=False)}
    expected = reference.gradients("mlm")
    assert len(expected) > 15
    for key, gradient in expected.items():
        error = (gradients[our_name(key)] - gradient).norm() / gradient.norm()
        assert error <= GRADIENT_TOLERANCE, key
    close(model(tensors["rc/in/input_ids"]).logits, tensors["rc/out/logits"])


@pytest.mark.parametrize("name", SETS)
def test_weighted_loss(golden: Golden, name: str) -> None:
    tensors = golden(name).tensors
    model = genoseq.load(golden(name).model)
    labels = tensors["mlm/in/labels"]
    weights = tensors["mlm_weighted/in/loss_weights"].masked_fill(labels == PAD, 0)
    with torch.inference_mode():
        logits = model(tensors["mlm/in/input_ids"]).logits
    nats = torch.nn.functional.cross_entropy(logits.transpose(1, 2), labels, reduction="none")
    loss = (nats * weights / weights.sum()).sum()
    assert abs(loss.item() - tensors["mlm_weighted/out/loss"].item()) <= LOSS_TOLERANCE


@pytest.mark.parametrize("name", SETS)
def test_hidden_states(golden: Golden, name: str) -> None:
    """The release tells what each block adds to the residual stream; we tell the stream."""
    tensors = golden(name).tensors
    model = genoseq.load(golden(name).model)
    with torch.inference_mode():
        first, *states, last = model(tensors["mlm/in/input_ids"], output_hidden_states=True).hidden_states
    close(first, tensors["mlm/out/hidden_states.0"])
    before = first
    for layer, state in enumerate(states[:-1], start=1):
        stream = swap_strands(before) if name == "caduceus_ps" else before
        close(state - stream, tensors[f"mlm/out/hidden_states.{layer}"])
        before = state
    # The unfused release forgets its last one.
    if name != "caduceus_ps_unfused":
        close(last, tensors[f"mlm/out/hidden_states.{len(states)}"])


@pytest.mark.parametrize("name", SETS)
def test_classifier_reads_both_strands(golden: Golden, name: str) -> None:
    tensors = golden(name).tensors
    model = genoseq.load(golden(name).model, head="sequence")
    ids = tensors["mlm/in/input_ids"]
    with torch.inference_mode():
        logits = model(ids).logits
        close(logits, tensors["cls/out/logits"])
        other = model(model.backbone.complement[ids.flip(1)]).logits
    assert torch.equal(logits, other)


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("length", [1, 2, 63])
def test_shared_weights_are_blind_to_strand_to_the_bit(fused: bool, length: int) -> None:
    backbone = small("shared", fused_add_norm=fused)
    model = SequenceModel(backbone, MaskedLanguageModelHead(backbone)).eval()
    ids = bases(3, length)
    mask = torch.ones_like(ids, dtype=torch.bool)
    mask[0, length // 2 + 1 :] = False
    complement = backbone.complement
    with torch.inference_mode():
        for given in (None, mask):
            straight = model(ids, given)
            turned = model(complement[ids.flip(1)], None if given is None else given.flip(1))
            assert torch.equal(turned.logits, straight.logits.flip(1)[..., complement])
            assert torch.equal(turned.last_hidden_state, straight.last_hidden_state.flip(1, 2))


def test_one_strand_is_not() -> None:
    backbone, ids = small("none"), bases(1, 20)
    turned = backbone(backbone.complement[ids.flip(1)]).last_hidden_state
    assert not torch.allclose(turned.flip(1, 2), backbone(ids).last_hidden_state, atol=1e-3)


@pytest.mark.parametrize("pooling", ["mean", "max", "first", "last", "attention"])
@pytest.mark.parametrize("symmetry", ["shared", "conjoined"])
def test_predictions_of_both_strands_agree_to_the_bit(symmetry: str, pooling: Any) -> None:
    backbone = small(symmetry)
    model = SequenceModel(backbone, StrandSequenceHead(backbone, num_outputs=3, pooling=pooling)).eval()
    ids = bases(2, 31)
    with torch.inference_mode():
        straight, turned = model(ids).logits, model(backbone.complement[ids.flip(1)]).logits
    assert straight.shape == (2, 3)
    assert torch.equal(straight, turned)


def test_conjoining_is_the_mean_over_strands() -> None:
    both, one = small("conjoined"), small("none")
    head = StrandSequenceHead(both, num_outputs=3)
    ids = bases(2, 31)
    strands = [one(strand).last_hidden_state.mean(1) for strand in (ids, one.complement[ids.flip(1)])]
    expected = torch.stack([head.score(pooled) for pooled in strands]).mean(0)
    torch.testing.assert_close(SequenceModel(both, head)(ids).logits, expected)


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("head", ["language_model", "sequence"])
def test_round_trip_of_the_official_layout(golden: Golden, tmp_path: Path, name: str, head: Any) -> None:
    reference = golden(name)
    model = genoseq.load(reference.model, head=head)
    export(model, tmp_path, layout="original")
    written = load_file(tmp_path / "model.safetensors")
    other = "score." if head == "language_model" else "lm_head."
    wanted = {key: tensor for key, tensor in reference.weights.items() if not key.startswith(other)}
    assert written.keys() == wanted.keys()
    assert all(torch.equal(written[key], tensor) for key, tensor in wanted.items())
    again = genoseq.load(tmp_path)
    ids = reference.tensors["mlm/in/input_ids"]
    assert torch.equal(again(ids).logits, model(ids).logits)
    official, ours = (
        json.loads((folder / "config.json").read_text()) for folder in (reference.model, tmp_path)
    )
    silent = {"architectures", "ssm_cfg"}
    for key in (set(official) & set(ours)) - silent:
        assert ours[key] == official[key], key


@pytest.mark.parametrize("name", SETS)
def test_own_folder(golden: Golden, tmp_path: Path, name: str) -> None:
    model = genoseq.load(golden(name).model)
    again = genoseq.load(model.save(tmp_path))
    assert torch.equal(again(bases(2, 9)).logits, model(bases(2, 9)).logits)
    assert again.backbone.arguments == model.backbone.arguments


@pytest.mark.parametrize("weights", SETS)
@pytest.mark.parametrize("config", SETS)
def test_weights_of_another_variant(golden: Golden, tmp_path: Path, config: str, weights: str) -> None:
    shutil.copyfile(golden(config).model / "config.json", tmp_path / "config.json")
    shutil.copyfile(golden(weights).model / "model.safetensors", tmp_path / "model.safetensors")
    # Ph has as many layers as fused PS, so that only the names can tell.
    if config == weights:
        genoseq.load(tmp_path)
        return
    with pytest.raises(CheckpointError, match=r"is of Caduceus-P.*the tensors are of Caduceus-P"):
        genoseq.load(tmp_path)


def test_own_folder_of_another_variant(tmp_path: Path) -> None:
    backbone = small("shared")
    SequenceModel(backbone, MaskedLanguageModelHead(backbone)).save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["arguments"]["fused_add_norm"] = False
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=r"missing: backbone.norm_f.submodule.weight"):
        genoseq.load(tmp_path)


def test_tied_projections_may_be_named_once(golden: Golden, tmp_path: Path) -> None:
    reference = golden("caduceus_ps")
    shutil.copyfile(reference.model / "config.json", tmp_path / "config.json")
    once = {
        key: x
        for key, x in reference.weights.items()
        if "mamba_rev.in_proj" not in key and "mamba_rev.out_proj" not in key and "lm_head.weight" not in key
    }
    save_file(once, tmp_path / "model.safetensors")
    ids = bases(1, 9)
    assert torch.equal(genoseq.load(tmp_path)(ids).logits, genoseq.load(reference.model)(ids).logits)


def test_tied_projections_are_first_scaled_once() -> None:
    torch.manual_seed(0)
    backbone = Caduceus(d_model=64, num_layers=4, symmetry="none")
    mixer = backbone.layers[0].mixer
    assert mixer.mamba_rev.out_proj.weight is mixer.mamba_fwd.out_proj.weight
    bound = (1 / 128**0.5) / 4**0.5
    assert 0.95 * bound < mixer.mamba_fwd.out_proj.weight.abs().max() <= bound


def test_refusals() -> None:
    backbone = small("shared")
    model = SequenceModel(backbone, MaskedLanguageModelHead(backbone))
    with pytest.raises(SequenceError, match="no token"):
        model(torch.zeros(2, 0, dtype=torch.int64))
    mask = torch.tensor([[True, False, True]])
    with pytest.raises(SequenceError, match="padding between tokens"):
        model(bases(1, 3), mask)
    with pytest.raises(ConfigError, match="symmetry='both'"):
        Caduceus(d_model=8, num_layers=1, symmetry="both")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="complement_map"):
        Caduceus(d_model=8, num_layers=1, complement_map=[1, 2, 0])
    with pytest.raises(ConfigError, match="generation needs a causal"):
        model.generate("ACGT", length=8)
    other = HyenaDNA(d_model=8, num_layers=1, l_max=16)
    with pytest.raises(CheckpointError, match="no place for this"):
        export(SequenceModel(other, MaskedLanguageModelHead(other)), "unused", layout="original")
