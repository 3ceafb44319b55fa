"""Life-Code's four losses: what each is of, that they go down, and what they are refused for."""

from __future__ import annotations

import json
import math
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from genoseq.cli import main
from genoseq.data import CodingExamples
from genoseq.data.loading import ExampleKey, collate
from genoseq.errors import ConfigError
from genoseq.models import (
    LifeCode,
    LifeCodeHead,
    MaskedLanguageModelHead,
    ResidueProperties,
    SequenceModel,
)
from genoseq.sequence import count_codons, unify_dna, unify_protein
from genoseq.tokenizers import FrameTokenizer
from genoseq.training import constant_warmup
from genoseq_tasks import LifeCodeTask
from genoseq_tasks.lifecode import gather_rows

USAGE = count_codons([], pseudocount=1)


def genes(number: int) -> list[Any]:
    generator = np.random.default_rng(1)
    return [
        unify_protein(
            f"g{row}",
            "M" + "".join(generator.choice(list("ACDEFGHIKLMNPQRSTVWYU"), size=19 + row % 3)) + "*",
            USAGE,
            choice="sample",
            generator=generator,
        )
        for row in range(number)
    ]


def batch(records: list[Any], **settings: Any) -> dict[str, torch.Tensor]:
    settings = {"length": 120, "hidden_fraction": 0.4, "framed_fraction": 1.0, "seed": 0} | settings
    data = CodingExamples(records, FrameTokenizer(), **settings)
    return collate(FrameTokenizer())([data[ExampleKey(0, row)] for row in range(len(records))])


def task(*, width: int | None = 25, head: Any = None, **settings: Any) -> LifeCodeTask:
    torch.manual_seed(0)
    backbone = LifeCode(
        d_model=32,
        num_layers=2,
        pattern="da",
        delta={"num_heads": 2, "head_dim": 8},
        attention={"num_heads": 2, "position": "rotary"},
    )
    made = LifeCodeHead(backbone, teacher_width=width) if head is None else head(backbone)
    return LifeCodeTask(
        model=SequenceModel(backbone, made, FrameTokenizer()),
        optimizer=partial(torch.optim.AdamW, lr=0.02, weight_decay=0.0),
        schedule=partial(constant_warmup, warmup_fraction=0.1),
        seed=0,
        **{"teacher": ResidueProperties(window=3)} | settings,
    )


def test_what_each_loss_is_of() -> None:
    given = batch(genes(6))
    parts = task().parts(given)
    hidden = given["labels"] != -100
    residues = given["residues"]
    codons = sum(len(gene.letters) // 3 for gene in genes(6))
    sizes = {name: len(part.losses) for name, part in parts.items()}
    starts = residues != -100
    assert sizes["masked"] == int(hidden.sum())
    assert sizes["translation"] == int(starts.sum()) == codons
    assert sizes["codon"] == sizes["translation_hidden"] == int((hidden & starts).sum()) > 20
    # Neither stops nor selenocysteines are taught.
    assert sizes["distillation"] == sum(len(gene.protein.replace("U", "")) for gene in genes(6))
    for part in parts.values():
        assert torch.equal(part.rows.unique(), torch.arange(6))
    assert sizes["translation_visible"] == codons - sizes["codon"]
    assert parts["translation"].losses.mean().item() == pytest.approx(math.log(22), rel=0.1)
    assert parts["codon"].losses.mean().item() == pytest.approx(math.log(64), rel=0.1)


def test_the_teacher_sees_each_protein_in_order() -> None:
    seen = []

    class Teacher(ResidueProperties):
        def __call__(self, residues: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            seen.append((residues, mask))
            return super().__call__(residues, mask)

    records = genes(3)
    learner, given = task(teacher=Teacher()), batch(records)
    distilled = learner.parts(given)["distillation"]
    ((residues, mask),) = seen
    assert mask.sum(1).tolist() == [len(record.letters) // 3 for record in records]
    # In order, each residue beside its own codon's state.
    states = learner.model(given["input_ids"], given["attention_mask"]).last_hidden_state[1]
    protein = records[1].protein
    expected = torch.cosine_similarity(
        learner.head.distillation(states[: 3 * len(protein)].unflatten(0, (-1, 3)).mean(1)),
        learner.teacher.states(protein.replace("U", "A")),
    )
    known = torch.tensor([letter != "U" for letter in protein])
    torch.testing.assert_close(distilled.scores[distilled.rows == 1], expected[known])
    assert residues.shape == mask.shape


def test_rows_are_gathered_in_order() -> None:
    values = torch.tensor([[5, 6, 7, 8], [1, 2, 3, 4], [9, 9, 9, 9]])
    chosen = torch.tensor([[False, True, False, True], [True, True, True, False], [False] * 4])
    found, mask = gather_rows(values, chosen)
    assert gather_rows(values, torch.zeros_like(chosen))[1].tolist() == [[False]] * 3
    assert found.tolist() == [[6, 8, 0], [1, 2, 3], [0, 0, 0]]
    assert mask.tolist() == [[True, True, False], [True] * 3, [False] * 3]


def test_padding_and_uncounted_rows_change_nothing() -> None:
    learner, records = task().double().eval(), genes(3)
    together, alone = batch(records), batch(records[:1])
    whole, one = learner.parts(together), learner.parts(alone)
    together["counted"][1:] = False
    counted = learner.parts(together)
    for name, part in one.items():
        torch.testing.assert_close(whole[name].losses[whole[name].rows == 0], part.losses)
        torch.testing.assert_close(counted[name].losses, part.losses)


def test_dna_without_codons_has_hidden_bases_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    learner = task()
    monkeypatch.setattr(learner, "log", lambda *_: None)
    given = batch([unify_dna("d", "ACGTTGCA" * 9)])
    parts = learner.parts(given)
    assert {name for name, part in parts.items() if len(part.losses)} == {"masked"}
    loss = learner.loss(given)
    loss.backward()
    assert torch.equal(loss, parts["masked"].losses.mean())
    # Every weight is in the graph: distributed training waits for the gradients of all.
    assert all(parameter.grad is not None for parameter in learner.head.parameters())
    learner.validation_step(given, 0)
    metrics = learner.compute_metrics()
    assert metrics.keys() == {"loss", "masked_loss", "bits_per_base", "masked_accuracy"}


def test_without_frames_no_codon_is_told() -> None:
    parts = task().parts(batch(genes(4), framed_fraction=0.0))
    assert len(parts["codon"].losses) == 0
    assert len(parts["translation"].losses) > 60


def test_losses_are_weighted(monkeypatch: pytest.MonkeyPatch) -> None:
    given = batch(genes(4))
    learner = task(masked_weight=2.0, codon_weight=0.5, translation_weight=0.0, distillation_weight=3.0)
    logged: dict[str, float] = {}
    monkeypatch.setattr(learner, "log", lambda name, value: logged.update({name: float(value)}))
    loss = learner.loss(given)
    weights = {"masked": 2.0, "codon": 0.5, "translation": 0.0, "distillation": 3.0}
    assert logged.keys() == {f"train/{name}_loss" for name in weights}
    assert loss.item() == pytest.approx(sum(weights[n] * logged[f"train/{n}_loss"] for n in weights))
    learner.validation_step(given, 0)
    assert float(learner.compute_metrics()["loss"]) == pytest.approx(loss.item())


def test_all_of_them_are_learnt(monkeypatch: pytest.MonkeyPatch) -> None:
    learner, given = task(), batch(genes(8), hidden_fraction=0.15)
    monkeypatch.setattr(learner, "log", lambda *_: None)
    optimizer = torch.optim.AdamW(learner.model.parameters(), lr=0.01)
    for _ in range(60):
        optimizer.zero_grad()
        learner.loss(given).backward()
        optimizer.step()
    learner.validation_step(given, 0)
    metrics = {name: float(value) for name, value in learner.compute_metrics().items()}
    assert metrics["translation_accuracy"] > 0.9
    assert metrics["distillation_cosine"] > 0.8
    assert metrics["codon_accuracy"] > 0.5
    assert metrics["masked_accuracy"] > 0.6


def test_without_a_teacher() -> None:
    learner = task(width=None, teacher=None)
    assert learner.head.distillation is None
    assert len(learner.parts(batch(genes(2)))["distillation"].losses) == 0


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"width": 20}, "states of 25 numbers, the head has room for 20: give head.teacher_width=25"),
        ({"width": None}, "room for None: give head.teacher_width=25"),
        ({"teacher": None}, "has room for 25: give head.teacher_width=null"),
        ({"codon_weight": -1.0}, "0 or more"),
        ({"head": MaskedLanguageModelHead}, "head=lifecode"),
    ],
)
def test_refusals(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        task(**settings)


def test_a_run_and_its_evaluation(tmp_path: Path) -> None:
    table = tmp_path / "pairs.tsv"
    rows = [f"{record.name}\t{record.letters}\t{record.protein}" for record in genes(24)]
    table.write_text("\n".join(["locus\tcds\tprotein", *rows]) + "\n")
    data = [f"data.table={table}", "data.length=60", "data.min_length=30"]
    run = tmp_path / "run"
    small = ["model=lifecode_tiny", "model.d_model=16", "model.num_layers=2", "model.pattern=la"]
    steps = [
        "trainer=cpu",
        "trainer.max_steps=2",
        "trainer.val_check_interval=1",
        "test=true",
        "report=false",
    ]
    main(["train", "experiment=lifecode", *data, *small, *steps, "global_batch_size=4", f"run_dir={run}"])
    metrics = json.loads((run / "results.json").read_text())["rows"][0]["metrics"]
    table_of_rows = pd.read_parquet(run / "predictions.parquet")
    sums = table_of_rows[["num_correct", "num_bases", "num_translated", "num_residues"]].sum()
    assert metrics["accuracy"] == pytest.approx(sums["num_correct"] / sums["num_bases"])
    assert metrics["translation_accuracy"] == pytest.approx(sums["num_translated"] / sums["num_residues"])
    assert -1 <= metrics["distillation_cosine"] <= 1
    assert {"name", "group"} <= set(table_of_rows)
    logged = pd.read_csv(run / "metrics.csv")
    assert {"train/masked_loss", "val/codon_loss", "val/distillation_cosine"} <= set(logged)
    out = tmp_path / "again.json"
    main(["evaluate", f"checkpoint={run}", "data=coding", *data, f"out={out}"])
    again = json.loads(out.read_text())["rows"][0]["metrics"]
    assert again == pytest.approx(metrics, rel=1e-5)
