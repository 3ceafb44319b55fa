"""Tables of sequences: CSV, TSV, Parquet, and FASTA whose headers carry labels."""

from __future__ import annotations

import csv
import gzip
import os
import zlib
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow
from Bio.SeqIO.FastaIO import SimpleFastaParser

from genoseq.errors import DataError, SequenceError
from genoseq.paths import require_file
from genoseq.sequence import encode_bases

_SEPARATORS = {".csv": ",", ".tsv": "\t", ".txt": "\t"}
_FASTA = (".fa", ".fasta", ".fna", ".fas")
_BROKEN = (OSError, EOFError, ValueError, zlib.error, csv.Error, pyarrow.ArrowException)


def read_table(path: str | os.PathLike[str]) -> pd.DataFrame:
    """A table by the ending of its name: .csv, .tsv, .txt (tabs), .parquet, .fa; all but Parquet may be .gz.

    Everything of a text table is read as text: a sequence NAN is no missing number. A FASTA gives the columns
    `name` and `sequence`, and those that its headers hold: `>name 1` a column `label`, `>name label=1
    group=x` columns by those names.

    Raises:
        DataError: the file is missing, unreadable, of an unknown kind, or holds no rows.
    """
    located = require_file(path, "the table")
    kind = "".join(located.suffixes[-2:-1] if located.suffix == ".gz" else located.suffixes[-1:]).lower()
    try:
        table = _read(located, kind)
    except _BROKEN as error:
        raise DataError(
            f"{located} cannot be read as {kind} table: {error}. Is it cut off, or of another kind than its "
            "name says?"
        ) from error
    if table is None:
        raise DataError(
            f"{located} is of no known kind: the name of a table ends in .csv, .tsv, .txt, .parquet or .fa "
            "(.gz)."
        )
    if table.empty:
        raise DataError(f"{located} holds no rows. Give a table with a header line and at least one row.")
    return table


def require_columns(table: pd.DataFrame, columns: Sequence[str], source: object) -> None:
    """Check that a table has the columns.

    Raises:
        DataError: it has not; the message names those it has.
    """
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise DataError(
            f"{source} has no column {', '.join(map(repr, missing))}; it has "
            f"{', '.join(map(str, table.columns))}. Name the column in the settings, or give another table."
        )


def require_sequences(table: pd.DataFrame, column: str, source: object) -> None:
    """Check that a column holds a sequence in every row.

    Raises:
        DataError: a row is empty. SequenceError: a letter is no nucleotide. Both name the row.
    """
    for row, sequence in enumerate(table[column]):
        if not isinstance(sequence, str) or not sequence:
            raise DataError(f"{source}, row {row} (counted from 0): the sequence is empty. Remove the row.")
        try:
            encode_bases(sequence)
        except SequenceError as error:
            raise SequenceError(f"{source}, row {row} (counted from 0): {error}") from error


def _read(path: Path, kind: str) -> pd.DataFrame | None:
    if kind in _SEPARATORS:
        return pd.read_csv(path, sep=_SEPARATORS[kind], dtype=str, keep_default_na=False)
    if kind == ".parquet":
        # Rows that were cut from a larger table bring their old numbers.
        return pd.read_parquet(path).reset_index(drop=True)
    if kind in _FASTA:
        opened = gzip.open if path.suffix == ".gz" else open
        with opened(path, "rt", encoding="utf-8") as handle:
            return pd.DataFrame([_record(title, sequence) for title, sequence in SimpleFastaParser(handle)])
    return None


def _record(title: str, sequence: str) -> dict[str, str]:
    words = title.split()
    fields = {"name": words[0] if words else "", "sequence": sequence}
    for word in words[1:]:
        key, separator, value = word.partition("=")
        if separator:
            fields[key] = value
        else:
            fields.setdefault("label", word)
    return fields
