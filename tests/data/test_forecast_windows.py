"""Windows of a series: what is seen and predicted, by whom, and that nothing is left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from genoseq.data import ForecastingDataModule, FractionBorders, MonthBorders
from genoseq.data.loading import ExampleKey
from genoseq.errors import ConfigError, DataError

ROWS = 200


@pytest.fixture
def path(tmp_path: Path) -> Path:
    steps = np.arange(ROWS, dtype=float)
    time = pd.date_range("2024-01-01", periods=ROWS, freq="h")
    table = pd.DataFrame({"date": time, "a": steps, "b": 5 + np.sin(steps)})
    table.to_csv(tmp_path / "series.csv", index=False)
    return tmp_path / "series.csv"


def datamodule(path: Path, **changes: Any) -> ForecastingDataModule:
    settings: dict[str, Any] = {
        "header": True,
        "time_column": "date",
        "time_unit": None,
        "columns": None,
        "units": {"a": "kW"},
        "timestamps": "regular",
        "frequency": None,
        "missing": "error",
        "calendar": ["hour"],
        "scaling": "standard",
        "borders": FractionBorders(train=0.7, validation=0.1, test=0.2),
        "sequence_length": 12,
        "horizon": 5,
        "global_batch_size": 8,
        "micro_batch_size": None,
        "num_workers": 0,
        "pin_memory": False,
        "seed": 0,
    }
    return ForecastingDataModule(path=path, **{**settings, **changes})


def rows_of(data: ForecastingDataModule, values: np.ndarray) -> np.ndarray:
    """Row numbers back from channel a, which counts them."""
    scaler = data.scaler
    return np.round(values[..., 0] * scaler.scale[0] + scaler.shift[0]).astype(int)


def test_windows_of_a_part_predict_all_its_rows_and_no_other(path: Path) -> None:
    data = datamodule(path)
    expected = {"train": range(12, 140), "validation": range(140, 160), "test": range(160, 200)}
    for split, rows in expected.items():
        windows = data.dataset(split)
        items = [windows[ExampleKey(0, index)] for index in range(len(windows))]
        targets = rows_of(data, np.stack([item["target"] for item in items]))
        seen = rows_of(data, np.stack([item["x_enc"] for item in items]))
        assert sorted(set(targets.ravel())) == list(rows), split
        assert len(windows) == len(rows) - 5 + 1
        assert (targets[:, 0] == seen[:, -1] + 1).all()
        assert (np.diff(seen, axis=1) == 1).all()
        assert all(item["x_mark_enc"].shape == (12, 1) for item in items)
        assert all(item["target_observed"].all() for item in items)


def test_the_last_batch_of_a_test_is_not_dropped(path: Path) -> None:
    data = datamodule(path)
    batches = list(data.test_dataloader())
    assert [len(batch["index"]) for batch in batches] == [8, 8, 8, 8, 4]
    assert np.concatenate([batch["index"] for batch in batches]).tolist() == list(range(36))
    assert batches[-1]["x_enc"].shape == (4, 12, 2)


def test_the_scale_is_that_of_the_training_rows(path: Path) -> None:
    data = datamodule(path)
    assert data.scaler.shift[0] == pytest.approx(np.arange(140).mean())
    assert data.describe()["units"] == {"a": "kW"}
    assert data.describe()["scaler"]["shift"][0] == pytest.approx(69.5)


def test_missing_values_are_marked_carried_and_not_predicted(path: Path) -> None:
    table = pd.read_csv(path)
    table.loc[165:167, "b"] = np.nan
    table = table.drop(index=[30, 31])
    table.to_csv(path, index=False)
    data = datamodule(path, missing="mask", timestamps="gaps")
    assert data.num_marks == 3
    windows = data.dataset("test")
    first = windows[ExampleKey(0, 3)]  # predicts rows 163 to 167
    assert first["target_observed"][:, 1].tolist() == [True, True, False, False, False]
    later = windows[ExampleKey(0, 8)]  # sees rows 156 to 167
    assert (later["x_enc"][-4:, 1] == later["x_enc"][-4, 1]).all(), "what was last is carried on"
    assert later["x_mark_enc"][-4:, 2].tolist() == [0.5, -0.5, -0.5, -0.5]
    assert np.isfinite(later["x_enc"]).all()


def test_windows_without_anything_observed_are_left_out(path: Path) -> None:
    table = pd.read_csv(path)
    table.loc[170:180, ["a", "b"]] = np.nan
    table.to_csv(path, index=False)
    starts = datamodule(path, missing="mask").dataset("test").starts
    assert set(range(160, 196)) - set(starts) == set(range(170, 177))


def test_origins_and_blocks(path: Path) -> None:
    examples = datamodule(path).examples("test")
    assert examples["origin"].iloc[0] == pd.Timestamp("2024-01-07 16:00")
    assert examples["block"].value_counts().to_list() == [5] * 7 + [1]


def test_what_does_not_fit_is_said(path: Path) -> None:
    with pytest.raises(DataError, match=r"the validation part .* rows 140 to 160 of 200.*shorter horizon"):
        datamodule(path, horizon=21).setup("fit")
    with pytest.raises(DataError, match="the train part"):
        datamodule(path, horizon=150).setup("fit")
    with pytest.raises(DataError, match="months of 30 days"):
        datamodule(path, borders=MonthBorders()).setup("fit")
    with pytest.raises(ConfigError, match="give at least 1"):
        datamodule(path, horizon=0)
    with pytest.raises(ConfigError, match="units name c; the channels are a, b"):
        datamodule(path, units={"c": "kW"}).setup("fit")
    table = pd.read_csv(path)
    table.loc[:150, "b"] = 1.0
    table.to_csv(path, index=False)
    with pytest.raises(DataError, match="channel b is constant in the training part"):
        datamodule(path).setup("fit")


def test_the_borders_of_the_real_file(shared: Path) -> None:
    data = datamodule(
        shared / "data" / "bench" / "ts" / "ETTh1.csv.gz",
        units=None,
        borders=MonthBorders(),
        sequence_length=96,
        horizon=96,
    )
    assert [data.num_examples(split) for split in ("train", "validation", "test")] == [8449, 2785, 2785]
    # The mean of the training part, as every published table scales by it.
    assert data.scaler.shift[0] == pytest.approx(7.9377, abs=1e-4)
