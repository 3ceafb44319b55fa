"""The studies of recordings: their runs compose, their tables say what the predictions say."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

pytest.importorskip("mne")

from genoseq.paths import configs_dir
from genoseq.training.assembly import require_windows

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    for name in ("eeg_subjects", "sensors", "streaming", "device_jobs"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module


@pytest.fixture
def asked(script, monkeypatch):
    """The settings of each run that is asked for, none of which is made."""
    found = []

    def run_jobs(jobs, *, devices, parallel):
        for job in jobs:
            overrides = job.command[4:]
            settings = dict(text.split("=", 1) for text in overrides if "=" in text)
            found.append((settings, overrides, devices))

    # The studies, imported after it, take this one.
    monkeypatch.setattr(script("device_jobs"), "run_jobs", run_jobs)
    return found


def composed(overrides):
    with initialize_config_dir(str(configs_dir()), version_base="1.3"):
        return compose("train", overrides=overrides)


def test_people(script, asked, tmp_path, capsys):
    module = script("eeg_subjects")
    out = tmp_path / "out"
    module.run(out, "x.rda", fists="eegmmidb", seeds=[0, 1], devices=["cpu"], parallel=1, extra=["name=x"])
    assert len(asked) == 2 * 5 * 2 + 2
    assert all(devices == ["cpu"] for _, _, devices in asked)
    first, fists = composed(asked[5][1]), composed(asked[-1][1])
    assert first.data.folds == 5
    assert fists.data.table.endswith("fists.tsv")
    # Predictions of folds, where one start knows more than the other.
    generator = np.random.default_rng(0)
    for start, quality in zip(module.STARTS, (0.1, 0.9), strict=True):
        for fold in range(5):
            rows = []
            for group in range(4 * fold, 4 * fold + 4):
                for trial in range(5):
                    chance = np.clip(0.5 + quality * ((group % 2) - 0.5) + generator.normal(0, 0.1), 0, 1)
                    rows.append(
                        (
                            trial,
                            ("control", "alcoholic")[group % 2],
                            1 - chance,
                            chance,
                            5 * group + trial,
                            group,
                        )
                    )
            columns = ["index", "label", "probability_control", "probability_alcoholic", "recording", "group"]
            folder = module.folder(out, start, 0, fold)
            folder.mkdir(parents=True)
            pd.DataFrame(rows, columns=columns).to_parquet(folder / "predictions.parquet")
    done = out / "fists" / "0"
    done.mkdir(parents=True)
    (done / "results.json").write_text(json.dumps({"rows": [{"metrics": {"accuracy": 0.5}}]}))
    # The table of band power is kept: the data are not opened again.
    pd.DataFrame(rows, columns=columns).to_parquet(out / "band_power.parquet")
    table = module.table(out, "x.rda")
    assert table["unit"].tolist() == ["window", "recording", "subject"] * 3
    assert table.loc[(table["unit"] == "subject"), "n"].tolist() == [20, 20, 4]
    printed = capsys.readouterr().out
    assert "paired over 20 subjects: +0." in printed
    assert "a smoke test: accuracy 0.500" in printed


@pytest.mark.slow
def test_sensors(script, asked, tmp_path, shared, monkeypatch):
    module = script("sensors")
    widths = {"HiSS": 46, "flat S4D": 62, "Mamba": 42, "LSTM": 44, "causal Transformer": 40}
    assert module.width_of("LSTM") == widths["LSTM"]
    monkeypatch.setattr(module, "width_of", widths.get)
    monkeypatch.setattr(module, "SHARES", (0.1, 1.0))
    path = str(shared / "data/bench/uea/S06R02E0.csv.gz")
    counts = {model: module._count(model, module.width_of(model)) for model in module.MODELS}
    assert max(counts.values()) < 1.05 * min(counts.values())
    jobs = module.jobs(tmp_path, path, [0], [])
    assert len(jobs) == 5 * 2 + 4
    for name in ("HiSS/share_1/seed_0", "Mamba/share_0.1/seed_0", "initialisations/ptd/seed_0"):
        config = composed(jobs[tmp_path / name])
        data = instantiate(config.data)
        require_windows(instantiate(config.model), data)
        assert len(data.dataset("train")) >= config.global_batch_size
    assert config.model.options.init == "ptd"
    rows = list(module.plain_rows(path))
    assert [row["model"] for row in rows[:2]] == ["ridge on lags", "training mean"]
    folder = module.folder(tmp_path, "HiSS", 1.0, 0)
    folder.mkdir(parents=True)
    values = {
        "label_a": [0.0, 1.0],
        "prediction_a": [0.0, 0.0],
        "label_b": [1.0, 1.0],
        "prediction_b": [1.0, 0.0],
        "label_c": [1.0, 1.0],
        "prediction_c": [1.0, 1.0],
    }
    pd.DataFrame(values).to_parquet(folder / "predictions.parquet")
    # Two of three targets are off by 1 in one of two rows, on a scale that is twice that of the whole.
    whole = module._whole_scale(path)
    scaler = {"shift": [0.0] * 9, "scale": [1.0] * 6 + (2 * whole).tolist()}
    (folder / "model").mkdir()
    (folder / "model" / "preprocessing.json").write_text(json.dumps({"scaler": scaler}))
    assert module.error(folder, path) == pytest.approx(4 / 3)
    table = module.table(tmp_path, path)
    assert table.iloc[0]["mse"] == pytest.approx(4 / 3)
    assert (tmp_path / "sensors.png").stat().st_size > 5000


@pytest.mark.slow
def test_streaming(script, tmp_path, shared):
    pytest.importorskip("wfdb")
    module = script("streaming")
    header = str(shared / "data/bench/ecg/100.hea")
    facts = module.run(tmp_path, header, mixer="lstm", steps=1, pieces=[512], limit=50_000)
    (row,) = facts["stream"]
    assert row["largest_difference"] < 1e-4 * row["standard_deviation"] + 1e-5
    assert row["growth_mib"] < 4
    assert (tmp_path / "streaming.png").stat().st_size > 5000
