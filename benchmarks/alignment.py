"""Recall and speed of `genoseq align` beside minimap2, on simulated reads of both strands.

    genoseq train experiment=reads data.fasta=ecoli.fa run_dir=runs/reads_ecoli
    python benchmarks/alignment.py OUT --genome ecoli=ecoli.fa.gz chr20=chr20.fa.gz \
        --encoder "E. coli=runs/reads_ecoli" 6-mers=kmers [--rates 0.01 0.03 0.05] [--reads 5000]
        [--store exact]

draws `--reads` reads of 250 bases from each genome at each rate of errors (four fifths substitutions, the
rest insertions and deletions alike), and aligns them with each encoder and with minimap2 (`--minimap2
PATH`, by default the one on PATH; Python's mappy has no wheels, and is not used). An encoder that was
trained on one genome and is run on another shows what is transferred. A read is right where it has its
strand and begins within 10 bases of its place. A locus is a repeat where half of its 31-mers or more stand
elsewhere in the genome too, on either strand. "last fifth" are unique loci that the default split keeps for
test: no encoder was trained on them. "among candidates" is the search alone: a window that holds the read
is among the nearest. Speeds are reads a second of processor time, on a GPU of time, loading and indexing
apart. Indexes are kept in OUT and used again: `--only-index` makes them alone, on a machine with a GPU and
without edlib, say.
"""

from __future__ import annotations

import argparse
import gzip
import resource
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from genoseq.data import read_reads
from genoseq.data.fasta import Fasta
from genoseq.data.reads import Read
from genoseq.inference.align import (
    AlignSettings,
    GenomeIndex,
    KmerEncoder,
    ModelEncoder,
    ReadEncoder,
    align,
    build_index,
    load_index,
    make_store,
    save_index,
)
from genoseq.inference.devices import pick_device
from genoseq.models.hub import load
from genoseq.sequence import decode_bases, reverse_complement
from genoseq.sequence.errors_of_reads import sequence_with_errors

LENGTH = 250
NEAR = 10
K = 31
LAST_FIFTH = 0.8


@dataclass(frozen=True)
class Truth:
    """Where a read is from."""

    chromosome: str
    start: int
    strand: str
    repeat: bool
    held_out: bool


def plain(path: Path, folder: Path) -> Path:
    """The FASTA, unpacked: gzip has no random access."""
    if path.suffix != ".gz":
        return path
    unpacked = folder / path.stem
    if not unpacked.exists():
        with gzip.open(path, "rb") as source, unpacked.open("wb") as target:
            shutil.copyfileobj(source, target)
    return unpacked


def repeated(fasta: Fasta) -> dict[str, np.ndarray]:
    """Whether the 31-mer that begins at each base stands elsewhere too, (L - 30,) bool by chromosome."""
    words = {name: _words(fasta.codes(name, 0, length)) for name, length in fasta.lengths.items()}
    _, place, counts = np.unique(
        np.concatenate(list(words.values())), return_inverse=True, return_counts=True
    )
    flags = counts[place] > 1
    ends = np.cumsum([len(found) for found in words.values()])
    return dict(zip(words, np.split(flags, ends[:-1]), strict=True))


def _words(codes: np.ndarray) -> np.ndarray:
    base = codes.astype(np.uint64) & np.uint64(3)
    count = max(len(codes) - K + 1, 0)
    forward, backward = np.zeros(count, dtype=np.uint64), np.zeros(count, dtype=np.uint64)
    for offset in range(K):
        part = base[offset : offset + count]
        forward = forward << np.uint64(2) | part
        backward |= (np.uint64(3) - part) << np.uint64(2 * offset)
    return np.minimum(forward, backward)


def simulate(
    fasta: Fasta, flags: Mapping[str, np.ndarray], count: int, rate: float, seed: int
) -> Iterator[tuple[Read, Truth]]:
    generator = np.random.default_rng(seed)
    names = [name for name, length in fasta.lengths.items() if length >= LENGTH]
    weights = np.array([fasta.lengths[name] for name in names], dtype=np.float64)
    made = 0
    while made < count:
        name = names[int(generator.choice(len(names), p=weights / weights.sum()))]
        start = int(generator.integers(fasta.lengths[name] - LENGTH + 1))
        codes = fasta.codes(name, start, start + LENGTH)
        if (codes > 3).any():
            continue
        read = sequence_with_errors(codes, rate, generator)
        strand = "+" if generator.random() < 0.5 else "-"
        text = decode_bases(read if strand == "+" else reverse_complement(read))
        repeat = flags[name][start : start + LENGTH - K + 1].mean() >= 0.5
        truth = Truth(name, start, strand, bool(repeat), start >= LAST_FIFTH * fasta.lengths[name])
        yield Read(f"read_{made}", text, "I" * len(text)), truth
        made += 1


def scored(
    truths: list[Truth], places: Mapping[int, tuple[str, int, str]], seconds: float
) -> dict[str, object]:
    """Recall among unique loci, repeats, and unique ones of the last fifth."""
    right = np.array(
        [
            number in places
            and places[number][0] == truth.chromosome
            and places[number][2] == truth.strand
            and abs(places[number][1] - truth.start) <= NEAR
            for number, truth in enumerate(truths)
        ]
    )
    repeat = np.array([truth.repeat for truth in truths])
    held_out = np.array([truth.held_out for truth in truths])
    return {
        "unique": _share(right[~repeat]),
        "repeats": _share(right[repeat]),
        "last fifth": _share(right[~repeat & held_out]),
        "unmapped": _share(np.array([number not in places for number in range(len(truths))])),
        "reads/s": f"{len(truths) / seconds:,.0f}",
    }


def _share(values: np.ndarray) -> str:
    return f"{values.mean():.4f} of {len(values):,}" if len(values) else "none"


def kept_index(encoder: ReadEncoder, fasta: Fasta, path: Path) -> GenomeIndex:
    """The index of a genome, made where it is not there yet."""
    if path.exists():
        return load_index(path, encoder, fasta)
    began = time.perf_counter()
    index = build_index(encoder, fasta)
    print(f"{path.stem}: {len(index.starts):,} windows in {time.perf_counter() - began:.1f} s", flush=True)
    save_index(index, path)
    return index


def by_encoder(
    encoder: ReadEncoder, index: GenomeIndex, fasta: Fasta, reads: list[Read], truths: list[Truth], store: str
) -> dict[str, object]:
    settings = AlignSettings()
    vectors = make_store(store, index.vectors, encoder.device)
    # What is compiled or loaded at the first call is no part of the speed.
    list(align(encoder, index, vectors, fasta, reads[:8], settings))
    clock = time.process_time if encoder.device.type == "cpu" else time.perf_counter
    began = clock()
    found = list(align(encoder, index, vectors, fasta, reads, settings))
    seconds = clock() - began
    places = {
        number: (aligned.chromosome, aligned.start, aligned.strand)
        for number, (_, aligned) in enumerate(found)
        if aligned is not None
    }
    forward = [
        read.sequence if truth.strand == "+" else reverse_complement(read.sequence)
        for read, truth in zip(reads, truths, strict=True)
    ]
    _, numbers = vectors.search(encoder(forward), settings.candidates)
    hits = [
        any(_holds(index.window(int(number)), truth) for number in row)
        for row, truth in zip(numbers, truths, strict=True)
    ]
    return scored(truths, places, seconds) | {"among candidates": _share(np.array(hits))}


def _holds(window: tuple[str, int, int], truth: Truth) -> bool:
    name, start, end = window
    return name == truth.chromosome and start <= truth.start and truth.start + LENGTH <= end


def by_minimap2(program: str, genome: Path, fastq: Path, truths: list[Truth]) -> dict[str, object]:
    indexed = fastq.parent / f"{genome.stem}.mmi"
    command = [program, "-t", "1", "-x", "sr"]
    subprocess.run([*command, "-d", indexed, genome], check=True, capture_output=True)
    began = _children_seconds()
    aligning = [*command, "-c", "--secondary=no", indexed, fastq]
    result = subprocess.run(aligning, check=True, capture_output=True)
    seconds = _children_seconds() - began
    places: dict[int, tuple[str, int, str]] = {}
    for line in result.stdout.decode().splitlines():
        fields = line.split("\t")
        # Ends that were clipped are counted as aligned, so that places are those of whole reads.
        before = int(fields[2]) if fields[4] == "+" else int(fields[1]) - int(fields[3])
        places.setdefault(int(fields[0].split("_")[1]), (fields[5], int(fields[7]) - before, fields[4]))
    return scored(truths, places, seconds) | {"among candidates": ""}


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--genome", nargs="+", required=True, metavar="NAME=FASTA")
    parser.add_argument("--encoder", nargs="*", default=["6-mers=kmers"], metavar="NAME=RUN")
    parser.add_argument("--rates", nargs="+", type=float, default=[0.01, 0.03, 0.05])
    parser.add_argument("--reads", type=int, default=5000)
    parser.add_argument("--store", default="exact", help="exact or faiss")
    parser.add_argument("--minimap2", default=shutil.which("minimap2"), help="the program; default: on PATH")
    parser.add_argument("--only-index", action="store_true", help="embed the genomes, and align nothing")
    parser.add_argument("--device", default="auto")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    device = str(pick_device(given.device))
    if given.minimap2 is None:
        print("minimap2 is not on PATH: its rows are left out (give --minimap2 PATH)")
    rows = []
    for genome, source in (pair.split("=", 1) for pair in given.genome):
        path = plain(Path(source), given.out)
        fasta = Fasta(path)
        flags = repeated(fasta)
        sets = {}
        for number, rate in enumerate(given.rates):
            reads, truths = zip(*simulate(fasta, flags, given.reads, rate, seed=number), strict=True)
            fastq = given.out / f"{genome}_{rate}.fq"
            fastq.write_text("".join(f"@{r.name}\n{r.sequence}\n+\n{r.quality}\n" for r in reads))
            sets[rate] = (fastq, list(read_reads(fastq)), list(truths))
        for name, run in (pair.split("=", 1) for pair in given.encoder):
            encoder = KmerEncoder() if run == "kmers" else ModelEncoder(load(run, device=device))
            index = kept_index(encoder, fasta, given.out / f"{genome} by {name}.npz")
            if given.only_index:
                continue
            for rate, (_, reads, truths) in sets.items():
                row = {"genome": genome, "errors": rate, "by": name}
                rows.append(row | by_encoder(encoder, index, fasta, reads, truths, given.store))
        if given.minimap2 is not None and not given.only_index:
            for rate, (fastq, _, truths) in sets.items():
                row = {"genome": genome, "errors": rate, "by": "minimap2 -x sr"}
                rows.append(row | by_minimap2(given.minimap2, path, fastq, truths))
    if given.only_index:
        return
    table = pd.DataFrame(rows).sort_values(["genome", "errors"], kind="stable")
    table.to_csv(given.out / "alignment.tsv", sep="\t", index=False)
    print(f"device {device}, store {given.store}")
    print(table.to_string(index=False))


if __name__ == "__main__":
    main()
