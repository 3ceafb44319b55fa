"""Lines of text files, plain or gzip."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from genoseq.errors import DataError


def numbered_lines(path: Path, kind: str) -> Iterator[tuple[int, str]]:
    """Each line without its end, with its number, counted from 1.

    Args:
        path: gzip is known by its first bytes as well as by the ending `.gz`.
        kind: what the file should be, for the error: "a BED file".

    Raises:
        DataError: the file is no such text, or is cut off.
    """
    try:
        with path.open("rb") as raw:
            compressed = path.name.endswith(".gz") or raw.read(2) == b"\x1f\x8b"
        opened = gzip.open if compressed else open
        with opened(path, "rt", encoding="utf-8", newline="\n") as handle:
            for number, text in enumerate(handle, start=1):
                yield number, text.rstrip("\r\n")
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise DataError(
            f"{path} cannot be read as {kind}: {error}. Is it cut off, or of another kind?"
        ) from error
