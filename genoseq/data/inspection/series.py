"""What is in a table of numbers by time, in a file of labelled series, and in a WFDB record."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

from genoseq.data.inspection.findings import Findings, Options, Value, some, spread
from genoseq.data.ts_files import read_ts
from genoseq.data.wfdb_records import read_wfdb


def inspect_labelled_series(path: Path, options: Options) -> Findings:
    """Lengths, channels, gaps and labels of a `.ts` file.

    Raises:
        DataError: the file is missing or broken.
    """
    file = read_ts(path)
    longest = max(len(example.values) for example in file.examples)
    labels = Counter(example.label for example in file.examples)
    unseen = sum(int(np.isnan(example.values).sum()) for example in file.examples)
    facts: dict[str, Value] = {
        "series": len(file.examples),
        "steps": spread(len(example.values) for example in file.examples),
        "channels": file.num_channels,
        "values that are missing": unseen,
        "labels": "numbers"
        if file.numeric
        else some(f"{name} ({count:,})" for name, count in labels.items()),
    }
    remarks = ("No series has a label: nothing can be learnt from it.",) if set(labels) == {""} else ()
    outputs = 1 if file.numeric else len(file.classes or labels)
    sizes = f"model.num_channels={file.num_channels} model.num_outputs={outputs}"
    if file.numeric:
        sizes += " model.problem=regression"
    use = f"genoseq train experiment=series data.source.train={path} data.source.test=FILE {sizes}"
    return Findings(
        "series", {"series": facts}, remarks, {f"{use} model.sequence_length={longest}": "labels of series"}
    )


def inspect_record(path: Path, options: Options) -> Findings:
    """Channels, units, rate and length of a WFDB record.

    Raises:
        ConfigError: wfdb is not installed. DataError: the record is missing or broken.
    """
    record = read_wfdb(path)
    series = record.series
    facts: dict[str, Value] = {
        "channels": some(f"{name} ({series.units.get(name, 'no unit')})" for name in series.names),
        "samples": len(series),
        "Hz": record.sampling_rate,
        "seconds": round(len(series) / record.sampling_rate, 3),
        "samples that are missing": int(np.isnan(series.values).any(axis=1).sum()),
    }
    uses = {
        f"genoseq train experiment=forecasting data.path={path} data.time_column=null data.calendar=[]": (
            "what comes next"
        ),
        f"genoseq stream checkpoint=DIR input={path} out=FILE": "predictions of a model of such channels",
    }
    return Findings("WFDB record", {"record": facts}, (), uses)


def inspect_numbers(path: Path, table: pd.DataFrame) -> Findings | None:
    """Channels and times of a table of numbers by time; None where fewer than half of the columns are such.

    Args:
        path: of the table.
        table: its columns, as text or as numbers.
    """
    if len(table.columns) == 1 and "," in str(table.columns[0]):
        # A .txt of a time series has commas, one of sequences has tabs.
        (name,) = table.columns
        table = table[name].str.split(",", expand=True).set_axis(str(name).split(","), axis=1)
    header = [str(name) for name in table]
    names = [
        name if header.count(name) == 1 else f"{name}, column {place}" for place, name in enumerate(header, 1)
    ]
    table = table.set_axis(names, axis=1)
    numbers = {name: _numbers(table[name]) for name in names}
    empty = {name: table[name].isna() | table[name].astype(str).str.strip().eq("") for name in names}
    channels = [name for name in names if (numbers[name].notna() | empty[name]).all()]
    if 2 * len(channels) < len(names):
        return None
    remarks, settings = [], []
    if pd.to_numeric(pd.Series(header), errors="coerce").notna().all():
        remarks.append("The first line holds numbers, not names: data.header=false.")
        settings.append("data.header=false")
        facts: dict[str, Value] = {"rows": len(table) + 1, "channels": f"{len(channels)}, without names"}
    else:
        facts = {"rows": len(table), "channels": some(channels, 20)}
    others = [name for name in names if name not in channels]
    times = pd.to_datetime(table[others[0]], errors="coerce") if others else None
    if times is None or times.isna().any():
        settings += ["data.time_column=null", "data.calendar=[]"]
        if others:
            settings.append(f"data.columns=[{','.join(channels)}]")
            remarks.append(f"Neither numbers nor times: {some(others)}.")
    else:
        facts |= _times(times, remarks, settings)
        settings += [] if others[0] == "date" else [f"data.time_column={others[0]}"]
    _fields(numbers, channels, remarks, settings)
    use = " ".join(["genoseq train experiment=forecasting", f"data.path={path}", *settings])
    return Findings("time series", {"series": facts}, tuple(remarks), {use: "what comes next"})


def _numbers(column: pd.Series) -> pd.Series:
    """NaN where a field is none; a time is none either."""
    if pd.api.types.is_datetime64_any_dtype(column):
        return pd.Series(np.nan, index=column.index)
    return pd.to_numeric(column, errors="coerce")


def _fields(
    numbers: dict[str, pd.Series], channels: list[str], remarks: list[str], settings: list[str]
) -> None:
    """What is empty, and what never changes."""
    gaps = {name: int(numbers[name].isna().sum()) for name in channels if numbers[name].isna().any()}
    if gaps:
        counts = some(f"{name} ({count:,})" for name, count in gaps.items())
        remarks.append(f"Empty fields: {counts}: data.missing=mask.")
        settings.append("data.missing=mask")
    flat = [name for name in channels if numbers[name].nunique() <= 1]
    if flat:
        remarks.append(f"Always the same, or empty: {some(flat)}: leave them out of data.columns.")


def _times(times: pd.Series, remarks: list[str], settings: list[str]) -> dict[str, Value]:
    """First, last and step; what is wrong with them goes to the remarks, what mends it to the settings."""
    steps = times.sort_values().diff().dropna()
    step = steps.mode().iloc[0] if len(steps) else pd.Timedelta(0)
    doubled, apart = int((steps == pd.Timedelta(0)).sum()), int((steps > step).sum())
    if doubled:
        remarks.append(f"{doubled:,} times are there more than once: keep one row a time.")
    if apart:
        whole = bool((steps.to_numpy() % step.to_numpy() == np.timedelta64(0)).all())
        remarks.append(
            f"{apart:,} steps are longer than the usual {step}: data.timestamps="
            f"{'gaps' if whole else 'binned, with data.frequency'}."
        )
        settings.append(f"data.timestamps={'gaps' if whole else 'binned'}")
    return {"first": str(times.min()), "last": str(times.max()), "step": str(step)}
