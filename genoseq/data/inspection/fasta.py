"""What is in a FASTA."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from genoseq.data.fasta import Fasta
from genoseq.data.inspection.findings import Findings, Options, some, spread
from genoseq.data.splits import SPLITS, BlockSplit
from genoseq.sequence import BASES

_CHUNK = 1 << 24
_N = BASES.index("N")
_WINDOW = 1024


def inspect_fasta(path: Path, options: Options) -> Findings:
    """Sequences, their lengths and composition, and what a language model's run would train on.

    Raises:
        DataError: the file is missing or broken. SequenceError: letters that are no nucleotides.
    """
    fasta = Fasta(path)
    counts, masked = _composition(fasta)
    total, known = int(counts.sum()), int(counts[:_N].sum())
    gc = float(counts[1] + counts[2]) / known if known else float("nan")
    facts = {
        "sequences": len(fasta.lengths),
        "names": some(fasta.names),
        "bases": total,
        "lengths": spread(fasta.lengths.values()),
        "GC of known bases": round(gc, 4),
        "N": f"{counts[_N]:,} ({counts[_N] / total:.2%})",
        "soft-masked": f"{masked:,} ({masked / total:.2%})",
    }
    remarks = []
    empty = [name for name, length in fasta.lengths.items() if not length]
    if empty:
        remarks.append(f"{len(empty):,} sequences have no base: {some(empty)}.")
    if not known:
        remarks.append("There is no A, C, G or T in it: nothing can be learnt from it.")
    return Findings("FASTA", {"sequence": facts}, tuple(remarks), _uses(path, fasta))


def _composition(fasta: Fasta) -> tuple[np.ndarray, int]:
    """Counts of A, C, G, T and N, (5,) int64, and how many of all are soft-masked."""
    counts, unmasked_n = np.zeros(len(BASES), dtype=np.int64), 0
    for name, length in fasta.lengths.items():
        for start in range(0, length, _CHUNK):
            end = min(start + _CHUNK, length)
            counts += np.bincount(fasta.codes(name, start, end), minlength=len(BASES))
            unmasked_n += int((fasta.codes(name, start, end, lowercase="mask") == _N).sum())
    # A masked N is an N either way: it is not seen here.
    return counts, unmasked_n - int(counts[_N])


def _uses(path: Path, fasta: Fasta) -> dict[str, str]:
    split = BlockSplit()
    parts = []
    for name in SPLITS:
        regions = split.regions(fasta.lengths, name)
        windows = sum(region.width // _WINDOW for region in regions)
        parts.append(f"{name} {sum(region.width for region in regions):,} bases, {windows:,} windows")
    return {
        f"genoseq train experiment=genome data.fasta={path}": f"windows of {_WINDOW:,} bases: "
        + "; ".join(parts),
        f"genoseq embed checkpoint=DIR fasta={path} out=FILE": f"{len(fasta.lengths):,} vectors",
    }
