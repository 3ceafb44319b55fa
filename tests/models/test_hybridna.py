"""Hybrids: patterns of layers, sizes, memory of their states, construction without memory, and bad input."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from genoseq.errors import ConfigError, SequenceError
from genoseq.models import HybriDNA, LanguageModelHead, SequenceModel
from genoseq.models.hybridna import LAYER_KINDS, layer_kinds
from genoseq.nn.attention import Attention
from genoseq.paths import configs_dir
from genoseq.tokenizers import CharacterTokenizer
from genoseq.training.optimizers import parameter_groups

HYENA_FILTER = {
    "width": 6,
    "emb_dim": 3,
    "num_inner_mlps": 1,
    "activation_freq": 3.0,
    "train_freq": True,
    "position_lr": 0.0,
    "filter_lr": None,
    "filter_weight_decay": 0.0,
}
MIXERS: dict[str, Any] = {
    "mamba2": {"d_state": 4, "headdim": 4, "chunk_size": 16},
    "attention": {"num_heads": 4, "num_kv_heads": 2, "window": 8, "num_sinks": 2},
    "mamba": {"d_state": 4},
    "hyena": {"order": 2, "short_filter_order": 3, "dropout": 0.0, "filter_options": HYENA_FILTER},
    "delta": {"num_heads": 2, "head_dim": 4},
    "linear": {"num_heads": 2, "head_dim": 4},
}


def make(**changed: Any) -> HybriDNA:
    torch.manual_seed(2)
    return HybriDNA(**{"d_model": 8, "num_layers": 8, "d_inner": 12, **MIXERS, **changed})


def bases(*shape: int) -> torch.Tensor:
    return torch.randint(7, 12, shape, generator=torch.Generator().manual_seed(0))


def preset(name: str, *overrides: str) -> Any:
    with initialize_config_dir(str(configs_dir()), version_base="1.3"):
        return compose("train", overrides=[f"model={name}", *overrides]).model


@pytest.mark.parametrize(
    ("pattern", "layers", "expected"),
    [
        ("m", 3, "mmm"),
        ("mmma", 8, "mmmammma"),
        ("mash", 4, "mash"),
        ("dal", 6, "daldal"),
        ("aammmm", 6, "aammmm"),
    ],
)
def test_pattern(pattern: str, layers: int, expected: str) -> None:
    assert layer_kinds(pattern, layers) == expected
    blocks = make(pattern=pattern, num_layers=layers, l_max=16).blocks
    assert [type(block.mixer) for block in blocks] == [LAYER_KINDS[letter].mixer for letter in expected]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"pattern": "mxm"}, "pattern='mxm': give one letter a layer, of m"),
        ({"pattern": ""}, "pattern=''"),
        ({"pattern": None}, "pattern=None"),
        ({"pattern": "mma"}, "'mma' has 3 layers, which do not divide num_layers=8"),
        ({"num_layers": 0}, "num_layers=0"),
        ({"pattern": "ma", "attention": None}, "'a' layers, and attention is null"),
        ({"pattern": "a", "attention": {"num_heads": 2, "widnow": 4}}, "widnow(.|\n)*it takes(.|\n)*window"),
        ({"pattern": "a", "attention": {}}, "num_heads"),
        (
            {"pattern": "a", "attention": {"num_heads": 4, "num_kv_heads": 3}},
            "num_kv_heads=3 does not divide",
        ),
        ({"pattern": "m", "mamba2": {"headdim": 4, "ngroups": 3}}, "ngroups=3 does not divide"),
        ({"pattern": "m", "mamba2": {"headdim": 5}}, "headdim=5 does not divide"),
        ({"pattern": "h"}, "l_max is null, and the pattern has 'h' layers"),
        ({"activation_checkpointing": "disk"}, "activation_checkpointing='disk'"),
        ({"sequence_tile": 0}, "sequence_tile=0"),
        ({"norm": "batch"}, "norm='batch'"),
    ],
)
def test_settings_that_do_not_fit(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make(**changed)


def test_no_position_is_encoded_but_order_matters() -> None:
    model = make(pattern="a", num_layers=1, attention={"num_heads": 2}).eval()
    ids = bases(1, 12)
    swapped = ids[:, [0, 1, 3, 2, *range(4, 12)]]
    # To the last position of one layer, earlier ones are a set.
    last = model(ids).last_hidden_state[:, -1]
    torch.testing.assert_close(model(swapped).last_hidden_state[:, -1], last)
    hybrid = make(pattern="ma").eval()
    last = hybrid(ids).last_hidden_state[:, -1]
    assert not torch.allclose(hybrid(swapped).last_hidden_state[:, -1], last, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "attention_layers", "millions"),
    [
        ("hybridna_tiny", [4], 0.4),
        ("hybridna_small", [4], 6.4),
        ("hybridna_300m", [4, 12, 20], 298),
        ("hybridna_3b", [4, 12], 3127),
        ("hybridna_7b", [4, 12, 20, 28], 6253),
    ],
)
def test_presets_without_memory(name: str, attention_layers: list[int], millions: float) -> None:
    with torch.device("meta"):
        backbone = instantiate(preset(name))
    assert all(tensor.is_meta for tensor in backbone.state_dict().values())
    found = [i for i, block in enumerate(backbone.blocks) if isinstance(block.mixer, Attention)]
    assert found == attention_layers
    assert sum(p.numel() for p in backbone.parameters()) / 1e6 == pytest.approx(millions, rel=0.02)
    assert backbone.vocab_size == 12


@pytest.mark.parametrize("pattern", ["m", "a", "ma", "mmma", "s", "h", "mash", "d", "ddda", "l"])
def test_the_ratio_is_one_setting(pattern: str) -> None:
    backbone = instantiate(preset("hybridna_tiny", f"model.pattern={pattern}"))
    assert backbone(bases(1, 20)).last_hidden_state.shape == (1, 20, 64)


def test_arguments_are_json() -> None:
    backbone = instantiate(
        preset("hybridna_tiny", "model.attention.window=64", "model.attention.num_sinks=4")
    )
    assert type(backbone.arguments["attention"]) is dict
    assert backbone.arguments["attention"]["window"] == 64
    assert HybriDNA(**backbone.arguments).arguments == backbone.arguments


def test_padding_between_tokens() -> None:
    mask = torch.ones(2, 9, dtype=torch.bool)
    mask[1, 4] = False
    with pytest.raises(SequenceError, match="row 1 of the attention mask has padding between tokens"):
        make()(bases(2, 9), mask)
    with pytest.raises(SequenceError, match="no token"):
        make()(bases(2, 0))


def test_length_has_a_limit_where_one_is_set() -> None:
    model = make(l_max=10).eval()
    mask = torch.ones(1, 12, dtype=torch.bool)
    mask[:, :2] = False
    expected = model(bases(1, 12)[:, 2:]).last_hidden_state
    torch.testing.assert_close(model(bases(1, 12), mask).last_hidden_state[:, 2:], expected)
    for ids, mask in ((bases(1, 11), None), (bases(1, 12), torch.ones(1, 12, dtype=torch.bool))):
        with pytest.raises(SequenceError, match="longer than this model's l_max=10"):
            model(ids, mask)
    with pytest.raises(SequenceError, match="l_max=10"):
        model.init_state(1, max_length=11)


def test_state_of_bounded_layers_does_not_grow() -> None:
    def numbers(state: list[Any]) -> int:
        held = (getattr(layer, field.name) for layer in state for field in fields(layer))
        return sum(value.numel() for value in held if isinstance(value, torch.Tensor))

    model = make(pattern="masd").double().eval()
    ids = bases(1, 60)
    state = model.init_state(1, max_length=10**12)
    before = numbers(state)
    chunks = [model.forward_chunk(chunk, state) for chunk in ids[:, :50].split((7, 43), dim=1)]
    steps = [model.step(ids[:, t], state).unsqueeze(1) for t in range(50, 60)]
    assert numbers(state) == before
    torch.testing.assert_close(torch.cat(chunks + steps, dim=1), model(ids).last_hidden_state)


def test_tiles_change_nothing() -> None:
    ids = bases(2, 37)
    results = []
    for tile in (None, 8):
        model = make(sequence_tile=tile).double()
        hidden = model(ids).last_hidden_state
        hidden.square().sum().backward()
        results.append([hidden, *(parameter.grad for parameter in model.parameters())])
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b)


def test_the_embedding_of_padding_is_not_learned() -> None:
    model = make(padding_id=7)
    ids = bases(2, 30)
    model(ids).last_hidden_state.square().sum().backward()
    gradient = model.embedding.weight.grad
    assert not gradient[7].any()
    assert gradient[8:].any(1).all()


def test_generation() -> None:
    backbone = make(pattern="mmas")
    model = SequenceModel(backbone, LanguageModelHead(backbone), CharacterTokenizer()).eval()
    sequences = model.generate("ACGT", length=60, num_sequences=3, seed=1)
    assert [len(sequence) for sequence in sequences] == [60] * 3
    assert len(set(sequences)) == 3
    assert model.generate("ACGT", length=60, seed=1, first_index=2) == sequences[2:]
    # The likeliest base of a step is that of the whole.
    greedy = model.generate("ACGTACGTACGTAC", length=40, temperature=0)[0]
    table = model.log_prob(greedy)
    assert len(table) == 40


def test_first_values_without_memory() -> None:
    plain = make(l_max=20)
    with torch.device("meta"):
        empty = make(l_max=20)
    empty.to_empty(device="cpu")
    for model in (plain, empty):
        torch.manual_seed(4)
        model.reset_parameters()
    for name, tensor in plain.state_dict().items():
        assert torch.equal(tensor, empty.state_dict()[name]), name
    ids = bases(1, 20)
    assert torch.equal(plain(ids).last_hidden_state, empty(ids).last_hidden_state)
    settings = [
        [
            (len(group["params"]), group["lr"], group["weight_decay"])
            for group in parameter_groups(model, lr=1, weight_decay=2)
        ]
        for model in (plain, empty)
    ]
    assert settings[0] == settings[1]


def test_first_values() -> None:
    """As in the official release of hybrids."""
    backbone = make(d_model=64, d_inner=128, pattern="ma", num_layers=2)
    residuals = math.sqrt(2 * 2)
    state = backbone.state_dict()
    assert state["embedding.weight"].std().item() == pytest.approx(0.02, rel=0.1)
    for name, width in (
        ("mixer.in_proj", 64),
        ("mixer.out_proj", 64 * residuals**2),
        ("mlp.fc2", 128 * residuals**2),
    ):
        weight = state[f"layers.1.{name}.weight"]
        assert weight.std().item() == pytest.approx(1 / math.sqrt(3 * width), rel=0.1), name
