"""Answers by the next token: what is learnt, what is measured, and for which models."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn import functional
from torch.optim.lr_scheduler import LambdaLR

from genoseq.errors import ConfigError
from genoseq.models import Backbone, Caduceus, LanguageModelHead, Mamba2, SequenceHead, SequenceModel
from genoseq.models.strand_heads import MaskedLanguageModelHead
from genoseq.tokenizers import CharacterTokenizer
from genoseq_tasks import InContext

ANSWERED = {"answers": ["A", "N"]}


def task_of(model: SequenceModel) -> InContext:
    optimizer = partial(torch.optim.SGD, lr=0.0, weight_decay=0.0)
    return InContext(model=model, optimizer=optimizer, schedule=LambdaLR, seed=0)


def backbone() -> Backbone:
    torch.manual_seed(0)
    return Mamba2(d_model=16, num_layers=1, d_state=8, headdim=8, chunk_size=16)


@pytest.fixture
def task() -> InContext:
    stack = backbone()
    model = SequenceModel(stack, LanguageModelHead(stack), CharacterTokenizer(), ANSWERED)
    return task_of(model).eval().requires_grad_(False)


@pytest.fixture
def batch() -> dict[str, torch.Tensor]:
    """Two episodes, the first one shorter and padded: answers are 7 (A) and 11 (N), both end with N."""
    ids = torch.tensor([[4, 4, 4, 8, 9, 1, 11], [8, 8, 1, 7, 10, 1, 11]])
    labels = torch.full_like(ids, -100)
    labels[0, 6], labels[1, 3], labels[1, 6] = 11, 7, 11
    return {
        "input_ids": ids,
        "attention_mask": ids != 4,
        "labels": labels,
        "answers": torch.tensor([[7, 11], [11, 7]]),  # in the second episode they are exchanged
        "label": torch.tensor([1, 0]),
        "index": torch.tensor([0, 1]),
        "counted": torch.tensor([True, True]),
    }


def test_the_loss_is_that_of_all_answers(task: InContext, batch: dict[str, torch.Tensor]) -> None:
    logits = task.model(batch["input_ids"], batch["attention_mask"]).logits
    wanted = [
        functional.cross_entropy(logits[row, place - 1], torch.tensor(token))
        for row, place, token in ((0, 6, 11), (1, 3, 7), (1, 6, 11))
    ]
    torch.testing.assert_close(task.loss(batch), torch.stack(wanted).mean())


def test_the_last_answer_is_measured_by_its_class(
    task: InContext, batch: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = torch.zeros(2, 7, 16)
    said[0, 5, 11], said[1, 5, 11] = 2.0, 1.0
    said[:, 5, 3] = 9.0  # what answers for no class counts for none
    monkeypatch.setattr(task.model, "forward", lambda *args, **settings: SimpleNamespace(logits=said))
    task.test_step(batch, 0)
    task.test_step(batch | {"counted": torch.tensor([False, True])}, 0)
    rows = task._test_rows[0]
    assert rows["label"].tolist() == rows["prediction"].tolist() == ["1", "0"]
    expected = torch.tensor([2.0, -1.0]).sigmoid()
    assert np.allclose(rows["probability_1"], expected)
    assert task._test_rows[1]["index"].tolist() == [1]
    metrics = task.compute_metrics()
    assert metrics["accuracy"] == 1
    nats = functional.cross_entropy(said[:, 5], torch.tensor([11, 11]), reduction="none")
    assert metrics["loss"] == pytest.approx((nats.sum() + nats[1]).item() / 3)


def test_episodes_that_the_model_has_no_room_for(task: InContext) -> None:
    task.model.backbone.l_max = 50
    splits = {"train": 50, "validation": 51, "test": 50}
    datamodule = SimpleNamespace(dataset=lambda split: SimpleNamespace(longest=splits[split]))
    task._trainer = SimpleNamespace(datamodule=datamodule)
    task.setup("test")
    with pytest.raises(ConfigError, match=r"episodes of validation have up to 51 tokens, .* reads 50"):
        task.setup("fit")


def test_models_that_give_no_next_token() -> None:
    stack = backbone()
    with pytest.raises(ConfigError, match="SequenceHead on Mamba2 does not give"):
        task_of(SequenceModel(stack, SequenceHead(stack, num_outputs=2), CharacterTokenizer(), ANSWERED))
    both = Caduceus(d_model=8, num_layers=1)
    with pytest.raises(ConfigError, match="MaskedLanguageModelHead on Caduceus"):
        task_of(SequenceModel(both, MaskedLanguageModelHead(both), CharacterTokenizer(), ANSWERED))
    with pytest.raises(ConfigError, match="give data=few_shot"):
        task_of(SequenceModel(stack, LanguageModelHead(stack), CharacterTokenizer()))
