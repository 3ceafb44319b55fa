"""Tuning a language model to answer from demonstrations, and asking it about a task it was not tuned on."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from genoseq.cli import main
from genoseq.models import load

TINY = [
    "model=hybridna_tiny", "model.d_model=32", "model.num_layers=2", "model.pattern=m", "model.d_inner=32",
    "model.mamba2.d_state=16", "model.mamba2.headdim=16",
]  # fmt: skip


def write(path, rows, *, rich, poor, seed):
    """Sequences of 12 bases, of `rich` letters in class 1 and of `poor` ones in class 0."""
    generator = np.random.default_rng(seed)
    letters = [rich if number % 2 else poor for number in range(rows)]
    sequences = ["".join(generator.choice(list(of), size=12)) for of in letters]
    pd.DataFrame({"sequence": sequences, "label": np.arange(rows) % 2}).to_csv(path, index=False)


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    for name, rich, poor in (("gc", "GGCA", "AATC"), ("ca", "CCAG", "GGTA")):
        for seed, (part, rows) in enumerate({"train": 120, "validation": 20, "test": 40}.items()):
            write(folder / f"{name}_{part}.csv", rows, rich=rich, poor=poor, seed=seed)
    return folder


def task(name, tables, *parts):
    where = f"data.tasks.{name}"
    files = [
        f"{where}.{part}={tables}/{name}_{part}.csv" for part in parts or ("train", "validation", "test")
    ]
    return [f"+data@{where}=labelled", *files, f"{where}.leaks=report"]


@pytest.fixture(scope="module")
def tuned(tables, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "tuned"
    main(["train", "experiment=few_shot", *TINY, *task("gc", tables), "data.shots=[0,2]", "trainer=cpu",
          "trainer.max_steps=60", "trainer.val_check_interval=30", "global_batch_size=16", "ema_decay=null",
          "optimizer.lr=1e-2", "test=true", f"run_dir={folder}"])  # fmt: skip
    return folder


def test_it_learns_to_answer(tuned):
    results = json.loads((tuned / "results.json").read_text())
    assert results["rows"][0]["metrics"]["accuracy"] > 0.9
    assert [(row["task"], row["shots"], row["accuracy"]["n"]) for row in results["by_shots"]] == [
        ("gc", 0, 40),
        ("gc", 2, 40),
    ]
    rows = pd.read_parquet(tuned / "predictions.parquet")
    assert set(rows["shots"]) == {0, 2}
    model = load(tuned)
    assert model.preprocessing["answers"] == ["<class_0>", "<class_1>"]
    assert (tuned / "report.html").is_file()


def test_a_task_that_it_was_not_tuned_on(tuned, tables, tmp_path, capsys):
    out = tmp_path / "held.json"
    main(["evaluate", f"checkpoint={tuned}", "data=few_shot", *task("ca", tables), "data.shots=[0,1,3]",
          f"out={out}", "device=cpu"])  # fmt: skip
    results = json.loads(out.read_text())
    assert [row["shots"] for row in results["by_shots"]] == [0, 1, 3]
    assert "demonstrations of each class" in capsys.readouterr().out


def test_a_prompt_of_a_frozen_model_that_answers_in_tokens_it_knows(tables, tmp_path):
    folder = tmp_path / "prompted"
    main(["train", "experiment=few_shot", *TINY, *task("gc", tables), "data.shots=[0,1]", "trainer=cpu",
          "finetuning=soft_prompt", "finetuning.length=3", "data.answers=[A,N]", "global_batch_size=8",
          "trainer.max_steps=2", "trainer.val_check_interval=2", "report=false", f"run_dir={folder}",
    ])  # fmt: skip
    model = load(folder)
    assert model.backbone.prompt_length == 3
    assert model.preprocessing["answers"] == ["A", "N"]
    assert model.head.weight is model.backbone.input_embedding.weight


def test_what_cannot_be(tuned, tables, tmp_path, mistake, language_model):
    held = ["data=few_shot", "data.shots=[0]", "device=cpu"]
    asked = [*held, *task("ca", tables)]
    evaluate = ["evaluate", f"checkpoint={tuned}"]
    assert "there is no task" in mistake(main, [*evaluate, *held])
    assert "has 60 sequences of train" in mistake(main, [*evaluate, *asked, "data.shots=[61]"])
    told = mistake(main, ["evaluate", f"checkpoint={language_model}", *asked])
    assert "the checkpoint has learnt none" in told
    train = ["train", "experiment=few_shot", *task("gc", tables), "trainer=cpu", "global_batch_size=4"]
    folder = f"run_dir={tmp_path / 'run'}"
    both_ways = ["model=caduceus_ph_1k", "head=masked_language_model", folder]
    assert "take a causal model" in mistake(main, [*train, *both_ways])
    window = ["model.l_max=64", "data.shots=[0,4]", f"run_dir={tmp_path / 'other'}"]
    assert "episodes of train have up to 126 tokens, and this model reads 64" in mistake(
        main, [*train, *window]
    )
