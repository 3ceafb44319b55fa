"""Llama, GENERator's decoder: the published function through transformers, its steps, its layout."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import genoseq
from genoseq.errors import CheckpointError, ConfigError, SequenceError
from genoseq.models import LanguageModelHead, Llama, SequenceModel, export
from genoseq.tokenizers import KmerTokenizer

ATOL, LOSS_TOLERANCE, GRADIENT_TOLERANCE = 1e-4, 1e-5, 5e-5
Golden = Callable[[str], Any]


@pytest.fixture
def reference(golden: Golden) -> Any:
    return golden("llama_generator")


def close(actual: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=0, atol=ATOL)


def our_name(name: str) -> str:
    return f"backbone.llama.{name.removeprefix('model.')}"


def test_values_loss_and_gradients(reference: Any) -> None:
    tensors = reference.tensors
    model = genoseq.load(reference.model)
    ids = tensors["fwd/in/input_ids"]
    output = model(ids, labels=ids, output_hidden_states=True)
    output.loss.backward()
    close(output.logits, tensors["fwd/out/logits"])
    assert abs(output.loss.item() - tensors["fwd/out/loss"].item()) <= LOSS_TOLERANCE
    # transformers calls the last block's output what comes after the norm.
    *states, before_norm, last = output.hidden_states
    for layer, hidden in enumerate([*states, last]):
        close(hidden, tensors[f"fwd/out/hidden_states.{layer}"])
    assert torch.equal(model.backbone.llama.norm(before_norm), last)
    gradients = {key: x.grad for key, x in model.named_parameters()}
    expected = reference.gradients("fwd")
    assert len(expected) > 10
    for key, gradient in expected.items():
        error = (gradients[our_name(key)] - gradient).norm() / gradient.norm()
        assert error <= GRADIENT_TOLERANCE, key


def test_prefill_and_steps(reference: Any) -> None:
    tensors = reference.tensors
    model = genoseq.load(reference.model)
    ids, given = tensors["fwd/in/input_ids"], int(tensors["decode/prefill_len"])
    expected = tensors["decode/out/step_logits"]
    state = model.backbone.init_state(len(ids), max_length=ids.shape[1])
    with torch.inference_mode():
        hidden = model.backbone.forward_chunk(ids[:, :given], state)[:, -1]
        for index in range(expected.shape[1]):
            if index:
                hidden = model.backbone.step(ids[:, given + index - 1], state)
            close(model.head(hidden), expected[:, index])
    assert not model.backbone.fixed_memory


def test_left_padding_as_transformers(reference: Any) -> None:
    tensors = reference.tensors
    mask = tensors["leftpad/in/attention_mask"].bool()
    assert not mask.all()
    with torch.inference_mode():
        logits = genoseq.load(reference.model)(tensors["fwd/in/input_ids"], mask).logits
    close(logits[mask], tensors["leftpad/out/logits"][mask])


def test_round_trip_of_the_official_layout(reference: Any, tmp_path: Path) -> None:
    model = genoseq.load(reference.model)
    export(model, tmp_path, layout="hf")
    written = load_file(tmp_path / "model.safetensors")
    assert written.keys() == reference.weights.keys()
    assert all(torch.equal(written[key], tensor) for key, tensor in reference.weights.items())
    again = genoseq.load(tmp_path)
    assert again.backbone.arguments == model.backbone.arguments
    assert again.head.arguments == model.head.arguments
    official, ours = (
        json.loads((folder / "config.json").read_text()) for folder in (reference.model, tmp_path)
    )
    shared = set(official) & set(ours) - {"architectures"}
    assert {key: ours[key] for key in shared} == {key: official[key] for key in shared}


def test_transformers_reads_what_we_write(reference: Any, tmp_path: Path) -> None:
    from transformers import LlamaForCausalLM

    export(genoseq.load(reference.model), tmp_path, layout="hf")
    ids = reference.tensors["fwd/in/input_ids"]
    with torch.inference_mode():
        logits = LlamaForCausalLM.from_pretrained(tmp_path).eval()(ids).logits
    close(logits, reference.tensors["fwd/out/logits"])


def test_own_folder(reference: Any, tmp_path: Path) -> None:
    model = genoseq.load(reference.model)
    again = genoseq.load(model.save(tmp_path))
    ids = reference.tensors["fwd/in/input_ids"]
    assert torch.equal(again(ids).logits, model(ids).logits)


@pytest.fixture
def folder(reference: Any, tmp_path: Path) -> Path:
    """A writable copy of the official folder."""
    return shutil.copytree(reference.model, tmp_path / "official", copy_function=shutil.copyfile)


def test_every_wrong_tensor_is_named(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights["model.norm.weight"]
    weights["model.layers.0.extra"] = torch.zeros(2)
    weights["model.layers.1.mlp.up_proj.weight"] = torch.zeros(7)
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(CheckpointError) as caught:
        genoseq.load(folder)
    message = str(caught.value)
    assert "missing: backbone.llama.norm.weight (48,)" in message
    assert "unexpected: backbone.llama.layers.0.extra (2,)" in message
    assert "misshapen: backbone.llama.layers.1.mlp.up_proj.weight (7,), wanted (96, 48)" in message


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"hidden_act": "gelu"}, "hidden_act='gelu'"),
        ({"rope_parameters": {"rope_type": "llama3", "factor": 8.0}}, "rope_type='llama3'"),
        ({"num_key_value_heads": 4}, "num_kv_heads=4 does not divide"),
    ],
)
def test_settings_of_another_function(folder: Path, change: dict[str, Any], words: str) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(ValueError, match=words):
        genoseq.load(folder)


def test_without_transformers(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ConfigError, match=r"pip install 'genoseq\[transformers\]'"):
        genoseq.load(folder)


def test_length_beyond_what_it_takes() -> None:
    backbone = Llama(d_model=8, num_layers=1, num_heads=2, d_inner=8, vocab_size=12, l_max=6)
    model = SequenceModel(backbone, LanguageModelHead(backbone))
    with pytest.raises(SequenceError, match="l_max=6"):
        model(torch.zeros(1, 7, dtype=torch.int64))
    with pytest.raises(SequenceError, match="l_max=6"):
        backbone.init_state(1, max_length=7)
    with pytest.raises(SequenceError, match="hold no token"):
        model(torch.zeros(1, 0, dtype=torch.int64))


def test_a_vocabulary_of_words_of_six_is_read_with_them(tmp_path: Path) -> None:
    backbone = Llama(d_model=8, num_layers=1, num_heads=2, d_inner=8)
    export(SequenceModel(backbone, LanguageModelHead(backbone, tied=False)), tmp_path, layout="hf")
    model = genoseq.load(tmp_path)
    assert model.tokenizer == KmerTokenizer(k=6, special_tokens="start")
    (sequence,) = model.generate("ATGGCC", length=60)
    assert sequence.startswith("ATGGCC")
    assert len(sequence) == 60
