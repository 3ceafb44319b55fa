"""DeepSEA: 919 chromatin features of windows of 1,000 bases, in the MATLAB files of its release."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from genoseq.benchmark.suites.base import Suite, Task
from genoseq.errors import ConfigError, DataError

_FILES = {"train": "train.mat", "validation": "valid.mat", "test": "test.mat"}
_KEYS = {"train": "train", "validation": "valid", "test": "test"}
# The order of the channels in the release.
_BASES = np.frombuffer(b"AGCT", dtype=np.uint8)
_UNKNOWN = ord("N")
_NUM_LABELS = 919


class DeepSEA(Suite):
    """`train.mat` (HDF5, examples last), `valid.mat` and `test.mat` (MATLAB 5, examples first).

    Each holds one-hot bases `{part}xdata` in the order A, G, C, T, and zeros and ones `{part}data`.

    Args:
        name, folder, repository, revision, tasks: as for every suite; it is on no hub.
        num_labels: features; 919.

    Source: Zhou and Troyanskaya, Nature Methods 2015.
    """

    def __init__(
        self,
        *,
        name: str,
        folder: str | None,
        repository: str | None,
        revision: str | None,
        tasks: Sequence[str] | None,
        num_labels: int = _NUM_LABELS,
    ) -> None:
        super().__init__(name=name, folder=folder, repository=repository, revision=revision, tasks=tasks)
        self._num_labels = num_labels

    @property
    def names(self) -> tuple[str, ...]:
        return ("chromatin",)

    def files(self, task: str) -> list[str]:
        return list(_FILES.values())

    def read(self, task: str) -> Task:
        train, validation, test = (self._table(part) for part in _FILES)
        classes = tuple(map(str, range(self._num_labels)))
        return Task(
            task,
            train,
            validation,
            test,
            metric="auroc",
            problem="multi_label",
            strand="unstranded",
            classes=classes,
        )

    def _table(self, part: str) -> Path:
        path = self.folder / _FILES[part]
        return self.converted([path], lambda: self._convert(path, _KEYS[part]), part)

    def _convert(self, path: Path, key: str) -> pd.DataFrame:
        bases, labels = _read(path, key)
        wanted = (len(bases), self._num_labels)
        if bases.ndim != 3 or bases.shape[1] != 4 or labels.shape != wanted:
            raise DataError(
                f"{path}: bases {bases.shape} and labels {labels.shape}; (N, 4, L) and (N, "
                f"{self._num_labels}) are wanted. Is it the file of the release?"
            )
        letters = np.where(bases.any(axis=1), _BASES[bases.argmax(axis=1)], _UNKNOWN).astype(np.uint8)
        return pd.DataFrame(
            {
                "sequence": [row.tobytes().decode() for row in letters],
                "label": [";".join(map(str, np.flatnonzero(row).tolist())) for row in labels],
            }
        )


def _read(path: Path, key: str) -> tuple[np.ndarray, np.ndarray]:
    """One-hot bases (N, 4, L) and labels (N, C)."""
    with path.open("rb") as handle:
        is_hdf5 = b"HDF" in handle.read(1024)
    if not is_hdf5:
        from scipy.io import loadmat

        content: dict[str, Any] = loadmat(path)
        _require(content, key, path)
        return content[f"{key}xdata"], content[f"{key}data"]
    try:
        import h5py
    except ImportError as error:
        raise ConfigError(f"{path.name} wants h5py: `pip install genoseq[hdf5]`.") from error
    with h5py.File(path, "r") as file:
        _require(file, key, path)
        # MATLAB's order: what varies fastest is first.
        return file[f"{key}xdata"][:].transpose(2, 1, 0), file[f"{key}data"][:].T


def _require(content: Any, key: str, path: Path) -> None:
    if not {f"{key}xdata", f"{key}data"} <= set(content):
        raise DataError(f"{path} has no {key}xdata and {key}data. Is it the file of the release?")
