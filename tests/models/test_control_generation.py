"""Room for control tokens in a model that was made without them, and what they lead to in generation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import genoseq
from genoseq.errors import CheckpointError, ConfigError, SequenceError
from genoseq.inference import describe, generate
from genoseq.models import HybriDNA, HyenaDNA, LanguageModelHead, Mamba2, Sampling, SequenceModel, export
from genoseq.models.vocabulary import extend_vocabulary
from genoseq.tokenizers import CharacterTokenizer, ControlTokenizer

BACKBONES = {
    "hyenadna": lambda: HyenaDNA(d_model=16, num_layers=2, l_max=64, filter_order=8, initializer_range=0.3),
    "mamba2": lambda: Mamba2(d_model=16, num_layers=2, d_state=4, headdim=8, chunk_size=16),
}
IDS = torch.tensor([[7, 8, 9, 10, 11, 1]])


def made(family: str = "hyenadna", **settings: Any) -> SequenceModel:
    torch.manual_seed(0)
    backbone = BACKBONES[family]()
    tokenizer = ControlTokenizer(controls=["low", "high"], **settings)
    model = SequenceModel(backbone, LanguageModelHead(backbone), tokenizer)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model.eval()


def test_no_rows_are_added_to_an_embedding_without_memory() -> None:
    with torch.device("meta"):
        backbone = BACKBONES["mamba2"]()
    with pytest.raises(ConfigError, match=r"24 rows .* has 16 .*trainer=ddp"):
        extend_vocabulary(backbone, 19)


@pytest.mark.parametrize("family", BACKBONES)
def test_old_rows_are_kept_bit_for_bit(family: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    backbone = BACKBONES[family]()
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    old = backbone.input_embedding.weight.detach().clone()
    hidden = backbone.eval()(IDS).last_hidden_state
    extend_vocabulary(backbone, 19)
    weight = backbone.input_embedding.weight
    assert weight.shape == (24, 16)
    assert torch.equal(weight[:16], old)
    assert len(weight[16:].unique()) == 8 * 16, "each new row is drawn"
    assert weight[16:].std().item() == pytest.approx(backbone.arguments["initializer_range"], rel=0.25)
    after = backbone.state_dict()
    assert before.keys() == after.keys()
    changed = [name for name in before if not torch.equal(before[name], after[name])]
    assert len(changed) == 1
    assert torch.equal(backbone(IDS).last_hidden_state, hidden)
    assert (backbone.vocab_size, backbone.arguments["vocab_size"]) == (24, 19)
    # A folder of it is read as strictly as any.
    tokenizer = ControlTokenizer(controls=[f"bin_{i}" for i in range(7)])
    model = SequenceModel(backbone, LanguageModelHead(backbone), tokenizer)
    assert model.head.weight is weight
    loaded = genoseq.load(model.save(tmp_path))
    assert torch.equal(loaded.backbone.input_embedding.weight, weight)
    assert loaded.tokenizer == tokenizer


def test_the_rows_are_those_the_constructor_would_make() -> None:
    settings = {"d_model": 16, "num_layers": 2, "pattern": "ma", "d_inner": 16}
    torch.manual_seed(0)
    backbone = HybriDNA(**settings, mamba2={"headdim": 8, "d_state": 4}, attention={"num_heads": 2})
    extend_vocabulary(backbone, 25)
    again = HybriDNA(**backbone.arguments)
    assert {name: value.shape for name, value in again.state_dict().items()} == {
        name: value.shape for name, value in backbone.state_dict().items()
    }


@pytest.mark.parametrize("family", BACKBONES)
@pytest.mark.parametrize("special_tokens", ["sep", "cls_sep"])
@pytest.mark.parametrize("prompt", [None, "ACGTN"])
def test_log_likelihoods_are_those_after_the_control(
    family: str, special_tokens: str, prompt: str | None
) -> None:
    model = made(family, special_tokens=special_tokens)
    tokenizer = model.tokenizer
    assert tokenizer is not None
    given = len(prompt or "")
    for label in tokenizer.controls:
        for result in model.sample(prompt, length=30, num_sequences=3, control=label):
            ids = [tokenizer.control_id(label), *tokenizer.encode(result.sequence)[:-1]]
            with torch.inference_mode():
                logits = model(torch.tensor([ids])).logits[0, :, : tokenizer.vocab_size]
            own = logits.log_softmax(-1)[:-1].gather(1, torch.tensor(ids)[1:, None])[:, 0]
            np.testing.assert_allclose(result.log_probs[given:], own[len(own) - 30 + given :], atol=2e-5)
            assert np.isnan(result.log_probs[:given]).all()
            assert (result.control, result.num_generated) == (label, 30 - given)


def test_the_control_decides_the_first_base_too() -> None:
    model = made()
    assert model.tokenizer is not None
    shares = {}
    for label in ("low", "high"):
        texts = model.generate(length=1, num_sequences=4000, control=label)
        shares[label] = np.array([texts.count(base) for base in "ACGT"]) / len(texts)
        with torch.inference_mode():
            logits = model(torch.tensor([[model.tokenizer.control_id(label)]])).logits[0, 0]
        expected = logits[model.tokenizer.base_ids].softmax(0).numpy()
        # Four standard deviations of a share.
        np.testing.assert_allclose(shares[label], expected, atol=4 * 0.5 / 4000**0.5)
    assert np.abs(shares["low"] - shares["high"]).max() > 0.1


def test_only_bases_are_drawn() -> None:
    model = made()
    with torch.no_grad():
        # Controls and the rows of the padded vocabulary are by far the likeliest of all.
        model.head.weight[12:] = 50 * model.head.weight[7:11]
    for settings in (Sampling(), Sampling(stop_tokens=("[SEP]",)), Sampling(temperature=0)):
        for result in model.sample(length=40, num_sequences=5, control="high", sampling=settings):
            assert set(result.sequence) <= set("ACGT")
    with pytest.raises(ConfigError, match=r"'<low>' is none of \[CLS\], "):
        model.sample(length=4, sampling=Sampling(stop_tokens=("<low>",)))


def test_a_stop_token_ends_it_and_batches_change_nothing() -> None:
    model = made()
    settings = {"length": 60, "sampling": Sampling(stop_tokens=("[SEP]",), temperature=2.0), "seed": 3}
    one, many = (
        list(generate(model, num_sequences=6, control="low", batch_size=size, **settings)) for size in (1, 4)
    )
    assert [result.sequence for result in one] == [result.sequence for result in many]
    assert any(result.stopped for result in one)
    assert all(len(result.log_probs) == len(result.sequence) for result in one)


def test_the_control_takes_a_place_of_the_model() -> None:
    model = made()
    assert len(model.generate(length=64, control="low")[0]) == 64
    with pytest.raises(SequenceError, match="64"):
        model.generate(length=65, control="low")


def test_the_header_says_it() -> None:
    (asked,) = made().sample(length=5, control="high")
    (plain,) = made().sample(length=5)
    assert describe(3, asked).name.split()[:3] == ["generated_3", "length=5", "control=high"]
    assert "control" not in describe(3, plain).name


def test_without_a_control_nothing_changes() -> None:
    model = made()
    before = model.generate("ACG", length=30, num_sequences=2)
    model.tokenizer = CharacterTokenizer()
    assert model.generate("ACG", length=30, num_sequences=2) == before


def test_unknown_controls() -> None:
    with pytest.raises(ConfigError, match="control='middle' is no label of this model; it has 'low', 'high'"):
        made().generate(length=5, control="middle")
    plain = made()
    plain.tokenizer = CharacterTokenizer()
    with pytest.raises(ConfigError, match="has none at all: train a model on data=conditional"):
        plain.generate(length=5, control="low")


@pytest.mark.parametrize("layout", ["original", "hf"])
def test_official_layouts_have_no_place_for_controls(layout: Any, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no place for control tokens"):
        export(made(), tmp_path / "x", layout=layout)
