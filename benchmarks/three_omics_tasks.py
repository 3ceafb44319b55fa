"""The genes of `three_omics.py`, how they are split, and the tasks made of them."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from genoseq import benchmark
from genoseq.data import (
    codon_substitutions,
    is_whole,
    matching_pairs,
    protein_families,
    read_coding_pairs,
    split_genes,
)
from genoseq.sequence import UnifiedSequence, count_codons
from genoseq.statistics import Estimate

Row = dict[str, Estimate]


class Genes(NamedTuple):
    """Attributes:
    records: coding sequences that are whole and of a fit length.
    families: (N,) of their proteins.
    train, test: indices of the two parts, of different families, in rising order.
    """

    records: list[UnifiedSequence]
    families: np.ndarray
    train: np.ndarray
    test: np.ndarray


def read_genes(table: Path, *, code: str, most: int, seed: int) -> Genes:
    """The genes of a table of fewer than `most` codons, and how they are split."""
    kept = read_coding_pairs(table, code=code, on_error="skip")
    records = [x for x in kept.records if is_whole(x) and 20 <= len(x.protein) < most]
    print(f"{kept}; {len(records):,} whole and short enough")
    families = protein_families([record.protein for record in records])
    return Genes(records, families, *split_genes(records, families, seed=seed))


def write_train_genes(genes: Genes, out: Path) -> None:
    """A table of the genes of train, in the layout that they are read from."""
    chosen = [genes.records[gene] for gene in genes.train.tolist()]
    rows = [(record.name, record.coding_letters, record.protein) for record in chosen]
    pd.DataFrame(rows, columns=["locus", "cds", "protein"]).to_csv(out, sep="\t", index=False)


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
        self.records, self.families, self.train, self.test = read_genes(
            table, code=code, most=most, seed=seed
        )
        self.proteins = [record.protein for record in self.records]
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
            f"{len(self.records):,} genes in {self.families.max() + 1:,} families; "
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
