"""Groups of sequences that are alike, which a split must not divide."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from genoseq.data.leaks import kmer_groups
from genoseq.errors import ConfigError, DataError

Clusters = Literal["kmers", "mmseqs2"]

_PROGRAM = "mmseqs"
_LAST_LINES = 8


def sequence_groups(
    sequences: Sequence[str], *, clusters: Clusters, k: int, identity: float = 0.5, coverage: float = 0.5
) -> np.ndarray:
    """The group of each sequence.

    Args:
        sequences: nucleotide letters.
        clusters: "kmers": no two groups share a k-mer, on either strand; "mmseqs2": by alignment, which finds
            relatives that share no long word, and wants the program `mmseqs`.
        k: of the k-mers.
        identity: share of equal bases from which MMseqs2 puts sequences together.
        coverage: share of the longer sequence that has to be aligned.

    Returns:
        (N,) int.

    Raises:
        ConfigError: `mmseqs` is not on the PATH. DataError: it fails; says why.

    Source: Steinegger and Söding 2017, Nature Biotechnology 35:1026 (MMseqs2).
    """
    if clusters == "kmers":
        return kmer_groups(sequences, k=k)
    if shutil.which(_PROGRAM) is None:
        raise ConfigError(
            "clusters=mmseqs2 wants the program mmseqs, which is not on the PATH: install MMseqs2, or give "
            "clusters=kmers."
        )
    with tempfile.TemporaryDirectory(prefix="genoseq-clusters-") as folder:
        return _by_alignment(sequences, Path(folder), identity, coverage)


def _by_alignment(sequences: Sequence[str], folder: Path, identity: float, coverage: float) -> np.ndarray:
    fasta, prefix = folder / "sequences.fa", folder / "found"
    fasta.write_text("".join(f">{row}\n{letters}\n" for row, letters in enumerate(sequences)))
    command = [_PROGRAM, "easy-cluster", str(fasta), str(prefix), str(folder / "work")]
    command += ["--dbtype", "2", "--min-seq-id", str(identity), "-c", str(coverage), "--cov-mode", "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    table = folder / "found_cluster.tsv"
    if done.returncode or not table.is_file():
        said = "\n".join((done.stderr or done.stdout).splitlines()[-_LAST_LINES:])
        raise DataError(f"mmseqs could not cluster {len(sequences):,} sequences: {said}")
    pairs = pd.read_csv(table, sep="\t", header=None, names=["group", "row"])
    groups = np.full(len(sequences), -1, dtype=np.int64)
    groups[pairs["row"]] = pairs["group"]
    if (groups < 0).any():
        row = int(np.argmax(groups < 0))
        raise DataError(f"mmseqs put {int((groups < 0).sum())} sequences in no cluster, the first row {row}.")
    return groups
