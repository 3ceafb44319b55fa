"""VCF files: what is read of them, what comes out as it went in, and what is wrong with them."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from genoseq.data import AlleleReader, ContigNames, Fasta, Vcf, check_contig_lengths
from genoseq.data.vcf import with_info
from genoseq.errors import ConfigError, DataError, RecordError
from genoseq.sequence import Variant

HEADER = '##fileformat=VCFv4.2\n##contig=<ID=chr1,length=5000,assembly="a,b">\n##contig=<ID=2>\n'
COLUMNS = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"


def write(tmp_path: Path, *records: str, columns: str = COLUMNS, header: str = HEADER) -> Path:
    path = tmp_path / "a.vcf"
    path.write_text(header + columns + "\n" + "".join(f"{record}\n" for record in records))
    return path


def row(chromosome: str, position: int, reference: str, alternate: str) -> str:
    return f"{chromosome}\t{position}\t.\t{reference}\t{alternate}\t.\t.\t."


def test_header_and_records(tmp_path: Path) -> None:
    plain = write(tmp_path, row("chr1", 5, "A", "G,<DEL>"), "", row("2", 1, "AC", "*"))
    packed = tmp_path / "b.vcf.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    for path in (plain, packed):
        vcf = Vcf(path)
        assert vcf.header.contigs == {"chr1": 5000, "2": None}
        assert [record[2:] for record in vcf] == [("chr1", 4, "A", ("G", "<DEL>")), ("2", 0, "AC", ("*",))]
        assert [record.number for record in vcf] == [5, 7]


def test_info_is_added_and_all_else_kept() -> None:
    line = "1\t5\trs1\tA\tG\t0.10\tPASS\tAF=0.10\tGT:GP\t0|1:0.123456789\t./.:."
    assert with_info(line, "X=1") == line.replace("AF=0.10", "AF=0.10;X=1")
    assert with_info(line, "") == line
    assert with_info(line, "X=1", samples="drop") == "1\t5\trs1\tA\tG\t0.10\tPASS\tAF=0.10;X=1"
    assert with_info(row("1", 5, "A", "G"), "X=1").endswith("\t.\tX=1")


@pytest.mark.parametrize(
    ("header", "columns", "records", "says"),
    [
        ("", COLUMNS, [], "has no VCF header"),
        ("##source=x\n", COLUMNS, [], "has no VCF header"),
        (HEADER, "CHROM POS", [], "wanted one with the columns"),
        (HEADER, COLUMNS, [row("chr1", 5, "A", "G")[:-2]], "line 5 has 7 columns, and the header 8"),
        (HEADER, COLUMNS, [row("chr1", 5, "A", "G").replace("5", "x")], "POS 'x'"),
        (HEADER, COLUMNS, [row("chr1", 5, "A", "G"), row("chr1", 4, "A", "G")], "not sorted.*bcftools sort"),
        (
            HEADER,
            COLUMNS,
            [row("chr1", 5, "A", "G"), row("2", 4, "A", "G"), row("chr1", 6, "A", "G")],
            "not sorted",
        ),
    ],
)
def test_files_that_are_no_vcf_are_refused(
    tmp_path: Path, header: str, columns: str, records: list[str], says: str
) -> None:
    path = write(tmp_path, *records, columns=columns, header=header)
    with pytest.raises(DataError, match=says):
        list(Vcf(path))


def test_a_file_that_is_cut_off_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.vcf.gz"
    path.write_bytes(gzip.compress(write(tmp_path, *[row("chr1", 5, "A", "G")] * 99).read_bytes())[:-9])
    with pytest.raises(DataError, match="cut off"):
        list(Vcf(path))


def test_contigs_go_by_several_names() -> None:
    names = ContigNames({"chr20": 9, "MT": 5, "scaffold_1": 3}, {"NC_000020.11": "chr20"})
    assert [names.find(name) for name in ("20", "chr20", "chrM", "M", "NC_000020.11", "scaffold_1")] == [
        *["chr20"] * 2,
        *["MT"] * 2,
        "chr20",
        "scaffold_1",
    ]
    assert names.find("21") is None
    with pytest.raises(ConfigError, match="is to mean 7, and the FASTA has chr20, MT"):
        ContigNames({"chr20": 9, "MT": 5}, {"x": "7"})


def test_declared_lengths_are_compared(tmp_path: Path) -> None:
    header = Vcf(write(tmp_path)).header
    check_contig_lengths(header, ContigNames({"1": 5000, "2": 3}))
    with pytest.raises(DataError, match=r"declares 5,000 bases for chr1.*has 5,001.*contig_lengths=ignore"):
        check_contig_lengths(header, ContigNames({"1": 5001}))


def test_pairs_are_the_two_sequences(tiny_fasta: Path) -> None:
    fasta = Fasta(tiny_fasta)
    letters = fasta.fetch("chr1", 0, 5000)
    reader = AlleleReader(fasta)
    generator = np.random.default_rng(0)
    for _ in range(60):
        start = int(generator.integers(0, 4990))
        reference = letters[start : start + int(generator.integers(1, 8))]
        alternate = letters[start] + "".join(generator.choice(list("ACGT"), size=generator.integers(0, 8)))
        if alternate == reference:
            continue
        pair = reader.pair(Variant("1", start, reference, alternate), 64)
        changed = letters[:start] + alternate + letters[start + len(reference) :]
        assert pair is not None
        assert len(pair.reference) == len(pair.alternate) == 64
        assert pair.reference[: pair.offset] == pair.alternate[: pair.offset]
        begin = letters.index(pair.reference)
        assert changed[begin : begin + 64] == pair.alternate
        turned = pair.turned()
        assert turned.turned() == pair
    assert reader.pair(Variant("1", 100, letters[100:140], ""), 64) is None
    with pytest.raises(DataError, match="'7' is none of the FASTA's"):
        reader.pair(Variant("7", 1, "A", "C"), 64)


MASKED = ">1\nACGTacgtNNRY\n"


@pytest.mark.parametrize(
    ("record", "found"),
    [
        (row("1", 1, "A", "G,*,<NON_REF>"), ["A>G", "spanning deletion", "reference block"]),
        (row("chr1", 1, "a", "g"), ["A>G"]),
        (row("1", 6, "C", "t"), ["C>T"]),
        (row("1", 9, "N", "<DEL>"), ["symbolic"]),
        (row("1", 11, "A", "C"), ["A>C"]),
        (row("1", 1, "A", "."), ["missing"]),
        (row("2", 1, "A", "G"), "unknown contig: .*aliases="),
        (row("1", 1, "C", "G"), "REF mismatch: REF is C, and the FASTA has A there"),
        (row("1", 11, "C", "G"), "REF mismatch: REF is C, and the FASTA has R"),
        (row("1", 9, "A", "G"), "REF mismatch: REF is A, and the FASTA has N"),
        (row("1", 12, "CA", "G"), "beyond the contig: the FASTA's 1 has 12 bases"),
        (row("1", 13, "C", "G"), "beyond the contig"),
        (row("1", 0, "C", "G"), "beyond the contig"),
        (row("1", 1, "A", "N"), "ambiguous letters"),
        (row("1", 9, "N", "A"), "ambiguous letters"),
        (row("1", 1, "A", "G,"), "no alleles"),
        (row("1", 1, "<A>", "G"), "no alleles"),
        (row("1", 1, "A", "a"), "no change"),
    ],
)
def test_alleles_of_records(tmp_path: Path, record: str, found: list[str] | str) -> None:
    fasta = tmp_path / "x.fa"
    fasta.write_text(MASKED)
    reader = AlleleReader(Fasta(fasta))
    (given,) = Vcf(write(tmp_path, record))
    if isinstance(found, list):
        alleles = reader.alleles(given)
        assert [
            str(allele).rpartition(" ")[2] if isinstance(allele, Variant) else allele for allele in alleles
        ] == found
        return
    problem, _, says = found.partition(": ")
    with pytest.raises(RecordError, match=says or None) as raised:
        reader.alleles(given)
    assert raised.value.problem == problem
    assert raised.value.record.startswith("line 5, ")
