"""What hidden states of residues hold beyond the residue itself: linear probes.

A scale of residues can be read off any state that knows which residue it is, so that it tells nothing of a
model beyond translation. What is probed here is the mean of a scale over the neighbours of a residue, itself
left out: a state holds it only where it has taken in its surroundings. One-hot residues, which have not, are
the control; one-hot windows hold it exactly and are the ceiling. States of the same encoder with its first
values are a second control that only the caller can give. Contacts that ESM-2 predicts are of the whole
chain.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from Bio.SeqUtils.ProtParam import ProteinAnalysis
from Bio.SeqUtils.ProtParamData import kd
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from genoseq.errors import ConfigError, DataError
from genoseq.sequence.residues import RESIDUES
from genoseq.statistics import Estimate, auroc, group_bootstrap

States = Callable[[Sequence[int]], Sequence[np.ndarray]]
"""(R, D) states of the residues of each of the genes that are asked for."""

_PENALTIES = (1.0, 10.0, 100.0, 1000.0)


@dataclass(frozen=True)
class Parts:
    """Genes, by index, of different families.

    Attributes:
        train, validation, test: to fit on, to choose the penalty on, and to measure on.
    """

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def residue_scales() -> dict[str, dict[str, float]]:
    """Scales of the 20 residues, of Biopython.

    Returns:
        `hydropathy` (Kyte and Doolittle 1982), and `helix` and `sheet`: whether a residue favours it (Haimov
        and Srebnik 2016, Kim and Berg 1993; as `Bio.SeqUtils.ProtParam` has them).
    """
    fractions = {residue: ProteinAnalysis(residue).secondary_structure_fraction() for residue in RESIDUES}
    return {
        "hydropathy": {residue: float(kd[residue]) for residue in RESIDUES},
        "helix": {residue: float(found[0]) for residue, found in fractions.items()},
        "sheet": {residue: float(found[2]) for residue, found in fractions.items()},
    }


def neighbour_means(protein: str, scale: dict[str, float], *, reach: int = 7) -> np.ndarray:
    """Mean of a scale over the neighbours within `reach` residues on either side, itself left out.

    Returns:
        (R,) float64; unknown residues count for nothing, NaN where there is no known neighbour.

    Raises:
        ConfigError: no reach.
    """
    if reach < 1:
        raise ConfigError(f"reach={reach}: neighbours begin at 1.")
    values = np.array([scale.get(residue, np.nan) for residue in protein])
    known = np.isfinite(values)
    kernel = np.ones(2 * reach + 1)
    kernel[reach] = 0

    def near(row: np.ndarray) -> np.ndarray:
        return np.convolve(row.astype(float), kernel)[reach : reach + len(row)]

    counts = near(known)
    with np.errstate(invalid="ignore"):
        return np.where(counts > 0, near(np.where(known, values, 0.0)) / counts, np.nan)


def one_hot(protein: str, *, reach: int = 0) -> np.ndarray:
    """(R, 20 (2 reach + 1)) float64: which residue stands here, and at each place within `reach`."""
    here = np.array([[residue == letter for letter in RESIDUES] for residue in protein], dtype=np.float64)
    padded = np.pad(here.reshape(-1, len(RESIDUES)), ((reach, reach), (0, 0)))
    return np.hstack([padded[place : place + len(protein)] for place in range(2 * reach + 1)])


def probe_residues(
    states: States,
    targets: Sequence[np.ndarray],
    parts: Parts,
    groups: np.ndarray,
    *,
    resamples: int = 500,
) -> Estimate:
    """R2 on test of a ridge regression from the state of a residue to a number, with its interval.

    Args:
        states: of the genes, (R, D) each.
        targets: for every gene, (R,); NaN where a residue has none.
        parts: of the genes. The penalty is chosen on validation, and the fit is on train alone.
        groups: (N,) of the genes, such as families: what is resampled.
        resamples: of the bootstrap.

    Returns:
        1 - (squared errors) / (squared distances from the mean of train): 0 for nothing learnt.
    """
    known = [np.isfinite(target) for target in targets]
    read = {
        name: (_rows(states(genes), [known[i] for i in genes]), _rows(targets, known, genes))
        for name, genes in vars(parts).items()
    }
    fitted = [
        make_pipeline(StandardScaler(), Ridge(alpha=penalty)).fit(*read["train"]) for penalty in _PENALTIES
    ]
    best = max(fitted, key=lambda model: model.score(*read["validation"]))
    features, truth = read["test"]
    errors = (best.predict(features) - truth) ** 2
    distances = (read["train"][1].mean() - truth) ** 2
    owner = np.repeat(groups[parts.test], [known[i].sum() for i in parts.test])
    return group_bootstrap(
        lambda rows: float(1 - errors[rows].sum() / distances[rows].sum()),
        owner,
        resamples=resamples,
        unit="family",
    )


def probe_contacts(
    states: States,
    contacts: Sequence[np.ndarray],
    parts: Parts,
    groups: np.ndarray,
    *,
    least_apart: int = 6,
    threshold: float = 0.5,
    per_gene: int = 500,
    resamples: int = 500,
    seed: int = 0,
) -> Estimate:
    """AUROC on test of a logistic regression from the states of two residues to whether they are in contact.

    Features are the product and the absolute difference of the two states, and the log of how far apart they
    are in the chain, which alone tells much: compare with `one_hot` residues as states.

    Args:
        states: as for `probe_residues`.
        contacts: (R, R) of every gene, probabilities as of `esm2_contacts`, or 0 and 1.
        parts, groups, resamples: as for `probe_residues`.
        least_apart: residues between which no contact counts are fewer apart.
        threshold: the least probability of a contact.
        per_gene: pairs that are drawn of a gene, contacts among them as they are.
        seed: pairs of a gene are a function of it and of the gene's index.

    Raises:
        DataError: the genes of train have no contact, or nothing else.
    """
    read = {
        name: _pairs(states(genes), contacts, genes, least_apart, threshold, per_gene, seed)
        for name, genes in vars(parts).items()
    }
    if len(np.unique(read["train"][1])) < 2:
        raise DataError(
            f"at threshold={threshold} all pairs of the {len(parts.train)} genes of train are in contact, or "
            "none is. Give another threshold, or more genes."
        )
    fitted = [
        make_pipeline(StandardScaler(), LogisticRegression(C=1 / penalty, max_iter=1000)).fit(
            *read["train"][:2]
        )
        for penalty in _PENALTIES
    ]
    best = max(
        fitted,
        key=lambda model: auroc(read["validation"][1], model.decision_function(read["validation"][0])),
    )
    features, labels, owners = read["test"]
    scores = best.decision_function(features)
    return group_bootstrap(
        lambda rows: auroc(labels[rows], scores[rows]), groups[owners], resamples=resamples, unit="family"
    )


def _rows(
    rows: Sequence[np.ndarray], known: Sequence[np.ndarray], genes: np.ndarray | None = None
) -> np.ndarray:
    """What is known of the residues of some genes, one after the other."""
    chosen = range(len(rows)) if genes is None else genes
    return np.concatenate([rows[i][known[i]] for i in chosen])


def _pairs(
    states: Sequence[np.ndarray],
    contacts: Sequence[np.ndarray],
    genes: np.ndarray,
    least_apart: int,
    threshold: float,
    per_gene: int,
    seed: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features (N, 2 D + 1), labels (N,), and the gene of each pair (N,)."""
    features, labels, owners = [], [], []
    for gene, rows in zip(genes.tolist(), states, strict=True):
        first, second = np.triu_indices(len(rows), k=least_apart)
        drawn = np.random.default_rng([seed, gene]).permutation(len(first))[:per_gene]
        first, second = first[drawn], second[drawn]
        a, b = rows[first], rows[second]
        features.append(np.hstack([a * b, np.abs(a - b), np.log(second - first)[:, None]]))
        labels.append((contacts[gene][first, second] >= threshold).astype(np.int64))
        owners.append(np.full(len(first), gene))
    return np.concatenate(features), np.concatenate(labels), np.concatenate(owners)
