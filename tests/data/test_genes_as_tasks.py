"""Families of genes, pairs to match, and codons to change: small pieces, and the genes of Leptospira."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from genoseq.data import (
    as_substitutions,
    codon_substitutions,
    find_leaks,
    is_whole,
    matching_pairs,
    protein_families,
    read_coding_pairs,
    split_genes,
)
from genoseq.errors import ConfigError, DataError, RecordError
from genoseq.sequence import UnifiedSequence, count_codons, genetic_code, unify_cds

LEPTOSPIRA = "data/embed/central_dogma/leptospira_kirschneri_H1_cds_protein.tsv.gz"


def gene(letters: str, name: str = "g") -> UnifiedSequence:
    return unify_cds(name, letters, code=11, partial_end=letters[-3:] not in ("TAA", "TAG", "TGA"))


@pytest.fixture(scope="module")
def leptospira(shared: Path) -> list[UnifiedSequence]:
    kept = read_coding_pairs(shared / LEPTOSPIRA, code=11)
    assert len(kept.records) == 3697
    return [record for record in kept.records if is_whole(record)]


def test_families_are_linked_by_shared_words() -> None:
    first, second = "MKLVWYACDEFGHIK", "MKLVWYACDPPPPPPP"
    third = "TTTTT" + "ACDPPPPPPP"
    families = protein_families([first, second, third, "GGHHIIKKLLMMNN", "GHW"])
    assert families[0] == families[1] == families[2]
    assert len(set(families[2:])) == 3
    # One word in common is chance.
    assert len(set(protein_families(["MKLVWAAAA", "CCCCMKLVW"]))) == 2
    with pytest.raises(ConfigError, match="k=14"):
        protein_families([first], k=14)


def test_whole_genes() -> None:
    assert is_whole(gene("GTGAAATAA"))
    for letters in ("ATGAAA", "ATGNAATAA", "AAAAAATAA"):
        record = unify_cds("g", letters, code=11, partial_end=True, partial_start=letters[0] == "A" != "T")
        assert not is_whole(record) or letters == "ATGAAATAA"


def test_real_pairs_are_what_they_say(leptospira: list[UnifiedSequence]) -> None:
    assert len(leptospira) == 3682
    families = protein_families([record.protein for record in leptospira])
    assert 3000 < len(set(families)) < 3682
    assert np.bincount(families).max() < 100
    train, test = split_genes(leptospira, families)
    assert not set(families[train]) & set(families[test])
    leaks = find_leaks([leptospira[i].letters for i in train], [leptospira[i].letters for i in test])
    assert not leaks.any()
    assert len(test) > 600

    code = genetic_code(11)
    usage = count_codons([leptospira[i] for i in train], 11)
    some = test[:120]
    pairs = matching_pairs(leptospira, families, usage, genes=some)
    again = matching_pairs(leptospira, families, usage, genes=some)
    assert pairs.equals(again)
    read = ["M" + code.read(cds)[1:-1] for cds in pairs["cds"]]
    assert ((pairs["protein"] == read) == (pairs["label"] == 1)).all()
    assert set(pairs["gene"]) == set(some)
    true = pairs[pairs["kind"] == "true"].set_index(["gene", "recoded"])["protein"]
    for row in pairs.itertuples():
        own = true[row.gene, row.recoded]
        if row.kind in ("shuffled", "exchanged"):
            assert sorted(row.protein) == sorted(own)
            assert row.protein[0] == "M"
        if row.kind == "length":
            assert len(row.protein) == len(own)
    moved = pairs[(pairs["kind"] == "exchanged") & ~pairs["recoded"]]
    changed = [
        np.mean([a != b for a, b in zip(row.protein, true[row.gene, False], strict=True)])
        for row in moved.itertuples()
    ]
    assert 0.05 < np.mean(changed) < 0.1
    # Codons tell nothing of the label: each coding sequence has the same share of either.
    assert pairs.groupby("recoded")["label"].mean().nunique() == 1


def test_pairs_that_cannot_be_made() -> None:
    good, usage = gene("ATGAAACCCTAA"), count_codons([], 11, pseudocount=1)
    with pytest.raises(ConfigError, match="exchanged_fraction"):
        matching_pairs([good], np.zeros(1, int), usage, exchanged_fraction=0)
    for letters in ("ATGAAACCC", "ATGAAATAA", "ATGAAAAAATAA"):
        with pytest.raises(RecordError, match="bad"):
            matching_pairs([gene(letters, "bad")], np.zeros(1, int), usage)
    pairs = matching_pairs([good], np.zeros(1, int), usage)
    assert set(pairs["kind"]) == {"true", "shuffled", "exchanged"}
    assert set(pairs["protein"]) == {"MKP", "MPK"}
    with pytest.raises(DataError, match="train"):
        split_genes([gene("ATG" + "AAC" * 20 + "TAA")] * 9, np.arange(9), test_fraction=0.3)


def test_changes_are_alike_but_for_what_they_mean(leptospira: list[UnifiedSequence]) -> None:
    table = codon_substitutions(leptospira, genes=range(0, 300, 5), per_gene=6, window=20)
    assert len(table) > 600
    code = genetic_code(11)
    for substitution, row in zip(as_substitutions(table), table.itertuples(), strict=True):
        assert len(substitution.sequence) % 3 == 0
        assert len(substitution.sequence) <= 3 * 41
        start = substitution.position // 3 * 3
        assert substitution.sequence[start : start + 3] == row.codon
        assert substitution.changed[start : start + 3] == row.changed_codon
        old, new = code.read(substitution.sequence), code.read(substitution.changed)
        differing = [(a, b) for a, b in zip(old, new, strict=True) if a != b]
        assert differing == ([(row.residue, row.changed_residue)] if row.label else [])
        assert "*" not in (row.residue, row.changed_residue)
    table["from"] = [x.sequence[x.position] for x in as_substitutions(table)]
    table["place"] = table["position"] % 3
    silent, missense = (table[table["label"] == label].set_index("pair") for label in (0, 1))
    for column in ("gene", "from", "alternate", "place"):
        assert (silent[column] == missense[column]).all()


def test_changes_that_cannot_be_made() -> None:
    with pytest.raises(DataError, match="alike"):
        codon_substitutions([gene("ATGTGGTGGTAA")])
    with pytest.raises(ConfigError, match="per_gene=0"):
        codon_substitutions([gene("ATGTGGTGGTAA")], per_gene=0)
