"""What a model says about sequences: new ones, log-probabilities, embeddings."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch

from genoseq.errors import ConfigError, SequenceError
from genoseq.models import SequenceHead, SequenceModel
from genoseq.models.generation import choose
from genoseq.tokenizers import CharacterTokenizer


def greedy(model: SequenceModel, prompt: str, length: int) -> str:
    """By whole passes, without any state."""
    text = prompt
    while len(text) < length:
        ids = torch.from_numpy(model.tokenizer.encode(text, add_special_tokens=False))[None]
        text += "ACGT"[model(ids).logits[0, -1, model.tokenizer.base_ids].argmax()]
    return text


def test_generation_equals_whole_passes(small_model: SequenceModel) -> None:
    drawn = small_model.generate("ACGTTG", length=40, num_sequences=2, temperature=0)
    assert drawn == [greedy(small_model, "ACGTTG", 40)] * 2


def test_generation_depends_on_seed_and_index_alone(small_model: SequenceModel) -> None:
    together = small_model.generate("AC", length=30, num_sequences=5, seed=4)
    one_by_one = [small_model.generate("AC", length=30, seed=4, first_index=i)[0] for i in range(5)]
    assert together == one_by_one
    assert len(set(together)) == 5
    assert together != small_model.generate("AC", length=30, num_sequences=5, seed=5)
    assert all(len(text) == 30 and text.startswith("AC") and set(text) <= set("ACGT") for text in together)


@pytest.mark.parametrize("special_tokens", ["none", "sep", "cls_sep"])
def test_generation_without_a_prompt(small_model: SequenceModel, special_tokens: str) -> None:
    small_model.tokenizer = CharacterTokenizer(special_tokens=special_tokens)
    drawn = small_model.generate(length=1, num_sequences=200)
    assert {len(text) for text in drawn} == {1}
    assert set("".join(drawn)) == set("ACGT")


def test_generation_fills_the_model_and_no_more(small_model: SequenceModel) -> None:
    # The last base is drawn but never read: 64 tokens make 65.
    assert len(small_model.generate("A", length=65)[0]) == 65
    with pytest.raises(SequenceError, match="l_max=64"):
        small_model.generate("A", length=66)
    with pytest.raises(SequenceError, match="more than length=2"):
        small_model.generate("ACG", length=2)


@pytest.mark.parametrize(
    "settings",
    [{"length": 0}, {"num_sequences": 0}, {"temperature": -1}, {"top_k": 0}, {"top_p": 0.0}, {"top_p": 1.1}],
)
def test_settings_outside_their_range(small_model: SequenceModel, settings: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(settings))):
        small_model.generate("A", **{"length": 9, **settings})


def test_choice_follows_the_probabilities() -> None:
    logits = torch.tensor([0.5, 0.1, 0.3, 0.1]).log().expand(20_000, -1)
    uniforms = torch.from_numpy(np.random.default_rng(0).random(20_000))

    def shares(**settings: float) -> list[float]:
        counts = torch.bincount(choose(logits, uniforms, **settings), minlength=4)
        return (counts / 20_000).tolist()

    assert shares() == pytest.approx([0.5, 0.1, 0.3, 0.1], abs=0.012)
    assert shares(temperature=0) == [1, 0, 0, 0]
    assert shares(top_k=2) == pytest.approx([0.625, 0, 0.375, 0], abs=0.012)
    assert shares(top_p=0.6) == pytest.approx([0.625, 0, 0.375, 0], abs=0.012)
    assert shares(top_p=0.5) == [1, 0, 0, 0]
    squares = [0.25, 0.01, 0.09, 0.01]
    assert shares(temperature=0.5) == pytest.approx([x / sum(squares) for x in squares], abs=0.012)


def test_choice_at_the_ends_of_the_unit_interval() -> None:
    logits = torch.tensor([[0.0, -torch.inf, 0.0, -torch.inf]]).expand(2, -1)
    uniforms = torch.tensor([0.0, 1 - 2.0**-53], dtype=torch.float64)
    assert choose(logits, uniforms).tolist() == [0, 2]


@pytest.mark.parametrize("special_tokens", ["sep", "cls_sep"])
def test_log_prob_has_no_off_by_one(small_model: SequenceModel, special_tokens: str) -> None:
    small_model.tokenizer = CharacterTokenizer(special_tokens=special_tokens)
    text = "ACGTNGATTACA"
    table = small_model.log_prob(text)
    assert "".join(table["base"]) == text
    assert table["position"].tolist() == list(range(12))
    ids = torch.from_numpy(small_model.tokenizer.encode(text))[None]
    start = len(small_model.tokenizer.prefix_ids)
    scores = small_model(ids).logits[0, :, :12].double().log_softmax(-1)
    for index in range(1, 12):
        before = scores[start + index - 1]
        assert table["log_prob_G"][index] == pytest.approx(before[9].item(), abs=1e-5)
        own = table["log_prob"][index]
        assert np.isnan(own) if text[index] == "N" else own == table[f"log_prob_{text[index]}"][index]
    assert np.isnan(table["log_prob"][0]) == (start == 0)


def test_embeddings_pool_letters_alone(small_model: SequenceModel) -> None:
    texts = ["ACGTACGT", "GA"]
    together = small_model.embed(texts)
    assert together.shape == (2, 16)
    for row, text in zip(together, texts, strict=True):
        torch.testing.assert_close(row, small_model.embed(text)[0])
    ids = torch.from_numpy(small_model.tokenizer.encode("GA", add_special_tokens=False))[None]
    states = small_model.backbone(ids, output_hidden_states=True).hidden_states
    torch.testing.assert_close(together[1], states[-1][0].mean(0))
    torch.testing.assert_close(small_model.embed("GA", layer=1, pooling="last")[0], states[1][0, -1])
    torch.testing.assert_close(small_model.embed("GA", layer=0, pooling="first")[0], states[0][0, 0])
    torch.testing.assert_close(small_model.embed("GA", layer=-2, pooling="max")[0], states[-2][0].amax(0))
    with pytest.raises(ConfigError, match="layers 0 to 3"):
        small_model.embed("GA", layer=4)
    with pytest.raises(ConfigError, match="pooling='sum'"):
        small_model.embed("GA", pooling="sum")
    with pytest.raises(SequenceError, match="l_max=64"):
        small_model.embed("A" * 70)


def test_only_language_models_generate_and_score(small_model: SequenceModel) -> None:
    classifier = SequenceModel(
        small_model.backbone, SequenceHead(small_model.backbone, num_outputs=2), small_model.tokenizer
    )
    with pytest.raises(ConfigError, match="generation needs a causal language model"):
        classifier.generate(length=5)
    with pytest.raises(ConfigError, match="log-probability needs"):
        classifier.log_prob("ACGT")
    small_model.tokenizer = None
    with pytest.raises(ConfigError, match="without a tokenizer"):
        small_model.generate(length=5)
    with pytest.raises(ConfigError, match="no tokenizer"):
        small_model.embed("ACGT")


def test_training_mode_is_kept(small_model: SequenceModel) -> None:
    small_model.train()
    expected = small_model.log_prob("ACGT")
    assert small_model.training
    assert small_model.eval().log_prob("ACGT").equals(expected)


def test_layers_are_embeddings_blocks_and_the_norm(small_model: SequenceModel) -> None:
    ids = torch.from_numpy(small_model.tokenizer.encode("ACGTTGCA", add_special_tokens=False))[None]
    states = small_model.backbone(ids, output_hidden_states=True).hidden_states
    assert len(states) == small_model.backbone.num_layers + 2
    torch.testing.assert_close(states[0], small_model.backbone.input_embedding(ids))
    vectors = [small_model.embed("ACGTTGCA", layer=layer, pooling="last")[0] for layer in range(len(states))]
    for layer, vector in enumerate(vectors):
        torch.testing.assert_close(vector, states[layer][0, -1])
        torch.testing.assert_close(vector, small_model.embed("ACGTTGCA", layer=layer - 4, pooling="last")[0])
    torch.testing.assert_close(small_model.backbone(ids).last_hidden_state[0, -1], vectors[-1])
    assert all(not torch.allclose(one, two) for one, two in pairwise(vectors))


@pytest.mark.parametrize("special_tokens", ["sep", "cls_sep"])
@pytest.mark.parametrize("chunk_length", [1, 5, 12, 100])
def test_log_prob_in_chunks(small_model: SequenceModel, special_tokens: str, chunk_length: int) -> None:
    small_model.tokenizer = CharacterTokenizer(special_tokens=special_tokens)
    text = "ACGTNGATTACA"
    tables = list(small_model.log_prob_chunks(text, chunk_length=chunk_length))
    assert [len(table) for table in tables[:-1]] == [chunk_length] * (len(tables) - 1)
    pd.testing.assert_frame_equal(pd.concat(tables, ignore_index=True), small_model.log_prob(text), atol=1e-5)


def test_log_prob_in_chunks_of_nothing(small_model: SequenceModel) -> None:
    with pytest.raises(ConfigError, match="chunk_length=0"):
        next(small_model.log_prob_chunks("ACGT", chunk_length=0))
    with pytest.raises(SequenceError, match="empty"):
        next(small_model.log_prob_chunks(""))
