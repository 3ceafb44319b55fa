"""Where the packaged configs and data are: the installed copy, else the checkout. Nothing else knows."""

from __future__ import annotations

import os
from pathlib import Path

from genoseq.errors import DataError

_PACKAGE = Path(__file__).resolve().parent
_SHIPPED = "genoseq:"


def configs_dir() -> Path:
    """Folder of the Hydra configuration tree."""
    return _packaged_or_checkout("_configs", "configs")


def data_dir() -> Path:
    """Folder of the embedded data set, with its `manifest.tsv`."""
    return _packaged_or_checkout("_data", "data")


def locate(path: str | os.PathLike[str]) -> Path:
    """Turn what a user or a config wrote into a path.

    `genoseq:genomes/x.fa.gz` is a file of the embedded data set, wherever the package is installed, so that a
    saved config means the same on another machine. `~` is the home folder. Anything else is taken as it is.
    """
    text = os.fspath(path)
    if text.startswith(_SHIPPED):
        return data_dir() / text.removeprefix(_SHIPPED)
    return Path(text).expanduser()


def portable(path: str | os.PathLike[str]) -> str:
    """The inverse of `locate` for files of the embedded data set: `genoseq:...`; other paths as they are."""
    path = Path(path)
    folder = data_dir()
    return f"{_SHIPPED}{path.relative_to(folder).as_posix()}" if path.is_relative_to(folder) else str(path)


def require_file(path: str | os.PathLike[str], what: str) -> Path:
    """`locate(path)`, checked to be a readable file.

    Raises:
        DataError: the file is not there, is a folder, or may not be read; `what` names its role.
    """
    located = locate(path)
    if not located.is_file():
        state = "is a folder" if located.is_dir() else "does not exist"
        raise DataError(f"{what}: {located} {state}. Give the path of a file.")
    if not os.access(located, os.R_OK):
        raise DataError(f"{what}: {located} may not be read. Change its permissions or give another file.")
    return located


def cache_dir() -> Path:
    """Writable folder for indexes and other derived files: `GENOSEQ_CACHE`, else the user's cache folder."""
    root = os.environ.get("GENOSEQ_CACHE") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "genoseq"
    )
    folder = Path(root)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _packaged_or_checkout(packaged: str, checkout: str) -> Path:
    places = (_PACKAGE / packaged, _PACKAGE.parent / checkout)
    for folder in places:
        if folder.is_dir():
            return folder
    raise DataError(f"neither {places[0]} nor {places[1]} exists: reinstall genoseq")
