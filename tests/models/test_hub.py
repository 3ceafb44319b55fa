"""Models on disk: every layout in and out, and a clear word on what does not fit."""

from __future__ import annotations

import json
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import genoseq
from genoseq.errors import CheckpointError, ConfigError
from genoseq.models import HyenaDNA, SequenceHead, SequenceModel, export, load_backbone
from genoseq.models.strict import unique_state
from genoseq.tokenizers import CharacterTokenizer

Golden = Callable[[str], Any]
IDS = torch.tensor([[7, 8, 9, 10, 11, 1]])


class Trap:
    """Would be built by a pickle that is executed."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("a pickle was executed",))


@pytest.fixture
def folder(golden: Golden, tmp_path: Path) -> Path:
    """A writable copy of an official folder."""
    return shutil.copytree(
        golden("hyenadna_learnedz").model, tmp_path / "official", copy_function=shutil.copyfile
    )


def same_tensors(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def change_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors")


def test_save_and_load_give_the_same_model(small_model: SequenceModel, tmp_path: Path) -> None:
    small_model.preprocessing["classes"] = ["coding", "intergenic"]
    loaded = genoseq.load(small_model.save(tmp_path / "m"))
    assert same_tensors(loaded.state_dict(), small_model.state_dict())
    assert torch.equal(loaded(IDS).logits, small_model(IDS).logits)
    assert loaded.tokenizer == small_model.tokenizer
    assert loaded.preprocessing == small_model.preprocessing
    assert loaded.backbone.arguments == small_model.backbone.arguments
    assert not loaded.training
    assert loaded.head.weight is loaded.backbone.input_embedding.weight
    written = {path.name for path in (tmp_path / "m").iterdir()}
    assert written == {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "preprocessing.json",
        "README.md",
    }


def test_a_run_folder_is_its_model(small_model: SequenceModel, tmp_path: Path) -> None:
    small_model.save(tmp_path / "model")
    assert torch.equal(genoseq.load(tmp_path)(IDS).logits, small_model(IDS).logits)


def test_loading_leaves_random_numbers_alone(small_model: SequenceModel, tmp_path: Path) -> None:
    small_model.save(tmp_path)
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    genoseq.load(tmp_path)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("name", ["tiny1k", "learnedz", "order3", "160kclass"])
def test_original_layout_round_trip(golden: Golden, tmp_path: Path, name: str) -> None:
    reference = golden(f"hyenadna_{name}")
    model = genoseq.load(reference.model)
    export(model, tmp_path, layout="original")
    written = torch.load(tmp_path / "weights.ckpt", weights_only=True)["state_dict"]
    for key, tensor in reference.weights.items():
        assert torch.equal(written[f"model.{key}"], tensor), key
    again = genoseq.load(tmp_path)
    assert same_tensors(again.state_dict(), model.state_dict())
    assert again.backbone.arguments == model.backbone.arguments


@pytest.mark.parametrize("head", ["language_model", "sequence"])
def test_hf_layout_round_trip(golden: Golden, tmp_path: Path, head: Any) -> None:
    reference = golden("hyenadna_d64L512_hf")
    model = genoseq.load(reference.model, head=head)
    export(model, tmp_path, layout="hf")
    written = load_file(tmp_path / "model.safetensors")
    other = {"language_model": "score.weight", "sequence": "lm_head.weight"}[head]
    wanted = {key: tensor for key, tensor in reference.weights.items() if key != other}
    assert same_tensors(written, wanted)
    again = genoseq.load(tmp_path)
    assert same_tensors(again.state_dict(), model.state_dict())
    assert again.head.arguments == model.head.arguments


def test_tied_head_becomes_two_equal_tensors_in_hf(small_model: SequenceModel, tmp_path: Path) -> None:
    export(small_model, tmp_path, layout="hf")
    assert torch.equal(genoseq.load(tmp_path)(IDS).logits, small_model(IDS).logits)


def test_lightning_checkpoint_of_a_checkpointed_run(golden: Golden, folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    state = {
        f"model.{name.replace('.mixer.', '.mixer.layer.').replace('.mlp.', '.mlp.layer.')}": tensor
        for name, tensor in weights.items()
    }
    state["model.lm_head.weight"] = weights["backbone.embeddings.word_embeddings.weight"]
    torch.save({"state_dict": state, "epoch": 3}, folder / "weights.ckpt")
    expected = genoseq.load(folder / "model.safetensors")
    assert same_tensors(genoseq.load(folder / "weights.ckpt").state_dict(), expected.state_dict())


def test_pytorch_bin(folder: Path) -> None:
    expected = genoseq.load(folder)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    assert same_tensors(genoseq.load(folder).state_dict(), expected.state_dict())


def test_every_wrong_tensor_is_named(folder: Path) -> None:
    first, second = "backbone.ln_f.weight", "backbone.layers.1.mlp.fc2.bias"
    misshapen = "backbone.layers.0.mixer.in_proj.bias"

    def spoil(weights: dict[str, torch.Tensor]) -> None:
        del weights[first], weights[second]
        weights["backbone.extra"] = torch.zeros(2)
        weights[misshapen] = torch.zeros(7)

    change_weights(folder, spoil)
    with pytest.raises(CheckpointError) as caught:
        genoseq.load(folder)
    message = str(caught.value)
    assert f"missing: {first}" in message
    assert f"missing: {second}" in message
    assert "unexpected: backbone.extra (2,)" in message
    assert f"misshapen: {misshapen} (7,), wanted (96,)" in message


@pytest.mark.parametrize(
    "key",
    [
        "backbone.layers.0.mixer.filter_fn.bias",
        "backbone.layers.0.mixer.filter_fn.implicit_filter.6.weight",
        "backbone.layers.0.mixer.filter_fn.pos_emb.z",  # learned in this set
        "backbone.embeddings.word_embeddings.weight",
    ],
)
def test_each_missing_tensor_raises(folder: Path, key: str) -> None:
    change_weights(folder, lambda weights: weights.pop(key))
    with pytest.raises(CheckpointError, match=f"missing: {key}"):
        genoseq.load(folder)


def test_one_frequency_stands_for_three_but_may_not_contradict(folder: Path) -> None:
    start = "backbone.layers.0.mixer.filter_fn.implicit_filter"
    expected = genoseq.load(folder)
    change_weights(folder, lambda weights: [weights.pop(f"{start}.{i}.freq") for i in (3, 5)])
    assert same_tensors(genoseq.load(folder).state_dict(), expected.state_dict())
    change_weights(folder, lambda weights: weights.update({f"{start}.3.freq": torch.zeros(1, 24)}))
    with pytest.raises(CheckpointError, match=r"contradicting: .*3\.freq"):
        genoseq.load(folder)


@pytest.mark.parametrize("name", ["model.safetensors", "weights.ckpt"])
def test_truncated_file(folder: Path, name: str) -> None:
    if name == "weights.ckpt":
        torch.save({"state_dict": load_file(folder / "model.safetensors")}, folder / name)
    content = (folder / name).read_bytes()
    for length in (0, 7, len(content) // 2, len(content) - 1):
        (folder / name).write_bytes(content[:length])
        with pytest.raises(CheckpointError, match=r"cannot be read as weights.*truncated"):
            genoseq.load(folder / name)


def test_a_pickle_is_never_executed(folder: Path) -> None:
    torch.save({"state_dict": {}, "surprise": Trap()}, folder / "weights.ckpt")
    with pytest.raises(CheckpointError, match="never executed"):
        genoseq.load(folder / "weights.ckpt")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format_version": 2}, "format_version 2"),
        ({"model_type": "os.system"}, "model type 'os.system' is unknown"),
        ({"arguments": {"d_model": 4, "danger": 1}}, "arguments of HyenaDNA do not fit"),
        ({"head": {"type": "tail"}}, "head type 'tail'"),
    ],
)
def test_config_that_does_not_fit(
    small_model: SequenceModel, tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    small_model.save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(CheckpointError, match=words):
        genoseq.load(tmp_path)


def test_no_checkpoint_there(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="does not exist"):
        genoseq.load(tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match=r"config\.json does not exist"):
        genoseq.load(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match="no JSON"):
        genoseq.load(tmp_path)
    (tmp_path / "config.json").write_text('{"hidden_size": 3}')
    with pytest.raises(CheckpointError, match="found none"):
        genoseq.load(tmp_path)
    save_file({"x": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match="no layout known"):
        genoseq.load(tmp_path)
    with pytest.raises(CheckpointError, match="'mystery' is unknown"):
        genoseq.load(tmp_path, family="mystery")


def test_settings_that_were_never_released(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["layer"] |= {"bidirectional": True, "heads": 3}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="bidirectional=True, heads=3"):
        genoseq.load(folder)


def test_pretrained_backbone_under_a_new_head(small_model: SequenceModel, tmp_path: Path) -> None:
    backbone = load_backbone(checkpoint=small_model.save(tmp_path / "m"))
    assert backbone.training
    assert same_tensors(unique_state(backbone), unique_state(small_model.backbone))
    model = SequenceModel(backbone, SequenceHead(backbone, num_outputs=3, pooling="attention"))
    assert model(IDS).logits.shape == (1, 3)
    with pytest.raises(CheckpointError, match="no place for this SequenceHead"):
        export(model, tmp_path / "hf", layout="hf")
    with pytest.raises(ConfigError, match="choose one of genoseq, original, hf"):
        export(model, tmp_path, layout="onnx")  # type: ignore[arg-type]


def test_a_head_that_is_left_behind_is_named(
    small_model: SequenceModel, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="genoseq")
    load_backbone(checkpoint=small_model.save(tmp_path / "tied"))
    assert not caplog.text, "all of a tied head goes with the backbone"
    head = SequenceHead(small_model.backbone, num_outputs=3)
    load_backbone(checkpoint=SequenceModel(small_model.backbone, head).save(tmp_path / "labelled"))
    count = sum(parameter.numel() for parameter in head.parameters())
    assert f"SequenceHead of {tmp_path / 'labelled'} is left behind, {count} parameters" in caplog.text


@contextmanager
def room_for_small_files() -> Iterator[None]:
    """No file may grow beyond 4 KB, as on a disk that fills up."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_failed_write_leaves_the_old_model(small_model: SequenceModel, tmp_path: Path) -> None:
    small_model.save(tmp_path)
    before = (tmp_path / "model.safetensors").read_bytes()
    other = SequenceModel(HyenaDNA(d_model=8, num_layers=1, l_max=8), small_model.head, CharacterTokenizer())
    with pytest.raises(OSError, match="File too large"), room_for_small_files():
        other.save(tmp_path)
    assert (tmp_path / "model.safetensors").read_bytes() == before
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
