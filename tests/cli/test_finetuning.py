"""`genoseq train` on labels: what learns, weights of classes, language modelling of the sequences first."""

from __future__ import annotations

import shutil

import pandas as pd
import pytest
import torch

from genoseq.cli import main
from genoseq.data.tables import read_table
from genoseq.models import HyenaDNA, LanguageModelHead, MaskedLanguageModelHead, SequenceModel, load
from genoseq.paths import data_dir
from genoseq.tokenizers import CharacterTokenizer

SMALL = ("model.d_model=8", "model.num_layers=1", "model.l_max=400", "model.filter_order=8")
FIRST = ("pretrain.trainer.max_steps=4", "seed=3")


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


def test_a_soft_prompt_is_kept_and_read_by_predict_and_evaluate(base, finetune, tmp_path, mistake):
    given = ["model=pretrained", f"model.checkpoint={base}", "finetuning=soft_prompt"]
    folder = finetune(*given, "finetuning.length=6", "optimizer.lr=0.1", "test=true")
    before, model = weights(load(base)), load(folder)
    after = model.backbone.inner.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    # It began as bases: what has learnt is none of them any more.
    apart = torch.cdist(model.backbone.prompt.weight, model.backbone.input_embedding.weight)
    assert apart.shape == (6, 16)
    assert apart.min() > 1e-3
    measured = pd.read_parquet(folder / "predictions.parquet")
    out = tmp_path / "again.tsv"
    main(["predict", f"checkpoint={folder}", f"input={tmp_path / 'test.csv'}", f"out={out}", "device=cpu"])
    again = pd.read_csv(out, sep="\t")
    assert again["probability_1"].to_numpy() == pytest.approx(measured["probability_1"].to_numpy(), abs=1e-5)
    rows = tmp_path / "rows.tsv"
    files = [f"data.{part}={tmp_path / part}.csv" for part in ("train", "test")]
    data = ["data=labelled", *files, "data.leaks=report"]
    main(["evaluate", f"checkpoint={folder}", *data, f"out={rows}", "device=cpu"])
    evaluated = pd.read_csv(rows, sep="\t")["probability_1"].to_numpy()
    assert evaluated == pytest.approx(measured["probability_1"].to_numpy(), abs=1e-5)
    assert "leaves no room in this model's l_max=400" in mistake(finetune, *given, "finetuning.length=400")


def test_class_weights_change_what_is_learnt(finetune):
    plain, balanced, heavy = (
        weights(load(finetune(*SMALL, *given)))
        for given in ([], ["task.class_weights=balanced"], ["task.class_weights=[1.0,9.0]"])
    )
    name = "layers.0.mixer.in_proj.weight"
    assert not torch.equal(plain[name], heavy[name])
    assert not torch.equal(balanced[name], heavy[name])


def test_class_weights_that_cannot_be(finetune, mistake):
    assert "one a class" in mistake(finetune, "task.class_weights=[1.0]")


@pytest.mark.parametrize(
    ("switch", "head"), [("causal_lm", LanguageModelHead), ("masked_lm", MaskedLanguageModelHead)]
)
def test_the_tasks_own_sequences_first(finetune, switch, head):
    folder = finetune(*SMALL, f"pretrain={switch}", *FIRST)
    first = load(folder / "pretraining")
    assert isinstance(first.head, head)
    logged = pd.read_csv(folder / "pretraining/metrics.csv")
    assert logged["step"].max() >= 3
    # What was learnt there is where this one began: after so few steps they are near, unlike another start.
    begun, done = weights(first), weights(load(folder))
    name = next(name for name in begun if "embed" in name)
    other = weights(load(finetune(*SMALL, "seed=3")))
    assert (done[name] - begun[name]).abs().max() < (other[name] - begun[name]).abs().max()


def test_a_resumed_run_pretrains_in_its_own_folder(finetune):
    folder = finetune(*SMALL, "pretrain=causal_lm", *FIRST)
    whole = weights(load(folder))
    for name in ("pretraining", "checkpoints", "model"):
        shutil.rmtree(folder / name)
    main(["train", f"resume={folder}"])
    assert (folder / "pretraining/checkpoints/best.ckpt").is_file()
    assert torch.load(folder / "checkpoints/last.ckpt", weights_only=True)["global_step"] == 3
    again = weights(load(folder))
    assert all(torch.equal(whole[name], again[name]) for name in whole)


def test_pretraining_that_cannot_be(base, finetune, mistake, tmp_path):
    given = ["model=pretrained", f"model.checkpoint={base}", "pretrain=causal_lm"]
    assert "give pretrain=none" in mistake(finetune, *given)
    assert "sets model.head, which" in mistake(finetune, *SMALL, "pretrain=masked_recording")
    # What is wrong with the task is said before anything is learnt.
    assert "head.num_outputs" in mistake(finetune, *SMALL, "pretrain=causal_lm", "head.num_outputs=3")
    assert not list(tmp_path.glob("run*/pretraining"))
