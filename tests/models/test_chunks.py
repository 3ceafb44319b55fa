"""Long sequences in parts: as one pass where a state is carried, and where windows hold what a base sees."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from genoseq.errors import ConfigError, SequenceError
from genoseq.models import (
    Backbone,
    BackboneOutput,
    Caduceus,
    HybriDNA,
    HyenaDNA,
    LanguageModelHead,
    Mamba2,
    MaskedLanguageModelHead,
    SequenceModel,
)
from genoseq.models.chunks import Reading, plan_reading
from genoseq.models.embedding import hidden_states, pool_parts
from genoseq.models.ensemble import Ensemble
from genoseq.models.heads import pool
from genoseq.nn import BidirectionalAttention, MixerContext, ResidualBlock, make_norm
from genoseq.nn.materialize import reset_children
from genoseq.tokenizers import CharacterTokenizer

TEXT = "ACGTTGCANGATTACAGGCTNNACGTATTCGAGCCTA"
LONG = "".join(np.random.default_rng(2).choice(list("ACGT"), size=150))
tokenizers = pytest.mark.parametrize("special_tokens", ["sep", "cls_sep"])


class BothWays(Backbone):
    """Two layers of attention that see three positions to either side: bases see six."""

    causal = False
    sight = 6

    def __init__(self) -> None:
        super().__init__()
        self.arguments = {}
        self.d_model, self.num_layers, self.vocab_size, self.l_max = 8, 2, 12, 40
        self.embedding = nn.Embedding(12, 8)
        self.layers = nn.ModuleList(
            ResidualBlock(
                BidirectionalAttention(d_model=8, num_heads=2, window=4), make_norm("rms", 8, epsilon=1e-5)
            )
            for _ in range(2)
        )

    @property
    def input_embedding(self) -> nn.Embedding:
        return self.embedding

    def reset_parameters(self) -> None:
        reset_children(self)

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        *,
        segment_ids: torch.Tensor | None = None,
        output_hidden_states: bool = False,
    ) -> BackboneOutput:
        states = [self.embedding(input_ids)]
        for layer in self.layers:
            states.append(layer(states[-1], MixerContext()))
        return BackboneOutput(states[-1], (*states, states[-1]))


def shaken(backbone: Backbone, head: Any = LanguageModelHead, **tokens: Any) -> SequenceModel:
    """A model in which everything matters."""
    torch.manual_seed(4)
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return SequenceModel(backbone, head(backbone), CharacterTokenizer(**tokens)).double().eval()


def windowed_attention() -> HybriDNA:
    attention = {"num_heads": 2, "window": 6, "position": "rotary"}
    return HybriDNA(d_model=8, num_layers=2, pattern="a", d_inner=12, attention=attention)


def short_hyena() -> HyenaDNA:
    return HyenaDNA(d_model=8, num_layers=2, l_max=40, extended_l_max=200, max_taps=4, filter_order=8)


# What a prediction depends on: the token before it, and what that sees through two layers.
SIGHTED: dict[str, tuple[Callable[[], Backbone], int]] = {
    "attention in a window": (windowed_attention, 1 + 2 * 5),
    "convolutions": (short_hyena, 1 + 2 * (3 + 2)),
}


def joined(model: SequenceModel, text: str, **settings: Any) -> pd.DataFrame:
    return pd.concat(model.log_prob_chunks(text, **settings), ignore_index=True)


def apart(one: pd.DataFrame, other: pd.DataFrame) -> float:
    return float((one["log_prob_A"] - other["log_prob_A"]).abs().max())


@given(
    num_bases=st.integers(1, 400),
    chunk_length=st.integers(1, 90),
    context=st.integers(1, 90),
    both_sides=st.booleans(),
)
def test_windows_answer_for_every_base_once_with_context(
    num_bases: int, chunk_length: int, context: int, both_sides: bool
) -> None:
    windows = list(Reading(chunk_length, context, both_sides).windows(num_bases))
    assert [base for part in windows for base in range(part.first, part.last)] == list(range(num_bases))
    assert len({part.end - part.start for part in windows}) == 1
    for part in windows:
        assert 0 <= part.start <= part.first < part.last <= part.end <= num_bases
        assert part.end - part.start <= chunk_length + context * (2 if both_sides else 1)
        assert part.start == 0 or part.first - part.start >= context
        assert part.end == num_bases or part.end - part.last == (context if both_sides else 0)


@given(num_bases=st.integers(1, 400), chunk_length=st.integers(1, 90))
def test_chunks_follow_each_other(num_bases: int, chunk_length: int) -> None:
    chunks = list(Reading(chunk_length).windows(num_bases))
    assert [base for part in chunks for base in range(part.first, part.last)] == list(range(num_bases))
    assert all((part.start, part.end) == (part.first, part.last) for part in chunks)
    assert {part.end - part.start for part in chunks[:-1]} <= {chunk_length}


@pytest.mark.parametrize(("special_tokens", "chunk_length"), [("sep", 7), ("cls_sep", 1), ("cls_sep", 100)])
def test_a_carried_state_is_one_pass(model: SequenceModel, special_tokens: Any, chunk_length: int) -> None:
    model.tokenizer = CharacterTokenizer(special_tokens=special_tokens)
    table = joined(model, TEXT, chunk_length=chunk_length)
    pd.testing.assert_frame_equal(table, model.log_prob(TEXT), atol=1e-5)
    for layer in range(-model.backbone.num_layers - 2, 0):
        whole, parts = (
            torch.cat(list(hidden_states(model, TEXT, reading, layer=layer)))
            for reading in (None, Reading(chunk_length))
        )
        torch.testing.assert_close(parts, whole, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("pooling", ["mean", "max", "first", "last"])
def test_embeddings_of_carried_states(model: SequenceModel, pooling: Any) -> None:
    model.tokenizer = CharacterTokenizer(special_tokens="cls_sep")
    parts = model.embed([TEXT, "G"], layer=1, pooling=pooling, chunk_length=7)
    whole = model.embed([TEXT, "G"], layer=1, pooling=pooling)
    torch.testing.assert_close(parts, whole, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("pooling", ["mean", "max", "first", "last"])
@given(lengths=st.lists(st.integers(1, 20), min_size=1, max_size=6), window=st.none() | st.integers(1, 30))
def test_pooling_does_not_see_the_parts(pooling: Any, lengths: list[int], window: int | None) -> None:
    hidden = torch.randn(sum(lengths), 3, generator=torch.Generator().manual_seed(len(lengths)))
    stretches = list(pool_parts(hidden.split(lengths), pooling, window=window))
    width = window or len(hidden)
    assert [part.start for part in stretches] == list(range(0, len(hidden), width))
    for part in stretches:
        assert part.end == min(part.start + width, len(hidden))
        torch.testing.assert_close(part.vector, pool(hidden[None, part.start : part.end], None, pooling)[0])


@tokenizers
@pytest.mark.parametrize("chunk_length", [1, 7])
def test_windows_that_hold_everything_are_one_pass(
    model: SequenceModel, special_tokens: Any, chunk_length: int
) -> None:
    model.tokenizer = CharacterTokenizer(special_tokens=special_tokens)
    text = TEXT[:32]
    settings = {"chunk_length": chunk_length, "context": 32}
    if model.backbone.l_max is None and model.backbone.fixed_memory:
        with pytest.raises(ConfigError, match="memory of fixed size"):
            joined(model, text, **settings)
        with pytest.raises(ConfigError, match="memory of fixed size"):
            model.embed(text, **settings)
        return
    pd.testing.assert_frame_equal(joined(model, text, **settings), model.log_prob(text), atol=1e-5)
    torch.testing.assert_close(model.embed(text, **settings), model.embed(text), atol=1e-5, rtol=1e-5)


@tokenizers
@pytest.mark.parametrize("name", SIGHTED)
@pytest.mark.parametrize("chunk_length", [1, 13, 29])
def test_windows_as_wide_as_the_sight_are_one_pass(name: str, special_tokens: Any, chunk_length: int) -> None:
    make, sight = SIGHTED[name]
    model = shaken(make(), special_tokens=special_tokens)
    whole = model.log_prob(LONG)
    # What is read again is for models of bounded length.
    model.backbone.l_max = 60
    wide, narrow = (joined(model, LONG, chunk_length=chunk_length, context=n) for n in (sight, sight - 3))
    pd.testing.assert_frame_equal(wide, whole, atol=1e-5)
    assert apart(narrow, whole) > 1e-4


@tokenizers
@pytest.mark.parametrize("chunk_length", [1, 13, 20])
def test_windows_as_wide_as_the_sight_to_both_sides(special_tokens: Any, chunk_length: int) -> None:
    model = shaken(BothWays(), MaskedLanguageModelHead, special_tokens=special_tokens)

    def states(context: int) -> torch.Tensor:
        reading = plan_reading(model, chunk_length=chunk_length, context=context)
        return torch.cat(list(hidden_states(model, LONG, reading, layer=-1, batch_size=3)))

    model.backbone.l_max = None
    whole = torch.cat(list(hidden_states(model, LONG, None, layer=-1)))
    torch.testing.assert_close(states(BothWays.sight), whole, atol=1e-5, rtol=1e-5)
    assert (states(BothWays.sight - 3) - whole).abs().max() > 1e-3


@tokenizers
@pytest.mark.parametrize("symmetry", ["none", "conjoined", "shared"])
def test_both_strands_in_windows(symmetry: Any, special_tokens: Any) -> None:
    backbone = Caduceus(d_model=8, num_layers=2, d_state=4, symmetry=symmetry)
    model = shaken(backbone, MaskedLanguageModelHead, special_tokens=special_tokens)
    for pooling in ("mean", "max", "first", "last"):
        settings: dict[str, Any] = {"pooling": pooling, "layer": 1}
        whole = model.embed(LONG, **settings)
        covered = model.embed(LONG, **settings, chunk_length=70, context=149)
        torch.testing.assert_close(covered, whole, atol=1e-5, rtol=1e-5)
    errors = [
        float((model.embed(LONG, chunk_length=5, context=context) - model.embed(LONG)).norm())
        for context in (1, 30, 149)
    ]
    assert errors[0] > errors[1] > 1e-6 > errors[2]


def test_no_more_is_read_than_a_window() -> None:
    class Counted:
        """Letters that remember the most that was asked for at once."""

        most = 0

        def __len__(self) -> int:
            return len(LONG)

        def __getitem__(self, part: slice, /) -> str:
            self.most = max(self.most, len(LONG[part]))
            return LONG[part]

    carried = shaken(Mamba2(d_model=8, num_layers=1, d_state=4, headdim=4))
    letters = Counted()
    list(carried.log_prob_chunks(letters, chunk_length=9))
    list(hidden_states(carried, letters, Reading(9), layer=0))
    assert letters.most == 9
    list(shaken(short_hyena()).log_prob_chunks(letters, chunk_length=9, context=11))
    assert letters.most == 20


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"chunk_length": 0, "context": None}, "chunk_length=0"),
        ({"chunk_length": -3, "context": 4}, "chunk_length=-3"),
        ({"chunk_length": 5, "context": 0}, "context=0"),
        ({"chunk_length": 40, "context": 20}, "windows of 60 tokens.* at most 40"),
        ({"chunk_length": None, "context": 20}, "give chunk_length= too"),
    ],
)
def test_settings_that_do_not_go(settings: dict[str, Any], words: str) -> None:
    hyena = shaken(HyenaDNA(d_model=8, num_layers=1, l_max=40, filter_order=8))
    with pytest.raises(ConfigError, match=words):
        plan_reading(hyena, **settings)
    with pytest.raises(ConfigError, match=words):
        hyena.embed(TEXT, **settings)


def test_special_tokens_take_their_place_in_a_window() -> None:
    hyena = shaken(HyenaDNA(d_model=8, num_layers=1, l_max=40, filter_order=8), special_tokens="cls_sep")
    assert plan_reading(hyena, chunk_length=19, context=20)
    with pytest.raises(ConfigError, match="windows of 41 tokens"):
        plan_reading(hyena, chunk_length=20, context=20)
    both = shaken(BothWays(), MaskedLanguageModelHead, special_tokens="cls_sep")
    assert plan_reading(both, chunk_length=18, context=10)
    with pytest.raises(ConfigError, match="windows of 41 tokens"):
        plan_reading(both, chunk_length=19, context=10)


def test_models_and_sequences_that_do_not_go() -> None:
    both = shaken(BothWays(), MaskedLanguageModelHead)
    with pytest.raises(ConfigError, match=r"BothWays carries no state.*Give context="):
        both.embed(TEXT, chunk_length=5)
    with pytest.raises(ConfigError, match="causal language model"):
        next(both.log_prob_chunks(TEXT, chunk_length=5, context=5))
    hyena = shaken(HyenaDNA(d_model=8, num_layers=1, l_max=40, filter_order=8))
    with pytest.raises(SequenceError, match=r"150 tokens; this model.* at most 40\. Give context="):
        hyena.embed(LONG, chunk_length=10)
    with pytest.raises(SequenceError, match=r"150 tokens; this model.* at most 40\. Give context="):
        next(hyena.log_prob_chunks(LONG, chunk_length=10))
    with pytest.raises(SequenceError, match="empty"):
        hyena.embed(["ACGT", ""], chunk_length=10)
    with pytest.raises(SequenceError, match="empty"):
        hyena.embed(["ACGT", ""])
    with pytest.raises(SequenceError, match=r"from base 10 on: 'X' at position 2"):
        hyena.embed("ACGT" * 3 + "X", chunk_length=5)
    with pytest.raises(ConfigError, match="one checkpoint"):
        Ensemble([hyena, hyena]).log_prob_chunks(TEXT)
    hyena.tokenizer = None
    with pytest.raises(ConfigError, match="no tokenizer"):
        hyena.embed(TEXT, chunk_length=5)


def test_a_reading_says_what_it_is() -> None:
    mamba = shaken(Mamba2(d_model=8, num_layers=1, d_state=4, headdim=4))
    hyena = shaken(HyenaDNA(d_model=8, num_layers=1, l_max=40, filter_order=8))
    both = shaken(BothWays(), MaskedLanguageModelHead)
    assert plan_reading(mamba, chunk_length=None, context=None) is None
    told = [
        (mamba, None, "as one pass: .* is of fixed size"),
        (hyena, None, "as one pass: .* grows"),
        (hyena, 7, "approximation of one pass: .* 7 bases before it or more"),
        (both, 7, "approximation of one pass: .* 7 bases before and behind it or more"),
    ]
    for model, context, words in told:
        reading = plan_reading(model, chunk_length=11, context=context)
        assert reading is not None
        assert reading.describe().startswith("chunks of 11 bases")
        assert re.search(words, reading.describe())
