"""Series from files: what is read, what is masked, and what is refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from genoseq.data.calendar_features import calendar_features
from genoseq.data.channel_scaler import ChannelScaler
from genoseq.data.time_borders import FractionBorders, MonthBorders
from genoseq.data.time_series import TimeSeries, read_time_series
from genoseq.errors import ConfigError, DataError


def hourly(rows: int = 48) -> pd.DataFrame:
    time = pd.date_range("2024-02-28", periods=rows, freq="h")
    steps = np.arange(rows, dtype=float)
    return pd.DataFrame({"date": time, "load": 10 + np.sin(steps), "heat": steps})


def written(table: pd.DataFrame, folder: Path, name: str = "series.csv", **options: Any) -> Path:
    path = folder / name
    if name.endswith(".parquet"):
        table.to_parquet(path)
    else:
        table.to_csv(path, index=False, sep="\t" if ".tsv" in name else ",", **options)
    return path


@pytest.mark.parametrize("name", ["s.csv", "s.csv.gz", "s.tsv", "s.txt", "s.parquet"])
def test_every_kind_of_file_gives_the_same_series(tmp_path: Path, name: str) -> None:
    table = hourly()
    series = read_time_series(written(table, tmp_path, name))
    assert series.names == ("load", "heat")
    assert series.frequency == "h"
    np.testing.assert_allclose(series.values, table[["load", "heat"]].to_numpy())
    assert series.times_beyond(2).tolist() == [
        pd.Timestamp("2024-03-01 00:00"),
        pd.Timestamp("2024-03-01 01:00"),
    ]


def test_rows_out_of_order_are_put_in_order(tmp_path: Path) -> None:
    path = written(hourly().sample(frac=1, random_state=0), tmp_path)
    assert (np.diff(read_time_series(path).values[:, 1]) == 1).all()


def test_without_header_and_time(tmp_path: Path) -> None:
    path = written(hourly()[["load", "heat"]], tmp_path, header=False)
    series = read_time_series(path, header=False, time_column=None)
    assert series.names == ("channel_0", "channel_1")
    assert series.time is None
    assert list(series.times_beyond(2)) == [48, 49]


def test_columns_are_chosen_in_their_order(tmp_path: Path) -> None:
    assert read_time_series(written(hourly(), tmp_path), columns=["heat"]).values.shape == (48, 1)


def test_numbers_are_times_once_their_unit_is_said(tmp_path: Path) -> None:
    path = written(hourly().assign(date=np.arange(48) * 60), tmp_path)
    with pytest.raises(DataError, match="time_unit=s"):
        read_time_series(path)
    series = read_time_series(path, time_unit="s")
    assert series.frequency == "min"


def test_months_are_a_step(tmp_path: Path) -> None:
    table = hourly(24).assign(date=pd.date_range("2020-01-01", periods=24, freq="MS"))
    series = read_time_series(written(table, tmp_path))
    assert series.times_beyond(1)[0] == pd.Timestamp("2022-01-01")


def test_gaps_are_masked_where_they_were_declared(tmp_path: Path) -> None:
    path = written(hourly().drop(index=[5, 6, 20]), tmp_path)
    with pytest.raises(DataError, match=r"not regular.*timestamps=gaps"):
        read_time_series(path)
    series = read_time_series(path, timestamps="gaps")
    assert len(series) == 48
    assert np.flatnonzero(~series.observed.any(axis=1)).tolist() == [5, 6, 20]


def test_a_declared_frequency_names_the_first_missing_time(tmp_path: Path) -> None:
    path = written(hourly().drop(index=[5]), tmp_path)
    with pytest.raises(
        DataError, match=re.escape("1 of 48 times are missing, the first of them 2024-02-28 05:00")
    ):
        read_time_series(path, frequency="1h")


def test_irregular_times_are_binned(tmp_path: Path) -> None:
    table = hourly(6)
    table["date"] = pd.to_datetime(["2024-01-01 00:03", "2024-01-01 00:07", "2024-01-01 00:31",
                                    "2024-01-01 01:01", "2024-01-01 01:02", "2024-01-01 01:20"])  # fmt: skip
    path = written(table, tmp_path)
    with pytest.raises(DataError, match="timestamps=binned"):
        read_time_series(path)
    with pytest.raises(ConfigError, match="wants a frequency"):
        read_time_series(path, timestamps="binned")
    series = read_time_series(path, timestamps="binned", frequency="15min")
    np.testing.assert_allclose(series.values[:, 1], [0.5, np.nan, 2.0, np.nan, 3.5, 5.0])


def test_times_off_the_grid_are_no_gaps(tmp_path: Path) -> None:
    table = hourly()
    table.loc[7, "date"] += pd.Timedelta("13min")
    with pytest.raises(DataError, match="is not on the grid"):
        read_time_series(written(table, tmp_path), timestamps="gaps", frequency="h")


def test_missing_values_are_declared(tmp_path: Path) -> None:
    table = hourly()
    table.loc[[3, 4], "load"] = np.nan
    path = written(table, tmp_path)
    with pytest.raises(DataError, match=r"row 3 .*'load' is empty, as 2 fields are.*missing=mask"):
        read_time_series(path)
    assert (~read_time_series(path, missing="mask").observed).sum() == 2


def doubled(table: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([table, table.iloc[[4]]])


def text(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(load=table["load"].astype(object).where(table.index != 3, "off"))


MISTAKES = {
    "twice": (doubled, {}, "2024-02-28 04:00:00 is there twice"),
    "no channel": (lambda t: t, {"columns": ["wind"]}, "has no column 'wind'; it has date, load, heat"),
    "no time column": (lambda t: t, {"time_column": "when"}, "has no column 'when'"),
    "text": (text, {}, "row 3 .*'off' in the column 'load' is no number"),
    "no time": (lambda t: t.assign(date=t["date"].where(t.index != 2)), {}, "row 2 .*has no time"),
    "bad time": (lambda t: t.assign(date="soon"), {}, "does not hold times"),
    "all empty": (lambda t: t.assign(heat=np.nan), {"missing": "mask"}, "heat holds no number at all"),
    "infinite": (lambda t: t.assign(heat=np.inf), {}, "is infinite"),
    "no row": (lambda t: t.iloc[:0], {}, "holds no row"),
    "no header": (lambda t: t, {"header": False, "time_column": None}, "header=false|is no number"),
    "times as channel": (lambda t: t, {"time_column": None}, "'date' is no number|holds times"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_said(tmp_path: Path, name: str) -> None:
    change, settings, message = MISTAKES[name]
    path = written(change(hourly()), tmp_path)
    with pytest.raises(DataError, match=message):
        read_time_series(path, **settings)


@pytest.mark.parametrize(
    ("name", "content"), [("x.csv.gz", b"no gzip"), ("x.parquet", b"no parquet"), ("x.doc", b"")]
)
def test_files_that_are_none(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError):
        read_time_series(tmp_path / name)


def test_choices_are_checked(tmp_path: Path) -> None:
    path = written(hourly(), tmp_path)
    for settings in ({"missing": "guess"}, {"timestamps": "any"}, {"frequency": "fortnight"}):
        with pytest.raises(ConfigError):
            read_time_series(path, **settings)


def series(rows: int, freq: str = "h") -> TimeSeries:
    return TimeSeries(np.zeros((rows, 1)), ("a",), pd.date_range("2016-07-01", periods=rows, freq=freq))


def test_the_borders_of_ett() -> None:
    borders = MonthBorders(train=12, validation=4, test=4)
    hours = series(17_420)
    assert borders.rows(hours, "train") == range(8640)
    assert borders.rows(hours, "validation") == range(8640, 11_520)
    assert borders.rows(hours, "test") == range(11_520, 14_400)
    assert borders.rows(series(57_600, "15min"), "test") == range(46_080, 57_600)
    with pytest.raises(DataError, match="14,400 rows of h"):
        borders.rows(series(14_399), "train")
    with pytest.raises(DataError, match="fractions"):
        borders.rows(TimeSeries(np.zeros((9, 1)), ("a",), None), "train")
    with pytest.raises(ConfigError):
        MonthBorders(train=0)


def test_fractions_leave_no_row_out() -> None:
    borders = FractionBorders(train=0.7, validation=0.1, test=0.2)
    parts = [borders.rows(series(7588), split) for split in ("train", "validation", "test")]
    assert [len(part) for part in parts] == [5311, 760, 1517]
    assert [row for part in parts for row in part] == list(range(7588))
    assert len(borders.rows(series(1000), "train")) == 700
    with pytest.raises(ConfigError):
        FractionBorders(train=0.9, validation=0.2, test=0.1)


def test_scales_are_taken_back() -> None:
    values = np.random.default_rng(0).normal([3, -100], [0.1, 40], (500, 2))
    values[5, 0] = np.nan
    for scaling in ("standard", "robust", "none"):
        scaler = ChannelScaler.from_json(ChannelScaler.fit(values, ["a", "b"], scaling=scaling).to_json())
        np.testing.assert_allclose(scaler.inverse(scaler.transform(values)), values)
    scaled = ChannelScaler.fit(values, ["a", "b"], scaling="standard").transform(values)
    np.testing.assert_allclose(
        [np.nanmean(scaled, axis=0), np.nanstd(scaled, axis=0)], [[0, 0], [1, 1]], atol=1e-9
    )


def test_a_channel_without_scale_is_refused() -> None:
    flat = np.stack([np.arange(9.0), np.full(9, 7.1)], axis=1)
    with pytest.raises(DataError, match="channel b is constant in the training part"):
        ChannelScaler.fit(flat, ["a", "b"], scaling="standard")
    with pytest.raises(DataError, match="mostly constant"):
        ChannelScaler.fit(flat, ["a", "b"], scaling="robust")
    assert ChannelScaler.fit(flat, ["a", "b"], scaling="none").scale.tolist() == [1, 1]
    flat[:, 0] = np.nan
    with pytest.raises(DataError, match=r"never observed in the training part: a\. Leave"):
        ChannelScaler.fit(flat, ["a", "b"], scaling="none")


def test_calendar() -> None:
    time = pd.DatetimeIndex(["2024-01-01 00:00", "2024-12-31 23:59"])
    names = ["minute", "hour", "weekday", "day", "month", "year_day"]
    marks = calendar_features(time, names)
    np.testing.assert_allclose(marks[0], -0.5)
    np.testing.assert_allclose(marks[1], [0.5, 0.5, 1 / 6 - 0.5, 0.5, 0.5, 0.5], atol=1e-6)
    assert calendar_features(time, []).shape == (2, 0)
    with pytest.raises(ConfigError, match="choose among minute"):
        calendar_features(time, ["moon"])
    with pytest.raises(ConfigError, match="no time_column"):
        calendar_features(None, ["hour"])
