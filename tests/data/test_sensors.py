"""Sensors from sensors: blocks that do not touch, a scale of training rows, targets of the last sample."""

import numpy as np
import pandas as pd
import pytest

from genoseq.data import FractionBorders, SensorDataModule
from genoseq.data.loading import ExampleKey
from genoseq.errors import ConfigError, DataError


def open_data(path, **changes):
    settings = {
        "path": path,
        "header": True,
        "time_column": None,
        "time_unit": None,
        "timestamps": "regular",
        "frequency": None,
        "missing": "error",
        "inputs": ["a", "b"],
        "targets": ["c"],
        "scaling": "standard",
        "borders": FractionBorders(train=0.6, validation=0.2, test=0.2),
        "train_share": 1.0,
        "sequence_length": 20,
        "stride": 5,
        "samples_per_prediction": 4,
        "global_batch_size": 4,
        "micro_batch_size": None,
        "num_workers": 0,
        "pin_memory": False,
        "seed": 0,
    }
    return SensorDataModule(**(settings | changes))


@pytest.fixture
def path(tmp_path):
    values = np.random.default_rng(0).normal(size=(500, 3)) + np.arange(500)[:, None] / 50
    pd.DataFrame(values, columns=["a", "b", "c"]).to_csv(tmp_path / "s.csv", index=False)
    return tmp_path / "s.csv"


def test_no_window_reaches_into_another_block(path):
    data = open_data(path)
    ranges = {split: data.examples(split)["start"].to_numpy() for split in ("train", "validation", "test")}
    assert ranges["train"].max() + 20 <= 300
    assert ranges["validation"].min() == 300
    assert ranges["validation"].max() + 20 <= 400
    assert ranges["test"].tolist() == list(range(400, 481, 20))
    assert np.diff(ranges["train"])[0] == 5


def test_the_scale_is_of_what_is_learnt_from_and_targets_are_of_the_last_sample(path):
    data = open_data(path, train_share=0.5)
    values = pd.read_csv(path).to_numpy()
    assert data.examples("train")["start"].min() == 150
    np.testing.assert_allclose(data.scaler.shift, values[150:300].mean(axis=0))
    example = data.dataset("test")[ExampleKey(0, 1)]
    scaled = (values[420:440] - values[150:300].mean(axis=0)) / values[150:300].std(axis=0)
    np.testing.assert_allclose(example["x"], scaled[:, :2], rtol=1e-5)
    np.testing.assert_allclose(example["labels"], scaled[3::4, 2:], rtol=1e-5)


@pytest.mark.parametrize(
    "changes",
    [{"targets": ["a"]}, {"inputs": []}, {"train_share": 0.0}, {"sequence_length": 18}, {"stride": -1}],
)
def test_settings_that_contradict_each_other(path, changes):
    with pytest.raises(ConfigError):
        open_data(path, **changes)


def test_a_block_shorter_than_a_window(path):
    with pytest.raises(DataError, match="fewer than a window of"):
        open_data(path, sequence_length=200).examples("test")


def test_times_that_are_there_twice(tmp_path):
    frame = pd.DataFrame({"t": [0, 15, 15, 30], "a": 1.0, "b": 2.0, "c": 3.0})
    frame.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(DataError, match="is there twice"):
        open_data(tmp_path / "t.csv", time_column="t", time_unit="ms").series  # noqa: B018
