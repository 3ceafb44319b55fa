"""Every tokenizer on one genome: tokens, information in a token, bases a second, memory.

    python benchmarks/tokenizer_report.py ../shared/data/embed/genomes/ecoli_K12_MG1655_U00096.2.fa.gz
    python benchmarks/tokenizer_report.py genome.fa --bpe tokenizer.json --out report/

Prints a table in Markdown; `--out` writes it and the same in JSON. The genome is encoded on one core, in
windows of 1,000 bases as a loader has them and whole, best of three passes each, the latter in a process of
its own whose additional peak is the memory. The entropy is that of the frequencies of tokens: over the bases
that a token adds, it is what the best code of token by token would take, before any model. Codons are in open
reading frames of 300 bases or more, on either strand, which stand in for an annotation (windows have none);
words of BPE are learnt from this very genome, and with `--bpe` are those of a file besides. Linux only.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pretraining_floors import read_codes

from genoseq.paths import locate
from genoseq.sequence import CodingRegion, decode_bases, reverse_complement
from genoseq.tokenizers import (
    BpeTokenizer,
    CharacterTokenizer,
    CodonTokenizer,
    KmerTokenizer,
    Tokenizer,
    read_tokenizer,
)

WINDOW = 1_000
PASSES = 3
SHORTEST_FRAME = 300
# Of A 0, C 1, G 2, T 3: TAA, TAG and TGA.
STOPS = (3 * 16, 3 * 16 + 2, 3 * 16 + 2 * 4)
COLUMNS = {
    "tokenizer": "tokenizer",
    "vocabulary": "vocabulary",
    "used": "used",
    "tokens": "tokens",
    "bases_a_token": "bases a token",
    "entropy_of_a_token": "bits a token",
    "entropy_of_a_base": "bits a base",
    "windows": "million bases/s, windows",
    "whole": "million bases/s, whole",
    "memory": "peak memory, MB",
}

Encode = Callable[[str], np.ndarray]


def open_frames(codes: np.ndarray) -> Iterator[CodingRegion]:
    """Stretches without a stop codon, `SHORTEST_FRAME` bases or more, in all six frames; (L,) uint8 codes."""
    for turned in (False, True):
        strand = reverse_complement(codes) if turned else codes
        for frame in range(3):
            triplets = strand[frame : frame + (len(codes) - frame) // 3 * 3].reshape(-1, 3).astype(np.int64)
            values = np.where((triplets < 4).all(axis=1), triplets @ (16, 4, 1), STOPS[0])
            stops = np.flatnonzero(np.isin(values, STOPS))
            bounds = np.concatenate(([-1], stops, [len(values)]))
            long = 3 * (np.diff(bounds) - 1) >= SHORTEST_FRAME
            for first, last in zip(bounds[:-1][long] + 1, bounds[1:][long], strict=True):
                region = CodingRegion(frame + 3 * int(first), frame + 3 * int(last))
                yield region.turned(len(codes)) if turned else region


def entropy(ids: np.ndarray) -> float:
    """Bits of the distribution of ids, (T,)."""
    shares = np.bincount(ids) / len(ids)
    shares = shares[shares > 0]
    return float(-(shares * np.log2(shares)).sum())


def seconds_of(work: Callable[[], object]) -> float:
    """Of the fastest pass."""
    passes = []
    for _ in range(PASSES):
        start = time.perf_counter()
        work()
        passes.append(time.perf_counter() - start)
    return min(passes)


def cost_of(encode: Encode, sequence: str) -> tuple[float, float]:
    """Seconds and additional peak memory in bytes of encoding a sequence, in a process of its own."""
    # A fresh one: a fork has memory of its parent to spare.
    spawned = multiprocessing.get_context("spawn")
    receiver, sender = spawned.Pipe(duplex=False)
    process = spawned.Process(target=_encode, args=(encode, sequence, sender))
    process.start()
    found = receiver.recv()
    process.join()
    return found


def _encode(encode: Encode, sequence: str, results: Connection) -> None:
    # The high-water mark is set back to what is in memory now: importing may have taken more.
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    encode(sequence)
    peak = _status("VmHWM") - before
    results.send((seconds_of(partial(encode, sequence)), peak))


def _status(field: str) -> int:
    """Bytes of a field of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(field))


def measure(name: str, tokenizer: Tokenizer, sequence: str, **settings: Any) -> dict[str, Any]:
    """One row of the report; `settings` are more arguments of `encode`, which windows have not."""
    encode = partial(tokenizer.encode, add_special_tokens=False, **settings)
    seconds, memory = cost_of(encode, sequence)
    windows = [sequence[start : start + WINDOW] for start in range(0, len(sequence), WINDOW)]
    ids = encode(sequence)
    assert tokenizer.offsets(ids, len(sequence))[-1, 1] == len(sequence)
    bits = entropy(ids)
    megabases = len(sequence) / 1e6
    return {
        "tokenizer": name,
        "vocabulary": tokenizer.vocab_size,
        "used": len(np.unique(ids)),
        "tokens": len(ids),
        "bases_a_token": len(sequence) / len(ids),
        "entropy_of_a_token": bits,
        "entropy_of_a_base": bits * len(ids) / len(sequence),
        "windows": None if settings else megabases / seconds_of(lambda: [encode(part) for part in windows]),
        "whole": megabases / seconds,
        "memory": memory / 1e6,
    }


def report(codes: np.ndarray, bpe: Path | None, vocab_size: int) -> list[dict[str, Any]]:
    """A row for each tokenizer."""
    sequence = decode_bases(codes)
    coding = list(open_frames(codes))
    learnt = BpeTokenizer.train([sequence], vocab_size=vocab_size, special_tokens="none")
    rows = [
        measure("single nucleotides", CharacterTokenizer(special_tokens="none"), sequence),
        measure("codons in open frames", CodonTokenizer(special_tokens="none"), sequence, coding=coding),
        measure("6-mers side by side (GENERator)", KmerTokenizer(), sequence),
        measure("6-mers overlapping (DNABERT)", KmerTokenizer(overlapping=True, layout="dnabert"), sequence),
        measure("BPE, learnt here", learnt, sequence),
    ]
    if bpe is not None:
        rows.append(measure(f"BPE, {bpe.name}", read_tokenizer(file=bpe), sequence))
    return rows


def as_markdown(rows: list[dict[str, Any]]) -> str:
    """The rows as a table."""

    def written(value: Any) -> str:
        if value is None:
            return ""
        if isinstance(value, float):
            return f"{value:.3f}" if value < 20 else f"{value:.0f}"
        return value if isinstance(value, str) else f"{value:,}"

    lines = [[written(row[column]) for column in COLUMNS] for row in rows]
    rule = ["---", *["---:"] * (len(COLUMNS) - 1)]
    return "\n".join(f"| {' | '.join(line)} |" for line in [list(COLUMNS.values()), rule, *lines])


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare the tokenizers on a genome.")
    parser.add_argument("fasta", nargs="?", default="genoseq:genomes/celegans_ce2_chrX_first2Mi.fa.gz")
    parser.add_argument("--bpe", type=Path, help="a tokenizer.json of BPE, such as DNABERT-2's")
    parser.add_argument("--vocab-size", type=int, default=4096, help="of the BPE that is learnt here")
    parser.add_argument("--out", type=Path, help="folder of tokenizers.md and tokenizers.json")
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows = report(read_codes(locate(given.fasta)), given.bpe, given.vocab_size)
    table = as_markdown(rows)
    print(table)
    if given.out is not None:
        given.out.mkdir(parents=True, exist_ok=True)
        (given.out / "tokenizers.md").write_text(table + "\n")
        (given.out / "tokenizers.json").write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
