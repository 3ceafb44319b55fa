"""Score a whole chromosome in chunks with a carried state: speed, memory, and agreement with a single pass.

    python benchmarks/chromosome_scan.py genoseq:genomes/celegans_ce2_chrX_first2Mi.fa.gz --preset mamba2_tiny
    python benchmarks/chromosome_scan.py genome.fa --checkpoint runs/mamba2

Prints bits per base of each sequence of the FASTA, bases a second (of the process's own time on the CPU, so
that a busy machine does not count, and by the clock), the process's peak memory after the first tenth and at
the end (equal where memory is fixed), and the largest differences from one pass over the first bases: of
log-probabilities, and of the embedding. A preset has random weights.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Iterator

import numpy as np
import pandas as pd
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

import genoseq
from genoseq.inference import Record, bits_per_base, read_records, score_bases
from genoseq.models import LanguageModelHead, SequenceModel
from genoseq.paths import configs_dir, locate
from genoseq.tokenizers import CharacterTokenizer

KIB_OF_MIB = 1024


def preset(name: str) -> SequenceModel:
    """A language model with random weights."""
    with initialize_config_dir(str(configs_dir()), version_base="1.3"):
        config = compose("train", overrides=[f"model={name}"])
    torch.manual_seed(0)
    backbone = instantiate(config.model)
    return SequenceModel(backbone, LanguageModelHead(backbone), CharacterTokenizer()).eval()


def watched(tables: Iterator[pd.DataFrame], tenth: int) -> Iterator[pd.DataFrame]:
    """The tables, with a word about the memory when a tenth of the bases is done."""
    told = False
    for table in tables:
        yield table
        if not told and table["position"].iloc[-1] >= tenth:
            print(f"  peak {peak_mib():,.1f} MiB at a tenth")
            told = True


def scan(model: SequenceModel, record: Record, *, chunk_length: int) -> None:
    clock, processor = time.perf_counter(), time.process_time()
    tables = score_bases(model, [record], chunk_length=chunk_length)
    (row,) = bits_per_base(watched(tables, len(record.sequence) // 10))
    clock, processor = time.perf_counter() - clock, time.process_time() - processor
    length = len(record.sequence)
    print(f"  peak {peak_mib():,.1f} MiB at the end")
    print(f"{record.name}: {length:,} bases, {row['bits_per_base'].iloc[0]:.4f} bits per base")
    print(
        f"  {length / processor:,.0f} bases a second of processor time ({processor:,.0f} s), "
        f"{length / clock:,.0f} by the clock"
    )


def compare(model: SequenceModel, sequence: str) -> None:
    """Small chunks against one pass."""
    chunk_length = 1 + len(sequence) // 7
    whole = model.log_prob(sequence)["log_prob"].to_numpy()
    tables = model.log_prob_chunks(sequence, chunk_length=chunk_length)
    scores = np.concatenate([table["log_prob"].to_numpy() for table in tables])
    vectors = model.embed(sequence, chunk_length=chunk_length) - model.embed(sequence)
    print(f"  largest difference from one pass over {len(sequence):,} bases:")
    print(f"    {np.nanmax(np.abs(whole - scores)):.1e} in log-probabilities")
    print(f"    {vectors.abs().max():.1e} in the embedding")


def peak_mib() -> float:
    """Largest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KIB_OF_MIB


def main() -> None:
    """Read the arguments and scan."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("fasta")
    model_of = parser.add_mutually_exclusive_group(required=True)
    model_of.add_argument("--checkpoint")
    model_of.add_argument("--preset", help="a file of configs/model")
    parser.add_argument("--chunk-length", type=int, default=65_536)
    parser.add_argument("--single", type=int, default=20_000, help="bases of the comparison with one pass")
    given = parser.parse_args()
    model = preset(given.preset) if given.preset else genoseq.load(locate(given.checkpoint))
    records = list(read_records(fasta=given.fasta, lazily=True))
    for record in records:
        scan(model, record, chunk_length=given.chunk_length)
    # Afterwards: one pass has a peak of its own.
    for record in records:
        compare(model, record.sequence[: given.single])


if __name__ == "__main__":
    main()
