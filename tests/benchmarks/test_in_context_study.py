"""The study in context: what it runs, what it leaves out, and its table from what its jobs leave behind."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
import torch

from genoseq.benchmark.suites.base import Task
from genoseq.models import HyenaDNA, LanguageModelHead, SequenceModel
from genoseq.tokenizers import CharacterTokenizer

ROOT = Path(__file__).resolve().parents[2]
OURS = ("device_jobs", "in_context", "in_context_kmers", "in_context_table")


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    for name in OURS:
        monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module


@pytest.fixture
def tasks(tmp_path: Path) -> dict[str, Task]:
    """Two sets of 40 sequences of 30 bases."""
    made = {}
    for number, name in enumerate(("shown", "held")):
        generator = np.random.default_rng(number)
        sequences = ["".join(row) for row in generator.choice(list("ACGT"), size=(40, 30))]
        path = tmp_path / f"{name}.tsv"
        pd.DataFrame({"sequence": sequences, "label": np.arange(40) % 2}).to_csv(path, sep="\t", index=False)
        made[name] = Task(name, path, None, None, "mcc")
    return made


def test_its_jobs(script: Callable[[str], ModuleType], tasks: dict[str, Task], tmp_path: Path) -> None:
    study = script("in_context").Study(
        out=tmp_path, starts={"tiny": "runs/tiny"}, folder="data", tasks=tasks, held_out="held",
        shots=[0, 2], train_shots=2, prompts=[0, 8], seeds=3, steps=10, tuning_steps=20,
    )  # fmt: skip
    trying = study.candidates()
    assert len(trying) == 2 * 2 * 2
    assert not any("test=true" in job.command for job in trying)
    for job in trying:
        job.done.parent.mkdir(parents=True)
        better = ("length_8" in job.name) == ("rate_0.01" in job.name)
        (job.done.parent / "metrics.csv").write_text(f"step,val/mcc\n1,\n2,{0.9 if better else 0.1}\n3,0.0\n")
    tested = study.chosen()
    assert len(tested) == 2 * 2 * 3
    assert json.loads((tmp_path / "chosen.json").read_text())["tiny/held/8"] == 0.01
    assert all(("rate_0.01" in job.name) == ("length_8" in job.name) for job in tested)
    (prompted, *_), (probe, *_) = (
        [job for job in tested if f"shown/length_{length}" in job.name] for length in (8, 0)
    )
    assert {"finetuning=soft_prompt", "finetuning.length=8", "head.num_outputs=2"} <= set(prompted.command)
    assert "finetuning=probe" in probe.command
    tuned, asked = study.tunings(), study.questions()
    assert len(tuned) == len(asked) == 6
    assert "+data@data.tasks.shown=labelled" in tuned[0].command
    assert not any("held" in word for word in tuned[0].command), "it is not tuned on"
    assert "+data@data.tasks.held=labelled" in asked[0].command
    permuted = ["data.permute_answers=true" in job.command for job in tuned]
    assert permuted == [False] * 3 + [True] * 3


def test_shots_that_do_not_fit_are_left_out(
    script: Callable[[str], ModuleType],
    tasks: dict[str, Task],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    torch.manual_seed(0)
    backbone = HyenaDNA(d_model=8, num_layers=1, l_max=160, filter_order=8)
    SequenceModel(backbone, LanguageModelHead(backbone), CharacterTokenizer()).save(tmp_path / "model")
    fitting = script("in_context").fitting
    assert fitting([tmp_path / "model"], list(tasks.values()), [0, 1, 2, 4]) == [0, 1, 2]
    assert "4 shots left out: episodes of 288 tokens, l_max=160" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="no number of shots fits"):
        fitting([tmp_path / "model"], list(tasks.values()), [8])


def test_kmers_of_all_of_train_and_of_few_rows(
    script: Callable[[str], ModuleType],
    tasks: dict[str, Task],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kmers = script("in_context_kmers")
    monkeypatch.setattr(kmers, "open_task", lambda folder, name: tasks[name])
    kmers.write(tmp_path / "kmers.json", folder="data", sets=["shown"], seeds=2, shots=[0, 1, 3])
    rows = json.loads((tmp_path / "kmers.json").read_text())
    assert [(row["shots"], row["seed"]) for row in rows] == [
        (None, None), (1, 0), (3, 0), (1, 1), (3, 1),
    ]  # fmt: skip
    assert all(0 <= row["accuracy"] <= 1 for row in rows)


def test_the_table_and_the_plot(script: Callable[[str], ModuleType], tmp_path: Path) -> None:
    def write(path: str, content: object) -> None:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(json.dumps(content))

    def scores(mcc: float | None) -> dict[str, object]:
        return {"metrics": {"mcc": mcc, "accuracy": 0.5}}

    write("study.json", {"held_out": "held"})
    write("chosen.json", {f"tiny/shown/{length}": 0.01 for length in (0, 8)})
    write("prompts/tiny/shown/length_8/rate_0.1/seed_0/results.json", {"rows": [scores(-1.0)]})  # not chosen
    for seed, more in enumerate((0.0, 0.2)):
        for length in (0, 8):
            path = f"prompts/tiny/shown/length_{length}/rate_0.01/seed_{seed}/results.json"
            write(path, {"rows": [scores(0.1 * length / 8 + more)]})
        for ending, name in (("results", "shown"), ("held_out", "held")):
            shots = [{"task": name, "shots": k, **scores(None if k == 0 else 0.3 + more)} for k in (0, 2)]
            write(f"few_shot/tiny/fixed/seed_{seed}/{ending}.json", {"by_shots": shots})
    known = [(None, None, 0.7), (2, 0, 0.1), (2, 1, 0.3)]
    write("kmers.json", [
        {"set": name, "shots": shots, "seed": seed, "mcc": mcc, "accuracy": 0.5}
        for name in ("shown", "held")
        for shots, seed, mcc in known
    ])  # fmt: skip
    frame = script("in_context_table").table(tmp_path)
    found = frame[frame["metric"] == "mcc"].set_index(["way", "arm", "number"])
    assert found.loc[("prompt", "tiny", 8), "mean"] == pytest.approx(0.2)
    assert found.loc[("held out", "tiny, fixed answers", 2), ["mean", "n"]].tolist() == pytest.approx(
        [0.4, 2]
    )
    assert ("tuned", "tiny, fixed answers", 0) not in found.index, "an MCC that is not defined is no number"
    assert found.loc[("held out", "k-mers", 2), "mean"] == pytest.approx(0.2)
    lines = (tmp_path / "in_context.md").read_text().splitlines()
    assert lines[0] == "| Soft prompt, frozen model: MCC | | 0 vectors | 8 vectors | all of train |"
    assert lines[3] == "| shown | k-mers |  |  | 0.700 |"
    assert (tmp_path / "in_context.png").stat().st_size > 10_000
