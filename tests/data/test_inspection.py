"""What `inspect` says of files, real ones and broken ones."""

import gzip

import pytest

from genoseq.data.inspection import Options, inspect
from genoseq.errors import DataError

COLUMNS = "#CHROM POS ID REF ALT QUAL FILTER INFO FORMAT somebody"
HEADER = "##fileformat=VCFv4.2\n##contig=<ID=chr1>\n" + COLUMNS.replace(" ", "\t") + "\n"


def test_a_fasta(tmp_path):
    path = tmp_path / "x.fa"
    path.write_text(">a\nACGTacgtNN\n>b\nGGGG\n")
    findings = inspect(path)
    facts = findings.sections["sequence"]
    assert (facts["sequences"], facts["bases"], facts["names"]) == (2, 14, "a, b")
    assert facts["GC of known bases"] == pytest.approx(8 / 12, abs=1e-4)
    assert (facts["N"], facts["soft-masked"]) == ("2 (14.29%)", "4 (28.57%)")
    assert any("experiment=genome" in use for use in findings.uses)


def test_the_windows_of_a_run_are_those_of_its_split():
    findings = inspect("genoseq:genomes/celegans_ce2_chrX_first2Mi.fa.gz")
    assert findings.sections["sequence"]["bases"] == 2_097_152
    (told,) = [words for use, words in findings.uses.items() if "train" in use]
    assert "train 1,468,006 bases, 1,433 windows" in told
    assert "test 419,430 bases" in told


def test_intervals_against_their_genome(tiny_fasta, tmp_path):
    path = tmp_path / "x.bed"
    path.write_text("chr1\t0\t10\ta\t0\t+\nchr1\t5\t20\tb\t0\t-\nchr2\t2990\t3010\nchr7\t1\t2\n")
    findings = inspect(path, Options(fasta=tiny_fasta))
    facts = findings.sections["intervals"]
    assert (facts["intervals"], facts["overlap the one before"], facts["named"]) == (4, 1, 2)
    assert facts["strands"] == "1 forward, 1 reverse, 2 without"
    assert any("no chr7" in remark for remark in findings.remarks)
    assert any("1 intervals go beyond" in remark for remark in findings.remarks)
    assert inspect(path).remarks == ()


def test_a_vcf(tiny_fasta, tmp_path):
    first = tiny_fasta.read_text().splitlines()[1]
    other = "C" if first[0] != "C" else "G"
    records = [
        f"chr1\t1\t.\t{first[0]}\t{other}\t.\tPASS\t.\tGT\t0|1",
        f"chr1\t3\t.\t{first[2:4]}\t{first[2]},*\t.\tPASS\t.\tGT\t0|1",
        f"chr1\t2\t.\t{other if first[1] != other else 'A'}\t<DEL>\t.\tq10\t.\tGT\t0|1",
        "chr9\t2\t.\ta\tN\t.\tPASS\t.\tGT\t0|1",
    ]
    path = tmp_path / "x.vcf.gz"
    with gzip.open(path, "wt") as file:
        file.write(HEADER + "\n".join(records) + "\n")
    findings = inspect(path, Options(fasta=tiny_fasta))
    facts = findings.sections["variants"]
    assert (facts["records"], facts["multi-allelic records"], facts["samples"]) == (4, 1, 1)
    for kind in (
        "1 single-base substitutions",
        "1 deletions",
        "1 spanning",
        "1 symbolic",
        "1 with letters other",
    ):
        assert kind in facts["alternate alleles"]
    assert facts["REF agrees with the genome"] == "2 of 3"
    told = " ".join(findings.remarks)
    for problem in ("1 records are out of order", "lower case", "no ##contig line for chr9", "REF is not"):
        assert problem in told
    assert "somebody" not in str(findings)


def test_a_vcf_may_call_the_contigs_otherwise(tiny_fasta, tmp_path):
    """As in scoring, which reads 1 as chr1."""
    first = tiny_fasta.read_text().splitlines()[1][0]
    path = tmp_path / "x.vcf"
    records = [f"1\t{place}\t.\t{first}\t<DEL>\t.\tPASS\t.\tGT\t0|1" for place in (1, 900_000)]
    path.write_text(HEADER + "\n".join(records) + "\n")
    findings = inspect(path, Options(fasta=tiny_fasta))
    assert findings.sections["variants"]["REF agrees with the genome"] == "1 of 2"
    assert findings.remarks == (
        "The header has no ##contig line for 1.",
        f"REF is not what the genome has at 1:900000 {first}.",
    )


def test_what_is_offered_for_a_vcf_is_taken_by_scoring(tiny_fasta, tmp_path):
    first = tiny_fasta.read_text().splitlines()[1][0]
    path = tmp_path / "x.vcf"
    header = HEADER.replace("#CHROM", "##contig=<ID=chr1,length=999>\n#CHROM")
    path.write_text(f"{header}chr1\t1\t.\t{first}\t<DEL>\t.\tPASS\t.\tGT\t0|1\n")
    findings = inspect(path, Options(fasta=tiny_fasta))
    assert any("another length" in remark for remark in findings.remarks)
    assert all(use.endswith("out=FILE contig_lengths=ignore") for use in findings.uses)
    with path.open("a") as file:
        file.write("chr1\t900000\t.\tA\t<DEL>\t.\tPASS\t.\tGT\t0|1\n")
    (use,) = inspect(path, Options(fasta=tiny_fasta)).uses
    assert use.endswith("contig_lengths=ignore on_error=skip")


def test_the_sites_of_1000_genomes(shared):
    folder = shared / "data" / "bench"
    (path,) = (folder / "variants").glob("*.vcf.gz")
    facts = inspect(path).sections["variants"]
    assert facts["records"] == 28_998


def test_tables(tmp_path):
    path = tmp_path / "x.tsv"
    path.write_text("sequence\tlabel\nACGT\t0\nACGTA\t1\nTTTT\t1\nAAAA\t0\nACGT\t0\n")
    findings = inspect(path)
    assert findings.sections["sequences"]["repeated"] == 1
    assert findings.sections["sequences"]["stand there as reverse complement too"] == 2
    assert findings.sections["labels"] == {"classes": 2, "rows of each": "0 (3), 1 (2)"}
    assert any("problem=single_label" in use for use in findings.uses)
    path.write_text("seq\ty\n" + "".join(f"ACG\t{row / 7}\n" for row in range(30)))
    findings = inspect(path, Options(sequence_column="seq", label_column="y"))
    assert "regression" in " ".join(findings.uses)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.docx", "", "no kind"),
        ("x.fa", "", "x.fa"),
        ("x.bed", "chr1\tten\t20\n", "whole numbers"),
        ("x.vcf", "chr1\t1\t.\tA\tC\t.\tPASS\t.\n", "no VCF header"),
        ("x.vcf", HEADER + "chr1\tfive\t.\tA\tC\t.\tPASS\t.\tGT\t0|1\n", "line 4: POS 'five'"),
        ("x.vcf", HEADER, "holds no record"),
        ("x.tsv", "sequence\tlabel\n", "no rows"),
    ],
)
def test_files_that_are_not_what_they_should_be(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(DataError, match=message):
        inspect(path)


def test_rows_without_sequence_or_label_are_told(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("sequence,label\nACGT,1\nAC-T,\n,1\n")
    told = " ".join(inspect(path).remarks)
    assert "2 rows hold no nucleotide sequence, the first in row 1" in told
    assert "1 rows have no label" in told


def test_nothing_and_folders_without_recordings(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        inspect(tmp_path / "x.fa")
    (tmp_path / "x.fa").write_text(">a\nACGT\n")
    with pytest.raises(DataError, match="folder without recordings"):
        inspect(tmp_path)
