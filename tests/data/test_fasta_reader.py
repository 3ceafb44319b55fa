"""The FASTA reader gives the letters of the file, and says what is wrong with a bad one."""

from __future__ import annotations

import errno
import gzip
import multiprocessing
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from Bio import bgzf

from genoseq.data.fasta import Fasta
from genoseq.errors import DataError, IntervalError, SequenceError
from genoseq.paths import data_dir
from genoseq.sequence import decode_bases, encode_bases


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("GENOSEQ_CACHE", str(folder))
    return folder


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def bgzipped(source: Path) -> Path:
    path = source.with_name(source.name + ".gz")
    with bgzf.BgzfWriter(str(path), "wb") as handle:
        handle.write(source.read_bytes())
    return path


def letters_of(path: Path) -> dict[str, str]:
    parts = path.read_text().split(">")[1:]
    return {part.split()[0]: "".join(part.split("\n")[1:]) for part in parts}


def gzipped(source: Path) -> Path:
    path = source.with_name(source.name + ".gz")
    path.write_bytes(gzip.compress(source.read_bytes(), mtime=0))
    return path


@pytest.mark.parametrize("stored", [Path, bgzipped, gzipped])
def test_letters_and_codes_are_those_of_the_file(tiny_fasta: Path, stored: Callable[[Path], Path]) -> None:
    fasta = Fasta(stored(tiny_fasta))
    truth = letters_of(tiny_fasta)
    assert fasta.lengths == {name: len(text) for name, text in truth.items()}
    for name, start, end in (("chr1", 0, 1), ("chr1", 59, 61), ("chr2", 0, 3000), ("chr2", 2990, 3000)):
        assert fasta.fetch(name, start, end) == truth[name][start:end]
        assert decode_bases(fasta.codes(name, start, end)) == truth[name][start:end]
    assert fasta.fetch("chr1", 7, 7) == ""


def test_soft_masked_letters_are_bases_unless_masked(tmp_path: Path) -> None:
    fasta = Fasta(write(tmp_path / "soft.fa", ">a description\nACgtRn\nUu\n"))
    assert fasta.names == ("a",)
    assert fasta.fetch("a", 0, 8) == "ACgtRnUu"
    for lowercase in ("base", "mask"):
        expected = encode_bases("ACgtRnUu", lowercase=lowercase)
        np.testing.assert_array_equal(fasta.codes("a", 0, 8, lowercase=lowercase), expected)


def test_nothing_is_written_beside_the_file(tiny_fasta: Path, own_cache: Path) -> None:
    before = set(tiny_fasta.parent.iterdir()) | {own_cache}
    Fasta(tiny_fasta).codes("chr1", 0, 10)
    assert set(tiny_fasta.parent.iterdir()) == before
    assert {path.suffix for path in own_cache.iterdir()} == {".fai", ".npy", ".lock"}


def test_a_changed_file_is_read_anew(tiny_fasta: Path) -> None:
    Fasta(tiny_fasta).codes("chr1", 0, 4)
    tiny_fasta.write_text(">other\nTTTT\n")
    fasta = Fasta(tiny_fasta)
    assert fasta.names == ("other",)
    assert decode_bases(fasta.codes("other", 0, 4)) == "TTTT"


def test_a_file_dated_in_the_future_keeps_its_index(tiny_fasta: Path, own_cache: Path) -> None:
    os.utime(tiny_fasta, (4e9, 4e9))
    Fasta(tiny_fasta)
    index = next(own_cache.glob("*.fai"))
    made = index.stat().st_ino
    Fasta(tiny_fasta)
    assert index.stat().st_ino == made


def test_an_index_beside_is_used(tiny_fasta: Path, own_cache: Path) -> None:
    Fasta(tiny_fasta)
    index = next(own_cache.glob("*.fai"))
    index.rename(tiny_fasta.with_name("tiny.fa.fai"))
    assert Fasta(tiny_fasta).fetch("chr2", 0, 3) == letters_of(tiny_fasta)["chr2"][:3]
    assert not list(own_cache.glob("*.fai"))


def _read_in_worker(fasta: Fasta) -> tuple[str, int]:
    return fasta.fetch("chr1", 100, 110), int(fasta.codes("chr1", 100, 110).sum())


def test_a_forked_and_a_pickled_reader_read_for_themselves(tiny_fasta: Path) -> None:
    fasta = Fasta(tiny_fasta)
    expected = _read_in_worker(fasta)
    assert _read_in_worker(pickle.loads(pickle.dumps(fasta))) == expected
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map(_read_in_worker, [fasta] * 4) == [expected] * 4


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("empty.fa", b"", "is empty"),
        ("headers.fa", b">a\n>b\n", "no bases"),
        ("text.fa", b"just some text\nand more\n", "cannot be read as FASTA"),
        ("twice.fa", b">a\nAC\n>a\nGT\n", "Duplicate"),
        ("ragged.fa", b">a\nACGT\nAC\nACGT\n", "one width"),
        ("plain.fa.gz", b">a\nAC\n", "is not compressed"),
        ("packed.fa", gzip.compress(b">a\nAC\n", mtime=0), "is gzip-compressed"),
        ("ragged.fa.gz", gzip.compress(b">a\nACGT\nAC\nACGT\n", mtime=0), "one width"),
        ("cut.fa.gz", gzip.compress(b">a\nACGT\n", mtime=0)[:-9], "cut off"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=says) as error:
        Fasta(path)
    assert str(path) in str(error.value)


def test_a_gzip_that_changes_is_unpacked_again(tiny_fasta: Path) -> None:
    path = gzipped(tiny_fasta)
    assert Fasta(path).names == ("chr1", "chr2")
    beside = set(path.parent.iterdir())
    path.write_bytes(gzip.compress(b">other\nACGTTT\n", mtime=0))
    fasta = Fasta(path)
    assert fasta.names == ("other",)
    assert pickle.loads(pickle.dumps(fasta)).fetch("other", 3, 6) == "TTT"
    assert set(path.parent.iterdir()) == beside


def test_a_truncated_bgzip_is_refused(tmp_path: Path) -> None:
    shipped = data_dir() / "genomes" / "celegans_ce2_chrX_first2Mi.fa.gz"
    path = tmp_path / "cut.fa.gz"
    path.write_bytes(shipped.read_bytes()[:100_000])
    with pytest.raises(DataError, match="cut off"):
        Fasta(path)


def test_missing_files_and_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        Fasta(tmp_path / "none.fa")
    with pytest.raises(DataError, match="is a folder"):
        Fasta(tmp_path)


def test_a_file_that_may_not_be_read_is_named(tiny_fasta: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The user of the tests may be root, who may read everything.
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.R_OK)
    with pytest.raises(DataError, match=r"may not be read.*permissions"):
        Fasta(tiny_fasta)


def test_letters_that_are_no_nucleotides_are_named(tmp_path: Path) -> None:
    fasta = Fasta(write(tmp_path / "protein.fa", ">p\nMKLV*\n"))
    with pytest.raises(SequenceError, match=r"protein\.fa, sequence p"):
        fasta.codes("p", 0, 3)


def test_places_outside_are_refused(tiny_fasta: Path) -> None:
    fasta = Fasta(tiny_fasta)
    with pytest.raises(DataError, match="no sequence 'X'; it has chr1, chr2"):
        fasta.fetch("X", 0, 1)
    for start, end in ((-1, 5), (2995, 3001), (6, 5)):
        with pytest.raises(IntervalError, match="bases 0-3000"):
            fasta.fetch("chr2", start, end)
        with pytest.raises(IntervalError, match="bases 0-3000"):
            fasta.codes("chr2", start, end)


def test_a_cache_that_cannot_be_written_says_how_to_move_it(
    tiny_fasta: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "file", "")
    monkeypatch.setenv("GENOSEQ_CACHE", str(tmp_path / "file" / "below"))
    with pytest.raises(DataError, match="GENOSEQ_CACHE"):
        Fasta(tiny_fasta)


def test_a_full_disk_leaves_nothing_half_written(
    tiny_fasta: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_some_and_fail(path: Path, parts: object) -> None:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    fasta = Fasta(tiny_fasta)
    with monkeypatch.context() as patch:
        patch.setattr("genoseq.data.fasta.write_array", write_some_and_fail)
        with pytest.raises(DataError, match="No space left"):
            fasta.codes("chr1", 0, 5)
    assert not [path for path in own_cache.iterdir() if "codes" in path.name and path.suffix != ".lock"]
    assert len(fasta.codes("chr1", 0, 5)) == 5


def test_processes_that_begin_together_make_one_copy(tiny_fasta: Path, own_cache: Path) -> None:
    with multiprocessing.get_context("fork").Pool(4) as pool:
        found = pool.map(_read_in_worker, [Fasta(tiny_fasta)] * 8)
    assert len(set(found)) == 1
    assert len(list(own_cache.glob("*.npy"))) == 1


def test_the_shipped_genome_is_whole() -> None:
    fasta = Fasta("genoseq:genomes/celegans_ce2_chrX_first2Mi.fa.gz")
    codes = fasta.codes("chrX", 0, 2_097_152)
    counts = np.bincount(codes, minlength=5)
    assert fasta.lengths == {"chrX": 2_097_152}
    assert counts[4] == 0
    frequencies = counts[:4] / counts.sum()
    # The floor of an order-0 model on its last fifth is 1.938 bits a base.
    assert -(frequencies * np.log2(frequencies)).sum() == pytest.approx(1.938, abs=0.005)
