"""HyenaDNA is the published function: values, hidden states, losses, gradients, first weights, sizes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

import genoseq
from genoseq.errors import SequenceError
from genoseq.models import HyenaDNA, LanguageModelHead, SequenceModel
from genoseq.models.hyenadna_layouts import to_our_names
from genoseq.paths import configs_dir

ORIGINAL = ("tiny1k", "d64L512", "learnedz", "order3", "160kclass")
FORWARD = [
    ("tiny1k", "full"),
    ("tiny1k", "short"),
    ("tiny1k", "max"),
    ("tiny1k", "len1"),
    ("d64L512", "full"),
    ("d64L512", "odd"),
    ("learnedz", "full"),
    ("learnedz", "odd"),
    ("order3", "full"),
    ("160kclass", "long20k"),
]
HF = "hyenadna_d64L512_hf"
LOSS_TOLERANCE, GRADIENT_TOLERANCE = 1e-5, 5e-5
Golden = Callable[[str], Any]
on_each_device = pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])


def gradient_errors(model: SequenceModel, expected: dict[str, torch.Tensor]) -> dict[str, float]:
    gradients = {name: x.grad for name, x in model.named_parameters(remove_duplicate=False)}
    wanted = to_our_names(expected)
    return {name: float((gradients[name].cpu() - x).norm() / x.norm()) for name, x in wanted.items()}


@on_each_device
@pytest.mark.parametrize(("name", "case"), FORWARD)
def test_forward(golden: Golden, name: str, case: str, device: str) -> None:
    reference = golden(f"hyenadna_{name}")
    model = genoseq.load(reference.model, device=device)
    with torch.inference_mode():
        output = model(reference.tensors[f"{case}/in/input_ids"].long().to(device))
    position = reference.tensors[f"{case}/pos"]
    results = {"logits": output.logits, "hidden": output.last_hidden_state}
    for what in reference.cases[case]["outputs"]:
        expected = reference.tensors[f"{case}/out/{what}"]
        error = (results[what][:, position.to(device)].cpu() - expected).abs().max().item()
        assert error <= reference.cases[case]["atol"], what


@on_each_device
@pytest.mark.parametrize("name", ORIGINAL)
def test_loss_and_gradients(golden: Golden, name: str, device: str) -> None:
    reference = golden(f"hyenadna_{name}")
    model = genoseq.load(reference.model, device=device)
    ids = reference.tensors["loss/in/input_ids"].to(device)
    output = model(ids, labels=ids)
    output.loss.backward()
    assert abs(output.loss.item() - reference.tensors["loss/out/loss"].item()) <= LOSS_TOLERANCE
    errors = gradient_errors(model, reference.gradients("loss"))
    assert errors
    assert max(errors.values()) <= GRADIENT_TOLERANCE, errors


@pytest.mark.parametrize("name", ORIGINAL)
def test_filter_and_positions(golden: Golden, name: str) -> None:
    reference = golden(f"hyenadna_{name}")
    filter_fn = genoseq.load(reference.model).backbone.layers[0].mixer.filter_fn
    tensors = reference.tensors
    torch.testing.assert_close(filter_fn.modulation.deltas, tensors["op/deltas"], rtol=0, atol=1e-6)
    rows = filter_fn.pos_emb.z[0, tensors["op/z_rows_idx"]]
    torch.testing.assert_close(rows.detach(), tensors["op/z_rows"], rtol=0, atol=2e-5)
    taps = filter_fn(filter_fn.l_max).T[tensors["op/filter_layer0_pos"]].detach()
    torch.testing.assert_close(taps, tensors["op/filter_layer0"], rtol=0, atol=1e-4)


def test_hf_language_model(golden: Golden) -> None:
    reference = golden(HF)
    tensors = reference.tensors
    model = genoseq.load(reference.model, head="language_model")
    ids = tensors["lm/in/input_ids"]
    output = model(ids, labels=ids, output_hidden_states=True)
    output.loss.backward()
    assert (output.logits - tensors["lm/out/logits"]).abs().max() <= 1e-4
    assert abs(output.loss.item() - tensors["lm/out/loss"].item()) <= LOSS_TOLERANCE
    assert len(output.hidden_states) == 4
    for layer, states in enumerate(output.hidden_states):
        assert (states - tensors[f"lm/out/hidden_states.{layer}"]).abs().max() <= 1e-4, layer
    errors = gradient_errors(model, reference.gradients("lm"))
    assert len(errors) == 4
    assert max(errors.values()) <= GRADIENT_TOLERANCE, errors


def test_hf_classifier(golden: Golden) -> None:
    reference = golden(HF)
    model = genoseq.load(reference.model, head="sequence")
    ids = reference.tensors["cls/in/input_ids"]
    # The official backbone has no mask; its classifier takes the last token that is no padding.
    hidden = model.backbone(ids).last_hidden_state
    logits = model.head(hidden, ids != model.tokenizer.pad_id)
    assert (logits - reference.tensors["cls/out/logits"]).abs().max() <= 1e-4


@pytest.mark.parametrize("name", ORIGINAL)
def test_longer_than_l_max_raises(golden: Golden, name: str) -> None:
    model = genoseq.load(golden(f"hyenadna_{name}").model)
    too_long = model.backbone.l_max + 1
    with pytest.raises(SequenceError, match=f"{too_long:,} tokens.*l_max={too_long - 1:,}"):
        model(torch.full((1, too_long), 7))


@pytest.mark.parametrize(
    ("entry", "num_layers", "rescale"),
    [
        ("hyena standalone tiny-1k (order filter 64, w 10)", 2, True),
        ("hyena standalone n_layer 8", 8, True),
        ("hyena HF", 2, False),
    ],
)
def test_first_weights(shared: Path, entry: str, num_layers: int, rescale: bool) -> None:
    record = json.loads((shared / "golden/init_stats/config.json").read_text())
    expected = to_our_names(record["stats [mean,std,min,max] per parameter, 3 seeds averaged"][entry])
    torch.manual_seed(0)
    backbone = HyenaDNA(d_model=128, num_layers=num_layers, l_max=1026, rescale_residual_init=rescale)
    model = SequenceModel(backbone, LanguageModelHead(backbone, tied="head.weight" not in expected))
    ours = {name: x.detach() for name, x in model.named_parameters()}
    assert set(expected) == set(ours)
    for name, (mean, std, low, high) in expected.items():
        values = ours[name]
        # Five standard errors of either side; the extremes of a normal sample scatter by about its deviation.
        error = 5 * std / values.numel() ** 0.5
        assert abs(values.mean() - mean) <= 1.6 * error + 1e-6, name
        assert abs(values.std() - std) <= error + 1e-6, name
        assert abs(values.min() - low) <= 2 * std + 1e-6, name
        assert abs(values.max() - high) <= 2 * std + 1e-6, name


@pytest.mark.parametrize(
    ("preset", "parameters"),
    [
        ("hyenadna_tiny_1k", 436_096),
        ("hyenadna_tiny_1k_d256", 1_641_088),
        ("hyenadna_tiny_16k_d128", 436_096),
        ("hyenadna_small_32k", 3_277_568),
        ("hyenadna_medium_160k", 6_550_528),
        ("hyenadna_medium_450k", 6_550_528),
        ("hyenadna_large_1m", 6_550_528),
    ],
)
def test_published_sizes(preset: str, parameters: int) -> None:
    backbone = instantiate(OmegaConf.load(configs_dir() / "model" / f"{preset}.yaml"))
    assert sum(parameter.numel() for parameter in backbone.parameters()) == parameters


def test_filter_parameters_carry_their_recipe() -> None:
    backbone = HyenaDNA(d_model=8, num_layers=1, l_max=16, position_lr=1e-5, filter_lr=3e-4)
    options = {n: getattr(p, "_optim", None) for n, p in backbone.named_parameters()}
    network = {name: given for name, given in options.items() if ".implicit_filter." in name}
    assert network
    assert all(given == {"lr": 3e-4, "weight_decay": 0.0} for given in network.values())
    assert options["layers.0.mixer.filter_fn.pos_emb.z"] == {"lr": 1e-5, "weight_decay": 0.0}
    assert options["layers.0.mixer.filter_fn.bias"] is None
