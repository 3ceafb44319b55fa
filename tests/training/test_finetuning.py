"""What learns, at which rate, and that a model is a plain one again when it is written."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from genoseq.errors import ConfigError
from genoseq.models import (
    Caduceus,
    HybriDNA,
    HyenaDNA,
    LanguageModelHead,
    Mamba,
    SequenceHead,
    SequenceModel,
)
from genoseq.tokenizers import CharacterTokenizer
from genoseq.training.finetuning import FrozenBackbone, FullFineTuning, LowRankAdaptation, SoftPrompt
from genoseq.training.optimizers import parameter_groups

BACKBONES: dict[str, Any] = {
    "HyenaDNA": partial(HyenaDNA, d_model=8, num_layers=2, l_max=40, filter_order=8, embed_dropout=0.0),
    "tiled HyenaDNA": partial(
        HyenaDNA, d_model=8, num_layers=2, l_max=40, filter_order=8, embed_dropout=0.0, sequence_tile=7,
        mixer_tile=5,
    ),
    "Mamba": partial(Mamba, d_model=8, num_layers=2),
    "Caduceus": partial(Caduceus, d_model=8, num_layers=2),
    "HybriDNA": partial(
        HybriDNA, d_model=16, num_layers=2, pattern="ma", d_inner=16,
        mamba2={"d_state": 8, "headdim": 8, "chunk_size": 16}, attention={"num_heads": 2},
    ),
}  # fmt: skip


def model_of(kind: str, *, pooler: bool = False) -> SequenceModel:
    torch.manual_seed(0)
    backbone = BACKBONES[kind]()
    return SequenceModel(backbone, SequenceHead(backbone, num_outputs=2, pooler=pooler), CharacterTokenizer())


@pytest.fixture
def ids() -> torch.Tensor:
    return torch.randint(7, 11, (3, 20), generator=torch.Generator().manual_seed(0))


def step(model: nn.Module, ids: torch.Tensor) -> dict[str, torch.Tensor]:
    """What a step of training changed, by name."""
    before = copy.deepcopy(model.state_dict())
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(learning, lr=1.0)
    for _ in range(2):  # the second thin matrix of LoRA is zero at first, so that the first has no gradient
        optimizer.zero_grad()
        model(ids, labels=torch.tensor([0, 1, 1])).loss.backward()
        optimizer.step()
    after = model.state_dict()
    return {name: after[name] for name in after if not torch.equal(after[name], before[name])}


@pytest.mark.parametrize("kind", BACKBONES)
def test_lora_changes_nothing_at_first_learns_everywhere_and_is_plain_at_the_end(
    kind: str, ids: torch.Tensor
) -> None:
    pytest.importorskip("peft")
    model = model_of(kind).train()
    plain_names = set(model.state_dict())
    expected = model(ids).logits
    how = LowRankAdaptation(rank=2, alpha=8)
    how.prepare(model)
    assert torch.allclose(model(ids).logits, expected, atol=1e-6)
    changed = step(model, ids)
    adapters = [name for name, _ in model.named_parameters() if "lora_" in name]
    # Every addition has had a gradient: no kernel reads past it.
    assert set(adapters) <= set(changed)
    assert {name for name in changed if "lora_" not in name} <= {
        name for name in plain_names if name.startswith("head.")
    }
    learned = model(ids).logits
    assert not torch.allclose(learned, expected, atol=1e-3)
    how.finish(model)
    assert set(model.state_dict()) == plain_names
    assert torch.allclose(model(ids).logits, learned, atol=1e-5)


def test_lora_reaches_the_layers_that_are_named(ids: torch.Tensor) -> None:
    pytest.importorskip("peft")
    model = model_of("HyenaDNA")
    LowRankAdaptation(rank=2, targets=["fc1", "fc2"]).prepare(model)
    adapters = [name for name, _ in model.named_parameters() if "lora_" in name]
    assert len(adapters) == 8
    assert set(adapters) <= set(step(model, ids))
    with pytest.raises(ConfigError, match=r"has no linear layer of such a name; it has .*fc1"):
        LowRankAdaptation(targets=["nonsense"]).prepare(model_of("HyenaDNA"))


@pytest.mark.parametrize("pooler", [False, True])
def test_a_probe_changes_the_head_alone(ids: torch.Tensor, pooler: bool) -> None:
    model = model_of("HyenaDNA", pooler=pooler)
    FrozenBackbone().prepare(model)
    assert not model.backbone.training
    changed = step(model, ids)
    assert {"head.score.weight", "head.score.bias"} <= set(changed)
    assert ("head.pooler.weight" in changed) == pooler
    assert all(name.startswith("head.") for name in changed)


def test_a_probe_of_a_head_without_weights_is_refused() -> None:
    backbone = BACKBONES["HyenaDNA"]()
    with pytest.raises(ConfigError, match="shares the embedding's"):
        FrozenBackbone().prepare(SequenceModel(backbone, LanguageModelHead(backbone), CharacterTokenizer()))


@pytest.mark.parametrize("kind", ["HyenaDNA", "Mamba", "HybriDNA"])
def test_of_a_prompted_model_the_prompt_and_the_head_learn(kind: str, ids: torch.Tensor) -> None:
    model = model_of(kind).train()
    SoftPrompt(length=4).prepare(model)
    rows = model.backbone.input_embedding.weight[torch.from_numpy(CharacterTokenizer().known_ids)]
    assert (torch.cdist(model.backbone.prompt.weight, rows).min(dim=1).values == 0).all()
    assert not model.backbone.inner.training
    (group,) = [
        group
        for group in parameter_groups(model, lr=1e-3, weight_decay=0.1)
        if any(parameter is model.backbone.prompt.weight for parameter in group["params"])
    ]
    assert group["weight_decay"] == 0
    assert set(step(model, ids)) == {"backbone.prompt.weight", "head.score.weight", "head.score.bias"}


def test_a_prompt_of_a_model_that_reads_both_ways_is_refused() -> None:
    with pytest.raises(ConfigError, match="Caduceus reads both ways"):
        SoftPrompt().prepare(model_of("Caduceus"))


def test_lower_layers_learn_more_slowly() -> None:
    model = model_of("HyenaDNA")
    FullFineTuning(layer_decay=0.5).prepare(model)
    rates = {
        id(parameter): group["lr"]
        for group in parameter_groups(model, lr=1e-3, weight_decay=0.1)
        for parameter in group["params"]
    }
    named = dict(model.named_parameters())
    assert rates[id(named["head.score.weight"])] == 1e-3
    for layer, wanted in ((1, 5e-4), (0, 2.5e-4)):
        assert rates[id(named[f"backbone.layers.{layer}.mixer.in_proj.weight"])] == pytest.approx(wanted)
    assert rates[id(model.backbone.input_embedding.weight)] == pytest.approx(1.25e-4)
    # The filters' own rate is scaled, too.
    own = named["backbone.layers.1.mixer.filter_fn.implicit_filter.0.weight"]
    assert rates[id(own)] == pytest.approx(6e-4 / 2)


@pytest.mark.parametrize("decay", [0.0, 1.5])
def test_a_factor_that_cannot_be(decay: float) -> None:
    with pytest.raises(ConfigError, match="layer_decay"):
        FullFineTuning(layer_decay=decay)
