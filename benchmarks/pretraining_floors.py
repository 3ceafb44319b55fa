"""What counting alone reaches on a genome, in bits a base: the floors that a pretrained model has to beat.

    python benchmarks/pretraining_floors.py                     # the last fifth held out
    python benchmarks/pretraining_floors.py --train 0.7 --test 0.2 --genome my.fa.gz

Without --genome: the shipped C. elegans and, where the shared benchmark data are, the start of human chr20.
"""

from __future__ import annotations

import argparse
import gzip
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from genoseq.baselines import ContextMixing, GenomeBaseline, StaticMarkov
from genoseq.paths import locate
from genoseq.sequence import encode_bases

ROOT = Path(__file__).resolve().parent.parent
CELEGANS = "genoseq:genomes/celegans_ce2_chrX_first2Mi.fa.gz"
HUMAN = (
    Path(os.environ.get("GENOSEQ_SHARED", ROOT.parent / "shared"))
    / "data/bench/genomes/human_b37_chr20_first2Mb.fa.gz"
)
COPIES = (12, 16, 24)


def read_codes(path: Path) -> np.ndarray:
    """Base codes of the one sequence of a gzipped or plain FASTA; N at either end is left out."""
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as handle:
        codes = encode_bases("".join(line.strip() for line in handle if not line.startswith(">")))
    known = np.flatnonzero(codes < 4)
    return codes[known[0] : known[-1] + 1]


def fit_markov(max_order: int, train: np.ndarray) -> StaticMarkov:
    """The order is chosen on the last tenth of train and then counted on all of it."""
    cut = int(0.9 * train.size)
    chosen = StaticMarkov(max_order=max_order).fit([train[:cut]], [train[cut:]])
    # What is in train gets cheaper with every order, so this stops at the chosen one.
    return StaticMarkov(max_order=chosen.order).fit([train], [train[cut:]])


def report(path: Path, train_share: float, test_share: float) -> None:
    """Fit each model on the first bases, score the last ones, print a row each."""
    codes = read_codes(path)
    train = codes[: int(train_share * codes.size)]
    test = codes[int((1 - test_share) * codes.size) :]
    print(f"\n{path.name}: {train.size:,} bases of train, {test.size:,} of test")
    print(f"{'model':<32}{'bits a base':>12}{'seconds':>10}")
    fits: list[Callable[[], GenomeBaseline]] = [
        lambda: fit_markov(0, train),
        lambda: fit_markov(12, train),
        lambda: ContextMixing().fit([train]),
        lambda: ContextMixing(adaptive=True).fit([train]),
        lambda: ContextMixing(repeat_lengths=COPIES).fit([train]),
        lambda: ContextMixing(repeat_lengths=COPIES, adaptive=True).fit([train]),
    ]
    for fit in fits:
        started = time.perf_counter()
        model = fit()
        bits = float(np.nanmean(model.bits(test)))
        print(f"{model.name:<32}{bits:>12.4f}{time.perf_counter() - started:>10.1f}", flush=True)


def main() -> None:
    """Read the arguments and report on each genome."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--genome", type=Path, nargs="*", help="FASTA files of one sequence each")
    parser.add_argument("--train", type=float, default=0.8, help="share at the start to fit on (0.8)")
    parser.add_argument("--test", type=float, default=0.2, help="share at the end to score (0.2)")
    arguments = parser.parse_args()
    if not 0 < arguments.train <= 1 - arguments.test < 1:
        parser.error("--train and --test are shares that must not overlap: 0 < train <= 1 - test < 1")
    # Compile before the clock starts.
    ContextMixing().fit([np.zeros(100, dtype=np.uint8)])
    genomes = arguments.genome or [locate(CELEGANS), *([HUMAN] if HUMAN.is_file() else [])]
    for path in genomes:
        report(path, arguments.train, arguments.test)


if __name__ == "__main__":
    main()
