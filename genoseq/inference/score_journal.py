"""Scores kept as they come, so that a run that is killed goes on where it was."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from genoseq.errors import ConfigError, DataError
from genoseq.inference.outputs import require_folder

log = logging.getLogger(__name__)

_ITEM = np.dtype("<f4")
_ROWS_AT_ONCE = 65_536


class ScoreJournal:
    """A folder beside an output, `.NAME.scoring`, that holds the rows computed so far.

    Args:
        out: the output.
        identity: all that the rows depend on, as JSON can hold it. Rows of another identity are dropped.
        width: numbers of a row.
        batch_size: rows of a batch. Only whole batches are gone on with, so that every later one holds what
            it would have held.

    Raises:
        DataError: the folder cannot be made.
        ConfigError: another process is at work on this output.
    """

    def __init__(
        self, out: str | os.PathLike[str], identity: Mapping[str, Any], *, width: int, batch_size: int
    ) -> None:
        final = require_folder(out)
        self.folder = final.with_name(f".{final.name}.scoring")
        self._identity = json.dumps(identity, indent=1, sort_keys=True)
        self._width = width
        self._batch_bytes = width * _ITEM.itemsize * batch_size
        self._lock = FileLock(f"{self.folder}.lock", timeout=0)

    def __enter__(self) -> ScoreJournal:
        try:
            self._lock.acquire()
            self._open()
        except Timeout as error:
            raise ConfigError(
                f"another genoseq writes {self.folder.name.removesuffix('.scoring')[1:]} already: wait for "
                "it, or give another out=."
            ) from error
        except OSError as error:
            self._lock.release()
            raise DataError(
                f"{self.folder}: cannot be written ({error.strerror}). Give another out=."
            ) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if not self._path.exists() or not self.num_rows:
            shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.release()
        Path(self._lock.lock_file).unlink(missing_ok=True)

    @property
    def num_rows(self) -> int:
        """How many there are."""
        return self._path.stat().st_size // (self._width * _ITEM.itemsize)

    def append(self, rows: np.ndarray) -> None:
        """Keep the rows (N, K) of one more batch.

        Raises:
            DataError: the disk is full.
        """
        try:
            # Unbuffered: what was computed survives the process.
            self._file.write(rows.astype(_ITEM).tobytes())
        except OSError as error:
            raise DataError(
                f"{self._path} could not be written ({error.strerror}). Make room and run the same command "
                "again: it goes on from here."
            ) from error

    def rows(self) -> Iterator[np.ndarray]:
        """All rows, each (K,) float32, a part of them in memory at a time."""
        with self._path.open("rb") as file:
            while part := file.read(_ROWS_AT_ONCE * self._width * _ITEM.itemsize):
                yield from np.frombuffer(part, dtype=_ITEM).reshape(-1, self._width)

    def finish(self) -> None:
        """The output is written: the rows are no longer needed."""
        shutil.rmtree(self.folder)

    @property
    def _path(self) -> Path:
        return self.folder / "scores.f32"

    def _open(self) -> None:
        described = self.folder / "identity.json"
        if self.folder.exists() and not (described.exists() and described.read_text() == self._identity):
            log.info("%s is of another model, input or settings: begun anew", self.folder)
            shutil.rmtree(self.folder)
        self.folder.mkdir(exist_ok=True)
        described.write_text(self._identity)
        self._file = self._path.open("ab", buffering=0)
        self._file.truncate(self._path.stat().st_size // self._batch_bytes * self._batch_bytes)
        if self.num_rows:
            log.info("going on after %s scored alleles", f"{self.num_rows:,}")
