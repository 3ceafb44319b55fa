"""The study of Life-Code: its models, and its one table, from what its jobs leave behind."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

import genoseq
from genoseq.models import LifeCode, LifeCodeHead, SequenceModel
from genoseq.tokenizers import FrameTokenizer

ROOT = Path(__file__).resolve().parents[2]
OURS = ("device_jobs", "finetuning_study", "central_dogma_table", "central_dogma_study")


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    for name in OURS:
        monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module


def test_arms_are_asked_in_the_tokens_that_they_know(
    script: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    study = script("central_dogma_study")
    given = [*study.ENCODER, "model=lifecode_tiny"]
    for name in ("lifecode_0", "nucleotides_0"):
        torch.manual_seed(1)
        backbone = LifeCode(d_model=8, num_layers=1, pattern="a", attention={"num_heads": 2})
        model = SequenceModel(backbone, LifeCodeHead(backbone, transform=True), FrameTokenizer())
        model.save(tmp_path / "runs" / name)
    study.write_models(tmp_path, 1, given)
    models = {folder.name: genoseq.load(folder) for folder in (tmp_path / "models").iterdir()}
    assert sorted(models) == ["lifecode_0", "lifecode_unframed_0", "nucleotides_0", "untrained_0"]
    frames = {name: hasattr(model.tokenizer, "places") for name, model in models.items()}
    assert [name for name, framed in frames.items() if framed] == ["lifecode_0"]
    told = {name: hasattr(model.head, "translation") for name, model in models.items()}
    assert [name for name, has in sorted(told.items()) if has] == ["lifecode_0", "lifecode_unframed_0"]
    plain, own = (models[name] for name in ("nucleotides_0", "lifecode_unframed_0"))
    ids = torch.from_numpy(np.array([plain.tokenizer.encode("ACGTAC")]))
    torch.testing.assert_close(plain(ids).logits, own(ids).logits, msg="what was learnt is kept")
    assert models["untrained_0"].backbone.num_layers == 4


def test_the_table_has_arms_their_difference_and_baselines(
    script: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    def write(path: str, content: object) -> None:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(json.dumps(content))

    def estimate(mean: float) -> dict[str, object]:
        return {"mean": mean, "low": mean - 0.1, "high": mean + 0.1, "n": 9, "unit": "family"}

    for seed, better in enumerate((0.90, 0.92)):
        rows = {"matching by translation, head: auroc": estimate(better)}
        cosine = "matching by cosine: auroc"
        write(f"genes/lifecode_{seed}/three_omics.json", {f"lifecode_{seed}": rows | {cosine: estimate(0.7)}})
        # A head that was never taught has nothing to say.
        write(
            f"genes/nucleotides_{seed}/three_omics.json",
            {f"nucleotides_{seed}": rows | {cosine: estimate(0.5)}},
        )
    write("genes/baselines/three_omics.json", {"translator": {"matching: auroc": estimate(1.0)}})
    result = {"rows": [{"metrics": {"spearman": 0.4, "mse": 1.0}}]}
    write("finetuned/chosen.json", {"pombe_halflife": {"lifecode": 0.001}})
    write("finetuned/pombe_halflife/baselines.json", {"k-mers": {"rows": [{"metrics": {"spearman": 0.3}}]}})
    for seed in (0, 1):
        write(f"finetuned/pombe_halflife/lifecode/rate_0.001/seed_{seed}/results.json", result)
    frame = script("central_dogma_table").table(tmp_path).set_index(["measure", "arm"])
    head = frame.loc[("matching by translation, head: auroc", "lifecode")]
    assert (round(head["mean"], 6), head["n"], head["unit"]) == (0.91, 2, "seed")
    assert head["low"] < 0.9
    difference = frame.loc[("matching by cosine: auroc", "difference")]
    assert np.allclose(difference[["mean", "low", "high"]].astype(float), 0.2)
    assert ("matching by translation, head: auroc", "nucleotides") not in frame.index
    lines = (tmp_path / "central_dogma.md").read_text().splitlines()
    assert lines[2] == "| half-life: spearman | 0.400 [0.400, 0.400] |  |  | k-mers 0.300 |"
    assert "| coding sequence and protein: by cosine, auroc | 0.700 [0.700, 0.700] | 0.500" in lines[4]
    assert lines[4].endswith("| 0.200 [0.200, 0.200] | translator 1.000 |")
