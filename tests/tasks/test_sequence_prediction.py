"""Labels of sequences and of tokens, learnt and measured."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer

from genoseq.data.datamodule import SequenceDataModule
from genoseq.errors import ConfigError
from genoseq.models import HyenaDNA, SequenceHead, SequenceModel, TokenHead
from genoseq.tokenizers import CharacterTokenizer
from genoseq.training import constant_warmup
from genoseq_tasks import SequencePrediction

CLASSES = ("poor", "rich")


class GcContent:
    """Is a sequence rich in GC? Lengths differ, so that batches are padded."""

    def __init__(self, kind: str, size: int, strand: str) -> None:
        self.kind = kind
        self.size = size
        self.strand = strand
        self.tokenizer = CharacterTokenizer()

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, key: Any) -> dict[str, Any]:
        generator = np.random.default_rng([self.size, key.index])
        rich = key.index % 2
        share = 0.4 if rich else 0.1
        weights = [0.5 - share, share, share, 0.5 - share]
        codes = generator.choice(4, generator.integers(20, 30), p=weights).astype(np.uint8)
        ids = self.tokenizer.encode_codes(codes)
        inside = np.isin(codes, (1, 2))
        labels = {
            "single_label": np.int64(rich),
            "multi_label": np.array([rich, 1 - rich, rich], dtype=np.float32),
            "regression": np.float32(inside.mean()),
            "token": inside.astype(np.int64),
            # The first base is not measured.
            "token_number": np.where(np.arange(len(codes)) > 0, inside, np.nan).astype(np.float32),
        }[self.kind]
        return {"input_ids": ids, "labels": labels, "index": key.index, "counted": key.counted}


class GcData(SequenceDataModule):
    def __init__(self, kind: str, strand: str = "unstranded") -> None:
        super().__init__(
            tokenizer=CharacterTokenizer(),
            global_batch_size=16,
            micro_batch_size=None,
            num_workers=0,
            pin_memory=False,
            seed=0,
        )
        self.kind = kind
        self.strand = strand
        self.classes = {"single_label": CLASSES, "token": ("at", "gc"), "multi_label": ("a", "b", "c")}.get(
            kind
        )

    def build(self, split: str) -> Any:
        return GcContent(self.kind, {"train": 64, "validation": 20, "test": 21}[split], self.strand)


def trained(kind: str, *, strands: str = "none", strand: str = "unstranded") -> tuple[Trainer, Any]:
    torch.manual_seed(0)
    backbone = HyenaDNA(d_model=16, num_layers=1, d_inner=32, l_max=32)
    num_outputs = {"single_label": 2, "multi_label": 3, "regression": 1, "token": 2, "token_number": 1}[kind]
    if kind.startswith("token"):
        problem: Any = "single_label" if kind == "token" else "regression"
        head: Any = TokenHead(backbone, problem=problem, num_outputs=num_outputs)
    else:
        head = SequenceHead(backbone, problem=kind, num_outputs=num_outputs)
    data = GcData(kind, strand)
    task = SequencePrediction(
        model=SequenceModel(backbone, head, tokenizer=data.tokenizer, preprocessing={"strands": strands}),
        optimizer=partial(torch.optim.AdamW, lr=0.01, weight_decay=0.0),
        schedule=partial(constant_warmup, warmup_fraction=0.1),
        seed=0,
    )
    trainer = Trainer(
        accelerator="cpu",
        max_steps=40,
        max_epochs=-1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        limit_val_batches=0,
    )
    trainer.fit(task, datamodule=data)
    trainer.test(task, datamodule=data, verbose=False)
    return trainer, task


pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*"),
]


@pytest.mark.parametrize("strands", ["none", "average"])
def test_one_class(strands: str) -> None:
    trainer, task = trained("single_label", strands=strands)
    metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
    table = task.predictions
    assert metrics["test/accuracy"] == pytest.approx((table["label"] == table["prediction"]).mean())
    assert metrics["test/accuracy"] > 0.9
    assert {"test/loss", "test/mcc", "test/f1", "test/auroc", "test/auprc"} < metrics.keys()
    assert table["index"].tolist() == list(range(21))
    assert set(table["label"]) == set(CLASSES)
    np.testing.assert_allclose(table["probability_poor"] + table["probability_rich"], 1, rtol=1e-5)


def test_several_classes() -> None:
    trainer, task = trained("multi_label")
    assert float(trainer.callback_metrics["test/accuracy"]) > 0.9
    assert {"label_a", "prediction_b", "probability_c"} < set(task.predictions.columns)


def test_a_number() -> None:
    trainer, task = trained("regression")
    table = task.predictions
    mse = ((table["label"] - table["prediction"]) ** 2).mean()
    assert float(trainer.callback_metrics["test/mse"]) == pytest.approx(mse, rel=1e-4)
    assert float(trainer.callback_metrics["test/pearson"]) > 0.5


def test_a_class_of_each_token() -> None:
    trainer, task = trained("token")
    table = task.predictions
    lengths = [len(GcContent("token", 21, "").__getitem__(key)["labels"]) for key in keys(21)]
    assert len(table) == sum(lengths), "padding is not predicted"
    assert float(trainer.callback_metrics["test/accuracy"]) > 0.9


def test_a_number_of_each_token() -> None:
    trainer, task = trained("token_number")
    table = task.predictions
    lengths = [len(GcContent("token", 21, "").__getitem__(key)["labels"]) for key in keys(21)]
    assert len(table) == sum(lengths) - 21, "neither padding nor what was not measured is predicted"
    assert float(trainer.callback_metrics["test/mse"]) < 0.05
    assert float(trainer.callback_metrics["test/loss"]) < 0.05, "nothing else is learnt from"


def keys(size: int) -> Any:
    from genoseq.data.loading import ExampleKey

    return (ExampleKey(0, index) for index in range(size))


def test_both_strands_of_stranded_labels_are_refused() -> None:
    with pytest.raises(ConfigError, match="strands=none"):
        trained("single_label", strands="average", strand="stranded")
