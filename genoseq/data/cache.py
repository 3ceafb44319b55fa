"""Files derived from a user's file: made once, whole or not at all, in the cache folder."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock

from genoseq.errors import DataError
from genoseq.paths import cache_dir


@dataclass(frozen=True)
class FileStamp:
    """What changes when a file does; a derived file carries it in its name, and so is never stale."""

    path: str
    size: int
    modified: int

    @classmethod
    def of(cls, path: Path) -> FileStamp:
        """The stamp of a file; `modified` in ns."""
        status = path.stat()
        return cls(str(path.resolve()), status.st_size, status.st_mtime_ns)

    def derived_path(self, suffix: str) -> Path:
        """Where in the cache folder a derived file stands; no other file or state of it shares the name.

        Raises:
            DataError: there can be no such folder.
        """
        text = f"{self.path}\0{self.size}\0{self.modified}".encode("utf-8", "surrogateescape")
        with _explained(self):
            return cache_dir() / f"{hashlib.sha256(text).hexdigest()[:24]}{suffix}"


def cached_file(stamp: FileStamp, suffix: str, make: Callable[[Path], None]) -> Path:
    """A file derived from another, made by `make` where it is not there yet.

    Of several processes one makes it while the others wait.

    Args:
        stamp: of the file it is derived from.
        suffix: what is derived.
        make: writes the file to the path that it is given; errors of its own input it raises as DataError.

    Raises:
        DataError: the cache folder cannot be written, or is full.
    """
    path = stamp.derived_path(suffix)
    if not path.exists():
        with _explained(stamp), FileLock(f"{path}.lock"):
            if not path.exists():
                _make_whole(path, stamp, make)
    return path


def write_array(path: Path, parts: Iterator[np.ndarray]) -> None:
    """Write parts of a uint8 array as one .npy file, holding one part in memory at a time."""
    header = {"descr": "|u1", "fortran_order": False}
    with path.open("wb") as handle:
        # The header is padded so that the length, known at the end, fits.
        np.lib.format.write_array_header_1_0(handle, {**header, "shape": (2**62,)})
        begin = handle.tell()
        for part in parts:
            handle.write(part.tobytes())
        length = handle.tell() - begin
        handle.seek(0)
        np.lib.format.write_array_header_1_0(handle, {**header, "shape": (length,)})
        assert handle.tell() == begin


def _make_whole(path: Path, stamp: FileStamp, make: Callable[[Path], None]) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        make(part)
        # As old as its source: pyfaidx remakes an index that is older, and a clock may be wrong.
        os.utime(part, ns=(stamp.modified, stamp.modified))
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _explained(stamp: FileStamp) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(
            f"the files derived from {stamp.path} cannot be kept in the cache: {error}. Set GENOSEQ_CACHE to "
            f"a folder that can be written and has room for {stamp.size:,} bytes and more."
        ) from error
