"""Files that appear whole or not at all, and tables written batch by batch."""

from __future__ import annotations

import errno
import gzip
import os
import shutil
import sys
import tempfile
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pandas as pd

from genoseq.errors import ConfigError, DataError
from genoseq.paths import locate
from genoseq.sequence import Letters

STANDARD_OUTPUT = "-"
_DISK_TROUBLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


@contextmanager
def atomic_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A path to write to that becomes `path` when the block ends well, and vanishes when it does not.

    Raises:
        DataError: the file cannot be written there (before any work is done), or the disk is full.
    """
    final = require_folder(path)
    if final.is_dir():
        raise DataError(f"out={path} is a folder. Give the path of a file.")
    with _beside(final) as folder:
        temporary = folder / final.name
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(final)


@contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A folder to fill that becomes `path` when the block ends well, and vanishes when it does not.

    Raises:
        DataError: the folder is there already and holds something, or cannot be made.
    """
    final = require_folder(path)
    if final.exists() and not (final.is_dir() and not any(final.iterdir())):
        raise DataError(f"out={path} is there already. Remove it or give another folder.")
    with _beside(final) as folder:
        temporary = folder / final.name
        temporary.mkdir()
        yield temporary
        temporary.replace(final)


class TableWriter(ABC):
    """Rows appended batch by batch to one file.

    Attributes:
        notes: what else a reader has to know, under names; set before the first row. Text has no place
            for it.
    """

    def __init__(self) -> None:
        self.notes: dict[str, str] = {}

    @abstractmethod
    def write(self, rows: pd.DataFrame) -> None:
        """Append rows; every batch has the columns of the first."""

    @abstractmethod
    def close(self) -> None:
        """Finish the file."""


class ParquetTable(TableWriter):
    """Parquet, a row group a batch. Columns of arrays become lists; notes are metadata of the file."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._writer: Any = None

    def write(self, rows: pd.DataFrame) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pa.Table.from_pandas(rows, preserve_index=False)
        if self._writer is None:
            kept = table.schema.metadata or {}
            self._writer = pq.ParquetWriter(self._path, table.schema.with_metadata({**kept, **self.notes}))
        self._writer.write_table(table.cast(self._writer.schema))

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


class DelimitedTable(TableWriter):
    """Text with a header: comma- or tab-separated."""

    def __init__(self, path: Path, separator: str) -> None:
        super().__init__()
        self._file = path.open("w", newline="")
        self._separator = separator
        self._header = True

    def write(self, rows: pd.DataFrame) -> None:
        rows.to_csv(self._file, sep=self._separator, index=False, header=self._header)
        self._header = False

    def close(self) -> None:
        self._file.close()


class NumpyArchive(TableWriter):
    """NPZ with `embeddings` (N, D) float32, from a column `embedding`, and an array (N,) of each other
    column, called by its plural: `names`, `starts`.

    The format needs N first: until it is known vectors wait on disk, never in memory.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._places: list[pd.DataFrame] = []
        self._vectors = path.with_suffix(".rows").open("w+b")
        self._width = 0

    def write(self, rows: pd.DataFrame) -> None:
        vectors = np.stack(rows["embedding"].tolist()).astype(np.float32)
        self._places.append(rows.drop(columns="embedding"))
        self._width = vectors.shape[1]
        vectors.tofile(self._vectors)

    def close(self) -> None:
        with zipfile.ZipFile(self._path, "w") as archive:
            places = _together(self._places)
            _write_arrays(archive, places.rename(columns=_plural), self.notes)
            with archive.open("embeddings.npy", "w", force_zip64=True) as member:
                shape = (len(places), self._width)
                header = {"descr": "<f4", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(member, header)
                self._vectors.seek(0)
                shutil.copyfileobj(self._vectors, member)
        self._vectors.close()


class ColumnArchive(TableWriter):
    """NPZ with an array (N,) a column, for tables of numbers and names; they wait in memory."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._parts: list[pd.DataFrame] = []

    def write(self, rows: pd.DataFrame) -> None:
        self._parts.append(rows)

    def close(self) -> None:
        with zipfile.ZipFile(self._path, "w") as archive:
            _write_arrays(archive, _together(self._parts), self.notes)


def _plural(column: str) -> str:
    return column if column.endswith("s") else f"{column}s"


def _together(parts: list[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat(parts) if parts else pd.DataFrame()


def _write_arrays(archive: zipfile.ZipFile, table: pd.DataFrame, notes: Mapping[str, str]) -> None:
    """A member a column, and a text a note; what is no number becomes text."""
    texts = {name for name in table.columns if not pd.api.types.is_numeric_dtype(table[name])}
    arrays = {name: table[name].to_numpy(dtype=str if name in texts else None) for name in table.columns}
    arrays |= {name: np.array(text) for name, text in notes.items()}
    for name, array in arrays.items():
        with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
            np.lib.format.write_array(member, array, allow_pickle=False)


@contextmanager
def open_table(
    path: str | os.PathLike[str],
    *,
    formats: tuple[str, ...],
    archive: type[NumpyArchive] | type[ColumnArchive] = NumpyArchive,
) -> Iterator[TableWriter]:
    """A writer for the format that the name's ending says; the file is there once the block ends well.

    Args:
        path: where; one of `formats` is its ending.
        formats: among ".parquet", ".csv", ".tsv", ".npz".
        archive: what an NPZ holds.

    Raises:
        ConfigError: another ending.
        DataError: the file cannot be written there.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in formats:
        raise ConfigError(
            f"out={path}: the name has to end in {' or '.join(formats)}, which says the format."
        )
    with atomic_file(path) as temporary:
        table = _table(temporary, suffix, archive)
        try:
            yield table
        finally:
            table.close()


def _table(path: Path, suffix: str, archive: type[NumpyArchive] | type[ColumnArchive]) -> TableWriter:
    match suffix:
        case ".parquet":
            return ParquetTable(path)
        case ".npz":
            return archive(path)
        case _:
            return DelimitedTable(path, "\t" if suffix == ".tsv" else ",")


@contextmanager
def _beside(final: Path) -> Iterator[Path]:
    """A folder on the same disk, so that a rename is one step; whatever is left in it is removed."""
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{final.name}.", suffix=".partial", dir=final.parent))
    except OSError as error:
        raise DataError(
            f"{final.parent}: cannot be written to ({error.strerror}). Give another out=."
        ) from error
    try:
        yield folder
    except OSError as error:
        if error.errno not in _DISK_TROUBLE:
            raise
        reason = os.strerror(error.errno)
        raise DataError(
            f"{final} could not be written ({reason}); nothing is left of it. Make room."
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def require_folder(path: str | os.PathLike[str]) -> Path:
    """Where a file is to be: asked before the work, not after it.

    Raises:
        DataError: there is no such folder.
    """
    final = locate(path)
    if not final.parent.is_dir():
        raise DataError(
            f"out={path}: the folder {final.parent} does not exist. Make it, or give another out=."
        )
    return final


@contextmanager
def open_fasta(path: str | os.PathLike[str]) -> Iterator[TextIO]:
    """A file for `write_fasta`, there once the block ends well: gzipped if its name ends in `.gz`; `-` is
    standard output.

    Raises:
        DataError: the file cannot be written there.
    """
    if path == STANDARD_OUTPUT:
        yield sys.stdout
        return
    with atomic_file(path) as temporary:
        compressed = temporary.suffix.lower() == ".gz"
        with gzip.open(temporary, "wt") if compressed else temporary.open("w") as file:
            yield file


def write_fasta(file: TextIO, records: Iterable[tuple[str, Letters]], *, width: int = 80) -> None:
    """Names and sequences as FASTA, `width` letters a line, each record written out before the next is asked
    for."""
    for name, sequence in records:
        lines = (sequence[start : start + width] for start in range(0, len(sequence), width))
        file.write(f">{name}\n" + "\n".join(lines) + "\n")
        file.flush()
