"""DNABERT-2 is the published function: values, loss, gradients, its classifier, its layout; and the laws."""

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
from genoseq.models import DNABERT2, MaskedLanguageModelHead, SequenceHead, SequenceModel, export
from genoseq.nn.losses import IGNORED
from genoseq.nn.rotary import alibi_slopes
from genoseq.tokenizers import BpeTokenizer

ATOL, LOSS_TOLERANCE, GRADIENT_TOLERANCE = 1e-4, 1e-5, 5e-5
Golden = Callable[[str], Any]


@pytest.fixture
def reference(golden: Golden) -> Any:
    return golden("dnabert2")


def close(actual: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=0, atol=ATOL)


def our_name(name: str) -> str:
    for old, new in {
        "bert.embeddings.word_embeddings": "backbone.embedding",
        "bert.embeddings.token_type_embeddings": "backbone.token_types",
        "bert.embeddings.LayerNorm": "backbone.norm",
        "bert.encoder.layer": "backbone.layers",
        "attention.self.Wqkv": "mixer.in_proj",
        "attention.output.dense": "mixer.out_proj",
        "attention.output.LayerNorm": "norm",
        "mlp.wo": "mlp.fc2",
        "mlp.layernorm": "norm2",
        "cls.predictions.transform.LayerNorm": "head.transform.norm",
        "cls.predictions.transform": "head.transform",
        "cls.predictions.decoder": "head",
    }.items():
        name = name.replace(old, new)
    return name


def inputs(reference: Any) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return tuple(reference.tensors[f"fwd/in/{key}"] for key in ("input_ids", "attention_mask", "labels"))


@pytest.mark.parametrize("loss_only", [False, True])
def test_values_loss_and_gradients(reference: Any, loss_only: bool) -> None:
    tensors = reference.tensors
    model = genoseq.load(reference.model)
    ids, mask, labels = inputs(reference)
    real = mask.bool()
    assert not real.all()
    output = model(ids, mask, labels=labels, loss_only=loss_only)
    output.loss.backward()
    close(output.last_hidden_state[real], tensors["fwd/out/hidden"][real])
    if not loss_only:
        close(output.logits[real], tensors["fwd/out/logits_padded"][real])
    assert abs(output.loss.item() - tensors["fwd/out/loss"].item()) <= LOSS_TOLERANCE
    gradients = {key: x.grad for key, x in model.named_parameters()}
    expected = reference.gradients("fwd")
    assert len(expected) > 15
    for key, gradient in expected.items():
        error = (gradients[our_name(key)] - gradient).norm() / gradient.norm()
        assert error <= GRADIENT_TOLERANCE, key


def test_without_a_mask_padding_is_a_token(reference: Any) -> None:
    model, tensors = genoseq.load(reference.model), reference.tensors
    with torch.inference_mode():
        close(model(inputs(reference)[0]).logits, tensors["nomask/out/logits"])
        close(model(tensors["long/in/input_ids"]).logits, tensors["long/out/logits"])


def test_slopes(reference: Any) -> None:
    """Of six heads, which are no power of two."""
    places = torch.arange(12)
    distance = (places[:, None] - places).abs()
    ours = -alibi_slopes(6, device="cpu", dtype=torch.float32)[:, None, None] * distance
    close(ours, reference.tensors["op/alibi"][0])


def test_classifier(reference: Any) -> None:
    model = genoseq.load(reference.model, head="sequence")
    ids, mask, _ = inputs(reference)
    with torch.inference_mode():
        close(model(ids, mask).logits, reference.tensors["cls/out/logits"])
    assert model.head.dropout.p == 0.1


@pytest.mark.parametrize("head", ["language_model", "sequence"])
def test_round_trip_of_the_official_layout(reference: Any, tmp_path: Path, head: Any) -> None:
    model = genoseq.load(reference.model, head=head)
    export(model, tmp_path, layout="original")
    written = load_file(tmp_path / "model.safetensors")
    others = ("bert.pooler.", "classifier.") if head == "language_model" else ("cls.",)
    wanted = {key: tensor for key, tensor in reference.weights.items() if not key.startswith(others)}
    assert written.keys() == wanted.keys()
    assert all(torch.equal(written[key], tensor) for key, tensor in wanted.items())
    again = genoseq.load(tmp_path)
    ids, mask, _ = inputs(reference)
    assert torch.equal(again(ids, mask).logits, model(ids, mask).logits)
    assert again.head.arguments == model.head.arguments
    official, ours = (
        json.loads((folder / "config.json").read_text()) for folder in (reference.model, tmp_path)
    )
    for key in set(official) & set(ours) - {"architectures", "classifier_dropout"}:
        assert ours[key] == official[key], key


def test_own_folder(reference: Any, tmp_path: Path) -> None:
    model = genoseq.load(reference.model)
    again = genoseq.load(model.save(tmp_path))
    ids, mask, _ = inputs(reference)
    assert torch.equal(again(ids, mask).logits, model(ids, mask).logits)
    assert again.backbone.arguments == model.backbone.arguments


@pytest.fixture
def folder(reference: Any, tmp_path: Path) -> Path:
    """A writable copy of the official folder."""
    return shutil.copytree(reference.model, tmp_path / "official", copy_function=shutil.copyfile)


def test_every_wrong_tensor_is_named(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights["bert.embeddings.LayerNorm.weight"]
    weights["bert.embeddings.position_embeddings.weight"] = torch.zeros(2, 3)
    weights["bert.encoder.layer.1.mlp.gated_layers.weight"] = torch.zeros(10, 48)
    weights["cls.predictions.decoder.weight"] += 1
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(CheckpointError) as caught:
        genoseq.load(folder)
    message = str(caught.value)
    assert "missing: backbone.norm.weight (48,)" in message
    assert "unexpected: bert.embeddings.position_embeddings.weight (2, 3)" in message
    assert "misshapen: backbone.layers.1.mlp.fc1.weight (10, 48), wanted (192, 48)" in message
    assert "contradicting: head.weight differs from backbone.embedding.weight" in message


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"hidden_act": "relu"}, "hidden_act='relu'"),
        ({"attention_probs_dropout_prob": 0.1}, "attention_probs_dropout_prob=0.1"),
        ({"num_attention_heads": 7}, "num_heads=7 does not divide"),
        ({"architectures": ["BertForSequenceClassification"]}, None),
    ],
)
def test_settings_of_the_config(folder: Path, change: dict[str, Any], words: str | None) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | change))
    if words is None:
        assert isinstance(genoseq.load(folder).head, SequenceHead)
        return
    with pytest.raises(ValueError, match=words):
        genoseq.load(folder)


def test_bert_with_table_of_positions_is_another_model(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    del config["alibi_starting_size"]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="no layout known here"):
        genoseq.load(folder)


def test_heads_that_were_never_released(tmp_path: Path) -> None:
    backbone = DNABERT2(d_model=8, num_layers=1, num_heads=2, d_inner=8, vocab_size=12)
    for head in (MaskedLanguageModelHead(backbone), SequenceHead(backbone, num_outputs=2)):
        with pytest.raises(CheckpointError, match="no place for this"):
            export(SequenceModel(backbone, head), tmp_path, layout="original")


def test_first_values_and_what_is_not_learned() -> None:
    torch.manual_seed(0)
    backbone = DNABERT2(d_model=64, num_layers=1, num_heads=4, d_inner=128, vocab_size=64, padding_id=3)
    assert 0.019 < backbone.layers[0].mixer.in_proj.weight.std() < 0.021
    assert 0.019 < backbone.embedding.weight.std() < 0.021
    backbone(torch.tensor([[3, 4, 5]])).last_hidden_state[..., 0].sum().backward()
    assert not backbone.embedding.weight.grad[3].any()
    assert backbone.embedding.weight.grad[4].any()


def test_no_hidden_token_is_no_loss() -> None:
    backbone = DNABERT2(d_model=8, num_layers=1, num_heads=2, d_inner=8, vocab_size=12)
    model = SequenceModel(backbone, MaskedLanguageModelHead(backbone, transform=True))
    ids = torch.arange(10).unsqueeze(0)
    loss = model(ids, labels=torch.full_like(ids, IGNORED), loss_only=True).loss
    loss.backward()
    assert loss == 0


def test_words_come_and_go_with_the_official_folder(reference: Any, folder: Path, tmp_path: Path) -> None:
    words = BpeTokenizer.train(["ACGTTGCAACGGTTAACCGTACGTAGGCTA"], vocab_size=20)
    (folder / "tokenizer.json").write_text(words.to_hugging_face())
    model = genoseq.load(folder)
    assert model.tokenizer == words
    assert model.embed("ACGTTGCA").shape == (1, 48)
    export(model, tmp_path / "again", layout="original")
    assert genoseq.load(tmp_path / "again").tokenizer == words


@pytest.mark.parametrize("pooling", ["mean", "first"])
def test_fine_tuning_on_words(pooling: Any) -> None:
    """A few steps of the released classifier tell two kinds of sequence apart."""
    words = BpeTokenizer.train(["ACGTTGCAACGGTTAACCGTACGTAGGCTA", "TTTTAAAATTTAAATATA"], vocab_size=24)
    torch.manual_seed(0)
    backbone = DNABERT2(
        d_model=16, num_layers=1, num_heads=2, d_inner=16, vocab_size=24, initializer_range=0.2
    )
    head = SequenceHead(backbone, num_outputs=2, pooling=pooling, pooler=True, dropout=0.1)
    model = SequenceModel(backbone, head, words)
    batch = words(["TTTTAAAATTT", "ACGGTTGCACGT", "AAATTTATATATTA", "GGCATGCCGGACGT"])
    labels = torch.tensor([0, 1, 0, 1])
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(30):
        optimizer.zero_grad()
        model.train()(*batch, labels=labels).loss.backward()
        optimizer.step()
    assert torch.equal(model.eval()(*batch).logits.argmax(-1), labels)
