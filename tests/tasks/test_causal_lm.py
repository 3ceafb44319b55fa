"""Next-base prediction: what is learned and what is measured are the labelled bases, and no others."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn import functional
from torch.optim.lr_scheduler import LambdaLR

from genoseq.data import Ability, AbilityExamples
from genoseq.data.loading import ExampleKey, collate
from genoseq.models import LanguageModelHead, Mamba2, SequenceModel
from genoseq.tokenizers import BpeTokenizer, CharacterTokenizer, KmerTokenizer, Tokenizer
from genoseq_tasks import CausalLM

TOKENIZER = CharacterTokenizer()
ABILITY = Ability(marker="ACGT", key_length=2, num_pairs=2, answer_length=3)
LENGTHS = np.array([36, 61, 50])


@pytest.fixture
def task() -> CausalLM:
    torch.manual_seed(0)
    backbone = Mamba2(d_model=16, num_layers=1, d_state=8, headdim=8, chunk_size=16)
    model = SequenceModel(backbone, LanguageModelHead(backbone), TOKENIZER)
    optimizer = partial(torch.optim.SGD, lr=0.0, weight_decay=0.0)
    return CausalLM(model=model, optimizer=optimizer, schedule=LambdaLR, seed=0).eval().requires_grad_(False)


def batch_of(*indices: int, counted: bool = True) -> dict[str, torch.Tensor]:
    dataset = AbilityExamples(ABILITY, TOKENIZER, lengths=LENGTHS, seed=(0,))
    return collate(TOKENIZER)([dataset[ExampleKey(0, index, counted)] for index in indices])


def test_the_loss_is_that_of_the_answers(task: CausalLM) -> None:
    batch = batch_of(1)
    assert batch["labels"].ne(-100).sum() == 6
    logits = task.model(batch["input_ids"]).logits[0]
    answers = [place for place in range(61) if batch["labels"][0, place] != -100]
    nats = [functional.cross_entropy(logits[place - 1], batch["input_ids"][0, place]) for place in answers]
    torch.testing.assert_close(task.loss(batch), torch.stack(nats).mean())


def test_lengths_may_be_mixed_in_a_batch(task: CausalLM) -> None:
    for batch in (batch_of(0), batch_of(1), batch_of(2), batch_of(0, 1, 2)):
        task.test_step(batch, 0)
    alone, together = task._test_rows[:3], task._test_rows[3]
    for index, rows in enumerate(alone):
        assert rows["num_bases"].item() == together["num_bases"][index] == 6
        assert rows["num_correct"].item() == together["num_correct"][index]
        assert rows["bits"].item() == pytest.approx(together["bits"][index], rel=1e-5)


def test_accuracy_is_the_share_of_bases_that_were_the_likeliest(
    task: CausalLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = batch_of(0, 2)
    # Says what comes next, but says A where a C comes.
    following = batch["input_ids"].roll(-1, dims=1)
    said = following.where(following != 8, 7)
    outputs = SimpleNamespace(logits=functional.one_hot(said, 16).float())
    monkeypatch.setattr(task.model, "forward", lambda *args, **settings: outputs)
    task.test_step(batch, 0)
    answers = batch["labels"] != -100
    cytosines = (answers & (batch["labels"] == 8)).sum(dim=1)
    assert cytosines.sum() > 0
    assert task._test_rows[0]["num_correct"].tolist() == (6 - cytosines).tolist()
    metrics = task.compute_metrics()
    assert metrics["accuracy"].item() == pytest.approx(1 - cytosines.sum().item() / 12)


def test_rows_that_only_fill_up_do_not_count(task: CausalLM) -> None:
    task.test_step(batch_of(0), 0)
    once = task.compute_metrics()
    task.test_step(batch_of(0), 0)
    task.test_step(batch_of(1, counted=False), 1)
    assert task.compute_metrics() == once
    assert len(task._test_rows[-1]) == 0


@pytest.mark.parametrize(
    ("tokenizer", "bases"),
    [
        (KmerTokenizer(k=3, layout="dnabert"), [12, 6]),
        (KmerTokenizer(k=3, layout="dnabert", overlapping=True, padding_side="right"), [12, 8]),
        (BpeTokenizer(merges=["A C", "AC G"], special_tokens="none"), [12, 10]),
    ],
)
def test_bits_are_per_base_whatever_the_tokens(tokenizer: Tokenizer, bases: list[int]) -> None:
    backbone = Mamba2(
        d_model=16, num_layers=1, d_state=8, headdim=8, chunk_size=16, vocab_size=tokenizer.vocab_size
    )
    model = SequenceModel(backbone, LanguageModelHead(backbone), tokenizer)
    optimizer = partial(torch.optim.SGD, lr=0.0, weight_decay=0.0)
    task = CausalLM(model=model, optimizer=optimizer, schedule=LambdaLR, seed=0).eval().requires_grad_(False)
    # The first token is predicted from nothing; a token with an N is not scored.
    sequences = ["ACGTTTACGTTTACG", "ACGACGTTTNACGA"]
    ids, mask = tokenizer(sequences, add_special_tokens=False)
    batch = {"input_ids": ids, "attention_mask": mask, "index": torch.arange(2)}
    task.test_step(batch | {"counted": torch.tensor([True, True])}, 0)
    rows = task._test_rows[0]
    assert rows["num_bases"].tolist() == bases
    metrics = task.compute_metrics()
    assert metrics["bits_per_base"].item() == pytest.approx(rows["bits"].sum() / sum(bases), rel=1e-6)
