"""Files appear whole or not at all, and tables hold what was written to them."""

import errno
import gzip
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from genoseq.errors import ConfigError, DataError
from genoseq.inference.outputs import atomic_file, atomic_folder, open_fasta, open_table, write_fasta

FORMATS = (".parquet", ".tsv", ".csv")


def batches():
    yield pd.DataFrame({"name": ["a", "b,c"], "value": [1.5, 2.0]})
    yield pd.DataFrame({"name": ["ä\tb"], "value": [3.0]})


def written(path, reader):
    with open_table(path, formats=FORMATS) as table:
        for rows in batches():
            table.write(rows)
    return reader(path)


@pytest.mark.parametrize(
    ("ending", "reader"),
    [
        (".parquet", pd.read_parquet),
        (".tsv", lambda path: pd.read_csv(path, sep="\t")),
        (".csv", pd.read_csv),
    ],
)
def test_tables_hold_every_batch_in_order(tmp_path, ending, reader):
    table = written(tmp_path / f"a=1(b){ending}", reader)
    pd.testing.assert_frame_equal(table, pd.concat(batches(), ignore_index=True), check_dtype=False)
    assert len(list(tmp_path.iterdir())) == 1


def test_archive_holds_names_and_embeddings(tmp_path):
    vectors = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    with open_table(tmp_path / "x.npz", formats=(".npz",)) as table:
        for start in (0, 2):
            part = vectors[start : start + 2] if start == 0 else vectors[2:]
            names = [f"n{start + row}" for row in range(len(part))]
            table.write(pd.DataFrame({"name": names, "embedding": list(part)}))
    with np.load(tmp_path / "x.npz") as archive:
        assert archive["names"].tolist() == ["n0", "n1", "n2", "n3", "n4"]
        np.testing.assert_array_equal(archive["embeddings"], vectors)
    assert [path.name for path in tmp_path.iterdir()] == ["x.npz"]


def test_notes_go_with_the_rows(tmp_path):
    for ending in (".parquet", ".npz", ".tsv"):
        with open_table(tmp_path / f"x{ending}", formats=(ending,)) as table:
            table.notes["reading"] = "in parts"
            rows = {
                "name": ["a", "b"],
                "start": [0, 5],
                "end": [5, 7],
                "embedding": [np.ones(2, np.float32)] * 2,
            }
            table.write(pd.DataFrame(rows))
    metadata = pq.read_schema(tmp_path / "x.parquet").metadata
    assert metadata[b"reading"] == b"in parts"
    assert pd.read_parquet(tmp_path / "x.parquet")["start"].tolist() == [0, 5]
    with np.load(tmp_path / "x.npz") as archive:
        assert str(archive["reading"]) == "in parts"
        assert (archive["starts"].tolist(), archive["ends"].tolist()) == ([0, 5], [5, 7])


def fail_in(context, error):
    with context as opened:
        if isinstance(opened, Path) and not opened.is_dir():
            opened.write_text("half")
        raise error


def test_a_failure_leaves_what_was_there(tmp_path):
    path = tmp_path / "x.tsv"
    path.write_text("before")
    with pytest.raises(KeyError):
        fail_in(open_table(path, formats=FORMATS), KeyError())
    assert path.read_text() == "before"
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.tsv"]


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path):
    with pytest.raises(DataError, match="No space left"):
        fail_in(atomic_file(tmp_path / "x"), OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    assert list(tmp_path.iterdir()) == []


def test_other_errors_of_the_system_pass(tmp_path):
    with pytest.raises(ConnectionError):
        fail_in(atomic_file(tmp_path / "x"), ConnectionError("the network"))


@pytest.mark.parametrize(("name", "message"), [("no/x.tsv", "does not exist"), (".", "is a folder")])
def test_places_that_cannot_be_written(tmp_path, name, message):
    with pytest.raises(DataError, match=message), atomic_file(tmp_path / name):
        pass


def test_unwritable_folder_is_told():
    with pytest.raises(DataError, match="cannot be written"), atomic_file("/proc/x.tsv"):
        pass


def test_unknown_ending(tmp_path):
    with (
        pytest.raises(ConfigError, match=r"\.parquet or \.tsv or \.csv"),
        open_table(tmp_path / "x.xls", formats=FORMATS),
    ):
        pass


def test_folders_appear_whole(tmp_path):
    with atomic_folder(tmp_path / "model") as folder:
        (folder / "a").write_text("1")
        assert not (tmp_path / "model").exists()
    assert (tmp_path / "model" / "a").read_text() == "1"
    with pytest.raises(DataError, match="is there already"), atomic_folder(tmp_path / "model"):
        pass
    with pytest.raises(KeyError):
        fail_in(atomic_folder(tmp_path / "other"), KeyError())
    assert [entry.name for entry in tmp_path.iterdir()] == ["model"]


def test_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    with atomic_file("~/x") as path:
        path.write_text("1")
    assert (tmp_path / "x").is_file()


def test_fasta_lines_are_wrapped(tmp_path):
    with open_fasta(tmp_path / "x.fa") as file:
        write_fasta(file, [("a", "ACGTA"), ("b", "C")], width=2)
    assert (tmp_path / "x.fa").read_text() == ">a\nAC\nGT\nA\n>b\nC\n"


def test_fasta_is_compressed_where_its_name_says_so(tmp_path):
    with open_fasta(tmp_path / "x.fa.gz") as file:
        write_fasta(file, [("a", "ACGTA")])
    assert gzip.decompress((tmp_path / "x.fa.gz").read_bytes()) == b">a\nACGTA\n"


def test_fasta_flows_to_standard_output(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def records():
        yield "a", "ACGTA"
        # Written before this one is asked for.
        assert capsys.readouterr().out == ">a\nACGTA\n"
        yield "b", "C"

    with open_fasta("-") as file:
        write_fasta(file, records())
    assert capsys.readouterr().out == ">b\nC\n"
    assert not any(tmp_path.iterdir())
