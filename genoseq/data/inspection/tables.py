"""What is in a table: sequences, with labels or without, or numbers by time."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pandas as pd

from genoseq.data.inspection.findings import Findings, Options, Value, some, spread
from genoseq.data.inspection.series import inspect_numbers
from genoseq.data.tables import read_table
from genoseq.errors import SequenceError
from genoseq.sequence import encode_bases, reverse_complement

_MOST_CLASSES = 20


def inspect_table(path: Path, options: Options) -> Findings:
    """Columns, sequences, labels, and which problem a run would take them for.

    Raises:
        DataError: the file is missing, broken or empty.
    """
    table = read_table(path)
    if options.sequence_column not in table.columns and options.label_column not in table.columns:
        series = inspect_numbers(path, table)
        if series is not None:
            return series
    sections: dict[str, dict[str, Value]] = {
        "table": {"rows": len(table), "columns": some(map(str, table.columns), 20)}
    }
    remarks: list[str] = []
    uses: dict[str, str] = {}
    if options.sequence_column in table.columns:
        sequences = [text if isinstance(text, str) else "" for text in table[options.sequence_column]]
        sections["sequences"], found = _sequences(sequences)
        remarks += found
        uses[f"genoseq embed checkpoint=DIR input={path} out=FILE"] = f"{len(table):,} vectors"
    else:
        remarks.append(f"No column {options.sequence_column}: name it with sequence_column=.")
    if options.label_column in table.columns:
        sections["labels"], problem = _labels(table[options.label_column], remarks)
        setting = f"genoseq train data=labelled data.train={path} data.problem={problem}"
        if options.sequence_column in table.columns:
            uses[setting] = f"{problem}, validation cut from it by clusters of shared k-mers"
    return Findings("table", sections, tuple(remarks), uses)


def _sequences(sequences: list[str]) -> tuple[dict[str, Value], list[str]]:
    total = Counter("".join(sequences).upper())
    known = sum(total[base] for base in "ACGT")
    upper = [sequence.upper() for sequence in sequences]
    repeated = len(upper) - len(set(upper))
    facts: dict[str, Value] = {
        "lengths": spread(map(len, sequences)),
        "GC of known bases": round((total["G"] + total["C"]) / known, 4) if known else float("nan"),
        "N": total["N"],
        "repeated": repeated,
    }
    wrong = [row for row, sequence in enumerate(sequences) if not _readable(sequence)]
    if wrong:
        return facts, [
            f"{len(wrong):,} rows hold no nucleotide sequence, the first in row {wrong[0]} (from 0)."
        ]
    whole = set(upper)
    facts["stand there as reverse complement too"] = sum(
        (turned := reverse_complement(sequence)) in whole and turned != sequence for sequence in upper
    )
    return facts, [f"{repeated:,} rows repeat a sequence: a split by rows would leak."] if repeated else []


def _readable(sequence: str) -> bool:
    try:
        return len(encode_bases(sequence)) > 0
    except SequenceError:
        return False


def _labels(column: pd.Series, remarks: list[str]) -> tuple[dict[str, Value], str]:
    texts = column.astype(str)
    missing = int((texts.str.strip() == "").sum() + column.isna().sum())
    if missing:
        remarks.append(f"{missing:,} rows have no label.")
    numbers = pd.to_numeric(texts, errors="coerce")
    counts = texts.value_counts()
    if numbers.notna().all() and len(counts) > _MOST_CLASSES:
        low, middle, high = numbers.min(), numbers.median(), numbers.max()
        return {"numbers": f"{low:g} to {high:g}, median {middle:g}"}, "regression"
    if len(counts) == 1:
        remarks.append(f"Every row has the label {counts.index[0]}: nothing can be learnt from it.")
    classes = some(
        f"{name} ({count:,})" for name, count in sorted(counts.items(), key=lambda item: str(item[0]))
    )
    return {"classes": len(counts), "rows of each": classes}, "single_label"
