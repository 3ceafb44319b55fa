"""Prepared recordings, made once and read from disk by memory map."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from genoseq.data.cache import FileStamp, cached_file
from genoseq.data.recordings.opening import Source
from genoseq.data.recordings.preparation import Preparation
from genoseq.paths import require_file


@dataclass(frozen=True)
class CachedRecording:
    """A prepared recording on disk.

    Attributes:
        path: of the samples, a .npy of (C, T) float32.
        present: (C,) bool; see `Prepared`.
        rate: samples a second.
        num_samples: T.
    """

    path: Path
    present: np.ndarray
    rate: float
    num_samples: int

    def samples(self) -> np.ndarray:
        """(C, T) float32, read when touched."""
        return np.load(self.path, mmap_mode="r")


def prepared(source: Source, preparation: Preparation) -> CachedRecording:
    """A recording as `preparation` makes it, from the cache where it is there.

    Names in the cache are hashes of file and settings; in it are samples, the rate and which channels there
    were, and nothing else that the file says.

    Raises:
        DataError: it cannot be prepared, or the cache cannot be written.
    """
    stamp = FileStamp.of(require_file(source.path, "the recording"))
    member = "" if source.member is None else f".{source.member}"
    stem = f"{member}.{preparation.digest}"
    signal = stamp.derived_path(f"{stem}.npy")

    def make(path: Path) -> None:
        made = preparation(source)
        part = path.with_name(f"{path.name}.samples")
        with part.open("wb") as file:
            np.save(file, made.signal)
        part.replace(signal)
        facts = {"present": made.present.tolist(), "rate": made.rate, "num_samples": made.signal.shape[1]}
        path.write_text(json.dumps(facts), encoding="utf-8")

    facts = json.loads(cached_file(stamp, f"{stem}.json", make).read_text(encoding="utf-8"))
    return CachedRecording(
        signal, np.array(facts["present"]), float(facts["rate"]), int(facts["num_samples"])
    )
