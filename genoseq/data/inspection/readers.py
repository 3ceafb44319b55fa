"""The table of kinds of files, one line each: the endings of its names, and a function that looks."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from genoseq.data.inspection.bed import inspect_bed
from genoseq.data.inspection.fasta import inspect_fasta
from genoseq.data.inspection.findings import Findings, Options
from genoseq.data.inspection.recordings import inspect_recordings
from genoseq.data.inspection.series import inspect_labelled_series, inspect_record
from genoseq.data.inspection.tables import inspect_table
from genoseq.data.inspection.vcf import inspect_vcf
from genoseq.errors import DataError
from genoseq.paths import locate

_COMPRESSED = (".gz", ".bgz")


@dataclass(frozen=True)
class Reader:
    """One kind of file.

    Attributes:
        suffixes: endings of the names, in lower case, before that of a compression.
        inspect: looks at a path.
        of_folders: takes a folder of such files, and gives one report of all.
    """

    suffixes: tuple[str, ...]
    inspect: Callable[[Path, Options], Findings]
    of_folders: bool = False


READERS: tuple[Reader, ...] = (
    Reader((".fa", ".fasta", ".fna", ".fas"), inspect_fasta),
    Reader((".bed", ".narrowpeak"), inspect_bed),
    Reader((".vcf",), inspect_vcf),
    Reader((".csv", ".tsv", ".txt", ".parquet"), inspect_table),
    Reader((".ts",), inspect_labelled_series),
    Reader((".hea",), inspect_record),
    Reader((".edf", ".bdf", ".fif", ".set", ".rda"), inspect_recordings, of_folders=True),
)


def inspect(path: str | os.PathLike[str], options: Options = Options()) -> Findings:  # noqa: B008 - frozen
    """Look at a file, or a folder of recordings, without changing anything.

    Args:
        path: what to look at; the ending of the name says what it is.
        options: what else is known.

    Raises:
        DataError: nothing is there, it is of no known kind, or it is broken.
    """
    located = locate(path)
    if located.is_dir():
        return _reader_of_folder(located).inspect(located, options)
    return _reader_of(located).inspect(located, options)


def _suffix(path: Path) -> str:
    parts = [suffix.lower() for suffix in path.suffixes]
    if parts and parts[-1] in _COMPRESSED:
        parts.pop()
    return parts[-1] if parts else ""


def _reader_of(path: Path) -> Reader:
    if not path.exists():
        raise DataError(f"input={path} does not exist. Give the path of a file or a folder.")
    reader = next((reader for reader in READERS if _suffix(path) in reader.suffixes), None)
    if reader is None:
        raise DataError(
            f"{path.name}: its ending says no kind that is known here: {_all_suffixes()} (.gz). Rename it to "
            "what it is."
        )
    return reader


def _reader_of_folder(folder: Path) -> Reader:
    takers = [reader for reader in READERS if reader.of_folders]
    endings = Counter(_suffix(path) for path in folder.rglob("*") if path.is_file())
    counts = [sum(endings[suffix] for suffix in reader.suffixes) for reader in takers]
    if not any(counts):
        inside = ", ".join(ending or "none" for ending, _ in endings.most_common(5)) or "no files"
        raise DataError(
            f"{folder} is a folder without recordings (its endings: {inside}). Give one of its files: "
            f"{_all_suffixes()} (.gz)."
        )
    return takers[counts.index(max(counts))]


def _all_suffixes() -> str:
    return ", ".join(suffix for reader in READERS for suffix in reader.suffixes)
