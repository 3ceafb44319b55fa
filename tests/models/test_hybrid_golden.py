"""Hybrids are the published functions: values, losses, gradients, steps, padding; both layouts in and out."""

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
from genoseq.models import HybriDNA, LanguageModelHead, SequenceModel, export
from genoseq.models.bamba_layouts import _from_hf_names

SETS = {"hybrid_mambassm": "original", "hybrid_bamba": "hf"}
ATOL, LOSS_TOLERANCE, GRADIENT_TOLERANCE = 1e-4, 1e-5, 5e-5
Golden = Callable[[str], Any]


def close(actual: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=0, atol=ATOL)


def by_our_names(gradients: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Those of either release; parts of fused layers are compared part by part."""
    return {
        name if name.startswith("backbone.") else next(iter(_from_hf_names({name: x}))): x
        for name, x in gradients.items()
    }


@pytest.mark.parametrize("name", SETS)
def test_values_losses_and_gradients(golden: Golden, name: str) -> None:
    reference = golden(name)
    tensors = reference.tensors
    model = genoseq.load(reference.model)
    ids = tensors["fwd/in/input_ids"]
    output = model(ids, labels=ids, output_hidden_states=True)
    output.loss.backward()
    close(output.logits, tensors["fwd/out/logits"])
    assert abs(output.loss.item() - tensors["fwd/out/loss"].item()) <= LOSS_TOLERANCE
    if name == "hybrid_mambassm":
        close(output.last_hidden_state, tensors["fwd/out/hidden"])
    else:
        # transformers gives the last block's output only after the last norm.
        for index, states in enumerate([*output.hidden_states[:-2], output.last_hidden_state]):
            close(states, tensors[f"fwd/out/hidden_states.{index}"])
    gradients = {key: x.grad for key, x in model.named_parameters(remove_duplicate=False)}
    for index in (1, 3):
        fused = gradients.pop(f"backbone.layers.{index}.mixer.in_proj.weight")
        for part, x in zip("qkv", fused.split([64, 32, 32]), strict=True):
            gradients[f"backbone.layers.{index}.self_attn.{part}_proj.weight"] = x
    expected = by_our_names(reference.gradients("fwd"))
    assert len(expected) >= 13
    for key, gradient in expected.items():
        assert (gradients[key] - gradient).norm() / gradient.norm() <= GRADIENT_TOLERANCE, key


def test_steps_of_bamba(golden: Golden) -> None:
    reference = golden("hybrid_bamba")
    tensors = reference.tensors
    model = genoseq.load(reference.model)
    ids, given = tensors["fwd/in/input_ids"], int(tensors["decode/prefill_len"])
    expected = tensors["decode/out/step_logits"]
    state = model.backbone.init_state(len(ids), max_length=ids.shape[1])
    with torch.inference_mode():
        # The first of them are of the prefill's last position.
        hidden = model.backbone.forward_chunk(ids[:, :given], state)[:, -1]
        for index in range(expected.shape[1]):
            if index:
                hidden = model.backbone.step(ids[:, given + index - 1], state)
            close(model.head(hidden), expected[:, index])


def test_left_padding_of_bamba(golden: Golden) -> None:
    reference = golden("hybrid_bamba")
    tensors = reference.tensors
    mask = tensors["leftpad/in/attention_mask"].bool()
    assert not mask.all()
    with torch.inference_mode():
        logits = genoseq.load(reference.model)(tensors["fwd/in/input_ids"], mask).logits
    close(logits[mask], tensors["leftpad/out/logits"][mask])


@pytest.mark.parametrize("name", SETS)
def test_export_gives_the_same_tensors_back(golden: Golden, name: str, tmp_path: Path) -> None:
    reference = golden(name)
    export(genoseq.load(reference.model), tmp_path, layout=SETS[name])
    written = load_file(tmp_path / "model.safetensors")
    assert written.keys() == reference.weights.keys()
    for key, tensor in reference.weights.items():
        assert torch.equal(written[key], tensor), key
    config = json.loads((reference.model / "config.json").read_text())
    exported = json.loads((tmp_path / "config.json").read_text())
    for key in config.keys() & exported.keys() - {"architectures"}:
        if isinstance(config[key], dict):
            assert exported[key].items() >= config[key].items(), key
        else:
            assert exported[key] == config[key], key
    ids = reference.tensors["fwd/in/input_ids"]
    close(genoseq.load(tmp_path)(ids).logits, reference.tensors["fwd/out/logits"])


@pytest.mark.parametrize("name", SETS)
def test_our_own_folder(golden: Golden, name: str, tmp_path: Path) -> None:
    reference = golden(name)
    genoseq.load(reference.model).save(tmp_path)
    ids = reference.tensors["fwd/in/input_ids"]
    close(genoseq.load(tmp_path)(ids).logits, reference.tensors["fwd/out/logits"])


@pytest.mark.parametrize("name", SETS)
def test_loading_is_strict(golden: Golden, name: str, tmp_path: Path) -> None:
    reference = golden(name)
    shutil.copy(reference.model / "config.json", tmp_path)
    missing, misshapen = [key for key in reference.weights if "layers.1." in key and "norm" in key][:2]
    weights = {**reference.weights, "extra.weight": torch.zeros(1), misshapen: torch.zeros(3)}
    del weights[missing]
    save_file(weights, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError) as caught:
        genoseq.load(tmp_path)
    assert "missing: backbone.layers.1.norm" in str(caught.value)
    assert "unexpected: extra.weight" in str(caught.value)
    assert "misshapen: backbone.layers.1.norm" in str(caught.value)


def test_a_part_of_fused_weights_is_missing(golden: Golden, tmp_path: Path) -> None:
    reference = golden("hybrid_bamba")
    shutil.copy(reference.model / "config.json", tmp_path)
    weights = reference.weights
    del weights["model.layers.1.self_attn.k_proj.weight"]
    save_file(weights, tmp_path / "model.safetensors")
    with pytest.raises(
        CheckpointError, match=r"missing: backbone.layers.1.mixer.in_proj.weight(.|\n)*self_attn.q_proj"
    ):
        genoseq.load(tmp_path)


@pytest.mark.parametrize(
    ("name", "changed", "message"),
    [
        ("hybrid_mambassm", {"attn_layer_idx": [1, 4]}, r"attention in layers \[1, 4\], of 4"),
        ("hybrid_mambassm", {"attn_cfg": {"num_heads": 4, "causal": True, "d_conv": 4}}, "d_conv=4"),
        ("hybrid_mambassm", {"attn_cfg": {"num_heads": 4}}, "causal=False"),
        ("hybrid_mambassm", {"ssm_cfg": {"layer": "Mamba3"}}, "layer='Mamba3'"),
        ("hybrid_mambassm", {"dropout": 0.5}, "dropout=0.5"),
        ("hybrid_bamba", {"hidden_act": "gelu"}, "hidden_act"),
        ("hybrid_bamba", {"mamba_n_groups": 2}, "mamba_n_groups"),
        ("hybrid_bamba", {"rope_parameters": {"rope_type": "yarn"}}, "rope_type='yarn'"),
    ],
)
def test_configs_of_another_function(
    golden: Golden, tmp_path: Path, name: str, changed: dict[str, Any], message: str
) -> None:
    reference = golden(name)
    config = json.loads((reference.model / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | changed))
    shutil.copy(reference.model / "model.safetensors", tmp_path)
    with pytest.raises(CheckpointError, match=message):
        genoseq.load(tmp_path)


MIXERS: dict[str, Any] = {
    "mamba2": {"d_state": 4, "headdim": 8},
    "attention": {"num_heads": 4, "num_kv_heads": 2},
    "mamba": {"d_state": 4},
}


@pytest.mark.parametrize(
    ("layout", "changed"),
    [
        ("original", {"attention": {"num_heads": 2, "position": "rotary", "rotary_interleaved": True}}),
        ("original", {"pattern": "sa", "d_inner": 0}),
        ("original", {"mamba2": {"d_state": 4, "headdim": 8, "ngroups": 2, "dt_limit": [0.1, 0.5]}}),
        ("original", {"norm": "layer", "attention": {"num_heads": 2, "qkv_bias": True, "head_dim": 4}}),
        ("hf", {"attention": {"num_heads": 2, "position": "rotary", "qkv_bias": True, "out_bias": True}}),
        ("hf", {"attention": {"num_heads": 4, "position": "rotary", "rotary_base": 7.0}, "mlp_bias": True}),
    ],
)
def test_round_trips(tmp_path: Path, layout: str, changed: dict[str, Any]) -> None:
    torch.manual_seed(0)
    backbone = HybriDNA(
        **{"d_model": 16, "num_layers": 4, "pattern": "ma", "d_inner": 128, **MIXERS, **changed}
    )
    model = SequenceModel(backbone, LanguageModelHead(backbone)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    export(model, tmp_path, layout=layout)
    again = genoseq.load(tmp_path)
    for name, tensor in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name
    ids = torch.randint(7, 12, (2, 20))
    torch.testing.assert_close(again(ids).logits, model(ids).logits)


@pytest.mark.parametrize(
    ("layout", "changed", "message"),
    [
        ("original", {"attention": {"num_heads": 2, "window": 4}}, "window=4"),
        ("original", {"attention": {"num_heads": 2, "position": "alibi"}}, "alibi"),
        ("original", {"pattern": "mas"}, "this has masmas"),
        ("original", {"pattern": "mmm"}, "this has mmmmmm"),
        ("original", {"d_inner": 100}, "d_inner=100"),
        ("original", {"norm_epsilon": 1e-6}, "norm_epsilon=1e-06"),
        ("hf", {}, "position='none'"),
        ("hf", {"d_inner": 0}, "d_inner=0"),
        ("hf", {"norm": "layer"}, "norm='layer'"),
        ("hf", {"pattern": "sa"}, "this has sasasa"),
    ],
)
def test_layouts_without_a_place(tmp_path: Path, layout: str, changed: dict[str, Any], message: str) -> None:
    backbone = HybriDNA(
        **{"d_model": 16, "num_layers": 6, "pattern": "ma", "d_inner": 128, **MIXERS, **changed}
    )
    with pytest.raises(CheckpointError, match=message):
        export(SequenceModel(backbone, LanguageModelHead(backbone)), tmp_path, layout=layout)


def test_unverified_layout_of_hybridna(golden: Golden, tmp_path: Path) -> None:
    reference = golden("hybrid_bamba")
    config = json.loads((reference.model / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"model_type": "hybridna"}))
    shutil.copy(reference.model / "model.safetensors", tmp_path)
    backbone = genoseq.load(tmp_path).backbone
    assert backbone.arguments["pattern"] == "mama"
    assert [block.mixer.position for block in backbone.blocks[1::2]] == ["none", "none"]
