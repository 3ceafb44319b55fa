"""First values of models that were made without memory, as large ones are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from genoseq.models import (
    DNABERT2,
    ESM2,
    HAD,
    Backbone,
    Caduceus,
    HybriDNA,
    HyenaDNA,
    LanguageModelHead,
    LifeCode,
    LifeCodeHead,
    Llama,
    Mamba,
    Mamba2,
    SequenceHead,
    SequenceModel,
)
from genoseq.models.strand_heads import MaskedLanguageModelHead, StrandSequenceHead
from genoseq.models.strict import shared_names
from genoseq.nn.materialize import materialize

ALL: dict[str, Callable[[], Backbone]] = {
    "hyenadna": lambda: HyenaDNA(d_model=16, num_layers=2, l_max=40),
    "hyenadna_learned": lambda: HyenaDNA(
        d_model=16, num_layers=2, l_max=40, position_lr=1e-4, train_freq=False
    ),
    "mamba": lambda: Mamba(d_model=16, num_layers=2, bias=True),
    "mamba2": lambda: Mamba2(d_model=16, num_layers=2, d_state=8, headdim=8, bias=True),
    "hybridna": lambda: HybriDNA(
        d_model=16, num_layers=2, pattern="ma", mamba2={"headdim": 8}, attention={"num_heads": 2}
    ),
    "hybridna_delta": lambda: HybriDNA(
        d_model=16,
        num_layers=2,
        pattern="dl",
        delta={"num_heads": 2, "head_dim": 8},
        linear={"num_heads": 2, "head_dim": 8},
    ),
    "caduceus_ph": lambda: Caduceus(d_model=16, num_layers=2, symmetry="none", norm="layer"),
    "caduceus_ps": lambda: Caduceus(d_model=16, num_layers=2, symmetry="shared", tied=False),
    "dnabert2": lambda: DNABERT2(d_model=16, num_layers=2, num_heads=2, d_inner=24, vocab_size=12),
    "had": lambda: HAD(d_model=16, num_layers=3, num_heads=2, head_dim=8, attention_heads=2, d_inner=24),
    "esm2": lambda: ESM2(d_model=16, num_layers=2, num_heads=2, d_inner=24),
    "lifecode": lambda: LifeCode(
        d_model=16,
        num_layers=2,
        pattern="da",
        delta={"num_heads": 2, "head_dim": 8},
        attention={"num_heads": 2},
    ),
    "llama": lambda: Llama(
        d_model=16, num_layers=2, num_heads=2, d_inner=24, vocab_size=12, attention_bias=True
    ),
}


def marks(model: nn.Module) -> dict[str, Any]:
    """What parameters say of their optimiser group."""
    return {name: x._optim for name, x in model.named_parameters() if hasattr(x, "_optim")}


@pytest.mark.parametrize("name", ALL)
def test_first_values_after_the_meta_device(name: str) -> None:
    torch.manual_seed(0)
    expected = ALL[name]().state_dict()
    with torch.device("meta"):
        model = ALL[name]()
    model.to_empty(device="cpu")
    with torch.no_grad():
        for tensor in model.state_dict().values():
            tensor.fill_(77)
    model.reset_parameters()
    for key, tensor in model.state_dict().items():
        values, wanted = tensor.double(), expected[key].double()
        if wanted.numel() < 32 or wanted.std() == 0:
            assert (values - wanted).abs().max() <= 6, key
        else:
            assert 0.6 < values.std() / wanted.std() < 1.6, key
        assert not (values == 77).any(), key
    assert marks(model) == marks(ALL[name]())
    if name == "caduceus_ph":
        mixer = model.layers[0].mixer
        assert mixer.mamba_rev.in_proj.weight is mixer.mamba_fwd.in_proj.weight


def tied(name: str) -> SequenceModel:
    backbone = ALL[name]()
    if backbone.causal:
        return SequenceModel(backbone, LanguageModelHead(backbone))
    return SequenceModel(
        backbone, MaskedLanguageModelHead(backbone, transform=isinstance(backbone, DNABERT2 | ESM2))
    )


def classifier() -> SequenceModel:
    backbone = ALL["mamba2"]()
    return SequenceModel(backbone, SequenceHead(backbone, num_outputs=2, pooling="attention", pooler=True))


def strands() -> SequenceModel:
    backbone = ALL["caduceus_ps"]()
    return SequenceModel(backbone, StrandSequenceHead(backbone, num_outputs=2))


def lifecode_head() -> SequenceModel:
    backbone = ALL["lifecode"]()
    return SequenceModel(backbone, LifeCodeHead(backbone, teacher_width=5, transform=True))


def untied() -> SequenceModel:
    backbone = ALL["hybridna"]()
    return SequenceModel(backbone, LanguageModelHead(backbone, tied=False))


MODELS: dict[str, Callable[[], SequenceModel]] = {
    **{name: lambda name=name: tied(name) for name in ALL},
    "classifier": classifier,
    "strands": strands,
    "lifecode_head": lifecode_head,
    "untied": untied,
}


@pytest.mark.parametrize("name", MODELS)
def test_parts_are_drawn_as_the_whole_is(name: str, parts: Any) -> None:
    whole = MODELS[name]()
    torch.manual_seed(5)
    whole.reset_parameters()
    state = torch.get_rng_state()
    model = parts.of(MODELS[name])
    materialize(model, torch.device("cpu"), seed=5)
    parts.assert_same(model, whole)
    assert torch.equal(torch.get_rng_state(), state)
    assert shared_names(model) == shared_names(whole)
    assert marks(model) == marks(whole)
