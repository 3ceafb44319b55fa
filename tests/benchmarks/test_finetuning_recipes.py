"""Recipes of fine-tuning: chosen on validation, beside k-mer counts that were fitted on the same split."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def study(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    for name in ("device_jobs", "finetuning_recipes"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module("finetuning_recipes")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One set of the suite, whose label is told by one base."""
    generator = np.random.default_rng(0)
    labelled = tmp_path / "bench" / "labelled" / "GUE_mouse_0"
    labelled.mkdir(parents=True)
    for part, count in (("train", 80), ("dev", 40), ("test", 40)):
        labels = generator.integers(2, size=count)
        letters = [
            generator.choice(list("ACGT"), 50, p=[0.1, 0.2 + 0.3 * y, 0.6 - 0.3 * y, 0.1]) for y in labels
        ]
        rows = pd.DataFrame({"sequence": ["".join(one) for one in letters], "label": labels})
        rows.to_csv(labelled / f"{part}.tsv.gz", sep="\t", index=False)
    return tmp_path


def test_counts_are_judged_on_validation_and_test_stays_shut(
    study: ModuleType, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from genoseq.data import LabelledDataModule

    opened: list[str] = []
    examples = LabelledDataModule.examples

    def watched(self: LabelledDataModule, split: str) -> pd.DataFrame:
        opened.append(split)
        return examples(self, split)

    monkeypatch.setattr(LabelledDataModule, "examples", watched)
    overrides = [
        "data=labelled",
        *(f"data.{ours}={folder}/bench/labelled/GUE_mouse_0/{part}.tsv.gz" for ours, part in
          (("train", "train"), ("validation", "dev"), ("test", "test"))),
        "data.leaks=report",
    ]  # fmt: skip
    study.write_counts(folder / "out", {"GUE_mouse_0": overrides})
    assert json.loads((folder / "out" / study.COUNTS).read_text())["GUE_mouse_0"] > 0.5
    assert set(opened) == {"train", "validation"}


def test_the_table_tells_what_each_recipe_wins(study: ModuleType, tmp_path: Path) -> None:
    (tmp_path / study.COUNTS).write_text(json.dumps({"GUE_tf_2": 0.5, "GUE_mouse_0": 0.5}))
    for task, best in (("GUE_tf_2", 0.6), ("GUE_mouse_0", 0.4)):
        run = tmp_path / task / "hybridna_tiny" / "words_of_6"
        run.mkdir(parents=True)
        (run / "metrics.csv").write_text(f"step,val/mcc\n1,\n2,{best}\n3,0.1\n")
    row = study.table(tmp_path).set_index(["model", "recipe"]).loc[("hybridna_tiny", "words_of_6")]
    assert (row["GUE_tf_2"], row["GUE_mouse_0"], row["won"]) == (0.6, 0.4, "1 of 2")


def test_each_model_is_made_by_each_recipe(study: ModuleType) -> None:
    for model in study.MODELS:
        for recipe in study.RECIPES:
            config = study._composed(
                "train", [*study.settings_of(model, recipe), "data=labelled", "data.train=x"]
            )
            words = int(recipe.split("_")[2]) if recipe.startswith("words") else None
            assert config.data.tokenizer.get("k") == words
            if words:
                assert config.model.vocab_size == study.instantiate(config.data.tokenizer).vocab_size
