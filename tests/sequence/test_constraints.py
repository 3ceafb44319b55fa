"""Constraints: what they refuse, what they leave, and that what is completed under them holds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genoseq.errors import ConfigError, GenoseqError
from genoseq.sequence import decode_bases, genetic_code
from genoseq.sequence.constraints import Constraints
from genoseq.sequence.feasible import Feasible

ALL = Constraints(
    length=150,
    gc=(0.4, 0.6),
    gc_window=30,
    max_homopolymer=3,
    forbidden=("TATAAA", "GGNCC"),
    enzymes=("EcoRI", "BsaI", "XmnI"),
    fixed={100: "TTGACA", 120: "RYN"},
    protein="MKLVRSTAGW*",
    protein_start=10,
)


def drawn(rules, count, seed=0):
    feasible, generator = Feasible(rules), np.random.default_rng(seed)
    return np.stack([feasible.random(generator) for _ in range(count)])


def letters(codes):
    return [decode_bases(row) for row in codes]


def test_random_sequences_hold_everything():
    sequences = letters(drawn(ALL, 200))
    assert [ALL.violations(sequence) for sequence in sequences] == [[]] * 200
    assert len(set(sequences)) == 200
    assert {sequence[100:106] for sequence in sequences} == {"TTGACA"}
    assert {genetic_code(1).read(sequence[10:43]) for sequence in sequences} == {"MKLVRSTAGW*"}


def test_a_sequence_that_holds_is_left_as_it_is():
    (codes,) = drawn(ALL, 1)
    again = Feasible(ALL).find(np.eye(4)[codes], np.random.default_rng(2))
    assert np.array_equal(codes, again)


def test_walks_offer_what_can_still_be_completed():
    feasible, generator = Feasible(ALL), np.random.default_rng(3)
    walk = feasible.walk(50)
    columns = []
    for _ in range(feasible.length):
        mask = walk.allowed()
        drawn = np.argmax(generator.random(mask.shape) * mask, axis=1).astype(np.uint8)
        walk.append(drawn)
        columns.append(drawn)
    sequences = letters(np.stack(columns, axis=1))
    assert walk.failed.mean() < 0.1
    for sequence, failed in zip(sequences, walk.failed, strict=True):
        assert failed or not ALL.violations(sequence)


@pytest.mark.parametrize(
    ("setting", "sequence", "broken"),
    [
        ({"gc": (0.5, 0.5)}, "AAAAAACC", "GC"),
        ({"gc": (0.25, 0.5), "gc_window": 4}, "CACAAAAA", "GC of 0.000 in 4 bases from 3"),
        ({"max_homopolymer": 2}, "ACGTTTAC", "run of 3"),
        ({"forbidden": ("TTGAC",)}, "AGTCAAAC", "TTGAC at 1"),
        ({"enzymes": ("EcoRI",)}, "AAGAATTC", "EcoRI"),
        ({"enzymes": ("BsaI",)}, "AGAGACCA", "BsaI"),
        ({"fixed": {2: "S"}}, "AATAAAAA", "at 2"),
        ({"protein": "MK"}, "ATGAACAA", "codon 1"),
        ({}, "ACGT", "4 bases"),
        ({}, "ACGTNACG", "other than"),
    ],
)
def test_what_is_broken_is_told(setting, sequence, broken):
    (told,) = Constraints(length=8, **setting).violations(sequence)
    assert broken in told


def test_one_strand_where_it_is_asked_for():
    rule = Constraints(length=8, forbidden=("TTGAC",), both_strands=False)
    assert rule.violations("AGTCAAAC") == []


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"length": 0}, "1 base or more"),
        ({"gc": (0.6, 0.4)}, "the smaller first"),
        ({"gc_window": 5}, "no meaning without gc"),
        ({"gc": (0.4, 0.6), "gc_window": 30}, "gc_window=30"),
        ({"gc": (0.41, 0.44), "gc_window": 10}, "no number of G and C"),
        ({"max_homopolymer": 0}, "max_homopolymer=0"),
        ({"forbidden": ("",)}, "empty motif"),
        ({"forbidden": ("TAX",)}, "nucleotide"),
        ({"enzymes": ("ecori",)}, "EcoRI"),
        ({"enzymes": ("Nothing",)}, "no restriction enzyme"),
        ({"fixed": {18: "ACGT"}}, "does not lie within"),
        ({"fixed": {3: "A", 1: "NNT"}}, "contradict each other at base 3"),
        ({"protein": "MMMMMMMM"}, "ends at 24"),
        ({"protein": "M1"}, "residue"),
        ({"protein": "MK", "code": 99}, "no genetic code"),
    ],
)
def test_rules_that_make_no_sense(setting, message):
    with pytest.raises(GenoseqError, match=message):
        Constraints(**({"length": 20} | setting))


@pytest.mark.parametrize(
    ("setting", "culprits"),
    [
        ({"fixed": {5: "GAATTC"}, "enzymes": ("EcoRI",)}, ("fixed", "EcoRI")),
        ({"fixed": {5: "AAAA"}, "max_homopolymer": 3}, ("fixed", "max_homopolymer")),
        ({"protein": "MKKKK", "forbidden": ("AARAAR",)}, ("protein", "forbidden AARAAR")),
        ({"protein": "MW", "fixed": {3: "A"}}, ("protein", "fixed")),
        ({"protein": "FFFFFF", "gc": (0.5, 1.0), "gc_window": 12}, ("gc=", "12 bases have")),
        ({"fixed": {0: "ATATATATATATATATATAT"}, "gc": (0.4, 0.6)}, ("gc=", "0 to 0")),
    ],
)
def test_contradictions_name_what_they_are_between(setting, culprits):
    with pytest.raises(ConfigError, match="contradict") as told:
        Feasible(Constraints(length=20, **setting))
    assert all(name in str(told.value) for name in culprits)


def test_gc_of_sequences_too_long_to_count():
    with pytest.raises(ConfigError, match="in parts"):
        Feasible(Constraints(length=30_000, gc=(0.4, 0.6)))


@settings(max_examples=40)
@given(
    length=st.integers(20, 70),
    low=st.floats(0.2, 0.5),
    window=st.integers(10, 20),
    longest=st.integers(1, 5),
    motif=st.text("ACGTRYSWN", min_size=4, max_size=7),
    fixed=st.text("ACGTN", min_size=1, max_size=6),
    seed=st.integers(0, 1000),
)
def test_whatever_the_rules_what_is_found_holds_them(length, low, window, longest, motif, fixed, seed):
    try:
        rules = Constraints(
            length=length,
            gc=(low, low + 0.25),
            gc_window=window,
            max_homopolymer=longest,
            forbidden=(motif,),
            fixed={3: fixed},
        )
        codes = drawn(rules, 3, seed)
    except ConfigError as error:
        if "contradict" in str(error):
            return
        raise
    assert [rules.violations(sequence) for sequence in letters(codes)] == [[]] * 3
    changed = codes.copy()
    changed[:, seed % length] = (changed[:, seed % length] + 1) % 4
    held = [not rules.violations(sequence) for sequence in letters(changed)]
    assert Feasible(rules).holds(changed).tolist() == held


def test_possible_bases_are_those_that_some_sequence_has():
    rules = Constraints(length=6, fixed={0: "GA"}, enzymes=("EcoRI",), max_homopolymer=3)
    possible = Feasible(rules).possible
    assert possible[0].tolist() == [False, False, True, False]
    codes = drawn(rules, 300)
    seen = np.stack([(codes == base).any(axis=0) for base in range(4)], axis=1)
    assert np.array_equal(seen, possible)
