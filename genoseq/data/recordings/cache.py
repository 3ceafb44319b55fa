"""Prepared recordings, made once and read from disk by memory map."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from genoseq.data.cache import FileStamp, cached_file
from genoseq.data.recordings.opening import Source
from genoseq.data.recordings.preparation import Preparation, Prepared
from genoseq.paths import require_file


def prepared(source: Source, preparation: Preparation) -> Prepared:
    """A recording as `preparation` makes it, from the cache where it is there.

    The cache's names are hashes of file and settings; it holds samples, names of channels and the rate, and
    nothing else that the file says.

    Raises:
        DataError: it cannot be prepared, or the cache cannot be written.
    """
    stamp = FileStamp.of(require_file(source.path, "the recording"))
    member = "" if source.member is None else f".{source.member}"
    stem = f"{member}.{preparation.digest}"

    def make(path: Path) -> None:
        made = preparation(source)
        signal = stamp.derived_path(f"{stem}.npy")
        part = path.with_suffix(".samples")
        with part.open("wb") as file:
            np.save(file, made.signal)
        part.replace(signal)
        facts = {"present": made.present.tolist(), "channels": made.channels, "rate": made.rate}
        path.write_text(json.dumps(facts), encoding="utf-8")

    facts = json.loads(cached_file(stamp, f"{stem}.json", make).read_text(encoding="utf-8"))
    signal = np.load(stamp.derived_path(f"{stem}.npy"), mmap_mode="r")
    return Prepared(signal, np.array(facts["present"]), tuple(facts["channels"]), float(facts["rate"]))
