"""All genetic codes against biopython, codon by codon, and proteins as annotations write them."""

from __future__ import annotations

import pickle
from itertools import product

import pytest
from Bio import BiopythonWarning
from Bio.Data import CodonTable
from Bio.Seq import Seq

from genoseq.errors import ConfigError, RecordError, SequenceError
from genoseq.sequence import CODONS, genetic_code, reverse_transcribe, transcribe, translate

ALL = sorted(CodonTable.unambiguous_dna_by_id)
EVERY_CODON = "".join("".join(letters) for letters in product("ACGTRYSWKMBDHVN", repeat=3))


@pytest.mark.parametrize("number", ALL)
@pytest.mark.filterwarnings("ignore", category=BiopythonWarning)
def test_each_codon_of_each_code_ambiguous_ones_too_is_biopythons(number: int) -> None:
    code = genetic_code(number)
    assert code.read(EVERY_CODON) == str(Seq(EVERY_CODON).translate(table=number))
    table = CodonTable.unambiguous_dna_by_id[number]
    assert {codon for codon in CODONS if code.is_start(codon)} == set(table.start_codons)
    assert {codon for codon in CODONS if code.is_stop(codon)} == set(table.stop_codons)


def test_letters_are_read_in_either_case_and_as_rna() -> None:
    assert genetic_code(1).read("ctnAUGtar") == "LM*"
    with pytest.raises(SequenceError, match="4 letters are no whole number of codons"):
        genetic_code(1).read("ACGT")


def test_ambiguous_starts_and_stops_are_so_only_where_each_reading_is() -> None:
    bacterial = genetic_code(11)
    assert bacterial.is_start("NTG")
    assert not bacterial.is_start("NTT")
    assert bacterial.is_stop("TAR")
    assert not bacterial.is_stop("TAN")


def test_codes_are_known_by_number_and_name_and_are_one_object() -> None:
    assert genetic_code("Vertebrate Mitochondrial") is genetic_code(2) is genetic_code("2")
    assert pickle.loads(pickle.dumps(genetic_code(11))) is genetic_code(11)


@pytest.mark.parametrize("missing", [0, 7, 34, -1, "Martian", "", "1.0"])
def test_codes_that_do_not_exist_are_refused_with_those_that_do(missing: int | str) -> None:
    with pytest.raises(ConfigError, match=r"no genetic code.*11 Bacterial"):
        genetic_code(missing)
    with pytest.raises(ConfigError, match="no genetic code"):
        translate("ATG", missing)


def test_a_protein_begins_with_m_where_the_code_begins_with_the_codon() -> None:
    assert translate("GTGGTGTAA", 11) == "MV"
    assert translate("GTGGTGTAA", 1) == "VV"
    assert translate("GTGGTGTAA", 11, partial_start=True) == "VV"


def test_the_stop_is_no_residue_and_need_not_be_there() -> None:
    assert translate("ATGTGA") == translate("ATG") == translate("AUGTAR") == "M"
    assert translate("") == translate("TAA") == ""


def test_stops_that_are_residues_too_are_so_before_the_end() -> None:
    assert translate("ATGTGAGGGTGA", 27) == "MWG"
    assert translate("ATGTGAGGGTGA", 27, partial_end=True) == "MWGW"


def test_recoded_codons_are_what_they_are_said_to_be() -> None:
    assert translate("ATGTGAGGGTAG", recoded={1: "U"}) == "MUG"
    assert translate("ATGTAGGGG", recoded={1: "O"}) == "MOG"
    assert translate("ATGGGGTGG", recoded={2: "*"}) == "MG"


@pytest.mark.parametrize(
    ("letters", "recoded", "problem", "says"),
    [
        ("ATGA", {}, "length", "4 bases.*1 left over"),
        ("ATGTGAGGGTAA", {}, "internal stop", "codon 1 of 4.*stop TGA, one of 1.*U has to be recoded"),
        ("atgtaataa", {}, "internal stop", "codon 1 of 3.*stop TAA"),
        ("ATGXXX", {}, "unknown base", "'X' at position 3"),
        ("ATGGGG", {2: "U"}, "recoding", "codon 2.*codons 0 to 1"),
        ("ATGGGG", {-1: "U"}, "recoding", "codon -1"),
        ("ATGGGG", {1: "Sec"}, "recoding", "'Sec', which is no letter"),
    ],
)
def test_what_is_no_coding_sequence_is_refused_by_name(
    letters: str, recoded: dict[int, str], problem: str, says: str
) -> None:
    with pytest.raises(RecordError, match=f"^gene 7: .*{says}") as raised:
        translate(letters, recoded=recoded, name="gene 7")
    assert raised.value.problem == problem
    assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)


def test_transcription_and_its_reverse_by_hand() -> None:
    assert transcribe("ACGTn") == "ACGUn"
    assert transcribe("ACGTT", strand="template") == "AACGU"
    assert reverse_transcribe("AACGU") == "AACGT"
    assert reverse_transcribe("AACGU", strand="template") == "ACGTT"
    assert reverse_transcribe("ACGTT") == "ACGTT"


def test_what_is_neither_dna_nor_rna_is_refused() -> None:
    with pytest.raises(SequenceError, match=r"'U' at position 2.*RNA already"):
        transcribe("ACU")
    with pytest.raises(SequenceError, match=r"'T' at position 3.*neither RNA nor DNA"):
        reverse_transcribe("ACUT")
    for read in (transcribe, reverse_transcribe):
        with pytest.raises(SequenceError, match="'E' at position 0"):
            read("EC")
        with pytest.raises(ConfigError, match="strand='both'"):
            read("AC", strand="both")
