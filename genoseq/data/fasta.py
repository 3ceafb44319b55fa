"""Random access to a FASTA, plain or compressed, of any size."""

from __future__ import annotations

import gzip
import logging
import os
import shutil
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyfaidx

from genoseq.data.cache import FileStamp, cached_file, write_array
from genoseq.errors import DataError, GenoseqError, IntervalError, SequenceError
from genoseq.paths import require_file
from genoseq.sequence import BASES, Lowercase, encode_bases

_log = logging.getLogger(__name__)

_COMPRESSED = (".gz", ".bgz")
_GZIP_MAGIC = b"\x1f\x8b"
_CHUNK = 1 << 24
# What pyfaidx, Bio.bgzf and zlib raise for files that are not what they should be.
_BROKEN = (
    pyfaidx.FastaIndexingError,
    pyfaidx.FetchError,
    OSError,
    EOFError,
    ValueError,
    struct.error,
    zlib.error,
)
_SOFT_MASKED = np.uint8(8)
_CODE = np.uint8(7)
_N = np.uint8(BASES.index("N"))


class Fasta:
    """Sequences by place, without the file ever being held in memory.

    `fetch` reads letters through pyfaidx. `codes` reads base codes from a memory-mapped copy, one byte a
    base, which is made once in the cache folder: microseconds a window. Both may be used in forked and
    spawned workers; each process opens a handle of its own. Indexes are read beside the FASTA where they are
    at least as new as it, and otherwise made in the cache folder: nothing is written beside the user's files.
    Of a FASTA compressed with gzip, as most archives hand them out, a plain copy is made there too.

    Args:
        path: a FASTA, plain, bgzip or gzip (`.gz`, `.bgz`); `genoseq:...` is a shipped one.

    Attributes:
        lengths: bases of each sequence, by its name (the first word of its header), in the order of the file.

    Raises:
        DataError: the file is missing, unreadable, empty, damaged, not compressed as its name says, or names
            two sequences alike.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = require_file(path, "the FASTA")
        _require_readable_form(self.path)
        self._stamp = FileStamp.of(self.path)
        self._readable = _with_random_access(self.path, self._stamp)
        self._indexes = _indexes(self._readable, self.path)
        with _explained(self.path):
            self._handle: pyfaidx.Faidx | None = self._open()
        self._process = os.getpid()
        self._codes: np.ndarray | None = None
        self.lengths = {name: record.rlen for name, record in self._handle.index.items()}
        if not any(self.lengths.values()):
            raise DataError(f"{self.path} holds headers and no bases. Give a FASTA with sequences.")
        ends = np.cumsum(list(self.lengths.values()))
        self._offsets = dict(zip(self.lengths, (ends - list(self.lengths.values())).tolist(), strict=True))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the sequences, in the order of the file."""
        return tuple(self.lengths)

    def fetch(self, chromosome: str, start: int, end: int) -> str:
        """Letters of [start, end) as they stand in the file, soft-masking and all.

        Raises:
            DataError: there is no such sequence, or the file is damaged.
            IntervalError: the interval is reversed or goes beyond the sequence.
        """
        self.require_inside(chromosome, start, end)
        if start == end:
            return ""
        if self._handle is None or self._process != os.getpid():
            with _explained(self.path):
                self._handle = self._open()
            self._process = os.getpid()
        with _explained(self.path):
            return str(self._handle.fetch(chromosome, start + 1, end))

    def codes(self, chromosome: str, start: int, end: int, *, lowercase: Lowercase = "base") -> np.ndarray:
        """Base codes of [start, end), (end - start,) uint8, a new array; see `genoseq.sequence.encode_bases`.

        Args:
            lowercase: "base" reads soft-masked letters as bases, "mask" as N.

        Raises:
            DataError, IntervalError: as `fetch`.
            SequenceError: the file holds letters that are no nucleotides.
        """
        self.require_inside(chromosome, start, end)
        if self._codes is None:
            self._codes = self._map_codes()
        offset = self._offsets[chromosome]
        stored = self._codes[offset + start : offset + end]
        codes = stored & _CODE
        if lowercase == "mask":
            codes[stored >= _SOFT_MASKED] = _N
        return codes

    def require_inside(self, chromosome: str, start: int, end: int) -> None:
        """Refuse an interval that is not there.

        Raises:
            DataError: there is no such sequence.
            IntervalError: the interval is reversed or goes beyond the sequence.
        """
        if chromosome not in self.lengths:
            known = ", ".join(self.names[:8]) + (", ..." if len(self.names) > 8 else "")
            raise DataError(
                f"{self.path} has no sequence {chromosome!r}; it has {known}. Use one genome build and one "
                "naming (chr1 or 1) in all files."
            )
        if not 0 <= start <= end <= self.lengths[chromosome]:
            raise IntervalError(
                f"{chromosome}:{start}-{end} goes beyond {chromosome} in {self.path}, which has bases "
                f"0-{self.lengths[chromosome]}. Shorten the interval, or pad or drop it with the edge policy."
            )

    def __getstate__(self) -> dict[str, object]:
        # Handles and memory maps are of one process.
        return {**self.__dict__, "_handle": None, "_codes": None}

    def __repr__(self) -> str:
        return f"Fasta({str(self.path)!r})"

    def _open(self) -> pyfaidx.Faidx:
        fai, gzi = self._indexes
        return pyfaidx.Faidx(str(self._readable), indexname=str(fai), gzi_indexname=str(gzi), as_raw=True)

    def _map_codes(self) -> np.ndarray:
        path = cached_file(self._stamp, ".codes.npy", lambda part: write_array(part, self._all_codes()))
        # A plain array over the mapped memory: slicing it takes a tenth of the time of slicing a memmap.
        return np.asarray(np.load(path, mmap_mode="r"))

    def _all_codes(self) -> Iterator[np.ndarray]:
        for name, length in self.lengths.items():
            for start in range(0, length, _CHUNK):
                letters = self.fetch(name, start, min(start + _CHUNK, length))
                try:
                    codes = encode_bases(letters)
                except SequenceError as error:
                    raise SequenceError(
                        f"{self.path}, sequence {name}, from base {start:,}: {error}"
                    ) from error
                lower = np.frombuffer(letters.encode("ascii"), dtype=np.uint8) >= ord("a")
                yield codes | lower * _SOFT_MASKED


def _require_readable_form(path: Path) -> None:
    head = _head(path)
    if not head:
        raise DataError(f"{path} is empty. Give a FASTA: a line `>name`, then lines of sequence.")
    named_compressed = path.name.lower().endswith(_COMPRESSED)
    if head.startswith(_GZIP_MAGIC) != named_compressed:
        state = "is not compressed" if named_compressed else "is gzip-compressed"
        raise DataError(
            f"{path} {state}, against its name. Name it .fa where it is plain and .fa.gz where it is "
            "compressed."
        )


def _with_random_access(path: Path, stamp: FileStamp) -> Path:
    """The file itself, or a plain copy in the cache folder, as old as it, where it is gzip but not bgzip."""
    head = _head(path)
    # bgzip marks each block with an extra field BC.
    if not head.startswith(_GZIP_MAGIC) or (head[3] & 4 and head[12:14] == b"BC"):
        return path

    def make(part: Path) -> None:
        _log.info("%s is gzip and not bgzip: a plain copy is made in the cache folder", path)
        with _explained(path), gzip.open(path, "rb") as packed, part.open("wb") as plain:
            shutil.copyfileobj(packed, plain, _CHUNK)

    return cached_file(stamp, ".fa", make)


def _head(path: Path) -> bytes:
    with path.open("rb") as handle:
        return handle.read(16)


def _indexes(path: Path, given: Path) -> tuple[Path, Path]:
    """Paths of an index of names (.fai) and one of blocks (.gzi, for bgzip), made where there is none.

    Args:
        path: what is read.
        given: the user's file, which errors name.
    """
    stamp = FileStamp.of(path)
    beside = (path.with_name(path.name + ".fai"), path.with_name(path.name + ".gzi"))
    compressed = path.name.lower().endswith(_COMPRESSED)
    needed = beside if compressed else beside[:1]
    if all(index.is_file() and index.stat().st_mtime_ns >= stamp.modified for index in needed):
        return beside
    gzi = stamp.derived_path(".gzi")
    # Made together: where the first is there, so is the second.
    return cached_file(stamp, ".fai", lambda part: _make_indexes(path, part, gzi, given)), gzi


def _make_indexes(path: Path, fai: Path, gzi: Path, given: Path) -> None:
    gzi_part = gzi.with_name(f".{gzi.name}.{os.getpid()}")
    try:
        with _explained(given):
            pyfaidx.Faidx(str(path), indexname=str(fai), gzi_indexname=str(gzi_part)).close()
        if gzi_part.exists():
            shutil.copystat(path, gzi_part)
            gzi_part.replace(gzi)
    finally:
        gzi_part.unlink(missing_ok=True)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """What pyfaidx and zlib raise for a broken file, as an error that says which file it is."""
    try:
        yield
    except GenoseqError:
        raise
    except _BROKEN as error:
        raise DataError(
            f"{path} cannot be read as FASTA: {error}. Check that each sequence has a header `>name` with a "
            "name of its own and lines of one width, and that neither the file nor its .fai and .gzi are cut "
            "off or stale (delete those two to have them made anew)."
        ) from error
