"""`inspect` of numbers by time, of labelled series and of WFDB records."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from genoseq.data.inspection import inspect


def hours(rows: int = 50) -> pd.DataFrame:
    time = pd.date_range("2024-01-01", periods=rows, freq="h")
    return pd.DataFrame({"date": time, "load": np.arange(rows) * 1.5, "flat": 1})


def test_a_series_with_what_a_run_has_to_be_told(tmp_path: Path) -> None:
    frame = hours().drop(index=[10, 11]).rename(columns={"date": "when"})
    frame.loc[20, "load"] = np.nan
    frame.to_csv(tmp_path / "x.csv", index=False)
    found = inspect(tmp_path / "x.csv")
    assert found.kind == "time series"
    assert found.sections["series"] == {
        "rows": 48,
        "channels": "load, flat",
        "first": "2024-01-01 00:00:00",
        "last": "2024-01-03 01:00:00",
        "step": "0 days 01:00:00",
    }
    (use,) = found.uses
    for setting in ("data.time_column=when", "data.timestamps=gaps", "data.missing=mask"):
        assert setting in use
    assert any("flat: leave them out" in remark for remark in found.remarks)


def test_a_regular_series_wants_nothing_said(tmp_path: Path) -> None:
    hours().drop(columns="flat").to_parquet(tmp_path / "x.parquet")
    found = inspect(tmp_path / "x.parquet")
    assert found.remarks == ()
    path = tmp_path / "x.parquet"
    assert list(found.uses) == [f"genoseq train experiment=forecasting data.path={path}"]


def test_numbers_without_names_or_times(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("1,1\n0.25,2\n0.125,3\n")
    found = inspect(tmp_path / "x.txt")
    (use,) = found.uses
    assert found.sections["series"] == {"rows": 3, "channels": "2, without names"}
    assert "data.header=false data.time_column=null" in use


def test_irregular_and_doubled_times(tmp_path: Path) -> None:
    frame = hours(5)
    frame["date"] = pd.to_datetime(
        ["2024-01-01 00:00", "2024-01-01 01:00", "2024-01-01 01:00", "2024-01-01 02:00", "2024-01-01 03:25"]
    )
    frame.to_csv(tmp_path / "x.csv", index=False)
    remarks = " ".join(inspect(tmp_path / "x.csv").remarks)
    assert "1 times are there more than once" in remarks
    assert "binned, with data.frequency" in remarks


def test_tables_of_sequences_and_of_words_are_none(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("sequence,label\nACGT,1\nGGCC,0\n")
    assert inspect(tmp_path / "x.csv").kind == "table"
    (tmp_path / "y.csv").write_text("name,note,number\na,b,1\nc,d,2\n")
    assert inspect(tmp_path / "y.csv").kind == "table"


def test_labelled_series(tmp_path: Path) -> None:
    head = "@problemName x\n@classLabel true up down\n@data\n"
    (tmp_path / "x.ts").write_text(head + "1,2,?:3,4,5:up\n1,2:3,4:down\n")
    found = inspect(tmp_path / "x.ts")
    facts = found.sections["series"]
    assert facts["series"] == 2
    assert facts["steps"] == "2 to 3, median 2"
    assert facts["values that are missing"] == 1
    assert facts["labels"] == "up (1), down (1)"
    (use,) = found.uses
    assert "model.num_channels=2 model.num_outputs=2 model.sequence_length=3" in use


def test_a_wfdb_record(tmp_path: Path) -> None:
    pytest.importorskip("wfdb")
    signals = "".join(f"rec.dat 16 200/mV 16 0 0 0 0 {name}\n" for name in ("I", "II"))
    (tmp_path / "rec.hea").write_text(f"rec 2 250 500\n{signals}")
    np.arange(1000, dtype="<i2").tofile(tmp_path / "rec.dat")
    found = inspect(tmp_path / "rec.hea")
    facts = found.sections["record"]
    assert (facts["channels"], facts["samples"], facts["seconds"]) == ("I (mV), II (mV)", 500, 2.0)
