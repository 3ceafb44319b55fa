"""`genoseq train` on labels: what learns, weights of classes, language modelling of the sequences first."""

from __future__ import annotations

import pandas as pd
import pytest
import torch

from genoseq.cli import main
from genoseq.data.tables import read_table
from genoseq.models import HyenaDNA, LanguageModelHead, SequenceModel, load
from genoseq.paths import data_dir
from genoseq.tokenizers import CharacterTokenizer


@pytest.fixture
def base(tmp_path):
    torch.manual_seed(0)
    backbone = HyenaDNA(d_model=8, num_layers=1, l_max=400, filter_order=8)
    SequenceModel(backbone, LanguageModelHead(backbone), CharacterTokenizer()).save(tmp_path / "base")
    return tmp_path / "base"


@pytest.fixture
def finetune(tmp_path):
    """`finetune(*settings)`: the run folder of a few steps on splice sites."""
    files = []
    for part, rows in (("train", 100), ("test", 40)):
        whole = read_table(data_dir() / f"labelled/umaydis_splice_donors/{part}.tsv.gz")
        path = tmp_path / f"{part}.csv"
        whole.sample(rows, random_state=0).to_csv(path, index=False)
        files.append(f"data.{part}={path}")

    def run(*settings):
        folder = tmp_path / f"run{len(list(tmp_path.glob('run*')))}"
        arguments = [
            "experiment=finetune", *files, "data.leaks=report", "baselines=none", "report=false",
            "trainer=cpu", "trainer.max_steps=3", "trainer.val_check_interval=3", "global_batch_size=8",
            f"run_dir={folder}", *settings,
        ]  # fmt: skip
        main(["train", *arguments])
        return folder

    return run


def weights(model):
    return {name: value for name, value in model.backbone.state_dict().items() if value.is_floating_point()}


def test_a_probe_leaves_the_backbone_as_it_was(base, finetune):
    folder = finetune("model=pretrained", f"model.checkpoint={base}", "finetuning=probe", "head.pooler=true")
    before, after = weights(load(base)), weights(load(folder))
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_lora_gives_a_plain_model_that_predicts_as_it_was_measured(base, finetune, tmp_path):
    pytest.importorskip("peft")
    folder = finetune("model=pretrained", f"model.checkpoint={base}", "finetuning=lora", "test=true")
    before, after = weights(load(base)), weights(load(folder))
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.allclose(before[name], after[name])}
    assert changed == {f"layers.0.mixer.{name}_proj.weight" for name in ("in", "out")}
    measured = pd.read_parquet(folder / "predictions.parquet")
    out = tmp_path / "again.tsv"
    main(["predict", f"checkpoint={folder}", f"input={tmp_path / 'test.csv'}", f"out={out}", "device=cpu"])
    again = pd.read_csv(out, sep="\t")
    assert again["probability_1"].to_numpy() == pytest.approx(measured["probability_1"].to_numpy(), abs=1e-4)


def test_class_weights_change_what_is_learnt(finetune):
    small = ["model.d_model=8", "model.num_layers=1", "model.l_max=400", "model.filter_order=8"]
    plain, balanced, heavy = (
        weights(load(finetune(*small, *given)))
        for given in ([], ["task.class_weights=balanced"], ["task.class_weights=[1.0,9.0]"])
    )
    name = "layers.0.mixer.in_proj.weight"
    assert not torch.equal(plain[name], heavy[name])
    assert not torch.equal(balanced[name], heavy[name])


def test_class_weights_that_cannot_be(finetune, mistake):
    assert "one a class" in mistake(finetune, "task.class_weights=[1.0]")


def test_the_tasks_own_sequences_first(finetune):
    small = ["model.d_model=8", "model.num_layers=1", "model.l_max=400", "model.filter_order=8"]
    folder = finetune(*small, "pretrain=causal_lm", "pretrain.trainer.max_steps=4", "seed=3")
    first = load(folder / "pretraining")
    assert isinstance(first.head, LanguageModelHead)
    logged = pd.read_csv(folder / "pretraining/metrics.csv")
    assert logged["step"].max() >= 3
    # What was learnt there is where this one began: after so few steps they are near, unlike another start.
    begun, done = weights(first), weights(load(folder))
    name = "embeddings.word_embeddings.weight"
    name = name if name in begun else next(n for n in begun if "embed" in n)
    other = weights(load(finetune(*small, "seed=3")))
    assert (done[name] - begun[name]).abs().max() < (other[name] - begun[name]).abs().max()
