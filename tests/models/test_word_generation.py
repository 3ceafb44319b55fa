"""Generation in words of several bases: GENERator's, over transformers' Llama."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from genoseq.errors import SequenceError
from genoseq.inference import describe
from genoseq.models import LanguageModelHead, Llama, SequenceModel
from genoseq.models.generation import GeneratedSequence
from genoseq.tokenizers import BpeTokenizer, KmerTokenizer, Tokenizer


def model_of(tokenizer: Tokenizer) -> SequenceModel:
    torch.manual_seed(0)
    backbone = Llama(
        d_model=8,
        num_layers=1,
        num_heads=2,
        d_inner=8,
        vocab_size=tokenizer.vocab_size,
        l_max=32,
        initializer_range=0.5,
    )
    return SequenceModel(backbone, LanguageModelHead(backbone, tied=False), tokenizer).eval()


@pytest.mark.parametrize("special_tokens", ["start", "none"])
@pytest.mark.parametrize("k", [1, 2, 3])
def test_words_are_the_likeliest_and_scored(k: int, special_tokens: Any) -> None:
    tokenizer = KmerTokenizer(k=k, special_tokens=special_tokens)
    model = model_of(tokenizer)
    (result,) = model.sample("ACG" * k, length=12 * k)
    assert len(result.sequence) == len(result.log_probs) == 12 * k
    assert result.num_generated == 9 * k
    assert np.isnan(result.log_probs[: 3 * k]).all()
    ids = torch.from_numpy(tokenizer.encode(result.sequence)).unsqueeze(0)
    with torch.inference_mode():
        nats = model(ids).logits.log_softmax(-1)[0, :-1].gather(1, ids[0, 1:, None]).squeeze(1)
    torch.testing.assert_close(result.log_likelihood, float(nats[-9:].sum()), atol=1e-4, rtol=1e-4)


def test_draws_depend_on_seed_and_index_alone() -> None:
    model = model_of(KmerTokenizer(k=3, special_tokens="start"))
    together = model.generate(length=30, num_sequences=3, seed=4)
    assert together[2:] == model.generate(length=30, seed=4, first_index=2)
    assert len(set(together)) == 3
    assert set("".join(together)) <= set("ACGT")


def test_a_prompt_may_be_all_and_nothing_may_come_before() -> None:
    model = model_of(KmerTokenizer(k=3))
    assert model.generate("ACGTTT", length=6) == ["ACGTTT"]
    (result,) = model.sample(length=9)
    assert result.num_generated == 6


@pytest.mark.parametrize(
    ("tokenizer", "settings", "words"),
    [
        (KmerTokenizer(k=3), {"length": 10}, "length=10 bases: this model writes words of 3"),
        (KmerTokenizer(k=3), {"prompt": "ACGT", "length": 9}, "a prompt of 4 bases"),
        (KmerTokenizer(k=3, overlapping=True), {"length": 9}, "words that overlap"),
        (BpeTokenizer(merges=["A C"]), {"length": 9}, "of several lengths"),
    ],
)
def test_what_words_cannot_write(tokenizer: Tokenizer, settings: dict[str, Any], words: str) -> None:
    with pytest.raises(SequenceError, match=words):
        model_of(tokenizer).generate(**settings)


def test_headers_tell_the_longest_frame() -> None:
    def header(sequence: str) -> str:
        return describe(0, GeneratedSequence(sequence, np.full(len(sequence), np.nan)), code=1).name

    assert header("CCATGAAATAACC") == "generated_0 length=13 frame=3-11:+ frame_codons=2 frame_stops"
    assert header("CATGAAACCCGG") == "generated_0 length=12 frame=2-10:+ frame_codons=3"
    assert header("CCCC") == "generated_0 length=4 frame_codons=0"
