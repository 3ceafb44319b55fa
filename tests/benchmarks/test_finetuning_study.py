"""The study of fine-tuning: rates are chosen on validation, and each checkpoint keeps its tokens."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from genoseq.tokenizers import FrameTokenizer, read_tokenizer

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def study(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    for name in ("device_jobs", "finetuning_study"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module("finetuning_study")


def test_validation_chooses_the_rate_of_each_start(study: ModuleType, tmp_path: Path) -> None:
    what = (tmp_path, ["scratch", "small=hybridna_small"], ["umaydis", "pombe_halflife"])
    fitting, *trying = study.candidates(*what, rates=(0.1, 0.2))[1:]
    assert fitting.done == tmp_path / "pombe_halflife" / "baselines.json"
    assert len(trying) == 8
    assert not any("test=true" in job.command for job in trying)
    for job in trying:
        folder = job.done.parent
        folder.mkdir(parents=True)
        monitor = "val/mcc" if "umaydis" in job.name else "val/spearman"
        better = ("rate_0.2" in job.name) == ("scratch" in job.name)
        (folder / "metrics.csv").write_text(f"step,{monitor}\n1,\n2,{0.9 if better else 0.8}\n3,0.1\n")
        job.done.touch()
    tested = study.chosen(*what, seeds=3, rates=(0.1, 0.2))
    best = {"scratch": 0.2, "small": 0.1}
    assert json.loads((tmp_path / "chosen.json").read_text()) == dict.fromkeys(what[2], best)
    assert len(tested) == 12
    assert {job.done.name for job in tested} == {"results.json"}
    assert {folder.done.parent for folder in trying} & {job.done.parent for job in tested}, "seed 0 goes on"
    small = next(job for job in tested if job.name.endswith("umaydis/small/rate_0.1/seed_2"))
    wanted = {"model=hybridna_small", "optimizer.lr=0.1", "seed=2", "test=true", "experiment=umaydis"}
    assert wanted <= set(small.command)

    next(job for job in trying if "pombe_halflife/small" in job.name).done.unlink()
    rest = study.chosen(*what, seeds=3, rates=(0.1, 0.2))
    assert len(rest) == 9
    assert not any("pombe_halflife/small" in job.name for job in rest), "one of its two rates did not finish"


def test_a_checkpoint_of_each_seed_with_its_own_tokens(study: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "run_1" / "model").mkdir(parents=True)
    FrameTokenizer().save(tmp_path / "run_1" / "model")
    overrides = study._start(f"mine={tmp_path}/run_{{seed}}", 1)
    assert overrides[:3] == [
        "model=pretrained",
        f"model.checkpoint={tmp_path / 'run_1'}",
        "tokenizer@data.tokenizer=file",
    ]
    assert isinstance(read_tokenizer(file=overrides[3].partition("=")[2]), FrameTokenizer)
    assert study._start("mine=hub/name", 1) == ["model=pretrained", "model.checkpoint=hub/name"]
    assert study._start("scratch", 1) == []
