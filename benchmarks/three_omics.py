"""The central dogma as a table: matching, translation, silent and missense changes, residues' states.

    python benchmarks/three_omics.py PAIRS --out table/
    python benchmarks/three_omics.py PAIRS lifecode=runs/lifecode plain=runs/plain --device cuda --out table/

PAIRS is `leptospira_kirschneri_H1_cds_protein.tsv.gz` of `../shared/data/embed/central_dogma`, or like it. A
model that takes L bases wants `--most` of L / 3 or less.
Genes are split by families of their proteins; test genes that share 32 bases with train are left out. All
that is fitted (probes, codon table) is fitted on train genes. Each row is an estimate of a model or of
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
from functools import cached_property
from pathlib import Path
from typing import cast

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

import genoseq
from genoseq import benchmark
from genoseq.baselines import KmerLogisticRegression
from genoseq.data import (
    as_substitutions,
    codon_substitutions,
    is_whole,
    matching_pairs,
    protein_families,
    read_coding_pairs,
    split_genes,
)
from genoseq.errors import ConfigError
from genoseq.inference import change_scores, codon_states
from genoseq.models import SequenceModel
from genoseq.sequence import UnifiedSequence, count_codons, encode_bases
from genoseq.sequence.residues import RESIDUES
from genoseq.statistics import Estimate

Row = dict[str, Estimate]


class Study:
    """The genes, their parts, and the tasks made of them.

    Args:
        table: coding sequences with their proteins.
        code: genetic code.
        most: codons of the longest gene that is kept.
        probed: genes of train, and half as many of validation and test, that probes see.
        seed: of the split and of all that is drawn.
        resamples: of the bootstrap.
        threshold: the least probability of a contact.
    """

    def __init__(
        self,
        table: Path,
        *,
        code: str,
        most: int,
        probed: int,
        seed: int,
        resamples: int,
        threshold: float,
    ) -> None:
        kept = read_coding_pairs(table, code=code, on_error="skip")
        self.records = [x for x in kept.records if is_whole(x) and 20 <= len(x.protein) < most]
        self.proteins = [record.protein for record in self.records]
        self.families = protein_families(self.proteins)
        self.train, self.test = split_genes(self.records, self.families, seed=seed)
        self.code = self.records[0].code
        self.usage = count_codons(self.genes(self.train), self.code)
        self.pairs = matching_pairs(self.records, self.families, self.usage, genes=self.test, seed=seed)
        self.changes = codon_substitutions(self.records, genes=self.test, seed=seed)
        self.resamples, self.threshold = resamples, threshold
        order = np.random.default_rng(seed).permutation(self.train)
        drawn = np.random.default_rng(seed).permutation(self.test)
        rest = order[probed : probed + probed // 2]
        self.parts = benchmark.Parts(order[:probed], rest, np.sort(drawn[: probed // 2]))
        # What is fitted to pairs sees no gene twice as often as another.
        self.train_pairs = matching_pairs(
            self.records, self.families, self.usage, genes=np.sort(order[: 2 * probed]), seed=seed
        )
        print(
            f"{kept}; {len(self.records):,} whole and short enough, in {self.families.max() + 1:,} families; "
            f"{len(self.train):,} for train, {len(self.test):,} for test\n"
            f"{len(self.pairs):,} pairs, {len(self.changes):,} changes, probes of {probed} genes"
        )

    def genes(self, numbers: np.ndarray) -> list[UnifiedSequence]:
        """The records of some genes."""
        return [self.records[number] for number in numbers.tolist()]

    @cached_property
    def targets(self) -> dict[str, list[np.ndarray]]:
        """What is probed of the residues of each gene, by its name."""
        return {
            name: [benchmark.neighbour_means(protein, scale) for protein in self.proteins]
            for name, scale in benchmark.residue_scales().items()
        }

    def matching(self, score: benchmark.PairScore, name: str = "matching") -> Row:
        """Estimates of a score of pairs."""
        values = benchmark.score_pairs(self.pairs, score)
        found = benchmark.evaluate_matching(self.pairs, values, resamples=self.resamples)
        return {f"{name}: {key}": estimate for key, estimate in found.items()}

    def translation(self, translate: benchmark.Translate, name: str = "translation") -> Row:
        """Estimates of a translator of held-out genes."""
        found = benchmark.translation_accuracy(
            self.genes(self.test), translate, groups=self.families[self.test], resamples=self.resamples
        )
        return {f"{name}: {key}": estimate for key, estimate in found.items()}

    def substitutions(self, changes: np.ndarray) -> Row:
        """Estimates of a score of changes."""
        groups = self.families[self.changes["gene"]]
        found = benchmark.evaluate_substitutions(self.changes, changes, groups, resamples=self.resamples)
        return {f"changes: {key}": estimate for key, estimate in found.items()}

    def surroundings(self, states: benchmark.States, contacts: list[np.ndarray] | None) -> Row:
        """Estimates of the probes of residues' states."""
        found = {
            f"surroundings: {name}": benchmark.probe_residues(
                states, targets, self.parts, self.families, resamples=self.resamples
            )
            for name, targets in self.targets.items()
        }
        if contacts is not None:
            found["surroundings: contacts"] = benchmark.probe_contacts(
                states,
                contacts,
                self.parts,
                self.families,
                threshold=self.threshold,
                resamples=self.resamples,
            )
        return found


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


class Model:
    """What is asked of a model.

    Args:
        model: with a tokenizer.
        study: the tasks.
        batch_size: sequences at a time.
    """

    def __init__(self, model: SequenceModel, study: Study, batch_size: int) -> None:
        self.model, self.study, self.batch_size = model, study, batch_size
        self._known: dict[str, np.ndarray] = {}

    def states(self, sequences: Sequence[str]) -> list[np.ndarray]:
        """(C, D) states of the codons of each sequence; sequences of like length together."""
        order = sorted(range(len(sequences)), key=lambda index: len(sequences[index]))
        given = [sequences[index] for index in order]
        found = list(codon_states(self.model, given, batch_size=self.batch_size))
        return [found[place] for place in np.argsort(order)]

    def embed(self, sequences: Sequence[str]) -> np.ndarray:
        """(N, D) means over codons."""
        new = [letters for letters in sequences if letters not in self._known]
        self._known |= {
            letters: states.mean(0) for letters, states in zip(new, self.states(new), strict=True)
        }
        return np.stack([self._known[letters] for letters in sequences])

    def residues(self, genes: Sequence[int]) -> list[np.ndarray]:
        """(R, D) states of the residues of genes: those of their codons without the stop."""
        records = [self.study.records[gene] for gene in genes]
        states = self.states([record.coding_letters for record in records])
        return [each[: len(record.protein)] for each, record in zip(states, records, strict=True)]

    @cached_property
    def probe(self) -> LogisticRegression:
        """From the state of a codon to its residue, fitted on the genes that probes see."""
        genes = self.study.parts.train.tolist()
        states = np.concatenate(self.residues(genes))
        letters = np.array(list("".join(self.study.proteins[gene] for gene in genes)))
        known = np.isin(letters, list(RESIDUES))
        fitted = make_pipeline(StandardScaler(), LogisticRegression(C=1.0, max_iter=200))
        return fitted.fit(states[known], letters[known])

    def probed(self, states: np.ndarray) -> np.ndarray:
        """(C, 20) log-probabilities of residues by the probe."""
        table = np.full((len(states), len(RESIDUES)), -20.0)
        columns = [RESIDUES.index(letter) for letter in self.probe.classes_]
        table[:, columns] = self.probe.predict_log_proba(states)
        return table

    @torch.inference_mode()
    def told(self, states: np.ndarray) -> np.ndarray:
        """(C, 20) log-probabilities of residues by the model's own head, whose classes begin with them."""
        head = cast(nn.Module, self.model.head.translation)
        logits = head(torch.from_numpy(states).to(self.model.device))
        return logits.float().log_softmax(dim=-1)[:, : len(RESIDUES)].cpu().numpy()

    def rows(self, contacts: list[np.ndarray] | None) -> Row:
        """All estimates."""
        study = self.study
        readers = {"probe": self.probed}
        if hasattr(self.model.head, "translation"):
            readers["head"] = self.told
        found: Row = {}
        for name, read in readers.items():

            def log_probs(sequences: Sequence[str], read: object = read) -> list[np.ndarray]:
                return [read(states) for states in self.states(sequences)]  # type: ignore[operator]

            def translate(records: Sequence[UnifiedSequence], read: object = log_probs) -> list[str]:
                tables = read([record.coding_letters for record in records])  # type: ignore[operator]
                letters = np.array(list(RESIDUES))
                return [
                    "".join(letters[table[: len(record.protein)].argmax(1)])
                    for table, record in zip(tables, records, strict=True)
                ]

            found |= study.translation(translate, f"translation by {name}")
            score = benchmark.residue_likelihood_score(log_probs)
            found |= study.matching(score, f"matching by translation, {name}")
        cosine = benchmark.similarity_score(self.embed, study.usage)
        found |= study.matching(cosine, "matching by cosine")
        fitted = benchmark.probe_score(self.embed, study.usage, study.train_pairs)
        found |= study.matching(fitted, "matching by vectors, fitted")
        try:
            changes = change_scores(self.model, as_substitutions(study.changes), batch_size=self.batch_size)
            found |= study.substitutions(changes)
        except ConfigError as error:
            print(f"no changes: {error}")
        return found | study.surroundings(self.residues, contacts)


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
    given = parser.parse_args()
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
    rows = baselines(study, contacts)
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
