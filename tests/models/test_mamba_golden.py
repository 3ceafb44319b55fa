"""Mamba and Mamba-2 are the published functions: values, losses, gradients, steps, states, both layouts."""

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
from genoseq.models import LanguageModelHead, Mamba, Mamba2, SequenceModel, export

ORIGINAL = ("mamba1", "mamba1_layernorm", "mamba2", "mamba2_groups")
HF = ("mamba1_hf", "mamba2_hf")
WITH_STEPS = ("mamba1", "mamba1_layernorm", "mamba2")
ATOL, LOSS_TOLERANCE, GRADIENT_TOLERANCE = 1e-4, 1e-5, 5e-5
Golden = Callable[[str], Any]


def our_name(name: str) -> str:
    return name.replace("backbone.embeddings.", "backbone.embedding.").replace("lm_head.", "head.")


def close(actual: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=0, atol=ATOL)


@pytest.mark.parametrize("name", [*ORIGINAL, *HF])
def test_values_losses_and_gradients(golden: Golden, name: str) -> None:
    reference = golden(name)
    tensors = reference.tensors
    model = genoseq.load(reference.model)
    ids = tensors["fwd/in/input_ids"]
    output = model(ids, labels=ids, output_hidden_states=True)
    output.loss.backward()
    close(output.logits, tensors["fwd/out/logits"])
    assert abs(output.loss.item() - tensors["fwd/out/loss"].item()) <= LOSS_TOLERANCE
    if name in HF:
        # transformers gives no embeddings.
        for layer, states in enumerate(output.hidden_states[1:]):
            close(states, tensors[f"fwd/out/hidden_states.{layer}"])
    else:
        close(output.last_hidden_state, tensors["fwd/out/hidden"])
    gradients = {key: x.grad for key, x in model.named_parameters(remove_duplicate=False)}
    expected = reference.gradients("fwd")
    assert len(expected) > 10
    for key, gradient in expected.items():
        error = (gradients[our_name(key)] - gradient).norm() / gradient.norm()
        assert error <= GRADIENT_TOLERANCE, key


@pytest.mark.parametrize("name", [*WITH_STEPS, *HF])
def test_prefill_and_steps(golden: Golden, name: str) -> None:
    reference = golden(name)
    tensors = reference.tensors
    model = genoseq.load(reference.model)
    ids, given = tensors["fwd/in/input_ids"], int(tensors["decode/prefill_len"])
    # The first of them are of the prefill's last position; the last token is never fed.
    expected = tensors["decode/out/step_logits"]
    state = model.backbone.init_state(len(ids), max_length=ids.shape[1])
    with torch.inference_mode():
        hidden = model.backbone.forward_chunk(ids[:, :given], state)[:, -1]
        for index in range(expected.shape[1]):
            if index:
                hidden = model.backbone.step(ids[:, given + index - 1], state)
            close(model.head(hidden), expected[:, index])
    if name in WITH_STEPS:
        check_states(state, tensors, "decode/final_")
    fed = given + expected.shape[1] - 1
    assert [layer.position for layer in state] == [fed] * model.backbone.num_layers


def check_states(state: list[Any], tensors: dict[str, torch.Tensor], start: str) -> None:
    for index, layer in enumerate(state):
        # The official tail keeps one input more than the next output reaches.
        close(layer.tail, tensors[f"{start}conv_state.{index}"][..., 1:])
        close(layer.ssm, tensors[f"{start}ssm_state.{index}"])


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("name", WITH_STEPS)
def test_from_given_states(golden: Golden, name: str, chunked: bool) -> None:
    reference = golden(name)
    tensors = reference.tensors
    model = genoseq.load(reference.model)
    ids = tensors["init/in/input_ids"]
    state = model.backbone.init_state(len(ids), max_length=ids.shape[1])
    for index, layer in enumerate(state):
        layer.tail = tensors[f"init/conv_state.{index}"][..., 1:].clone()
        layer.ssm = tensors[f"init/ssm_state.{index}"].clone()
    with torch.inference_mode():
        if chunked:
            hidden = model.backbone.forward_chunk(ids, state)
        else:
            hidden = torch.stack([model.backbone.step(column, state) for column in ids.unbind(1)], dim=1)
        close(model.head(hidden), tensors["init/out/step_logits"])
    check_states(state, tensors, "init/out/")


@pytest.mark.parametrize("name", ["mamba1", "mamba2", "mamba2_groups", *HF])
def test_left_padding_as_transformers(golden: Golden, name: str) -> None:
    reference = golden(name)
    mask_key = "leftpad/in/attention_mask" if name in HF else "hfmask/attention_mask"
    case = mask_key.split("/")[0]
    mask = reference.tensors[mask_key].bool()
    assert not mask.all()
    model = genoseq.load(reference.model)
    with torch.inference_mode():
        logits = model(reference.tensors["fwd/in/input_ids"], mask).logits
    close(logits[mask], reference.tensors[f"{case}/out/logits"][mask])


@pytest.mark.parametrize("name", [*ORIGINAL, *HF])
def test_round_trip_of_the_own_layout(golden: Golden, tmp_path: Path, name: str) -> None:
    reference = golden(name)
    model = genoseq.load(reference.model)
    export(model, tmp_path, layout="hf" if name in HF else "original")
    written = load_file(tmp_path / "model.safetensors")
    assert written.keys() == reference.weights.keys()
    assert all(torch.equal(written[key], tensor) for key, tensor in reference.weights.items())
    again = genoseq.load(tmp_path)
    assert again.backbone.arguments == model.backbone.arguments
    assert again.head.arguments == model.head.arguments
    official, ours = (
        json.loads((folder / "config.json").read_text()) for folder in (reference.model, tmp_path)
    )
    silent = {"residual_in_fp32", "fused_add_norm", "architectures"}
    shared = set(official) & set(ours) - silent - {"ssm_cfg"}
    assert {key: ours[key] for key in shared} == {key: official[key] for key in shared}
    assert official.get("ssm_cfg", {}).items() <= ours.get("ssm_cfg", {}).items()


@pytest.mark.parametrize(
    ("name", "layout"), [("mamba1", "hf"), ("mamba2_groups", "hf"), ("mamba2_hf", "original")]
)
def test_from_one_layout_to_the_other(golden: Golden, tmp_path: Path, name: str, layout: Any) -> None:
    reference = golden(name)
    model = genoseq.load(reference.model)
    export(model, tmp_path, layout=layout)
    ids = reference.tensors["fwd/in/input_ids"]
    assert torch.equal(genoseq.load(tmp_path)(ids).logits, model(ids).logits)


@pytest.mark.parametrize("name", ["mamba1", "mamba2", "mamba2_hf"])
def test_own_folder_and_generation(golden: Golden, tmp_path: Path, name: str) -> None:
    model = genoseq.load(golden(name).model)
    again = genoseq.load(model.save(tmp_path))
    ids = torch.tensor([[7, 8, 9, 10, 11, 1]])
    assert torch.equal(again(ids).logits, model(ids).logits)
    text = again.generate("ACGTAC", length=20, num_sequences=2, seed=1)
    assert [len(sequence) for sequence in text] == [20, 20]
    assert text == model.generate("ACGTAC", length=20, num_sequences=2, seed=1)


@pytest.fixture
def folder(golden: Golden, tmp_path: Path) -> Path:
    """A writable copy of an official folder."""
    return shutil.copytree(golden("mamba2").model, tmp_path / "official", copy_function=shutil.copyfile)


def test_every_wrong_tensor_is_named(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights["backbone.norm_f.weight"]
    weights["backbone.layers.0.mixer.extra"] = torch.zeros(2)
    weights["backbone.layers.1.mixer.A_log"] = torch.zeros(7)
    weights["lm_head.weight"] += 1
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(CheckpointError) as caught:
        genoseq.load(folder)
    message = str(caught.value)
    assert "missing: backbone.norm_f.weight (48,)" in message
    assert "unexpected: backbone.layers.0.mixer.extra (2,)" in message
    assert "misshapen: backbone.layers.1.mixer.A_log (7,), wanted (6,)" in message
    assert "contradicting: head.weight differs from backbone.embedding.weight" in message


def test_a_tied_head_may_be_left_out(folder: Path) -> None:
    expected = genoseq.load(folder).state_dict()
    weights = load_file(folder / "model.safetensors")
    del weights["lm_head.weight"]
    save_file(weights, folder / "model.safetensors")
    assert all(torch.equal(x, expected[key]) for key, x in genoseq.load(folder).state_dict().items())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"ssm_cfg": {"layer": "Mamba2", "norm_before_gate": True}}, "norm_before_gate=True"),
        ({"ssm_cfg": {"layer": "Mamba2", "surprise": 1}}, "surprise=1"),
        ({"d_intermediate": 64}, "d_intermediate=64"),
        ({"ssm_cfg": {"layer": "Mamba3"}}, "no layout known"),
        ({"ssm_cfg": {"layer": "Mamba2", "headdim": 36}}, "headdim=36 does not divide"),
        (
            {"ssm_cfg": {"layer": "Mamba2", "headdim": 16, "ngroups": 4}},
            "ngroups=4 does not divide the 6 heads",
        ),
    ],
)
def test_settings_of_another_function(folder: Path, change: dict[str, Any], words: str) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(ValueError, match=words):
        genoseq.load(folder)


@pytest.mark.parametrize(
    ("entry", "backbone"), [("state-spaces mamba1 d128 L2", Mamba), ("state-spaces mamba2 d128 L2", Mamba2)]
)
def test_first_weights(shared: Path, entry: str, backbone: Any) -> None:
    record = json.loads((shared / "golden/init_stats/config.json").read_text())
    stats = record["stats [mean,std,min,max] per parameter, 3 seeds averaged"][entry]
    expected = {our_name(key): values for key, values in stats.items()}
    torch.manual_seed(0)
    # A vocabulary large enough for the statistics of its embeddings.
    made = backbone(d_model=128, num_layers=2, vocab_size=16)
    model = SequenceModel(made, LanguageModelHead(made))
    ours = {name: x.detach() for name, x in model.named_parameters()}
    assert set(expected) == set(ours)
    for name, (mean, std, low, high) in expected.items():
        values = ours[name]
        error = 5 * std / values.numel() ** 0.5
        assert abs(values.mean() - mean) <= 1.6 * error + 1e-6, name
        assert abs(values.std() - std) <= error + 1e-6, name
        # The extremes of Mamba-2's few heads say nothing.
        if values.numel() >= 64:
            assert abs(values.min() - low) <= 2 * std + 1e-6, name
            assert abs(values.max() - high) <= 2 * std + 1e-6, name


@pytest.mark.parametrize("backbone", [Mamba, Mamba2])
def test_decays_and_skips_do_not_decay(backbone: Any) -> None:
    made = backbone(d_model=64, num_layers=1)
    marked = {
        name for name, x in made.named_parameters() if getattr(x, "_optim", None) == {"weight_decay": 0.0}
    }
    bias = "dt_proj.bias" if backbone is Mamba else "dt_bias"
    assert marked == {f"layers.0.mixer.{name}" for name in ("A_log", "D", bias)}
