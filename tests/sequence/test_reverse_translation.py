"""Codon usage as it is counted, and proteins that come back from what they are reverse-translated to."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genoseq.errors import ConfigError, RecordError
from genoseq.sequence import (
    CODONS,
    CodonUsage,
    codon_usage,
    count_codons,
    expected_bases,
    expected_codons,
    genetic_code,
    reverse_transcribe,
    reverse_translate,
    transcribe,
    unify_cds,
    unify_protein,
)

CODES = [1, 2, 3, 4, 6, 11, 27, 28, 31]
residues = st.text(alphabet="ACDEFGHIKLMNPQRSTVWY" + "UOBZX", max_size=60)


def uniform(code: int = 1) -> CodonUsage:
    return count_codons([], code, pseudocount=1)


def counts(usage: CodonUsage) -> dict[str, float]:
    return {codon: count for codon, count in zip(CODONS, usage.residues, strict=True) if count}


def test_codons_are_counted_as_what_they_stand_for() -> None:
    cds = unify_cds("a", "GTGGTGCTNTGACTCTAA", code=11, recoded={3: "U"})
    assert cds.protein == "MVLUL"
    usage = count_codons([cds, cds], 11)
    # Neither the start GTG, the ambiguous CTN nor the recoded TGA.
    assert counts(usage) == {"GTG": 2, "CTC": 2}
    assert usage.stops[CODONS.index("TAA")] == usage.stops.sum() == 2


def test_usage_from_a_table_keeps_stops_apart() -> None:
    usage = codon_usage({"AUG": 5, "tga": 2, "TAA": 1})
    assert counts(usage) == {"ATG": 5}
    assert reverse_translate("M*", usage) == "ATGTGA"
    # In code 27, TGA is both.
    assert reverse_translate("MW*", codon_usage({"AUG": 5, "tga": 2}, 27)) == "ATGTGATGA"


@pytest.mark.parametrize(
    "table", [{"ATX": 1.0}, {"AT": 1.0}, {"ATG": -1.0}, {"ATG": np.nan}, {"ATG": 1, "AUG": 1}]
)
def test_what_is_no_codon_table_is_refused(table: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="no row of a codon table"):
        codon_usage(table)


def test_records_of_another_code_are_not_counted() -> None:
    with pytest.raises(RecordError, match=r"^a: it is of genetic_code\(1\)"):
        count_codons([unify_cds("a", "ATG")], 11)
    with pytest.raises(ConfigError, match="pseudocount=-1"):
        count_codons([], pseudocount=-1)


def test_the_most_frequent_codon_is_taken() -> None:
    usage = codon_usage({"ATG": 1, "CTT": 3, "TTA": 4, "CTC": 3})
    assert reverse_translate("mLL", usage) == "ATGTTATTA"


def test_codons_are_drawn_by_their_frequency_and_come_back_with_the_seed() -> None:
    usage = codon_usage({"CTT": 3, "TTA": 1})
    letters = reverse_translate("L" * 4000, usage, choice="sample", generator=np.random.default_rng(0))
    assert {letters[i : i + 3] for i in range(0, len(letters), 3)} == {"CTT", "TTA"}
    assert letters.count("TTA") == pytest.approx(1000, abs=100)
    assert letters == reverse_translate(
        "L" * 4000, usage, choice="sample", generator=np.random.default_rng(0)
    )


def test_expectations_are_the_frequencies() -> None:
    usage = codon_usage({"CTT": 3, "TTA": 1, "ATG": 2, "ATT": 4})
    codons = expected_codons("ML", usage)
    assert codons.shape == (2, 64)
    assert codons[1, CODONS.index("CTT")] == 0.75
    bases = expected_bases("ML", usage)
    assert bases.tolist()[3:] == [[0, 0.75, 0, 0.25], [0, 0, 0, 1], [0.25, 0, 0, 0.75]]
    # J is I or L, as frequent as these are.
    assert expected_codons("J", usage)[0, CODONS.index("ATT")] == 0.5
    assert expected_codons("", usage).shape == (0, 64)
    assert expected_bases("", usage).shape == (0, 4)


@given(residues)
def test_expectations_are_what_drawing_gives(protein: str) -> None:
    bases = expected_bases(protein, uniform())
    assert bases.shape == (3 * len(protein), 4)
    np.testing.assert_allclose(bases.sum(axis=1), 1)
    letters = reverse_translate(protein, uniform(), choice="sample", generator=np.random.default_rng(1))
    drawn = [bases[place, "ACGT".index(letter)] for place, letter in enumerate(letters) if letter in "ACGT"]
    assert all(probability > 0 for probability in drawn)


@pytest.mark.parametrize("code", CODES)
@given(protein=residues, stop=st.sampled_from(["", "*"]), choice=st.sampled_from(["most_frequent", "sample"]))
def test_a_protein_comes_back(code: int, protein: str, stop: str, choice: str) -> None:
    generator = np.random.default_rng(len(protein))
    record = unify_protein("p", protein + stop, uniform(code), choice=choice, generator=generator)
    assert record.protein == protein
    assert record.modality == "protein"
    assert record.has_stop == (stop == "*")
    assert record.code is genetic_code(code)


def test_ambiguous_residues_stay_ambiguous() -> None:
    assert reverse_translate("BZJX", uniform()) == "RAYSARMTHNNN"


@pytest.mark.parametrize(
    ("protein", "problem", "says"),
    [
        ("ML1", "unknown residue", "'1' at residue 2 of 3"),
        ("M-L", "unknown residue", "'-' at residue 1"),
        ("M*L", "internal stop", "at residue 1 of 3"),
        ("M**", "internal stop", "at residue 1 of 2"),
        ("ML", "unseen residue", "no codon of 'L'"),
        ("M*", "unseen residue", r"no codon of '\*'"),
    ],
)
def test_what_is_no_protein_is_refused_by_name(protein: str, problem: str, says: str) -> None:
    usage = codon_usage({"ATG": 1})
    for make in (
        lambda: unify_protein("q1", protein, usage),
        lambda: expected_codons(protein, usage, name="q1"),
        lambda: expected_bases(protein, usage, name="q1"),
    ):
        with pytest.raises(RecordError, match=f"^q1: .*{says}") as raised:
            make()
        assert raised.value.problem == problem


def test_choices_are_checked() -> None:
    with pytest.raises(ConfigError, match="give a generator"):
        reverse_translate("M", uniform(), choice="sample")
    with pytest.raises(ConfigError, match="choice='best'"):
        reverse_translate("M", uniform(), choice="best")


@given(st.text(alphabet="ACGTRYSWKMBDHVNacgtn", max_size=60), st.sampled_from(["sense", "template"]))
def test_transcripts_become_the_dna_again(dna: str, strand: str) -> None:
    assert reverse_transcribe(transcribe(dna, strand=strand), strand=strand) == dna
