"""Alleles as files write them, and the windows that hold them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genoseq.errors import SequenceError
from genoseq.sequence import Variant, allele_kind, allele_window

LETTERS = st.text("ACGT", max_size=12)


@pytest.mark.parametrize(
    ("allele", "kind"),
    [
        ("A", "bases"),
        ("acGT", "bases"),
        ("AN", "ambiguous"),
        ("r", "ambiguous"),
        ("<DEL>", "symbolic"),
        ("<INS:ME:ALU>", "symbolic"),
        ("<NON_REF>", "reference block"),
        ("<*>", "reference block"),
        ("*", "spanning deletion"),
        (".", "missing"),
        ("G]17:198982]", "breakend"),
        ("[13:123457[C", "breakend"),
        ("G.", "breakend"),
        (".A", "breakend"),
        ("", "no allele"),
        ("A-", "no allele"),
        ("<DEL", "no allele"),
    ],
)
def test_kinds_of_alleles(allele: str, kind: str) -> None:
    assert allele_kind(allele) == kind


@pytest.mark.parametrize(
    ("given_alleles", "trimmed"),
    [
        ((9, "A", "G"), (9, "A", "G")),
        ((9, "AT", "A"), (10, "T", "")),
        ((9, "A", "ATT"), (10, "", "TT")),
        ((9, "ACGT", "AGGT"), (10, "C", "G")),
        ((9, "TTT", "TT"), (9, "T", "")),
    ],
)
def test_anchors_are_trimmed(given_alleles: tuple, trimmed: tuple) -> None:
    assert Variant("1", *given_alleles).trimmed() == Variant("1", *trimmed)


@pytest.mark.parametrize(
    ("alleles", "says"),
    [((-1, "A", "C"), "begins before"), ((0, "A", "A"), "changes nothing"), ((0, "N", "A"), "upper case")],
)
def test_what_is_no_variant(alleles: tuple, says: str) -> None:
    with pytest.raises(SequenceError, match=says):
        Variant("1", *alleles)


@given(st.text("ACGT", min_size=1, max_size=60), st.data())
def test_windows_hold_the_alleles_and_stay_inside(chromosome: str, data: st.DataObject) -> None:
    """Either window is inside its chromosome, of one length, and has the whole of its allele."""
    start = data.draw(st.integers(0, len(chromosome)))
    reference = chromosome[start : data.draw(st.integers(start, len(chromosome)))]
    alternate = data.draw(LETTERS.filter(lambda letters: letters != reference))
    variant = Variant("1", start, reference, alternate).trimmed()
    wanted = data.draw(st.integers(2, 70))
    window = allele_window(variant, wanted, len(chromosome))
    changed = chromosome[:start] + alternate + chromosome[start + len(reference) :]
    length = min(wanted, len(chromosome), len(changed))
    if window is None:
        at_the_end = variant.position + variant.width > min(len(chromosome), len(changed))
        assert 2 * variant.width > length or at_the_end
        return
    assert window.length == length
    place = window.start + window.offset
    for whole, allele in ((chromosome, variant.reference), (changed, variant.alternate)):
        assert window.start >= 0
        assert window.start + window.length <= len(whole)
        assert whole[place : place + len(allele)] == allele
        assert window.offset + len(allele) <= window.length


def test_windows_are_centred_where_there_is_room() -> None:
    window = allele_window(Variant("1", 500, "A", "G"), 100, 1000)
    assert window is not None
    assert (window.start, window.length, window.offset) == (450, 100, 50)
    at_the_end = allele_window(Variant("1", 999, "A", "G"), 100, 1000)
    assert at_the_end is not None
    assert (at_the_end.start, at_the_end.offset) == (900, 99)
