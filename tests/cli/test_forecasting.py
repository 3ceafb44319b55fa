"""A forecast from the table to the table: train, evaluate, predict, report, and what each refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import genoseq
from genoseq.cli import main

ROWS, DAY, HORIZON = 480, 24, 12
CPU = ("trainer=cpu", "trainer.precision=32-true")
SMALL = (
    "experiment=forecasting",
    "data.sequence_length=48",
    f"data.horizon={HORIZON}",
    "trainer.max_epochs=12",
    "trainer.val_check_interval=6.0",
    "~callbacks.early_stop",
    "test=true",
    *CPU,
)
NOISE = pytest.mark.filterwarnings("ignore:.*LeafSpec.*")


def series(rows: int = ROWS) -> pd.DataFrame:
    """Two daily rhythms in units far from 1, with noise of 10 % of their size."""
    steps = np.arange(rows)
    noise = np.random.default_rng(0).normal(0, 0.1, (rows, 2))
    load = 500 + 100 * (np.sin(2 * np.pi * steps / DAY) + noise[:, 0])
    heat = 20 + 3 * (np.cos(2 * np.pi * steps / DAY) + noise[:, 1])
    time = pd.date_range("2024-03-01", periods=rows, freq="h")
    return pd.DataFrame({"date": time, "load": load, "heat": heat})


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("series") / "series.csv"
    series().to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def run(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DLinear, by the command line."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    main(["train", *SMALL, f"data.path={table}", "data.units={load: kW}", f"run_dir={folder}"])
    return folder


@NOISE
def test_the_run_has_its_baselines_and_plots(run: Path) -> None:
    results = json.loads((run / "results.json").read_text())
    metrics = {row["name"]: row["metrics"] for row in results["rows"]}
    # Of a sine with noise, the best forecast is wrong by the noise: .1^2 / (.5 + .1^2).
    assert metrics["DLinear"]["mse"] < 0.04
    assert metrics["seasonal naive, 24 steps"]["mse"] < 0.08 < metrics["persistence"]["mse"]
    assert results["rows"][1]["versus_model"]["unit"] == "block of windows"
    names = {path.name for path in (run / "plots").glob("*.png")}
    assert {"forecasts.png", "forecast_spectra.png", "comparison.png", "curve_mse.png"} <= names
    assert "forecasting" in (run / "report.html").read_text()


@NOISE
def test_every_window_of_the_test_part_has_a_row(run: Path) -> None:
    rows = pd.read_parquet(run / "predictions.parquet")
    assert len(rows) == ROWS * 0.2 - HORIZON + 1
    assert rows["num_values"].eq(2 * HORIZON).all()
    shown = rows[rows["forecast"].notna()].iloc[0]
    assert np.mean(shown["history"]["load"]) == pytest.approx(500, abs=20), "in units of the data"
    assert len(shown["target"]["heat"]) == HORIZON


@NOISE
def test_evaluate_gives_the_numbers_of_the_run(run: Path, table: Path, tmp_path: Path) -> None:
    out = tmp_path / "metrics.json"
    settings = [
        "data=time_series",
        f"data.path={table}",
        "data.sequence_length=48",
        f"data.horizon={HORIZON}",
    ]
    main(["evaluate", f"checkpoint={run}", *settings, f"out={out}", "device=cpu"])
    rows = json.loads(out.read_text())["rows"]
    expected = json.loads((run / "results.json").read_text())["rows"][0]["metrics"]
    assert rows[0]["metrics"] == pytest.approx(expected, nan_ok=True)


def test_predict_goes_beyond_the_end_in_units_of_the_file(run: Path, table: Path, tmp_path: Path) -> None:
    out = tmp_path / "forecast.csv"
    main(["predict", f"checkpoint={run}", f"input={table}", f"out={out}", "device=cpu"])
    rows = pd.read_csv(out, parse_dates=["time"])
    assert rows["channel"].tolist() == ["load", "heat"] * HORIZON
    future = series(ROWS + HORIZON).iloc[-HORIZON:]
    assert rows["time"].iloc[::2].tolist() == future["date"].tolist()
    for channel, size in (("load", 100), ("heat", 3)):
        error = rows.loc[rows["channel"] == channel, "prediction"].to_numpy() - future[channel].to_numpy()
        assert np.abs(error).max() < 0.5 * size


@NOISE
@pytest.mark.parametrize(
    ("distribution", "numbers", "columns"),
    [
        ("quantiles", 5, ["quantile_0.1", "quantile_0.25", "quantile_0.5", "quantile_0.75", "quantile_0.9"]),
        ("student_t", 3, ["low", "high"]),
    ],
)
def test_intervals_hold_their_share(
    distribution: str, numbers: int, columns: list[str], table: Path, tmp_path: Path
) -> None:
    folder, out = tmp_path / "run", tmp_path / "forecast.parquet"
    wanted = [f"task.distribution={distribution}", f"model.num_parameters={numbers}", "baselines=none"]
    main(["train", *SMALL, *wanted, f"data.path={table}", f"run_dir={folder}", "optimizer.lr=3e-2"])
    metrics = json.loads((folder / "results.json").read_text())["rows"][0]["metrics"]
    assert 0.6 < metrics["coverage"] < 0.95
    assert metrics["crps"] < metrics["mae"]
    main(["predict", f"checkpoint={folder}", f"input={table}", f"out={out}", "device=cpu"])
    rows = pd.read_parquet(out)
    assert list(rows.columns) == ["time", "channel", "prediction", *columns]
    assert (rows[columns[0]] < rows["prediction"]).all()
    assert (rows["prediction"] < rows[columns[-1]]).all()


@NOISE
def test_a_gappy_series_with_a_model_that_reads_marks(tmp_path: Path) -> None:
    gappy = series().drop(index=[100, 101, 450]).reset_index(drop=True)
    gappy.loc[200:204, "heat"] = np.nan
    gappy.to_parquet(tmp_path / "gappy.parquet")
    settings = [
        f"data.path={tmp_path / 'gappy.parquet'}",
        "data.timestamps=gaps",
        "data.missing=mask",
        "model=channel_forecaster",
        "model.d_model=16",
        "model.num_layers=1",
        "model.num_marks=6",
        "trainer.max_epochs=2",
    ]
    folder = tmp_path / "run"
    main(["train", *SMALL, *settings, f"run_dir={folder}"])
    rows = pd.read_parquet(folder / "predictions.parquet")
    assert set(rows["num_values"]) == {2 * HORIZON, 2 * HORIZON - 2}, "what is missing is not measured"
    model = genoseq.load(folder)
    assert model.preprocessing["mask_marks"]
    out = tmp_path / "forecast.csv"
    main(
        ["predict", f"checkpoint={folder}", f"input={tmp_path / 'gappy.parquet'}", f"out={out}", "device=cpu"]
    )
    assert np.isfinite(pd.read_csv(out)["prediction"]).all()


def test_resumption_gives_the_same_weights(table: Path, tmp_path: Path) -> None:
    import torch

    short = ["trainer.max_epochs=-1", "test=false", "report=false", f"data.path={table}"]
    for name, steps in (("whole", [6]), ("parts", [3, 6])):
        for count in steps:
            pieces = [f"trainer.max_steps={count}", "resume=auto", f"run_dir={tmp_path / name}"]
            # The schedule must not know how long each piece is.
            main(["train", *SMALL, *short, *pieces, "schedule=constant_warmup", "schedule.warmup_fraction=0"])
    whole, parts = (genoseq.load(tmp_path / name).state_dict() for name in ("whole", "parts"))
    assert all(torch.equal(value, parts[name]) for name, value in whole.items())


Mistake = Callable[..., str]


MISTAKES = {
    "horizon": ("data.horizon=200", "Give a shorter horizon"),
    "column": ("data.columns=[wind]", "has no column 'wind'; it has date, load, heat"),
    "model": ("model.horizon=5", "model.horizon=5 does not go with the data, which have 12"),
    "numbers": ("task.distribution=gaussian", "give model.num_parameters=2"),
    "season": ("baselines.seasonal_naive.season=49", "longer than sequence_length=48"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_in_training(name: str, table: Path, tmp_path: Path, mistake: Mistake) -> None:
    setting, message = MISTAKES[name]
    arguments = ["train", *SMALL, f"data.path={table}", setting, f"run_dir={tmp_path / 'run'}"]
    assert message in mistake(main, arguments)


def test_mistakes_in_prediction(run: Path, tmp_path: Path, mistake: Mistake) -> None:
    def said(frame: pd.DataFrame, *settings: str) -> str:
        path = tmp_path / "input.csv"
        frame.to_csv(path, index=False)
        out = f"out={tmp_path / 'out.csv'}"
        text: Any = mistake(
            main, ["predict", f"checkpoint={run}", f"input={path}", out, "device=cpu", *settings]
        )
        assert not (tmp_path / "out.csv").exists()
        return text

    whole = series(60)
    assert "looks back 48" in said(whole.iloc[:47])
    assert "has no column 'heat'" in said(whole.drop(columns="heat"))
    assert "is there twice" in said(pd.concat([whole, whole.iloc[[3]]]))
    assert "times are missing" in said(whole.drop(index=[50]))
    assert "strands=none" in said(whole, "strands=none")
    assert "context=5" in said(whole, "context=5")


def test_data_of_another_kind(run: Path, mistake: Mistake) -> None:
    assert "has tokens" in mistake(main, ["evaluate", f"checkpoint={run}", "data=celegans", "device=cpu"])
