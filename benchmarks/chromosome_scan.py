"""Score a whole chromosome in chunks with a carried state: speed, memory, and agreement with a single pass.

    python benchmarks/chromosome_scan.py runs/mamba2 genoseq:genomes/celegans_ce2_chrX_first2Mi.fa.gz

Prints bits per base of each sequence of the FASTA, bases a second, the process's peak memory after the first
tenth and at the end (equal where memory is fixed), and the largest difference from one pass over the first
bases.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np

import genoseq
from genoseq.data.fasta import Fasta
from genoseq.models import SequenceModel
from genoseq.paths import locate

MIB_IN_KIB = 1024


def scan(model: SequenceModel, name: str, sequence: str, *, chunk_length: int, single: int) -> None:
    started = time.perf_counter()
    nats, bases, early = 0.0, 0, 0.0
    for table in model.log_prob_chunks(sequence, chunk_length=chunk_length):
        scores = table["log_prob"].to_numpy()
        nats -= float(np.nansum(scores, dtype=np.float64))
        bases += int(np.isfinite(scores).sum())
        if not early and table["position"].iloc[-1] >= len(sequence) // 10:
            early = peak_mib()
    seconds = time.perf_counter() - started
    late = peak_mib()
    print(f"{name}: {len(sequence):,} bases, {nats / bases / np.log(2):.4f} bits per base")
    print(
        f"  {len(sequence) / seconds:,.0f} bases a second; "
        f"peak {early:,.0f} MiB at a tenth, {late:,.0f} at the end"
    )
    piece = sequence[:single]
    print(f"  largest difference from one pass over {len(piece):,} bases: {difference(model, piece):.1e}")


def difference(model: SequenceModel, sequence: str) -> float:
    """Largest difference of a log-probability between small chunks and one pass."""
    whole = model.log_prob(sequence)["log_prob"].to_numpy()
    tables = model.log_prob_chunks(sequence, chunk_length=1 + len(sequence) // 7)
    chunks = np.concatenate([table["log_prob"].to_numpy() for table in tables])
    return float(np.nanmax(np.abs(whole - chunks)))


def peak_mib() -> float:
    """Largest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MIB_IN_KIB


def main() -> None:
    """Read the arguments and scan."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint")
    parser.add_argument("fasta")
    parser.add_argument("--chunk-length", type=int, default=65_536)
    parser.add_argument("--single", type=int, default=20_000, help="bases of the comparison with one pass")
    arguments = parser.parse_args()
    model = genoseq.load(locate(arguments.checkpoint))
    fasta = Fasta(locate(arguments.fasta))
    for name in fasta.names:
        sequence = fasta.fetch(name, 0, fasta.lengths[name])
        scan(model, name, sequence, chunk_length=arguments.chunk_length, single=arguments.single)


if __name__ == "__main__":
    main()
