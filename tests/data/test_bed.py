"""BED files keep order, names and strands; bad lines are named."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from genoseq.data import parse_interval, read_bed, read_summits
from genoseq.errors import DataError, GenoseqError, IntervalError
from genoseq.sequence import Interval


def write(tmp_path: Path, text: str, name: str = "a.bed") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def test_order_names_and_strands_are_kept(tmp_path: Path) -> None:
    text = 'track name="x"\n# note\nchr2\t5\t9\tgene b\t7\t-\n\nchr1\t0\t1\n1 3 4 c\n'
    assert read_bed(write(tmp_path, text)) == [
        Interval("chr2", 5, 9, "-", "gene b", "7"),
        Interval("chr1", 0, 1),
        Interval("1", 3, 4, ".", "c"),
    ]


def test_gzip_and_windows_line_ends_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.bed.gz"
    path.write_bytes(gzip.compress(b"chr1\t0\t5\tx\t0\t+\r\n"))
    assert read_bed(path) == [Interval("chr1", 0, 5, "+", "x", "0")]


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("", DataError, "holds no interval"),
        ("# only a comment\n", DataError, "holds no interval"),
        ("chr1\t5\n", DataError, "line 1 has 2 columns"),
        ("chr1\t0\t5\nchrom\tstart\tend\n", DataError, "line 2: start 'start'"),
        ("chr1\t0\t5\nchr1\t9\t9\n", IntervalError, "line 2.*holds no base"),
        ("chr1\t9\t5\n", IntervalError, "line 1.*holds no base"),
        ("chr1\t-1\t5\n", IntervalError, "line 1.*begins before"),
        ("chr1\t1\t5\ta\t0\t*\n", IntervalError, "strand"),
    ],
)
def test_bad_lines_are_named(tmp_path: Path, text: str, error: type[GenoseqError], says: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(error, match=says) as raised:
        read_bed(path)
    assert str(path) in str(raised.value)


def test_missing_and_broken_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        read_bed(tmp_path / "none.bed")
    with pytest.raises(DataError, match="cannot be read as a BED"):
        read_bed(write(tmp_path, "no gzip", "b.bed.gz"))


def test_summits_are_column_ten(tmp_path: Path) -> None:
    row = "chr1\t10\t50\tp{0}\t1\t.\t1\t1\t1\t{1}\n"
    assert read_summits(write(tmp_path, row.format(1, 7) + row.format(2, -1))) == [7, -1]
    with pytest.raises(DataError, match="line 1 has no summit"):
        read_summits(write(tmp_path, "chr1\t10\t50\n"))


def test_intervals_as_text() -> None:
    assert parse_interval("chr1:1,000-2,000") == Interval("chr1", 1000, 2000)
    assert parse_interval("HLA:A*01:5-6(-)") == Interval("HLA:A*01", 5, 6, "-")
    for text in ("chr1", "chr1:5", "chr1:5-", "chr1:7-7", "chr1:1-2(x)"):
        with pytest.raises(IntervalError):
            parse_interval(text)


def test_real_peaks(shared: Path) -> None:
    intervals = read_bed(shared / "data" / "bench" / "annotation" / "Cp190_Kc_Bushey_2009.bed.gz")
    assert len(intervals) > 1000
    assert all(interval.chromosome.startswith("chr") for interval in intervals)
