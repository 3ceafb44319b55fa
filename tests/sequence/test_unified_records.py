"""Records of each modality: their maps between base, codon and residue, and the real pairs, exactly."""

from __future__ import annotations

import csv
import gzip
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from Bio.SeqFeature import CompoundLocation, SimpleLocation
from hypothesis import given
from hypothesis import strategies as st

from genoseq.errors import ConfigError, RecordError
from genoseq.sequence import (
    Transcript,
    UnifiedSequence,
    count_codons,
    genetic_code,
    keep,
    splice,
    unify_cds,
    unify_dna,
    unify_pair,
    unify_protein,
    unify_rna,
)

GENOME = "".join(np.random.default_rng(5).choice(list("ACGTN"), p=[0.24] * 4 + [0.04], size=400))


def rows(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt") as handle:
        return list(csv.DictReader(handle, delimiter="\t"))


def fetch(chromosome: str, start: int, end: int) -> str:
    assert chromosome == "c"
    return GENOME[start:end]


def test_an_mrna_keeps_its_ends_and_its_codons() -> None:
    record = unify_rna("m", "ggAUGCUUUAAc", coding=(2, 11))
    assert (record.letters, record.modality, record.frame) == ("GGATGCTTTAAC", "rna", 2)
    assert record.protein == "ML"
    assert record.has_stop
    assert record.codons.tolist() == [[2, 3, 4], [5, 6, 7], [8, 9, 10]]
    assert record.codon_of_base.tolist() == [-1, -1, 0, 0, 0, 1, 1, 1, 2, 2, 2, -1]
    assert record.residue_of_base.tolist() == [-1, -1, 0, 0, 0, 1, 1, 1, -1, -1, -1, -1]


def test_a_sequence_without_a_coding_part_has_no_codons() -> None:
    record = unify_dna("d", "acgtRY")
    assert (record.letters, record.frame, record.protein, record.num_codons) == ("ACGTRY", None, "", 0)
    assert not record.has_stop
    assert record.codons.shape == (0, 3)
    assert record.codon_of_base.tolist() == [-1] * 6


def test_a_frame_is_of_a_sequence_that_is_cut_off() -> None:
    record = unify_cds("c", "GGTTGCTTA", code=11, frame=2, partial_end=True)
    assert (record.frame, record.coding, record.protein) == (2, (2, 8), "LL")
    assert unify_cds("c", "A", frame=2, partial_end=True).protein == ""


@pytest.mark.parametrize(
    ("make", "problem", "says"),
    [
        (lambda: unify_cds("r1", "ATGA"), "length", "1 left over"),
        (lambda: unify_cds("r1", "ATGA", frame=3), "phase", "the frame .* is 3"),
        (lambda: unify_cds("r1", "ATGTAAATG"), "internal stop", "codon 1 of 3"),
        (lambda: unify_cds("r1", "ATG-AA"), "unknown base", "'-' at position 3"),
        (lambda: unify_rna("r1", "AUT"), "unknown base", "T beside U|neither"),
        (lambda: unify_dna("r1", "AUG"), "unknown base", "upper-case DNA"),
        (lambda: unify_dna("r1", "ATGA", coding=(0, 4)), "length", "no multiple of three"),
        (lambda: unify_dna("r1", "ATG", coding=(0, 6)), "coding part", "not inside of 3"),
        (lambda: unify_dna("r1", "ATG", coding=(2, 1)), "coding part", "2-1"),
        (lambda: UnifiedSequence("r1", "atg", "dna"), "unknown base", "upper-case"),
        (lambda: unify_pair("r1", "ATGCTT", "MF"), "translation", "codon 1 .*CTT, is L, not F"),
        (lambda: unify_pair("r1", "TTTCTT", "ML"), "translation", "codon 0 .*TTT, is F, not M"),
        (lambda: unify_pair("r1", "ATGCTT", "M"), "translation", "2 codons, and the protein 1 residues"),
        (lambda: unify_pair("r1", "ATGCTT", "MLL", partial=True), "translation", "in no frame"),
        (lambda: unify_pair("r1", "ATGCTTA", "ML"), "length", "1 left over"),
        (lambda: unify_pair("r1", "ATGCTT", "M?"), "unknown residue", r"'\?' at residue 1"),
        (lambda: unify_dna("r1", "ACG").positions, "no transcript", "no place on a genome"),
        (
            lambda: UnifiedSequence("r1", "ATG", "dna", transcript=Transcript("t", "c", "+", ((0, 4),))),
            "length",
            "3 letters for a transcript of 4",
        ),
    ],
)
def test_bad_records_are_refused_by_name(make, problem: str, says: str) -> None:
    with pytest.raises(RecordError, match=r"^r1: ") as raised:
        make()
    assert raised.value.problem == problem
    assert raised.match(says)


def test_pairs_take_selenocysteine_from_the_protein() -> None:
    record = unify_pair("s", "ATGTGATGGTAG", "muw*")
    assert (record.protein, dict(record.recoded), record.has_stop) == ("MUW", {1: "U"}, True)
    with pytest.raises(RecordError, match=r"codon 1 .*TGG, is W, not U"):
        unify_pair("s", "ATGTGG", "MU")


@st.composite
def transcripts(draw: st.DrawFn) -> Transcript:
    bounds = sorted(draw(st.sets(st.integers(0, len(GENOME)), min_size=2, max_size=10)))
    last = len(bounds) // 2 * 2
    parts = tuple(zip(bounds[0:last:2], bounds[1:last:2], strict=True))
    strand, phase = draw(st.sampled_from("+-")), draw(st.integers(0, 2))
    return Transcript("t", "c", strand, parts, phase)


@given(transcripts())
def test_parts_are_joined_as_biopython_joins_them(transcript: Transcript) -> None:
    sign = 1 if transcript.strand == "+" else -1
    parts = [SimpleLocation(start, end, sign) for start, end in transcript.read_parts]
    expected = str((CompoundLocation(parts) if len(parts) > 1 else parts[0]).extract(GENOME))
    # Random bases hold stops: the joined letters are looked at where these are residues.
    stops = dict.fromkeys(range(1 + transcript.length // 3), "X")
    whole = max(transcript.length - transcript.phase, 0) // 3
    record = UnifiedSequence(
        "t",
        expected,
        "dna",
        (min(transcript.phase, len(expected)), min(transcript.phase, len(expected)) + 3 * whole),
        recoded={codon: stops[codon] for codon in range(whole)},
        partial_start=True,
        transcript=transcript,
    )
    cut = splice(with_recoding(transcript), fetch, partial=True)
    assert cut.letters == expected
    assert cut.protein == record.protein == "X" * whole
    complement = str.maketrans("ACGTN", "ACGTN" if sign == 1 else "TGCAN")
    on_genome = "".join(GENOME[place] for place in cut.positions).translate(complement)
    assert on_genome == cut.letters
    assert cut.codon_positions.tolist() == record.positions[record.codons].tolist()
    for part, phase in zip(transcript.read_parts, transcript.phases, strict=True):
        # The phase of a part leads to the first codon that begins in it.
        place = part[0] + phase if sign == 1 else part[1] - 1 - phase
        if part[0] <= place < part[1] and place in cut.codon_positions:
            assert place in cut.codon_positions[:, 0]


def with_recoding(transcript: Transcript) -> Transcript:
    """The transcript with each of its codons recoded to X."""
    firsts = transcript.positions[transcript.phase :]
    firsts = firsts[: len(firsts) // 3 * 3 : 3]
    recoded = tuple((int(place), "X") for place in firsts)
    return Transcript("t", "c", transcript.strand, transcript.parts, transcript.phase, recoded=recoded)


def test_a_codon_may_span_an_intron_on_either_strand() -> None:
    forward = "ATGCTgtagTTAA"
    parts = ((0, 5), (9, 13))
    record = splice(Transcript("t", "c", "+", parts), lambda _, start, end: forward[start:end])
    assert (record.letters, record.protein) == ("ATGCTTTAA", "ML")
    assert record.codon_positions.tolist() == [[0, 1, 2], [3, 4, 9], [10, 11, 12]]
    backward = "TTAActacAGCAT"
    record = splice(Transcript("t", "c", "-", ((0, 4), (8, 13))), lambda _, start, end: backward[start:end])
    assert (record.letters, record.protein) == ("ATGCTTTAA", "ML")
    assert record.codon_positions.tolist() == [[12, 11, 10], [9, 8, 3], [2, 1, 0]]


def test_a_transcript_brings_its_code_and_its_recoding() -> None:
    genome = "ATGTGAGGGATATA"
    plain = Transcript("t", "c", "+", ((0, 14),), code=2, recoded=((12, "*"),))
    # A vertebrate mitochondrion: TGA is W, ATA is M, and the poly(A) tail completes TA to a stop.
    assert splice(plain, lambda _, start, end: genome[start:end]).protein == "MWGM"
    sec = Transcript("t", "c", "+", ((0, 12),), recoded=((3, "U"),))
    assert splice(sec, lambda _, start, end: genome[start:end]).protein == "MUGI"
    assert splice(sec, lambda _, start, end: genome[start:end], code=2).protein == "MUGM"
    off = Transcript("t", "c", "+", ((0, 12),), recoded=((4, "U"),))
    with pytest.raises(RecordError, match=r"^t: the codon at c:4"):
        splice(off, lambda _, start, end: genome[start:end])


@pytest.mark.parametrize(
    ("strand", "parts", "phase", "problem"),
    [
        (".", ((0, 3),), 0, "strand"),
        ("+", ((0, 3),), 3, "phase"),
        ("+", (), 0, "no coding part"),
        ("+", ((3, 3),), 0, "empty part"),
        ("-", ((-1, 3),), 0, "empty part"),
        ("+", ((0, 4), (3, 6)), 0, "overlapping exons"),
        ("-", ((5, 8), (0, 3)), 0, "overlapping exons"),
    ],
)
def test_bad_transcripts_are_refused_by_name(strand, parts, phase: int, problem: str) -> None:
    with pytest.raises(RecordError, match=r"^t9: ") as raised:
        Transcript("t9", "c", strand, parts, phase)
    assert raised.value.problem == problem


def test_skipping_is_a_choice_that_is_counted_and_reported() -> None:
    given_records = [("a", "ATG"), ("b", "AT"), ("c", "ATGTAAATG"), ("d", "A")]
    with pytest.raises(RecordError, match=r"^b: "):
        keep(lambda item: unify_cds(*item), given_records)
    kept = keep(lambda item: unify_cds(*item), given_records, "skip")
    assert [record.name for record in kept.records] == ["a"]
    assert [error.record for error in kept.skipped] == ["b", "c", "d"]
    assert kept.counts == {"length": 2, "internal stop": 1}
    assert str(kept).startswith("1 records read, 3 skipped: 2 length, 1 internal stop; the first: b: 2 bases")
    with pytest.raises(ConfigError, match="on_error='ignore'"):
        keep(lambda item: unify_cds(*item), given_records, "ignore")


def test_a_code_that_does_not_exist_is_never_skipped() -> None:
    with pytest.raises(ConfigError, match="no genetic code 99"):
        keep(lambda item: unify_cds(*item, code=99), [("a", "ATG")], "skip")


def test_each_real_pair_comes_out_exactly(shared: Path) -> None:
    table = rows(shared / "data/embed/central_dogma/leptospira_kirschneri_H1_cds_protein.tsv.gz")
    assert len(table) == 3697
    pairs = [(row["locus"], row["cds"], row["protein"]) for row in table]
    proteins = [protein for _, _, protein in pairs]
    records = keep(lambda pair: unify_pair(*pair, code=11, partial=True), pairs).records
    assert [record.protein for record in records] == proteins
    # Seven genes are cut off at the beginning, inside of a codon.
    assert Counter(record.frame for record in records) == {0: 3690, 1: 4, 2: 3}
    assert all((record.residue_of_base >= 0).sum() == 3 * len(record.protein) for record in records)

    # Without the proteins: whatever is a whole number of codons, start codons and all.
    alone = keep(lambda pair: unify_cds(pair[0], pair[1], code=genetic_code(11)), pairs, "skip")
    assert alone.counts == {"length": 9}
    known = {name: protein for name, _, protein in pairs}
    assert [record.protein for record in alone.records] == [known[record.name] for record in alone.records]

    usage = count_codons(records, 11)
    assert usage.stops.sum() == 3685 + 7
    generator = np.random.default_rng(0)
    for choice in ("most_frequent", "sample"):
        back = [
            unify_protein("p", protein, usage, choice=choice, generator=generator) for protein in proteins
        ]
        assert [record.protein for record in back] == proteins


def test_real_mrnas_are_read_in_their_coding_part(shared: Path) -> None:
    table = rows(shared / "data/bench/central_dogma/ddiscoideum_mrna_with_cds.tsv.gz")
    parts = [(int(row["cds_start"]) - 1, int(row["cds_end"])) for row in table]
    records = [
        unify_rna(row["id"], row["mrna"].replace("T", "U"), coding=part)
        for row, part in zip(table, parts, strict=True)
    ]
    assert len(records) == 307
    assert all(record.has_stop for record in records)
    assert sum(record.protein.startswith("M") for record in records) == 305
    assert {record.frame for record in records} == {0, 1, 2}
