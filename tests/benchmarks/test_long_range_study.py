"""The study of generated tasks, one tiny run of it, and its table."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_a_run_and_its_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    monkeypatch.setenv("PYTHONPATH", ":".join(str(ROOT / part) for part in ("", "kernels", "tasks")))
    for name in ("long_range", "forecasting", "device_jobs"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import long_range

    # Digits in 400 steps: far from chance, and far from what the whole run reaches.
    settings = ["trainer.max_steps=400", "trainer.val_check_interval=200"]
    chosen = ["--tasks", "sequential_digits", "--mixers", "S4D", "--devices", "cpu"]
    long_range.main(["run", str(tmp_path), *chosen, "--set", *settings])
    frame = long_range.table(tmp_path)
    assert frame["accuracy"].item() > 80
    assert pd.isna(frame["published"].item()), "digits are not of the arena"
