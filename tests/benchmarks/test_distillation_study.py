"""The study of distillation: what its students may read, and the picture of what they make of it."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from genoseq.paths import configs_dir

ROOT = Path(__file__).resolve().parents[2]


def test_students_read_training_rows_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    for name in ("finetuning_study", "distillation_study"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    script = importlib.import_module("distillation_study")
    script.write_data(tmp_path)
    overrides = (tmp_path / "overrides").read_text().split()
    with initialize_config_dir(str(configs_dir()), version_base="1.3"):
        config = compose("train", overrides=["experiment=had", "task.teacher=none", *overrides])
    data = instantiate(config.data)
    parts = {
        name: {region.chromosome for region, _ in data.sequences(name)}
        for name in ("train", "validation", "test")
    }
    assert [len(rows) for rows in parts.values()] == [10_738 - 800, 400, 400]
    assert len(set().union(*parts.values())) == 10_738
    assert script._untrained().embed("ACGT" * 10).shape == (1, 128)
