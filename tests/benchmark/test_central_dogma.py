"""Tasks of the central dogma: estimates of scores, translators and states of which the answer is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import genoseq
from genoseq import benchmark
from genoseq.errors import ConfigError
from genoseq.sequence import UnifiedSequence, count_codons, genetic_code, unify_cds
from genoseq.sequence.residues import RESIDUES

PROTEIN = "MKVLAGDERTSWYHQNPFIC" * 3


def matches() -> pd.DataFrame:
    """Two genes of two families, each beside its protein and two others; the second is recoded."""
    rows = []
    for number, cds in enumerate(("GTGAAACCCTAA", "ATGAAGCCGTGA")):
        for kind, protein in (("true", "MKP"), ("shuffled", "MPK"), ("family", "MKPK")):
            rows.append((number, number, number == 1, kind, int(kind == "true"), cds, protein))
    return pd.DataFrame(rows, columns=["gene", "family", "recoded", "kind", "label", "cds", "protein"])


def test_a_translator_is_always_right_and_lengths_are_not() -> None:
    pairs = matches()
    score = benchmark.translator_score(genetic_code(11))
    assert benchmark.score_pairs(pairs, score).tolist() == [1.0, 1 / 3, 0.75] * 2
    found = benchmark.evaluate_matching(pairs, benchmark.score_pairs(pairs, score), resamples=20)
    assert {estimate.mean for estimate in found.values()} == {1.0}
    assert found["choice"].n == 2
    lengths = benchmark.evaluate_matching(pairs, benchmark.score_pairs(pairs, benchmark.length_score))
    assert lengths["auroc_shuffled"].mean == 0.5
    assert lengths["auroc_family"].mean == 1.0
    assert lengths["choice"].mean == 0.5


def test_likelihoods_of_a_translation_are_scores() -> None:
    code = genetic_code(11)

    def log_probs(sequences: list[str]) -> list[np.ndarray]:
        tables = []
        for cds in sequences:
            read = ["M" if place == 0 else residue for place, residue in enumerate(code.read(cds))]
            table = [[0.81 if residue == letter else 0.01 for letter in RESIDUES] for residue in read]
            tables.append(np.log(np.array(table)))
        return tables

    pairs = matches()
    scores = benchmark.score_pairs(pairs, benchmark.residue_likelihood_score(log_probs))
    sure, wrong, guess = np.log(0.81), np.log(0.01), np.log(1 / 20)
    np.testing.assert_allclose(scores[:3], [sure, (sure + 2 * wrong) / 3, (3 * sure + guess) / 4])
    np.testing.assert_allclose(scores[3:], scores[:3])


def test_vectors_are_compared_and_fitted() -> None:
    pairs, usage = matches(), count_codons([], 11, pseudocount=1)

    def embed(sequences: list[str]) -> np.ndarray:
        assert len(set(sequences)) == len(sequences)
        return np.array([[x.count("AA") + 1.0, x.count("CC") + 1.0] for x in sequences])

    cosines = benchmark.score_pairs(pairs, benchmark.similarity_score(embed, usage))
    assert cosines.shape == (6,)
    assert (cosines <= 1 + 1e-12).all()
    fitted = benchmark.probe_score(embed, usage, pairs)
    assert benchmark.score_pairs(pairs, fitted).shape == (6,)


def test_translations_are_counted() -> None:
    records = [unify_cds("a", "ATGAAACCCTAA", code=11), unify_cds("b", "GTGAAATAA", code=11)]

    def half(given: list[UnifiedSequence]) -> list[str]:
        return ["MKP", "V"]

    found = benchmark.translation_accuracy(records, half, resamples=20)
    assert found["accuracy"].mean == pytest.approx(3 / 5)
    # M 1 of 2, K 1 of 2, P 1 of 1.
    assert found["balanced"].mean == pytest.approx(2 / 3)
    assert found["exact"].mean == 0.5
    table = benchmark.codon_majority(records)
    assert table(records) == ["MKP", "MK"]
    assert benchmark.codon_majority(records[:1])(records) == ["MKP", "XK"]
    assert benchmark.most_frequent_residue(records)(records) in (["MMM", "MM"], ["KKK", "KK"])


def test_changes_are_ranked() -> None:
    table = pd.DataFrame(
        {
            "pair": [0, 0, 1, 1],
            "label": [0, 1, 0, 1],
            "codon": ["GTA", "AAA", "CTA", "GAA"],
            "changed_codon": ["GTT", "AAT", "CTT", "GAT"],
            "residue": list("VKLE"),
            "changed_residue": list("VNLD"),
        }
    )
    assert benchmark.blosum_changes(table).tolist() == [0, -5, 0, -3]
    groups = np.array([0, 0, 1, 1])
    found = benchmark.evaluate_substitutions(table, benchmark.blosum_changes(table), groups, resamples=20)
    assert [found[name].mean for name in ("auroc", "pairs", "blosum")] == pytest.approx([1.0, 1.0, 1.0])
    found = benchmark.evaluate_substitutions(table, np.array([0.0, -1, -2, -2]), groups, resamples=20)
    assert found["pairs"].mean == 0.75
    # The silent 0 is above both, the silent -2 below one and level with the other.
    assert found["auroc"].mean == (1 + 1 + 0 + 0.5) / 4
    usage = count_codons([unify_cds("a", "ATGGTTGTTTAA", code=11)], 11)
    np.testing.assert_allclose(benchmark.codon_frequency_changes(table, usage)[0], np.log(3))


def test_neighbours_are_averaged_without_the_residue_itself() -> None:
    scale = {"A": 1.0, "C": 3.0, "D": 8.0}
    means = benchmark.neighbour_means("ACXD", scale, reach=1)
    np.testing.assert_array_equal(means, [3.0, 1.0, 5.5, np.nan])
    assert np.isnan(benchmark.neighbour_means("A", scale)).all()
    with pytest.raises(ConfigError, match="reach=0"):
        benchmark.neighbour_means("AC", scale, reach=0)
    scales = benchmark.residue_scales()
    assert scales["hydropathy"]["I"] == 4.5
    assert (scales["helix"]["A"], scales["helix"]["G"], scales["sheet"]["V"]) == (1.0, 0.0, 1.0)
    assert benchmark.one_hot("AC", reach=1).shape == (2, 60)
    assert benchmark.one_hot("AC", reach=1)[0].nonzero()[0].tolist() == [20, 41]


def random_proteins(count: int) -> list[str]:
    generator = np.random.default_rng(0)
    return ["".join(generator.choice(list(RESIDUES), size=60)) for _ in range(count)]


def test_probes_find_what_states_hold_and_nothing_else() -> None:
    proteins = random_proteins(60)
    parts = benchmark.Parts(np.arange(30), np.arange(30, 40), np.arange(40, 60))
    targets = [
        benchmark.neighbour_means(x, benchmark.residue_scales()["hydropathy"], reach=2) for x in proteins
    ]

    def r2(reach: int) -> float:
        states = lambda genes: [benchmark.one_hot(proteins[i], reach=reach) for i in genes]  # noqa: E731
        return benchmark.probe_residues(states, targets, parts, np.arange(60), resamples=20).mean

    assert r2(2) > 0.95
    assert abs(r2(0)) < 0.05
    # A contact is where two residues are both W: the states must say so together.
    proteins = [x.replace("A", "W").replace("C", "W").replace("D", "W") for x in proteins]
    contacts = [np.array([[float(a == b == "W") for b in x] for a in x]) for x in proteins]
    found = benchmark.probe_contacts(
        lambda genes: [benchmark.one_hot(proteins[i]) for i in genes],
        contacts,
        parts,
        np.arange(60),
        per_gene=100,
        resamples=20,
    )
    assert found.mean > 0.98


def test_contacts_are_those_of_esm2(shared: Path) -> None:
    backbone = genoseq.load(shared / "golden/esm2/model").backbone
    usual = backbone.esm.config._attn_implementation
    contacts = benchmark.esm2_contacts(backbone, "MKVLAGX")
    assert contacts.shape == (7, 7)
    np.testing.assert_allclose(contacts, contacts.T, atol=1e-6)
    assert ((contacts > 0) & (contacts < 1)).all()
    assert backbone.esm.config._attn_implementation == usual
    with pytest.raises(ConfigError, match="0 residues"):
        benchmark.esm2_contacts(backbone, "")
