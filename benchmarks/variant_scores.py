"""Zero-shot scores of 1000 Genomes sites of human 20:1,000,000-2,000,000, and what they tell of frequency.

    python benchmarks/variant_scores.py score CHECKPOINT FASTA VCF OUT.vcf [--device cuda] [--batch-size 256]
    python benchmarks/variant_scores.py compare OUT.vcf LABELS.tsv.gz FASTA [--json FILE]

FASTA is plain or bgzip: `gunzip -c human_b37_chr20_first2Mb.fa.gz > chr20.fa`. It is a part of the contig
that the VCF declares, so that lengths are not compared here, as with contig_lengths=ignore; REF alleles are.

`score` is `genoseq score` with the clock on: how many REF alleles agree with the FASTA, and alternate alleles
a second. It wants no pysam, so that it also runs where nothing can be installed.

`compare` reads the file back with pysam and holds common against singleton sites (label 1 and 0; columns
chrom, pos, ref, alt, af, label). Scores are polarised: that of the minor allele minus that of the major one,
so that a common site whose reference allele is the rare one is not mistaken. AUROC is the chance that a
common site's minor allele has the larger score; its 95 % interval is over 50 kb blocks resampled whole:

- context alone: the share of common sites among those of the other blocks with the same trinucleotide and
  change, either strand; beside it, as the table of the data set has it, among those of random folds with the
  same trinucleotide around REF;
- each score over all pairs of sites;
- matched: over the pairs of sites of one context, in which context says nothing.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from genoseq.data import Fasta, read_table
from genoseq.inference import ScoreSettings, VariantScorer, VcfScoring, annotate_vcf
from genoseq.inference.devices import pick_device
from genoseq.models.hub import load
from genoseq.sequence import reverse_complement
from genoseq.statistics import Estimate, auroc, group_bootstrap

BLOCK = 50_000
PREFIX = "GENOSEQ"


def score(options: argparse.Namespace) -> None:
    model = load(options.checkpoint, device=str(pick_device(options.device)))
    settings = ScoreSettings(tuple(options.scores), window=options.window, batch_size=options.batch_size)
    scorer = VariantScorer(model, settings)
    begun = time.perf_counter()
    # The FASTA is the first two megabases of the contig that the VCF declares.
    scoring = VcfScoring(
        options.vcf, options.fasta, window=scorer.window, on_error="skip", contig_lengths="ignore"
    )
    counts = scoring.counts
    wrong = counts.skipped["REF mismatch"]
    print(f"REF agrees in {counts.records - wrong:,} of {counts.records:,} records; {counts}")
    print(f"read and checked in {time.perf_counter() - begun:.1f} s")
    begun = time.perf_counter()
    annotate_vcf(scorer, scoring, options.out, prefix=PREFIX)
    seconds = time.perf_counter() - begun
    print(
        f"{counts.scored:,} alleles in windows of {scorer.window:,} bases on {model.device}, strands "
        f"{scorer.policy.name}: {seconds:.1f} s, {counts.scored / seconds:,.0f} alleles a second"
    )


def read_scores(path: Path) -> pd.DataFrame:
    """One row an alternate allele, with every field of ours."""
    import pysam

    rows = []
    with pysam.VariantFile(str(path)) as file:
        fields = [name for name in file.header.info if name.startswith(f"{PREFIX}_")]
        for record in file:
            values = [record.info.get(name, (None,) * len(record.alts)) for name in fields]
            rows += [
                (record.chrom, record.pos, record.ref, alternate, *(value[i] for value in values))
                for i, alternate in enumerate(record.alts)
            ]
    print(f"pysam {pysam.__version__} reads {len(rows):,} alternate alleles back from {path.name}")
    return pd.DataFrame(rows, columns=["chrom", "pos", "ref", "alt", *fields])


def polarised(table: pd.DataFrame, column: str) -> np.ndarray:
    """The minor allele's score minus the major one's; a distance is the same both ways."""
    values = table[column].to_numpy(dtype=np.float64)
    signed = not column.endswith("_DISTANCE")
    # Changes far from what the model expects are to rank low, as unlikely ones do.
    return np.where(table["af"] > 0.5, -values, values) if signed else -values


def contexts(table: pd.DataFrame, fasta: Fasta) -> np.ndarray:
    """(N,) `ACG>T`: the trinucleotide with the major allele, and the minor one; C or T in the middle."""
    found = []
    for row in table.itertuples():
        around = fasta.fetch(row.chrom, row.pos - 2, row.pos + 1).upper()
        major, minor = (row.alt, row.ref) if row.af > 0.5 else (row.ref, row.alt)
        assert around[1] == row.ref, f"{row.chrom}:{row.pos} {row.ref} is not in the FASTA"
        before = f"{around[0]}{major}{around[2]}"
        if major in "AG":
            before, minor = reverse_complement(before), reverse_complement(minor)
        found.append(f"{before}>{minor}")
    return np.array(found)


def context_scores(context: np.ndarray, labels: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """(N,) share of common sites of the same context in all other folds, with one more of either."""
    scores = np.empty(len(labels))
    for fold in np.unique(folds):
        other, own = folds != fold, folds == fold
        known = pd.Series(labels[other]).groupby(context[other])
        shares = (known.sum() + 1) / (known.count() + 2)
        scores[own] = pd.Series(context[own]).map(shares).fillna(0.5)
    return scores


def matched_auroc(labels: np.ndarray, scores: np.ndarray, context: np.ndarray) -> float:
    """Over the pairs of a common and a singleton site of one context: NaN where there is none."""
    total, pairs = 0.0, 0
    order = np.argsort(context, kind="stable")
    ends = np.flatnonzero(np.r_[context[order][1:] != context[order][:-1], True]) + 1
    for rows in np.split(order, ends[:-1]):
        count = int(labels[rows].sum()) * int((1 - labels[rows]).sum())
        if count:
            total += count * auroc(labels[rows], scores[rows])
            pairs += count
    return total / pairs if pairs else float("nan")


def compare(options: argparse.Namespace) -> None:
    labelled = read_table(options.labels)[["chrom", "pos", "ref", "alt", "af", "label"]]
    labelled = labelled.astype({"chrom": str, "pos": int, "af": float, "label": int})
    table = labelled.merge(
        read_scores(options.vcf), on=["chrom", "pos", "ref", "alt"], how="left", validate="1:1"
    )
    fields = [name for name in table.columns if name.startswith(f"{PREFIX}_")]
    missing = table[fields].isna().any(axis=1)
    if missing.any():
        raise SystemExit(
            f"{missing.sum():,} of {len(table):,} labelled sites have no score in {options.vcf}: score the "
            "whole VCF."
        )
    labels, blocks = table["label"].to_numpy(), (table["pos"] // BLOCK).to_numpy()
    genome = Fasta(options.fasta)
    context = contexts(table, genome)
    results: dict[str, Estimate] = {}

    def measure(name: str, statistic: Callable[[np.ndarray], float]) -> None:
        results[name] = group_bootstrap(statistic, blocks, unit="50 kb block")
        estimate = results[name]
        print(f"{name:36} {estimate.mean:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]")

    flipped = int((table["af"] > 0.5).sum())
    print(
        f"{len(table):,} sites, {labels.sum():,} common; in {flipped:,} the alternate allele is the major one"
    )
    alone = context_scores(context, labels, blocks)
    measure("context alone", lambda rows: auroc(labels[rows], alone[rows]))
    around = np.array([genome.fetch(row.chrom, row.pos - 2, row.pos + 1) for row in table.itertuples()])
    folds = np.random.default_rng(0).integers(5, size=len(labels))
    given = context_scores(around, labels, folds)
    measure("REF's trinucleotide, random folds", lambda rows: auroc(labels[rows], given[rows]))
    for field in fields:
        scores = polarised(table, field)
        measure(field, lambda rows, s=scores: auroc(labels[rows], s[rows]))  # type: ignore[misc]
        measure(
            f"{field}, matched by context",
            lambda rows, s=scores: matched_auroc(labels[rows], s[rows], context[rows]),  # type: ignore[misc]
        )
    if options.json is not None:
        options.json.write_text(
            json.dumps({name: asdict(value) for name, value in results.items()}, indent=2)
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(required=True)
    scoring = verbs.add_parser("score")
    for name in ("checkpoint", "fasta", "vcf", "out"):
        scoring.add_argument(name)
    scoring.add_argument("--scores", nargs="+", default=["llr"])
    scoring.add_argument("--window", type=int)
    scoring.add_argument("--batch-size", type=int, default=64)
    scoring.add_argument("--device", default="auto")
    scoring.set_defaults(run=score)
    comparing = verbs.add_parser("compare")
    comparing.add_argument("vcf", type=Path)
    comparing.add_argument("labels", type=Path)
    comparing.add_argument("fasta", type=Path)
    comparing.add_argument("--json", type=Path)
    comparing.set_defaults(run=compare)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
