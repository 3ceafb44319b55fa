"""How well scores tell the coding sequence of a protein from that of another (see `matching_pairs`).

A score is any function of pairs; the larger, the better they match. `translator_score` reads the code and
gets every pair right: it stands in the table as what there is to learn. `length_score` knows the lengths
alone, and shows what they give away: nothing, but for relatives of another length.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import zip_longest
from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from genoseq.sequence import CodonUsage, GeneticCode, reverse_translate
from genoseq.sequence.residues import RESIDUES
from genoseq.statistics import Estimate, auroc, group_bootstrap

PairScore = Callable[[Sequence[str], Sequence[str]], np.ndarray]
"""(N,) scores of N coding sequences and their proteins."""

Embedding = Callable[[Sequence[str]], np.ndarray]
"""(N, D) vectors of N nucleotide sequences."""


def evaluate_matching(
    pairs: pd.DataFrame, scores: np.ndarray, *, resamples: int = 500
) -> dict[str, Estimate]:
    """Areas under the curve, with intervals over families.

    Args:
        pairs: as of `matching_pairs`.
        scores: (N,) of its rows.
        resamples: of the bootstrap.

    Returns:
        `auroc` of all pairs; `auroc_<kind>` of the true pairs against the negatives of one kind;
        `auroc_recoded` of the pairs whose codons are drawn anew; and `choice`: the share of coding sequences
        whose own protein has a larger score than each of the others, ties shared out.
    """
    kinds = [kind for kind in pairs["kind"].unique() if kind != "true"]
    chosen = {"auroc": pairs["label"] >= 0, "auroc_recoded": pairs["recoded"]}
    chosen |= {f"auroc_{kind}": pairs["kind"].isin(["true", kind]) for kind in kinds}
    # Relatives are what a negative of the family is told from, not everybody.
    with_relatives = set(pairs["gene"][pairs["kind"] == "family"])
    if "auroc_family" in chosen:
        chosen["auroc_family"] &= pairs["gene"].isin(with_relatives)
    found = {
        name: _area(pairs[rows.to_numpy()], scores[rows.to_numpy()], resamples)
        for name, rows in chosen.items()
    }
    best = pairs.assign(score=scores).groupby(["gene", "recoded", "family"])["score"].transform("max")
    at_best = pairs.assign(best=scores == best)
    questions = at_best[at_best["best"]].groupby(["family", "gene", "recoded"])["label"].mean()
    values = questions.to_numpy()
    families = questions.index.get_level_values("family")
    found["choice"] = group_bootstrap(
        lambda rows: float(values[rows].mean()), families, resamples=resamples, unit="family"
    )
    return found


def _area(pairs: pd.DataFrame, scores: np.ndarray, resamples: int) -> Estimate:
    labels = pairs["label"].to_numpy()
    return group_bootstrap(
        lambda rows: auroc(labels[rows], scores[rows]), pairs["family"], resamples=resamples, unit="family"
    )


def score_pairs(pairs: pd.DataFrame, score: PairScore) -> np.ndarray:
    """(N,) scores of the rows of `matching_pairs`."""
    values = np.asarray(score(pairs["cds"].tolist(), pairs["protein"].tolist()), dtype=np.float64)
    assert values.shape == (len(pairs),), f"{len(pairs)} pairs, scores of the shape {values.shape}"
    return values


def translator_score(code: GeneticCode) -> PairScore:
    """The share of residues that are those of the codons: 1 for a match, whichever the codons."""

    def score(sequences: Sequence[str], proteins: Sequence[str]) -> np.ndarray:
        return np.array(
            [_identity("M" + code.read(cds)[1:-1], p) for cds, p in zip(sequences, proteins, strict=True)]
        )

    return score


def _identity(first: str, second: str) -> float:
    same = sum(a == b for a, b in zip_longest(first, second))
    return same / max(len(first), len(second), 1)


def length_score(sequences: Sequence[str], proteins: Sequence[str]) -> np.ndarray:
    """How near the numbers of codons and residues are to each other."""
    return np.array([-abs(len(cds) // 3 - 1 - len(p)) for cds, p in zip(sequences, proteins, strict=True)])


def residue_likelihood_score(log_probs: Callable[[Sequence[str]], Sequence[np.ndarray]]) -> PairScore:
    """The mean log-probability of a protein under a model that translates.

    Args:
        log_probs: of coding sequences, each (C, 20): natural log-probabilities of the residues of each codon
            (the stop may be among them), in the order of `genoseq.sequence.residues.RESIDUES`.

    Returns:
        A score; a residue without a codon, and a codon without a residue, count as a guess among 20.
    """

    def score(sequences: Sequence[str], proteins: Sequence[str]) -> np.ndarray:
        # A coding sequence stands in several pairs, and is read once.
        different = list(dict.fromkeys(sequences))
        read = dict(zip(different, log_probs(different), strict=True))
        return np.array(
            [_likelihood(read[cds], len(cds) // 3 - 1, p) for cds, p in zip(sequences, proteins, strict=True)]
        )

    return score


def _likelihood(log_probs: np.ndarray, num_codons: int, protein: str) -> float:
    guess = -np.log(len(RESIDUES))
    places = [(i, RESIDUES.find(letter)) for i, letter in enumerate(protein[:num_codons])]
    total = sum(log_probs[i, column] if column >= 0 else guess for i, column in places)
    most = max(num_codons, len(protein), 1)
    return float(total + guess * (most - len(places))) / most


def similarity_score(embed: Embedding, usage: CodonUsage) -> PairScore:
    """The cosine of the vectors of the coding sequence and of the protein, written with its usual codons."""

    def score(sequences: Sequence[str], proteins: Sequence[str]) -> np.ndarray:
        first, second = _vectors(embed, usage, sequences, proteins)
        norms = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
        return (first * second).sum(axis=1) / np.maximum(norms, 1e-12)

    return score


def probe_score(
    embed: Embedding, usage: CodonUsage, train: pd.DataFrame, *, penalty: float = 100.0
) -> PairScore:
    """A logistic regression on how the two vectors of a pair differ and agree, fitted on pairs of train.

    Args:
        embed: from coding sequences, and from proteins written with their usual codons, to vectors.
        usage: those codons.
        train: as of `matching_pairs`, of genes that are not in test (`split_genes`).
        penalty: strength of the L2 penalty.
    """

    def features(sequences: Sequence[str], proteins: Sequence[str]) -> np.ndarray:
        first, second = _vectors(embed, usage, sequences, proteins)
        return np.hstack([np.abs(first - second), first * second])

    model: Any = make_pipeline(StandardScaler(), LogisticRegression(C=1 / penalty, max_iter=1000))
    model.fit(features(train["cds"].tolist(), train["protein"].tolist()), train["label"])
    return lambda sequences, proteins: model.decision_function(features(sequences, proteins))


def _vectors(
    embed: Embedding, usage: CodonUsage, sequences: Sequence[str], proteins: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """(N, D) each; every different sequence is embedded once."""
    written = {protein: reverse_translate(protein, usage) for protein in dict.fromkeys(proteins)}
    different = list(dict.fromkeys([*sequences, *written.values()]))
    number = {letters: row for row, letters in enumerate(different)}
    vectors = np.asarray(embed(different), dtype=np.float64)
    return (
        vectors[[number[cds] for cds in sequences]],
        vectors[[number[written[protein]] for protein in proteins]],
    )
