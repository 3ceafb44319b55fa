"""The table of the study, from run folders as training leaves them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def study(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    monkeypatch.delitem(sys.modules, "forecasting", raising=False)
    import forecasting

    return forecasting


def leave(folder: Path, mse: float, *, baselines: bool) -> None:
    def row(name: str, kind: str, value: float) -> dict:
        return {"name": name, "kind": kind, "metrics": {"mse": value, "mae": value / 2}, "versus_model": None}

    rows = [row("DLinear", "model", mse)]
    if baselines:
        rows.append(row("persistence", "baseline", 1.3))
    results = {"problem": "forecasting", "split": "test", "metric": "mse", "higher_is_better": False}
    folder.mkdir(parents=True)
    (folder / "results.json").write_text(json.dumps(results | {"rows": rows}))


def test_seeds_are_averaged_beside_baselines_and_published_values(
    study: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published = tmp_path / "signals.tsv"
    head = "bench\tdataset\tsetting\tmodel\tmetric\tvalue\tsource\n"
    rows = "".join(
        f"LTSF lookback96\t{data}\tH={horizon}\tDLinear\tMSE\t{value}\tx\n"
        for data, horizon, value in (("ETTh1", 96, 0.386), ("ETTh1", 192, 9.0), ("Exchange", 96, 9.0))
    )
    rows += "LTSF lookback96\tETTh1\tH=96\tS-Mamba\tMSE\t1.4\tx\n"
    published.write_text(head + rows)
    monkeypatch.setattr(study, "PUBLISHED", published)
    for seed, mse in enumerate((0.38, 0.40)):
        leave(study.Job("ETTh1", 96, "DLinear", seed).folder(tmp_path), mse, baselines=seed == 0)
    frame = study.table(tmp_path).set_index("model")
    assert frame.loc["DLinear", "seeds"] == 2
    assert frame.loc["DLinear", "mse"] == pytest.approx(0.39)
    assert frame.loc["DLinear", "published mse"] == 0.386
    assert frame.loc["persistence", "mse"] == 1.3
    assert frame.loc["S-Mamba", "published mse"] == 1.4, "published models that are not trained here"
    assert not study.remarks(frame.reset_index()), "persistence is not better than DLinear"
    frame.loc["persistence", "mse"] = 0.38
    (remark,) = study.remarks(frame.reset_index())
    assert "the last value (0.380) beats every published model here (best 0.386)" in remark
    assert (tmp_path / "forecasting.png").is_file()
    assert (tmp_path / "table.tsv").is_file()


def test_without_runs_it_says_so(study: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no finished run"):
        study.table(tmp_path)


def test_settings_of_a_run(study: ModuleType) -> None:
    settings = study.Job("Exchange", 96, "KARMA", 1).overrides()
    assert {"model.num_channels=8", "model.num_marks=0", "baselines=none", "seed=1"} <= set(settings)
    assert {"model.d_model=512", "task.spectral_weight=0.01"} <= set(settings)
    assert "task.spectral_weight=0.8" in study.Job("ETTh1", 720, "KARMA with attention", 0).overrides()
    assert not any("spectral" in text for text in study.Job("ETTh1", 720, "SSM", 0).overrides())
    assert "baselines=none" not in study.Job("Exchange", 96, "KARMA", 0).overrides()
