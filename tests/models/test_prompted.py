"""Soft prompts: learned vectors where each sequence begins, before any causal backbone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from genoseq.errors import CheckpointError, ConfigError, SequenceError
from genoseq.models import (
    Caduceus,
    HyenaDNA,
    LanguageModelHead,
    PromptedBackbone,
    SequenceHead,
    SequenceModel,
    export,
    load,
    load_backbone,
)
from genoseq.models.token_shares import one_hot_tokens, read_shares
from genoseq.tokenizers import CharacterTokenizer

LENGTH = 5


def bases(*shape: int) -> torch.Tensor:
    return torch.randint(7, 12, shape, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def prompted(model: SequenceModel) -> SequenceModel:
    """Each of the causal backbones behind a prompt, in float64."""
    model.backbone = PromptedBackbone(model.backbone, prompt_length=LENGTH).double().eval()
    with torch.no_grad():
        model.backbone.prompt.weight.normal_()
    return model


def classifier(backbone) -> SequenceModel:
    return SequenceModel(backbone, SequenceHead(backbone, num_outputs=2), CharacterTokenizer()).eval()


def test_a_prompt_of_tokens_is_those_tokens_before_the_sequence(prompted: SequenceModel) -> None:
    backbone, before, ids = prompted.backbone, bases(LENGTH), bases(2, 20)
    backbone.begin_with(before)
    whole = backbone.inner(torch.cat([before.expand(2, -1), ids], dim=1), output_hidden_states=True)
    output = backbone(ids, output_hidden_states=True)
    torch.testing.assert_close(output.last_hidden_state, whole.last_hidden_state[:, LENGTH:])
    for mine, theirs in zip(output.hidden_states, whole.hidden_states, strict=True):
        torch.testing.assert_close(mine, theirs[:, LENGTH:])


@pytest.mark.parametrize(("left", "right"), [(0, 7), (7, 0), (3, 4)])
def test_padding_changes_nothing(prompted: SequenceModel, left: int, right: int) -> None:
    ids = bases(2, 20)
    expected = prompted(ids, labels=ids)
    padded = torch.nn.functional.pad(ids, (left, right), value=4)
    mask = torch.nn.functional.pad(torch.ones_like(ids, dtype=torch.bool), (left, right))
    output = prompted(padded, mask, labels=padded)
    torch.testing.assert_close(output.logits[:, left : left + 20], expected.logits)
    torch.testing.assert_close(output.loss, expected.loss)


def test_chunks_and_steps_equal_the_whole(prompted: SequenceModel) -> None:
    ids = bases(3, 30)
    backbone = prompted.backbone
    expected = backbone(ids).last_hidden_state
    for chunks in ((30,), (1, 29), (12, 1, 17)):
        state = backbone.init_state(3, max_length=30)
        parts = [backbone.forward_chunk(chunk, state) for chunk in ids.split(chunks, dim=1)]
        torch.testing.assert_close(torch.cat(parts, dim=1), expected)
    state = backbone.init_state(3, max_length=30)
    steps = [backbone.step(column, state) for column in ids.unbind(1)]
    torch.testing.assert_close(torch.stack(steps, dim=1), expected)


def test_state_after_left_padding(prompted: SequenceModel) -> None:
    ids = bases(2, 12)
    mask = torch.ones_like(ids, dtype=torch.bool)
    mask[0, :5] = False
    state = prompted.backbone.init_state(2, max_length=20)
    prompted.backbone.forward_chunk(ids[:, :11], state, mask[:, :11])
    step = prompted.backbone.step(ids[:, 11], state)
    torch.testing.assert_close(step, prompted.backbone(ids, mask).last_hidden_state[:, -1])


def test_gradients_reach_the_prompt_and_mixtures_of_letters(prompted: SequenceModel) -> None:
    ids = bases(2, 9)
    shares = one_hot_tokens(prompted, ids).requires_grad_()
    output = read_shares(prompted, shares, ids)
    torch.testing.assert_close(output.logits, prompted(ids).logits)
    output.logits[:, -1].square().sum().backward()
    assert (shares.grad.abs().sum(-1) > 0).all()
    assert (prompted.backbone.prompt.weight.grad.abs().sum(-1) > 0).all()


def test_a_folder_keeps_the_prompt_and_a_new_head_leaves_it(tmp_path: Path) -> None:
    torch.manual_seed(0)
    inner = HyenaDNA(d_model=8, num_layers=1, l_max=40, filter_order=8)
    model = classifier(PromptedBackbone(inner, prompt_length=LENGTH))
    again = load(model.save(tmp_path / "model"))
    ids = bases(2, 11)
    assert torch.equal(again(ids).logits, model(ids).logits)
    assert (again.backbone.prompt_length, again.backbone.l_max) == (LENGTH, 35)
    assert isinstance(load_backbone(checkpoint=tmp_path / "model"), HyenaDNA)
    with pytest.raises(CheckpointError, match="no place for a soft prompt"):
        export(model, tmp_path / "hf", layout="hf")


def test_generation_and_likelihoods_are_behind_the_prompt() -> None:
    torch.manual_seed(0)
    inner = HyenaDNA(d_model=8, num_layers=1, l_max=40, filter_order=8, initializer_range=0.5)
    model = SequenceModel(inner, LanguageModelHead(inner), CharacterTokenizer()).eval()
    plain = model.log_prob("ACGTTGCA")["log_prob"]
    model.backbone = PromptedBackbone(inner, prompt_length=LENGTH).eval()
    model.backbone.begin_with(torch.full((LENGTH,), 7))
    (made,) = model.sample("ACGT", length=30, seed=1)
    told = model.log_prob(made.sequence)["log_prob"]
    assert made.log_probs[4:] == pytest.approx(told[4:].to_numpy(), abs=1e-5)
    assert not np.allclose(model.log_prob("ACGTTGCA")["log_prob"][1:], plain[1:], atol=1e-3)
    model.backbone = inner
    spelt = model.log_prob("A" * LENGTH + made.sequence)["log_prob"]
    assert told[1:].to_numpy() == pytest.approx(spelt[LENGTH + 1 :].to_numpy(), abs=1e-5)


def test_no_room_is_said_where_it_is_asked_for() -> None:
    inner = HyenaDNA(d_model=8, num_layers=1, l_max=40, filter_order=8)
    with pytest.raises(ConfigError, match="leaves no room in this model's l_max=40: give at most 39"):
        PromptedBackbone(inner, prompt_length=40)
    with pytest.raises(ConfigError, match="give 1 vector or more"):
        PromptedBackbone(inner, prompt_length=0)
    with pytest.raises(ConfigError, match="Caduceus reads both ways"):
        PromptedBackbone(Caduceus(d_model=8, num_layers=1), prompt_length=4)
    backbone = PromptedBackbone(inner, prompt_length=10)
    with pytest.raises(SequenceError, match="31 tokens is longer than the 30 that a prompt of 10"):
        backbone(bases(1, 31))
    with pytest.raises(SequenceError, match="31 tokens is longer than the 30"):
        backbone.init_state(1, max_length=31)
    with pytest.raises(SequenceError, match="share a row"):
        backbone(bases(1, 9), segment_ids=torch.zeros(1, 9, dtype=torch.int64))
