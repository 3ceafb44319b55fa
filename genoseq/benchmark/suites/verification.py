"""Is a folder of data whole, and is it what it was when it was published? Files against their SHA-256."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from genoseq.errors import DataError

CHECKSUMS = "SHA256SUMS"
"""A file of lines `<sha256>  <path>`, as `sha256sum` writes and checks them."""

_SHOWN = 5


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def known_checksums(folder: Path, manifests: Iterable[str] = ()) -> dict[str, str]:
    """SHA-256 by path below `folder`, from its SHA256SUMS and from manifests.

    Args:
        folder: of the data.
        manifests: tables (TSV) below it with the columns `path`, relative to the table, and `sha256`.

    Raises:
        DataError: a manifest is missing, or one of them cannot be read.
    """
    known: dict[str, str] = {}
    sums = folder / CHECKSUMS
    if sums.is_file():
        for line in sums.read_text(encoding="utf-8").splitlines():
            digest, _, name = line.strip().partition(" ")
            if name:
                known[name.strip().lstrip("*")] = digest
    for manifest in manifests:
        path = folder / manifest
        try:
            table = pd.read_csv(path, sep="\t", usecols=["path", "sha256"], dtype=str)
        except (OSError, ValueError) as error:
            raise DataError(f"the manifest {path} cannot be read: {error}. Copy the folder again.") from error
        base = Path(manifest).parent
        known |= {(base / name).as_posix(): digest for name, digest in table.itertuples(index=False)}
    return known


def verify_files(folder: Path, names: Iterable[str], known: Mapping[str, str]) -> dict[str, str]:
    """Check that files are there, and are what their checksums say.

    Args:
        folder: of the data.
        names: paths below it.
        known: as of `known_checksums`; a file that it does not name is not compared.

    Returns:
        The SHA-256 of each file, by its path.

    Raises:
        DataError: files are missing, empty, or are not whole; names the first of them.
    """
    wanted = list(dict.fromkeys(names))
    missing = [name for name in wanted if not (folder / name).is_file()]
    if missing:
        raise DataError(
            f"{folder} has only {len(wanted) - len(missing)} of the {len(wanted)} files that are wanted; "
            f"missing: {_some(missing)}. Was its download cut short? Fetch it again, or give another folder."
        )
    found = {name: sha256_of(folder / name) for name in wanted}
    empty = [name for name in wanted if not (folder / name).stat().st_size]
    broken = [name for name in wanted if name in known and known[name] != found[name]]
    if empty or broken:
        raise DataError(
            f"{folder} is not whole: {_some([*empty, *broken])} "
            f"{'are' if len(empty) + len(broken) > 1 else 'is'} not what the checksums say. Was its download "
            "cut short? Delete these files and fetch them again."
        )
    return found


def _some(names: list[str]) -> str:
    rest = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")
