"""Controls of generation: min-p, repetition, stop tokens, log-likelihoods."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch

from genoseq.errors import ConfigError
from genoseq.models import HyenaDNA, LanguageModelHead, Mamba, Mamba2, Sampling, SequenceModel
from genoseq.models.repetition import RepetitionControl, SeenNgrams
from genoseq.models.sampling import choose
from genoseq.tokenizers import CharacterTokenizer

BACKBONES = {
    "hyenadna": lambda: HyenaDNA(d_model=16, num_layers=2, l_max=256, filter_order=8),
    "mamba": lambda: Mamba(d_model=16, num_layers=2, d_state=4),
    "mamba2": lambda: Mamba2(d_model=16, num_layers=2, d_state=4, headdim=8, chunk_size=16),
}


def made(family: str = "hyenadna", special_tokens: Any = "sep") -> SequenceModel:
    torch.manual_seed(3)
    backbone = BACKBONES[family]()
    model = SequenceModel(
        backbone, LanguageModelHead(backbone), CharacterTokenizer(special_tokens=special_tokens)
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model.eval()


def texts(model: SequenceModel, length: int = 200, num_sequences: int = 1, **settings: Any) -> list[str]:
    results = model.sample("ACGT", length=length, num_sequences=num_sequences, sampling=Sampling(**settings))
    return [result.sequence for result in results]


def runs(text: str, size: int) -> Counter[str]:
    return Counter(text[start : start + size] for start in range(len(text) - size + 1))


def test_min_p() -> None:
    logits = torch.tensor([0.5, 0.1, 0.3, 0.1]).log().expand(20_000, -1)
    uniforms = torch.from_numpy(np.random.default_rng(0).random(20_000))

    def shares(**settings: float) -> list[float]:
        return (torch.bincount(choose(logits, uniforms, **settings), minlength=4) / 20_000).tolist()

    assert shares(min_p=0.5) == pytest.approx([0.625, 0, 0.375, 0], abs=0.012)
    assert shares(min_p=0.7) == [1, 0, 0, 0]
    assert shares(min_p=1e-9) == shares()
    assert shares(min_p=1.0) == [1, 0, 0, 0]


@pytest.mark.parametrize("family", BACKBONES)
@pytest.mark.parametrize("special_tokens", ["none", "cls_sep"])
@pytest.mark.parametrize("prompt", [None, "ACGTNACGGT"])
def test_log_likelihoods_are_those_of_scoring(family: str, special_tokens: str, prompt: str | None) -> None:
    model = made(family, special_tokens)
    given = len(prompt or "")
    sampling = Sampling(temperature=0.7, top_k=3, no_repeat_ngram_size=4)
    for result in model.sample(prompt, length=60, num_sequences=3, sampling=sampling):
        expected = model.log_prob(result.sequence)["log_prob"].to_numpy()[given:]
        np.testing.assert_allclose(result.log_probs[given:], expected, atol=2e-5)
        assert np.isnan(result.log_probs[:given]).all()
        assert result.log_likelihood == pytest.approx(np.nansum(expected), abs=1e-3)
        assert result.num_generated == np.isfinite(expected).sum()
        assert result.bits_per_base == pytest.approx(-np.nanmean(expected) / np.log(2), abs=1e-4)
        assert not result.stopped


def test_nothing_was_generated() -> None:
    (result,) = made().sample("ACGT", length=4)
    assert (result.sequence, result.num_generated, result.log_likelihood) == ("ACGT", 0, 0.0)
    assert np.isnan(result.bits_per_base)


def test_no_repeated_runs() -> None:
    model = made()
    # Greedy drawing of a small random model falls into a loop at once.
    assert max(runs(texts(model, temperature=0)[0], 5).values()) > 5
    for text in texts(model, temperature=0, no_repeat_ngram_size=5) + texts(
        model, num_sequences=3, no_repeat_ngram_size=5
    ):
        assert max(runs(text, 5).values()) == 1


def test_runs_of_the_prompt_count_and_every_row_has_its_own() -> None:
    model = made()
    sampling = Sampling(no_repeat_ngram_size=4)
    results = model.sample("ACGTACG", length=20, num_sequences=8, sampling=sampling)
    for index, result in enumerate(results):
        assert result.sequence[7] != "T"
        (alone,) = model.sample("ACGTACG", length=20, sampling=sampling, first_index=index)
        assert alone.sequence == result.sequence


def test_when_every_base_would_repeat_none_is_held_back() -> None:
    (text,) = texts(made(), length=60, no_repeat_ngram_size=2)
    # There are 16 runs of two bases: a text of 60 cannot do without repeats, and the first 10 do.
    assert len(text) == 60
    assert max(runs(text[:10], 2).values()) == 1


def test_the_penalty_divides_the_odds() -> None:
    logits = torch.tensor([[2.0, 1.0, 0.0, -1.0], [2.0, 1.0, 0.0, -1.0]])
    tokens = torch.tensor([[7, 8, 7, 9, 7, 8, 7], [9, 9, 9, 9, 10, 10, 10]])
    settings = {"repetition_penalty": 3.0, "repetition_ngram_size": 3}
    whole = RepetitionControl(Sampling(**settings), tokens, [7, 8, 9, 10])
    # "8 7" was followed by 9, and "10 10" by 10.
    change = logits.double() - whole.adjust(logits)
    expected = torch.zeros(2, 4, dtype=torch.float64)
    expected[0, 2] = expected[1, 3] = np.log(3)
    torch.testing.assert_close(change, expected)
    near = RepetitionControl(Sampling(**settings, repetition_window=3), tokens, [7, 8, 9, 10])
    expected[0, 2] = 0
    torch.testing.assert_close(logits.double() - near.adjust(logits), expected)
    near.append(torch.tensor([9, 10]))
    # Now "7 9" was followed by 7, five tokens ago.
    torch.testing.assert_close((logits.double() - near.adjust(logits))[0], torch.zeros(4).double())


def test_the_penalty_makes_repeats_rarer() -> None:
    model = made()

    def repeats(**settings: Any) -> int:
        found = texts(model, temperature=0, repetition_ngram_size=6, **settings)
        return max(runs(found[0], 6).values())

    assert repeats(repetition_penalty=1e9) < repeats()


def test_completions() -> None:
    seen = SeenNgrams(3, [1, 2, 3, 1, 2, 4, 1, 2])
    assert seen.completions() == {3, 4}
    assert seen.completions(window=3) == {4}
    assert seen.completions(window=2) == set()
    assert SeenNgrams(3, [1]).completions() == SeenNgrams(3, []).completions() == set()


def test_stop_tokens() -> None:
    model = made()
    settings = Sampling(stop_tokens=("[SEP]",), temperature=2.0)
    results = model.sample("ACGT", length=100, num_sequences=20, sampling=settings, seed=1)
    lengths = [len(result.sequence) for result in results]
    assert len(set(lengths)) > 3
    for index, result in enumerate(results):
        assert set(result.sequence) <= set("ACGT")
        assert result.stopped == (len(result.sequence) < 100)
        assert len(result.log_probs) == len(result.sequence)
        (alone,) = model.sample("ACGT", length=100, sampling=settings, seed=1, first_index=index)
        assert alone.sequence == result.sequence


def test_generation_ends_when_every_sequence_has_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    model = made()
    calls = []
    step = model.backbone.step
    monkeypatch.setattr(model.backbone, "step", lambda *given: calls.append(0) or step(*given))
    settings = Sampling(stop_tokens=tuple(CharacterTokenizer().vocabulary[:7]), temperature=5.0)
    results = model.sample("ACGT", length=250, num_sequences=2, sampling=settings)
    assert all(result.stopped for result in results)
    assert len(calls) == max(len(result.sequence) for result in results) - 4


def test_options_that_are_off_change_nothing() -> None:
    model = made()
    plain = model.generate("ACGT", length=80, num_sequences=3, seed=2)
    explicit = Sampling(min_p=None, repetition_penalty=1.0, repetition_ngram_size=2, repetition_window=5)
    results = model.sample("ACGT", length=80, num_sequences=3, seed=2, sampling=explicit)
    assert [result.sequence for result in results] == plain


@pytest.mark.parametrize(
    "settings",
    [
        {"min_p": 0.0},
        {"min_p": 1.5},
        {"no_repeat_ngram_size": 1},
        {"repetition_penalty": 0.0},
        {"repetition_ngram_size": 1},
        {"repetition_window": 0},
        {"stop_tokens": ("A",)},
        {"stop_tokens": ("[EOS]",)},
    ],
    ids=str,
)
def test_settings_outside_their_range(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(settings))):
        texts(made(), **settings)


@pytest.mark.parametrize("prompt", [None, "ACGTACG"])
def test_drawn_bases_are_told_as_they_come(prompt: str | None) -> None:
    told: list[int] = []
    results = made().sample(prompt, length=20, num_sequences=3, drawn=told.append)
    assert sum(told) == sum(len(result.sequence) for result in results) == 60
    # The first may come with the prompt, each further one alone.
    assert set(told[1:]) == {3}
