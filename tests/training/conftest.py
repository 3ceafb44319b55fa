"""A run of a second, for tests in this process; `tiny_run.py` is the same as a script."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from omegaconf import DictConfig, OmegaConf

SCRIPT = Path(__file__).with_name("tiny_run.py")


@pytest.fixture
def logged() -> Callable[[Path], pd.DataFrame]:
    """Read what a run logged, without the seconds on its clock."""
    return lambda folder: pd.read_csv(folder / "metrics.csv").drop(columns="seconds")


@pytest.fixture
def tiny_config(tmp_path: Path) -> Callable[..., DictConfig]:
    """Make the config of a tiny run in `tmp_path/run`, with overrides as on the command line."""
    spec = importlib.util.spec_from_file_location("tiny_run", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["tiny_run"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def make(*overrides: str) -> DictConfig:
        fixed = ["module=tiny_run", f"run_dir={tmp_path / 'run'}", "trainer.max_steps=4", "test=false"]
        return OmegaConf.merge(OmegaConf.create(module.CONFIG), OmegaConf.from_dotlist([*fixed, *overrides]))

    return make
