"""Genes from GFF3 and GTF: how lines become transcripts, what is refused, and real annotations."""

from __future__ import annotations

import gzip
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from genoseq.data import Fasta, read_coding_sequences, read_transcripts
from genoseq.errors import ConfigError, DataError, GenoseqError, RecordError
from genoseq.sequence import (
    Transcript,
    count_codons,
    decode_bases,
    encode_bases,
    reverse_complement,
    unify_protein,
)

# One gene of two parts on the strand "-", the children before their parents.
GENE = """\
##gff-version 3
c\ts\tCDS\t1\t4\t.\t-\t1\tID=p;Parent=t
c\ts\tCDS\t9\t13\t.\t-\t0\tID=p;Parent=t
c\ts\tmRNA\t1\t13\t.\t-\t.\tID=t;Parent=g
c\ts\tgene\t1\t20\t.\t-\t.\tID=g;Name=a%3Bb
"""
GENOME = ">c\nTTAActacAGCATggggggg\n"


def write(tmp_path: Path, text: str, name: str = "a.gff3") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def line(kind: str, start: int, end: int, attributes: str, strand: str = "+", phase: str = ".") -> str:
    return f"c\ts\t{kind}\t{start}\t{end}\t.\t{strand}\t{phase}\t{attributes}\n"


def parts(path: Path) -> dict[str, tuple[tuple[int, int], ...]]:
    return {transcript.name: transcript.parts for transcript in read_transcripts(path).records}


def test_a_gene_of_two_parts_is_spliced_with_its_positions(tmp_path: Path) -> None:
    fasta = write(tmp_path, GENOME, "a.fa")
    path = tmp_path / "a.gff3.gz"
    path.write_bytes(gzip.compress(GENE.replace("\n", "\r\n").encode()))
    (record,) = read_coding_sequences(path, fasta).records
    assert record.transcript == Transcript("t", "c", "-", ((0, 4), (8, 13)), gene="g")
    assert (record.name, record.letters, record.protein) == ("t", "ATGCTTTAA", "ML")
    assert record.codon_positions.tolist() == [[12, 11, 10], [9, 8, 3], [2, 1, 0]]


def test_gtf_goes_by_transcript_and_its_stop_codon_is_joined(tmp_path: Path) -> None:
    text = (
        line("CDS", 10, 13, 'gene_id "g"; transcript_id "t;1"; tag "x"; tag "cds_start_NF";', "-", "2")
        + line("CDS", 4, 4, 'gene_id "g"; transcript_id "t;1";', "-", "1")
        + line("stop_codon", 2, 3, 'gene_id "g"; transcript_id "t;1"', "-")
        + line("stop_codon", 1, 1, 'gene_id "g"; transcript_id "t;1"', "-")
        + line("Selenocysteine", 9, 11, 'transcript_id "t;1"; gene_id "g"', "-")
        + line("exon", 1, 20, 'transcript_id "other"; gene_id "g"', "-")
    )
    (transcript,) = read_transcripts(write(tmp_path, text, "a.gtf")).records
    assert transcript == Transcript(
        "t;1", "c", "-", ((0, 4), (9, 13)), 2, "g", recoded=((10, "U"),), partial_start=True
    )


def test_a_stop_codon_beyond_an_intron_is_a_part(tmp_path: Path) -> None:
    text = line("CDS", 1, 6, 'transcript_id "t"') + line("stop_codon", 11, 13, 'transcript_id "t"')
    assert parts(write(tmp_path, text)) == {"t": ((0, 6), (10, 13))}


def test_a_part_may_have_several_parents(tmp_path: Path) -> None:
    text = (
        line("mRNA", 1, 20, "ID=t1")
        + line("mRNA", 1, 20, "ID=t2")
        + line("CDS", 1, 3, "Parent=t1,t2")
        + line("CDS", 7, 9, "Parent=t2", phase="0")
    )
    assert parts(write(tmp_path, text)) == {"t1": ((0, 3),), "t2": ((0, 3), (6, 9))}


def test_what_is_one_coding_sequence(tmp_path: Path) -> None:
    text = (
        # Of a gene, as in bacteria: by ID. Of a transcript: all parts, each with an ID of its own.
        line("gene", 1, 40, "ID=operon")
        + line("CDS", 1, 3, "ID=a;Parent=operon;transl_table=11")
        + line("CDS", 7, 9, "ID=b;Parent=operon;start_range=.,7")
        + line("mRNA", 1, 40, "ID=t")
        + line("CDS", 11, 13, "ID=t.1;Parent=t")
        + line("CDS", 17, 19, "ID=t.2;Parent=t")
        # Of a transcript, where an ID stands twice: two sequences.
        + line("mRNA", 1, 40, "ID=two")
        + line("CDS", 21, 23, "ID=u;Parent=two")
        + line("CDS", 27, 29, "ID=u;Parent=two")
        + line("CDS", 31, 33, "ID=v;Parent=two;partial=true")
        # Of nothing.
        + line("CDS", 35, 37, "ID=alone;end_range=37,.", "-")
        + "##FASTA\n>c\nACGT\n"
    )
    transcripts = {
        transcript.name: transcript for transcript in read_transcripts(write(tmp_path, text)).records
    }
    assert {name: transcript.parts for name, transcript in transcripts.items()} == {
        "a": ((0, 3),),
        "b": ((6, 9),),
        "t": ((10, 13), (16, 19)),
        "u": ((20, 23), (26, 29)),
        "v": ((30, 33),),
        "alone": ((34, 37),),
    }
    assert [transcripts[name].gene for name in ("a", "t", "u", "alone")] == ["operon", "t", "two", "."]
    assert transcripts["a"].code == 11
    ends = {name: (found.partial_start, found.partial_end) for name, found in transcripts.items()}
    # On the strand "-", the upper end is the beginning.
    assert [ends[name] for name in "bvt"] == [(True, False), (True, True), (False, False)]
    assert ends["alone"] == (True, False)


def test_recoded_codons_of_refseq_and_of_the_sequence_ontology(tmp_path: Path) -> None:
    text = (
        line("mRNA", 1, 40, "ID=t", "-")
        + line(
            "CDS", 1, 15, "ID=p;Parent=t;transl_except=(pos:complement(4..6)%2Caa:Sec),(pos:1%2Caa:TERM)", "-"
        )
        + line("stop_codon_redefined_as_pyrrolysine", 10, 12, "Parent=p", "-")
    )
    (transcript,) = read_transcripts(write(tmp_path, text)).records
    assert transcript.recoded == ((0, "*"), (5, "U"), (11, "O"))


CDS = line("CDS", 1, 6, "ID=p;Parent=t")
BAD = {
    "missing parent": CDS,
    "missing parent of a parent": CDS + line("mRNA", 1, 6, "ID=t;Parent=g"),
    "its own parent": CDS + line("mRNA", 1, 6, "ID=t;Parent=t"),
    "cyclic": CDS + line("mRNA", 1, 6, "ID=t;Parent=g") + line("gene", 1, 6, "ID=g;Parent=t"),
    "strand of the parent": CDS + line("mRNA", 1, 6, "ID=t", "-"),
    "strand of the gene": CDS + line("mRNA", 1, 6, "ID=t;Parent=g") + line("gene", 1, 6, "ID=g", "-"),
    "chromosome of the parent": CDS + line("mRNA", 1, 6, "ID=t").replace("c\t", "d\t", 1),
    "outside": CDS + line("mRNA", 2, 6, "ID=t"),
    "two strands": CDS + line("CDS", 9, 11, "ID=p;Parent=t", "-") + line("mRNA", 1, 20, "ID=t", "."),
    "no strand": CDS.replace("+", "?") + line("mRNA", 1, 6, "ID=t"),
    "overlap": CDS + line("CDS", 6, 8, "ID=p;Parent=t") + line("mRNA", 1, 20, "ID=t"),
    "phase": CDS + line("CDS", 9, 11, "ID=p;Parent=t", phase="1") + line("mRNA", 1, 20, "ID=t"),
    "code": line("CDS", 1, 6, "Parent=t;transl_table=99") + line("mRNA", 1, 20, "ID=t"),
    "residue": line("CDS", 1, 6, "Parent=t;transl_except=(pos:1..3%2Caa:Foo)") + line("mRNA", 1, 20, "ID=t"),
}


@pytest.mark.parametrize(
    ("case", "problem", "says"),
    [
        ("missing parent", "missing parent", "CDS at line 1 has the parent 't'"),
        ("missing parent of a parent", "missing parent", "mRNA at line 2 has the parent 'g'"),
        ("its own parent", "cyclic parents", "t > t"),
        ("cyclic", "cyclic parents", "t > g > t"),
        ("strand of the parent", "strand", "line 1 and its parent mRNA at line 2.*'[+]' and '-'"),
        ("strand of the gene", "strand", "mRNA at line 2 and its parent gene at line 3"),
        ("chromosome of the parent", "chromosome", "c and d"),
        ("outside", "outside of its parent", "1-6 is not inside of 2-6"),
        ("two strands", "strand", "'[+]' .line 1. and '-' .line 2."),
        ("no strand", "strand", "'[?]' cannot be translated"),
        ("overlap", "overlapping exons", "c:0-6 and 5-8"),
        ("phase", "phase", "line 2 has phase 1, and the parts before it leave 0"),
        ("code", "genetic code", "line 1: there is no genetic code '99'"),
        ("residue", "unknown residue", "'Foo'"),
    ],
)
def test_annotations_that_contradict_themselves_are_refused_by_name(
    tmp_path: Path, case: str, problem: str, says: str
) -> None:
    good = line("mRNA", 1, 9, "ID=good") + line("CDS", 1, 3, "Parent=good")
    path = write(tmp_path, BAD[case] + good)
    with pytest.raises(RecordError, match=f"^t: .*{says}") as raised:
        read_transcripts(path)
    assert raised.value.problem == problem
    kept = read_transcripts(path, on_error="skip")
    assert [transcript.name for transcript in kept.records] == ["good"]
    assert kept.counts == {problem: 1}


def test_transcripts_without_a_name_are_named_by_their_line(tmp_path: Path) -> None:
    gtf = line("CDS", 1, 3, 'gene_id "g"')
    with pytest.raises(RecordError, match=r"^line 1: the CDS names no transcript_id"):
        read_transcripts(write(tmp_path, gtf))
    assert parts(write(tmp_path, line("CDS", 1, 3, "."))) == {"line 1": ((0, 3),)}


def test_wrong_phases_may_be_passed_over_but_for_the_first(tmp_path: Path) -> None:
    path = write(tmp_path, BAD["phase"])
    assert read_transcripts(path, phases="first").records == [
        Transcript("t", "c", "+", ((0, 6), (8, 11)), gene="t")
    ]
    with pytest.raises(ConfigError, match="phases='none'"):
        read_transcripts(path, phases="none")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "holds no feature"),
        ("##gff-version 3\n", "holds no feature"),
        (line("exon", 1, 6, "ID=e"), "holds no CDS"),
        ("c\ts\tCDS\t1\t6\t.\t+\t0\n", "line 1 has 8 columns"),
        (CDS.replace("\t1\t", "\tx\t"), "line 1: start 'x'"),
        (CDS.replace("\t1\t", "\t0\t"), "line 1: 0-6 holds no base"),
        (CDS.replace("\t1\t", "\t7\t"), "line 1: 7-6 holds no base"),
        (CDS.replace("+", "*"), "line 1: the strand"),
        (CDS.replace("+\t.", "+\t3"), "line 1: the phase '3'"),
    ],
)
def test_lines_that_are_none_cannot_be_skipped(tmp_path: Path, text: str, says: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(GenoseqError, match=says) as raised:
        read_transcripts(path, on_error="skip")
    assert str(path) in str(raised.value)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        read_transcripts(tmp_path / "none.gff3")
    with pytest.raises(DataError, match="cannot be read as GFF3 or GTF"):
        read_transcripts(write(tmp_path, CDS, "a.gff3.gz"))


def test_bad_sequences_are_refused_by_name_and_counted(tmp_path: Path) -> None:
    fasta = write(tmp_path, ">c\nATGTAAATGCCX\n", "a.fa")
    text = "".join(
        line("CDS", start, end, f"ID={name}")
        for name, start, end in [("ok", 1, 6), ("stop", 1, 9), ("cut", 1, 4), ("x", 10, 12), ("far", 10, 15)]
    ) + line("CDS", 1, 3, "ID=d").replace("c\t", "d\t", 1)
    path = write(tmp_path, text)
    with pytest.raises(RecordError, match=r"^stop: codon 1 of 3"):
        read_coding_sequences(path, fasta)
    kept = read_coding_sequences(path, fasta, on_error="skip")
    assert [record.name for record in kept.records] == ["ok"]
    assert {error.record: error.problem for error in kept.skipped} == {
        "stop": "internal stop",
        "cut": "length",
        "x": "unknown base",
        "far": "not in the FASTA",
        "d": "not in the FASTA",
    }
    kept = read_coding_sequences(path, fasta, on_error="skip", partial=True)
    assert [record.protein for record in kept.records] == ["M", "M"]
    with pytest.raises(ConfigError, match="no genetic code 99"):
        read_coding_sequences(path, fasta, code=99, on_error="skip")


def test_real_human_genes_are_spliced(shared: Path, tmp_path: Path) -> None:
    bench = shared / "data/bench"
    letters = gzip.decompress((bench / "genomes/human_GRCh38_chr9_first1Mb.fa.gz").read_bytes())
    # The GTF calls the chromosome 9, the FASTA chr9.
    fasta = tmp_path / "9.fa"
    fasta.write_bytes(letters.replace(b">chr9", b">9", 1))
    records = read_coding_sequences(bench / "annotation/human_GRCh38.91_chr9_1_1000000.gtf.gz", fasta).records
    assert len(records) == 41
    # As many starts and stops as the annotation has lines for.
    assert sum(record.protein.startswith("M") and not record.partial_start for record in records) == 33
    assert sum(record.has_stop for record in records) == 38
    assert sum(len(record.transcript.parts) > 1 for record in records) == 37
    assert {record.transcript.strand for record in records} == {"+", "-"}
    assert Counter(record.frame for record in records)[0] < 41


def test_real_fly_transcripts_are_consistent(shared: Path) -> None:
    kept = read_transcripts(shared / "data/bench/annotation/dm3_subset_BDGP5.78.gtf.gz")
    assert len(kept.records) == 857


def test_proteins_written_into_real_spliced_genes_come_out_exactly(shared: Path, tmp_path: Path) -> None:
    """The annotation of U. maydis on a genome that is made for it: a known protein in each gene."""
    path = shared / "data/bench/annotation/umaydis.gff3.gz"
    with pytest.raises(RecordError, match=r"^mRNA:um00005: line 20 has phase 0"):
        read_transcripts(path)
    # Phases of 540 spliced genes on "-" are not what the lengths say, and the parts of one gene overlap.
    assert read_transcripts(path, on_error="skip").counts == {"phase": 540, "overlapping exons": 1}
    kept = read_transcripts(path, on_error="skip", phases="first")
    assert (len(kept.records), kept.counts) == (6786, {"overlapping exons": 1})
    assert all(transcript.length % 3 == 0 for transcript in kept.records)

    proteins = write_proteins(kept.records, tmp_path / "made.fa")
    assert len(proteins) > 6700
    made = read_coding_sequences(path, tmp_path / "made.fa", on_error="skip", phases="first").records
    read = {record.name: record for record in made}
    assert {name: read[name].protein for name in proteins} == proteins
    assert sum(len(read[name].transcript.parts) > 1 for name in proteins) > 1800
    genome = Fasta(tmp_path / "made.fa")
    for name in list(proteins)[::50]:
        record = read[name]
        codes = genome.codes(record.transcript.chromosome, 0, genome.lengths[record.transcript.chromosome])
        there = codes[record.positions]
        on_strand = there if record.transcript.strand == "+" else 3 - there
        assert decode_bases(on_strand) == record.letters


def write_proteins(transcripts: list[Transcript], path: Path) -> dict[str, str]:
    """A genome with a random protein in each transcript that shares no base with one before it, by name."""
    generator = np.random.default_rng(11)
    usage = count_codons([], pseudocount=1)
    lengths: Counter[str] = Counter()
    for transcript in transcripts:
        lengths[transcript.chromosome] = max(lengths[transcript.chromosome], transcript.parts[-1][1])
    genome = {name: np.full(length, 4, dtype=np.uint8) for name, length in lengths.items()}
    proteins = {}
    for transcript in transcripts:
        codes = genome[transcript.chromosome]
        if (codes[transcript.positions] != 4).any():
            continue
        drawn = generator.choice(list("ACDEFGHIKLMNPQRSTVWY"), size=transcript.length // 3 - 2)
        protein = "M" + "".join(drawn)
        letters = unify_protein("p", protein + "*", usage, choice="sample", generator=generator).letters
        rising = letters if transcript.strand == "+" else reverse_complement(letters)
        codes[np.sort(transcript.positions)] = encode_bases(rising)
        proteins[transcript.name] = protein
    with path.open("w") as handle:
        for name, codes in genome.items():
            handle.write(f">{name}\n{decode_bases(codes)}\n")
    return proteins
