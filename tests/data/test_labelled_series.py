"""Labelled series: .ts files, WFDB records, generated tasks, and batches of them."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genoseq.data import (
    ListOps,
    Pathfinder,
    SequentialDigits,
    SeriesDataModule,
    TsFiles,
    read_time_series,
    read_ts,
    read_wfdb,
)
from genoseq.data.loading import ExampleKey
from genoseq.data.long_range_tasks import operate
from genoseq.errors import ConfigError, DataError

HEADER = "# a note\n@problemName Tiny\n@timeStamps false\n@classLabel true up down\n@data\n"
BODY = "1,2,3:4,?,6:up\n\n3,2:9,8:down\n"


def written(folder: Path, text: str, name: str = "x.ts") -> Path:
    path = folder / name
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return path


@pytest.mark.parametrize("name", ["x.ts", "x.ts.gz"])
def test_a_file_of_series_of_several_lengths(tmp_path: Path, name: str) -> None:
    file = read_ts(written(tmp_path, HEADER + BODY, name))
    assert file.classes == ("up", "down")
    assert [example.label for example in file.examples] == ["up", "down"]
    np.testing.assert_array_equal(file.examples[0].values, [[1, 4], [2, np.nan], [3, 6]])
    assert file.examples[1].values.shape == (2, 2)


def test_numbers_as_labels(tmp_path: Path) -> None:
    file = read_ts(written(tmp_path, "@targetLabel true\n@data\n1,2:0.5\n"))
    assert file.numeric
    assert file.examples[0].label == "0.5"


MISTAKES = {
    "no data": ("@classLabel true a b\n", "has no @data"),
    "empty": (HEADER, "holds no series"),
    "class": (HEADER + "1,2:3,4:left\n", "line 6: the label 'left' is none of up, down"),
    "channels": (HEADER + "1:2:up\n1:2:3:up\n", "line 7: there are 3 channels, and 2 before"),
    "lengths": (HEADER + "1,2:3:up\n", r"line 6: its channels have \[1, 2\] values"),
    "text": (HEADER + "1,x:1,2:up\n", "line 6: could not convert"),
    "no label": (HEADER + "up\n", "line 6: there is no label behind a colon"),
    "stamps": (HEADER.replace("@timeStamps false", "@timeStamps true"), "time stamps are not read"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_broken_files_are_said(tmp_path: Path, name: str) -> None:
    text, message = MISTAKES[name]
    with pytest.raises(DataError, match=message):
        read_ts(written(tmp_path, text))


def test_a_truncated_file(tmp_path: Path) -> None:
    path = written(tmp_path, HEADER + BODY * 500, "x.ts.gz")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match="cannot be read"):
        read_ts(path)


def datamodule(source: Any, **changes: Any) -> SeriesDataModule:
    settings: dict[str, Any] = {
        "sequence_length": None,
        "scaling": "standard",
        "global_batch_size": 16,
        "micro_batch_size": None,
        "num_workers": 0,
        "pin_memory": False,
        "seed": 0,
    }
    return SeriesDataModule(source=source, **{**settings, **changes})


def vowels(shared: Path, **changes: Any) -> SeriesDataModule:
    folder = shared / "data" / "bench" / "uea"
    source = TsFiles(
        train=folder / "JapaneseVowels_TRAIN.ts.gz",
        test=folder / "JapaneseVowels_TEST.ts.gz",
        validation=None,
        validation_fraction=0.2,
        split_seed=0,
    )
    return datamodule(source, **changes)


def test_the_archive_padded_behind(shared: Path) -> None:
    data = vowels(shared, sequence_length=29)
    assert [data.num_examples(split) for split in ("train", "validation", "test")] == [216, 54, 370]
    assert data.classes == tuple("123456789")
    batches = list(data.test_dataloader())
    assert sum(len(batch["labels"]) for batch in batches) == 370
    batch = batches[0]
    assert batch["x"].shape == batch["observed"].shape == (16, 12, 29)
    steps = batch["observed"].any(1)
    assert (steps.int().diff(dim=1) <= 0).all(), "padding is behind"
    assert batch["x"][~batch["observed"]].eq(0).all()
    labels = [int(data.dataset("validation")[ExampleKey(0, row)]["labels"]) for row in range(54)]
    assert np.bincount(labels).tolist() == [6] * 9, "all classes in each part"


def test_series_longer_than_in_training_are_said(shared: Path) -> None:
    with pytest.raises(DataError, match=r"of the test part has .* steps of 12 channels.*sequence_length"):
        vowels(shared).dataset("test")


def test_an_unknown_class_is_said(tmp_path: Path) -> None:
    head = HEADER.replace("true up down", "true up down left")
    train = written(tmp_path, HEADER.replace("true up down", "true") + "1,3:up\n2,1:down\n" * 10, "train.ts")
    test = written(tmp_path, head + "1,2:left\n", "test.ts")
    source = TsFiles(train=train, test=test, validation=None, validation_fraction=0.2, split_seed=0)
    with pytest.raises(DataError, match="the class 'left', and training has none"):
        datamodule(source).dataset("test")


def test_digits_are_cut_once_and_for_all() -> None:
    source = SequentialDigits(validation_fraction=0.1, test_fraction=0.2, split_seed=0)
    data = datamodule(source)
    assert (data.sequence_length, data.num_channels, data.num_outputs) == (64, 1, 10)
    parts = [
        {example.values.tobytes() for example in source.read(split).examples}
        for split in ("train", "validation", "test")
    ]
    assert not parts[0] & parts[2]
    assert not parts[1] & parts[2]
    assert not parts[0] & parts[1]
    assert sum(map(len, parts)) == 1797


SIZES = {"num_train": 30, "num_validation": 5, "num_test": 5, "generation_seed": 0}
LISTS = {"min_length": 10, "max_length": 40, "max_arguments": 5, "max_depth": 4}


def evaluated(tokens: list[int]) -> int:
    """What an expression gives, read from its tokens alone."""
    stack: list[list[int]] = [[]]
    for token in tokens:
        if token == 14:
            operation, *values = stack.pop()
            stack[-1].append(operate(operation - 10, np.array(values)))
        elif token >= 10:
            stack.append([token])
        else:
            stack[-1].append(token)
    (result,) = stack[0]
    return result


def test_lists_come_out_as_they_say() -> None:
    source = ListOps(**SIZES, **LISTS)
    file = source.read("train")
    for example in file.examples:
        tokens = example.values[:, 0].astype(int).tolist()
        assert 10 <= len(tokens) <= 40
        assert str(evaluated(tokens)) == example.label
    assert source.read("train").examples[3].values.tobytes() == file.examples[3].values.tobytes()
    assert len({example.values.tobytes() for example in file.examples}) == 30
    assert [operate(number, np.array([3, 9, 4, 8])) for number in range(4)] == [3, 9, 6, 4]
    item = datamodule(source, sequence_length=40).dataset("train")[ExampleKey(0, 0)]
    length = len(file.examples[0].values)
    assert item["x"].shape == (15, 40)
    assert item["x"][:, :length].sum(0).tolist() == [1.0] * length
    assert not item["observed"][:, length:].any()


def test_paths_have_both_answers() -> None:
    source = Pathfinder(**SIZES, size=24, num_distractors=2)
    file = source.read("train")
    assert {example.label for example in file.examples} == {"joined", "apart"}
    assert all(set(np.unique(example.values)) == {0.0, 1.0} for example in file.examples)
    assert file.examples[0].values.shape == (576, 1)


@pytest.mark.parametrize(
    "make",
    [
        lambda: ListOps(**SIZES, **{**LISTS, "min_length": 100, "max_length": 200, "max_depth": 1}),
        lambda: ListOps(**SIZES, **{**LISTS, "max_length": 5}),
        lambda: ListOps(**{**SIZES, "num_test": 0}, **LISTS),
        lambda: Pathfinder(**SIZES, size=8, num_distractors=0),
        lambda: SequentialDigits(validation_fraction=0.5, test_fraction=0.5, split_seed=0),
        lambda: TsFiles(train="a", test="b", validation=None, validation_fraction=1.0, split_seed=0),
    ],
)
def test_settings_without_examples(make: Any) -> None:
    with pytest.raises(ConfigError):
        make()


def test_an_electrocardiogram(shared: Path) -> None:
    path = shared / "data" / "bench" / "ecg" / "100.hea"
    record = read_wfdb(path, annotator="atr")
    assert record.sampling_rate == 360
    assert record.series.values.shape == (650_000, 2)
    assert dict(record.series.units) == {"MLII": "mV", "V5": "mV"}
    # The header's first samples, 995 and 1011, by its gain of 200 and its zero of 1024.
    np.testing.assert_allclose(record.series.values[0], [(995 - 1024) / 200, (1011 - 1024) / 200])
    assert record.annotations is not None
    assert (record.annotations["symbol"] == "N").sum() == 2239
    assert read_time_series(path, time_column=None).names == ("MLII", "V5")


def test_broken_records_are_said(shared: Path, tmp_path: Path) -> None:
    source = shared / "data" / "bench" / "ecg"
    for name in ("100.hea", "100.dat", "100.atr"):
        (tmp_path / name).write_bytes((source / name).read_bytes())
    header = tmp_path / "100.hea"
    with pytest.raises(DataError, match="does not exist"):
        read_wfdb(header, annotator="qrs")
    with pytest.raises(DataError, match=r"a \.hea file"):
        read_wfdb(tmp_path / "100.dat")
    (tmp_path / "100.dat").write_bytes((source / "100.dat").read_bytes()[:3000])
    with pytest.raises(DataError, match=r"cannot be read as a WFDB record|samples of"):
        read_wfdb(header)
    text = header.read_text().replace("650000", "1000")
    header.write_text(text)
    with pytest.raises(DataError, match=r"annotation .* the record ends at 1,000"):
        read_wfdb(header, annotator="atr")
