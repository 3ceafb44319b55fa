"""Tables of every kind give the same rows, and labels become the arrays that are declared."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from genoseq.data import LabelReader, read_table
from genoseq.data.tables import require_columns, require_sequences
from genoseq.errors import ConfigError, DataError, SequenceError

ROWS = pd.DataFrame({"sequence": ["ACGT", "NAN", "NA"], "label": ["1", "0", "1"]})


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.txt", "t.csv.gz", "t.parquet"])
def test_every_kind_gives_the_same_rows(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name.endswith(".parquet"):
        ROWS.to_parquet(path)
    else:
        ROWS.to_csv(path, index=False, sep="," if "csv" in name else "\t")
    table = read_table(path)
    # "NAN" and "NA" are sequences, not missing numbers.
    assert table.astype(str).to_numpy().tolist() == ROWS.to_numpy().tolist()


def test_labels_in_fasta_headers(tmp_path: Path) -> None:
    text = ">a 1\nAC\nGT\n>b label=0 group=chr2\nTT\n"
    expected = [["a", "ACGT", "1"], ["b", "TT", "0"]]
    (tmp_path / "plain.fa").write_text(text)
    (tmp_path / "packed.fasta.gz").write_bytes(gzip.compress(text.encode()))
    for name in ("plain.fa", "packed.fasta.gz"):
        table = read_table(tmp_path / name)
        assert table[["name", "sequence", "label"]].to_numpy().tolist() == expected
        assert table["group"].tolist()[1] == "chr2"


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("empty.tsv", b"", "cannot be read"),
        ("header.tsv", b"sequence\tlabel\n", "holds no rows"),
        ("t.xlsx", b"x", "no known kind"),
        ("t.parquet", b"no parquet", "cannot be read"),
        ("t.csv.gz", b"no gzip", "cannot be read"),
        ("ragged.csv", b"a,b\n1,2\n1,2,3,4\n", "cannot be read"),
        ("latin.csv", "a,b\n\xe9,2\n".encode("latin-1"), "cannot be read"),
        ("empty.fa", b"", "holds no rows"),
    ],
)
def test_bad_tables_are_named(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=says) as error:
        read_table(path)
    assert str(path) in str(error.value)


def test_a_missing_column_names_those_there_are() -> None:
    with pytest.raises(DataError, match=r"t\.csv has no column 'seq'; it has sequence, label"):
        require_columns(ROWS, ["seq"], "t.csv")


@pytest.mark.parametrize("missing", ["", None, float("nan")])
def test_an_empty_sequence_names_its_row(missing: Any) -> None:
    with pytest.raises(DataError, match=r"row 1 .*empty"):
        require_sequences(pd.DataFrame({"sequence": ["A", missing]}), "sequence", "t")


def test_a_letter_that_is_none_names_its_row() -> None:
    with pytest.raises(SequenceError, match=r"t, row 1 .*'X'"):
        require_sequences(pd.DataFrame({"sequence": ["A", "AX"]}), "sequence", "t")


def read(table: dict[str, list[Any]], lengths: list[int] | None = None, **settings: Any) -> list[np.ndarray]:
    frame = pd.DataFrame(table)
    arguments = {"problem": "single_label", "level": "sequence", "columns": ["label"], "classes": None}
    reader = LabelReader.fit(frame, **{**arguments, **settings}, source="t")
    return reader.read(frame, lengths or [1] * len(frame), "t")


def as_lists(labels: list[np.ndarray]) -> list[Any]:
    return [label.tolist() for label in labels]


def test_one_class_of_several() -> None:
    labels = read({"label": ["b", "a", "b"]})
    assert as_lists(labels) == [1, 0, 1]
    assert all(label.dtype == np.int64 and label.shape == () for label in labels)
    assert as_lists(read({"label": ["b", "a"]}, classes=["b", "a", "c"])) == [0, 1]
    # Ten comes after nine, and a Parquet column of 0.0 and 1.0 holds the classes 0 and 1.
    assert as_lists(read({"label": ["10", "9"]})) == [1, 0]
    assert as_lists(read({"label": [1.0, 0.0]}, classes=[0, 1])) == [1, 0]


def test_several_classes_at_once() -> None:
    joined = read({"label": ["a;b", "", "b"]}, problem="multi_label")
    apart = read({"a": ["1", "0", "0"], "b": [1, 0, 1]}, problem="multi_label", columns=["a", "b"])
    assert as_lists(joined) == as_lists(apart) == [[1, 1], [0, 0], [0, 1]]
    assert joined[0].dtype == apart[0].dtype == np.float32


def test_numbers() -> None:
    one = read({"label": ["1.5", "-2"]}, problem="regression")
    assert as_lists(one) == [1.5, -2.0]
    assert one[0].dtype == np.float32
    two = read({"a": ["1"], "b": ["2"]}, problem="regression", columns=["a", "b"])
    assert as_lists(two) == [[1.0, 2.0]]


def test_labels_of_bases() -> None:
    assert as_lists(read({"label": ["EIN", "E.I"]}, [3, 3], level="token")) == [[0, 1, 2], [0, -100, 1]]
    assert as_lists(read({"label": ["10 2 10"]}, [3], level="token")) == [[1, 0, 1]]
    numbers = read({"label": ["0.5,.,2"]}, [3], level="token", problem="regression")
    np.testing.assert_array_equal(numbers, [[0.5, np.nan, 2.0]])
    several = read(
        {"a": ["10."], "b": ["11."]}, [3], level="token", problem="multi_label", columns=["a", "b"]
    )
    np.testing.assert_array_equal(several, [[[1, 1], [0, 1], [np.nan, np.nan]]])


def test_number_of_outputs() -> None:
    frame = pd.DataFrame({"x": ["1"], "y": ["2"], "label": ["a;b;c"]})
    common = {"level": "sequence", "classes": None, "source": "t"}
    multi = LabelReader.fit(frame, problem="multi_label", columns=["label"], **common)  # type: ignore[arg-type]
    two = LabelReader.fit(frame, problem="regression", columns=["x", "y"], **common)  # type: ignore[arg-type]
    one = LabelReader.fit(frame, problem="regression", columns=["x"], **common)  # type: ignore[arg-type]
    assert (multi.num_outputs, multi.classes) == (3, ("a", "b", "c"))
    assert (two.num_outputs, one.num_outputs, one.classes) == (2, 1, None)


@pytest.mark.parametrize(
    ("table", "settings", "says"),
    [
        ({"label": ["a", "z"]}, {"classes": ["a", "b"]}, r"t, row 1 .*'z' is none of the classes a, b"),
        ({"label": ["1", "x"]}, {"problem": "regression"}, r"row 1 .*'x' is no number"),
        ({"label": ["1", "inf"]}, {"problem": "regression"}, r"row 1 .*not finite"),
        ({"label": ["a", None]}, {}, r"row 1 .*has no label"),
        ({"a": ["2"], "b": ["0"]}, {"problem": "multi_label", "columns": ["a", "b"]}, "neither 0 nor 1"),
        ({"label": ["EI"]}, {"level": "token"}, "2 labels for 1 bases"),
        ({"other": ["a"]}, {}, "no column 'label'; it has other"),
    ],
)
def test_bad_labels_are_named(table: dict[str, list[Any]], settings: dict[str, Any], says: str) -> None:
    with pytest.raises(DataError, match=says):
        read(table, **settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"problem": "ranking"},
        {"level": "word"},
        {"columns": []},
        {"columns": ["label", "label"]},
        {"problem": "multi_label", "level": "token"},
        {"problem": "regression", "classes": ["a"]},
    ],
)
def test_settings_that_contradict_each_other(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        read({"label": ["a"]}, **settings)
