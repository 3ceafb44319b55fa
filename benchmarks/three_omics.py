"""The central dogma as a table: matching, translation, silent and missense changes, residues' states.

    python benchmarks/three_omics.py PAIRS --out table/
    python benchmarks/three_omics.py PAIRS lifecode=runs/lifecode plain=runs/plain --device cuda --out table/

    python benchmarks/three_omics.py PAIRS --train-genes train.tsv

PAIRS is `leptospira_kirschneri_H1_cds_protein.tsv.gz` of `../shared/data/embed/central_dogma`, or like it. A
model that takes L bases wants `--most` of L / 3 or less.
Genes are split by families of their proteins; test genes that share 32 bases with train are left out. All
that is fitted (probes, codon table) is fitted on train genes, which are also all that a model may have been
trained on: the last command writes them as a table. Each row is an estimate of a model or of
a baseline with its 95 % interval over families:

- matching: AUROC of pairs of coding sequences and proteins. Of a model: by the cosine of the vectors of the
  two, by a logistic regression on them, and by the likelihood of the protein as its states are translated;
- translation: the share of residues right. Of a model: by its own head where it has one (`head`), and by a
  linear probe of the states of its codons (`probe`);
- changes: AUROC of missense against silent ones, each alike; Spearman's correlation with BLOSUM62;
- surroundings: R2 of linear probes of the states of residues for means over their neighbours, and, with
  `--esm2 FOLDER`, AUROC for the contacts that it predicts.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from three_omics_model import Model
from three_omics_tasks import Row, Study, read_genes, write_train_genes

import genoseq
from genoseq import benchmark
from genoseq.baselines import KmerLogisticRegression
from genoseq.sequence import encode_bases


def baselines(study: Study, contacts: list[np.ndarray] | None) -> dict[str, Row]:
    """Rows of what is no model."""
    train = study.genes(study.train)
    kmers = KmerLogisticRegression(max_k=4)

    def counted(sequences: Sequence[str]) -> np.ndarray:
        return kmers.featurise([encode_bases(letters) for letters in sequences], 0)

    probe = benchmark.probe_score(counted, study.usage, study.train_pairs)
    blosum = study.substitutions(benchmark.blosum_changes(study.changes))
    frequency = benchmark.codon_frequency_changes(study.changes, study.usage)

    def shown(reach: int) -> Row:
        return study.surroundings(
            lambda genes: [benchmark.one_hot(study.proteins[gene], reach=reach) for gene in genes], contacts
        )

    return {
        "translator (and BLOSUM62)": {
            **study.matching(benchmark.translator_score(study.code)),
            **study.translation(
                lambda records: ["M" + study.code.read(each.coding_letters)[1:-1] for each in records]
            ),
            **blosum,
        },
        "codon table, counted": study.translation(benchmark.codon_majority(train)),
        "most frequent residue": study.translation(benchmark.most_frequent_residue(train)),
        "lengths alone": study.matching(benchmark.length_score),
        "1- to 4-mers, cosine": study.matching(benchmark.similarity_score(counted, study.usage)),
        "1- to 4-mers, fitted": study.matching(probe),
        "codon frequency": study.substitutions(frequency),
        "one-hot residues": shown(0),
        "one-hot residues, 7 on either side": shown(7),
    }


def as_markdown(rows: dict[str, Row]) -> str:
    """A line for each estimate."""
    lines = ["| | | estimate | 95 % |", "| --- | --- | ---: | --- |"]
    for name, row in rows.items():
        for column, estimate in row.items():
            interval = "" if np.isnan(estimate.low) else f"{estimate.low:.3f} to {estimate.high:.3f}"
            lines.append(f"| {name} | {column} | {estimate.mean:.3f} | {interval} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pairs", type=Path)
    parser.add_argument("models", nargs="*", metavar="NAME=CHECKPOINT")
    parser.add_argument("--code", default="11", help="genetic code of the table")
    parser.add_argument("--most", type=int, default=600, help="codons of the longest gene")
    parser.add_argument("--probed", type=int, default=200, help="genes that probes are fitted on")
    parser.add_argument("--esm2", help="folder of an ESM-2 to take contacts from")
    parser.add_argument("--threshold", type=float, default=0.5, help="least probability of a contact")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--resamples", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="folder of three_omics.md and three_omics.json")
    parser.add_argument("--train-genes", type=Path, metavar="FILE", help="write the genes of train, and end")
    parser.add_argument("--no-baselines", action="store_true", help="rows of the models alone")
    given = parser.parse_args()
    if given.train_genes:
        genes = read_genes(given.pairs, code=given.code, most=given.most, seed=given.seed)
        write_train_genes(genes, given.train_genes)
        return
    study = Study(
        given.pairs,
        code=given.code,
        most=given.most,
        probed=given.probed,
        seed=given.seed,
        resamples=given.resamples,
        threshold=given.threshold,
    )
    contacts = None
    if given.esm2:
        teacher = genoseq.load(given.esm2).to(given.device).backbone
        probed = {int(gene) for part in vars(study.parts).values() for gene in part}
        contacts = [
            benchmark.esm2_contacts(teacher, protein) if gene in probed else np.empty((0, 0))
            for gene, protein in enumerate(study.proteins)
        ]
    rows = {} if given.no_baselines else baselines(study, contacts)
    for named in given.models:
        name, _, checkpoint = named.partition("=")
        model = genoseq.load(checkpoint).to(given.device)
        rows[name] = Model(model, study, given.batch_size).rows(contacts)
    table = as_markdown(rows)
    print(table)
    if given.out is not None:
        given.out.mkdir(parents=True, exist_ok=True)
        plain = {name: {key: asdict(value) for key, value in row.items()} for name, row in rows.items()}
        (given.out / "three_omics.md").write_text(table + "\n")
        (given.out / "three_omics.json").write_text(json.dumps(plain, indent=2) + "\n")


if __name__ == "__main__":
    main()
