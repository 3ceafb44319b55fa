"""Write a dinucleotide-shuffled copy of a FASTA: the control that tells what pretraining owes to real DNA.

    python benchmarks/shuffled_genome.py genoseq:genomes/celegans_ce2_chrX_first2Mi.fa.gz shuffled.fa [SEED]

Each chromosome keeps its exact dinucleotide counts and its name.
"""

from __future__ import annotations

import sys

import numpy as np

from genoseq.data import Fasta
from genoseq.inference.outputs import open_fasta, write_fasta
from genoseq.sequence import decode_bases, dinucleotide_shuffle


def main(source: str, out: str, seed: int = 0) -> None:
    fasta = Fasta(source)
    generator = np.random.default_rng(seed)
    records = []
    for name in fasta.names:
        codes = fasta.codes(name, 0, fasta.lengths[name])
        records.append((name, decode_bases(dinucleotide_shuffle(codes, generator))))
    with open_fasta(out) as file:
        write_fasta(file, records)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:4]))
