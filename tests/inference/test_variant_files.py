"""A VCF in, the same VCF with scores out: valid to pysam and bcftools, resumed, and never half."""

from __future__ import annotations

import pysam
import pysam.bcftools
import pytest
from filelock import FileLock

from genoseq.data import Fasta
from genoseq.errors import ConfigError, DataError, RecordError
from genoseq.inference import ScoreSettings, VariantScorer, VcfScoring, annotate_vcf, score_variants
from genoseq.inference.variant_files import require_vcf_name
from genoseq.sequence import Variant

HEADER = """\
##fileformat=VCFv4.2
##FILTER=<ID=PASS,Description="All filters passed">
##contig=<ID=1,length=5000>
##ALT=<ID=DEL,Description="Deletion">
##INFO=<ID=AF,Number=A,Type=Float,Description="Frequency">
##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">
##FORMAT=<ID=GP,Number=1,Type=Float,Description="Probability">
#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tA sample\tanother
"""
SAMPLES = "\tGT:GP\t0|1:0.12345678901\t1/1:.\n"
SMALL_BATCHES = ScoreSettings(batch_size=4)


@pytest.fixture
def vcf(tmp_path, tiny_fasta):
    """Records of every kind, on contigs that the FASTA calls chr1 and chr2, the second undeclared."""
    one, two = (Fasta(tiny_fasta).fetch(name, 0, 3000) for name in ("chr1", "chr2"))
    other = {"A": "C", "C": "G", "G": "T", "T": "A"}
    records = [
        f"1\t11\trs1\t{one[10]}\t{other[one[10]]}\t0.10\tPASS\tAF=0.10",
        f"1\t21\t.\t{one[20].lower()}\t{other[one[20]]},*,<DEL>\t.\t.\t.",
        f"1\t31\t.\t{one[30:33]}\t{one[30]},{one[30]}TTT\t.\t.\tAF=0.5,0.25",
        f"1\t41\t.\t{one[40]}\t<NON_REF>\t.\t.\t.",
        f"1\t51\t.\t{one[50]}\t{one[50]}]1:100]\t.\t.\t.",
        *(f"1\t{place}\t.\t{one[place - 1]}\t{other[one[place - 1]]}\t.\t.\t." for place in range(61, 91)),
        f"1\t101\t.\t{one[100:160]}\t{one[100]}\t.\t.\t.",
        f"2\t7\t.\t{two[6]}\t{other[two[6]]}\t.\t.\tAF=.",
    ]
    path = tmp_path / "in.vcf"
    path.write_text(HEADER + "".join(record + SAMPLES for record in records))
    return path


def run(
    model,
    vcf,
    fasta,
    out,
    *,
    settings=SMALL_BATCHES,
    samples="keep",
    prefix="GENOSEQ",
    **options,
):
    scorer = VariantScorer(model, settings)
    scoring = VcfScoring(vcf, fasta, window=scorer.window, **options)
    annotate_vcf(scorer, scoring, out, samples=samples, prefix=prefix)
    return scoring.counts


def test_the_same_file_with_scores(language_model, vcf, tiny_fasta, tmp_path):
    out = tmp_path / "out.vcf"
    counts = run(language_model, vcf, tiny_fasta, out)
    assert (counts.records, counts.alleles, counts.scored) == (37, 40, 35)
    assert dict(counts.passed) == {
        "spanning deletion": 1,
        "symbolic": 1,
        "reference block": 1,
        "breakend": 1,
        "without room in the window": 1,
    }
    before, after = vcf.read_text().splitlines(), out.read_text().splitlines()
    added = [line for line in after if line not in before and line.startswith("##")]
    assert [line.partition("=<")[0] for line in added] == ["##contig", "##INFO", "##GENOSEQ_score"]
    records = [line for line in after if not line.startswith("#")]
    for old, new in zip([line for line in before if not line.startswith("#")], records, strict=True):
        fields, changed = old.split("\t"), new.split("\t")
        assert fields[:7] + fields[8:] == changed[:7] + changed[8:]
        assert changed[7].startswith("GENOSEQ_LLR=" if fields[7] == "." else fields[7]) or old == new
    assert list(tmp_path.glob(".*")) == []


def test_pysam_reads_the_scores(language_model, vcf, tiny_fasta, tmp_path):
    out = tmp_path / "out.vcf.gz"
    run(language_model, vcf, tiny_fasta, out, settings=ScoreSettings(("llr", "distance"), batch_size=4))
    with pysam.VariantFile(str(out)) as file:
        field = file.header.info["GENOSEQ_LLR"]
        assert (field.number, field.type) == ("A", "Float")
        assert file.header.contigs["2"].length == 3000
        records = list(file)
        assert [record.pos for record in file.fetch("2")] == [7]
    variants = [
        Variant(record.chrom, record.pos - 1, record.ref.upper(), alternate)
        for record in records
        for alternate in record.alts
        if set(alternate) <= set("ACGT")
    ]
    (table,) = score_variants(
        language_model, variants, tiny_fasta, ScoreSettings(("llr", "distance"), batch_size=99)
    )
    expected = iter(table.dropna().itertuples())
    for record in records:
        scores = record.info.get("GENOSEQ_LLR", ())
        for score, distance in zip(scores, record.info.get("GENOSEQ_DISTANCE", ()), strict=True):
            if score is not None:
                row = next(expected)
                assert score == pytest.approx(row.llr, abs=1e-4)
                assert distance == pytest.approx(row.distance, abs=1e-5)
    assert next(expected, None) is None
    assert [len(record.info.get("GENOSEQ_LLR", ())) for record in records[:5]] == [1, 3, 2, 0, 0]
    assert "number of records:\t37" in pysam.bcftools.stats(str(out))
    assert pysam.bcftools.view("-H", str(out), "1:11-11").count("\n") == 1


def test_samples_are_dropped_at_the_users_word(language_model, vcf, tiny_fasta, tmp_path):
    out = tmp_path / "out.vcf"
    run(language_model, vcf, tiny_fasta, out, samples="drop")
    with pysam.VariantFile(str(out)) as file:
        assert list(file.header.samples) == []
        assert len(list(file)) == 37
    assert "0.12345678901" not in out.read_text()


@pytest.mark.parametrize("name", ["out.vcf", "out.vcf.gz"])
def test_a_run_that_is_killed_goes_on_and_gives_the_same_file(
    language_model, vcf, tiny_fasta, tmp_path, monkeypatch, name
):
    whole, out = tmp_path / f"whole_{name}", tmp_path / name
    run(language_model, vcf, tiny_fasta, whole)
    batches = []
    compute = VariantScorer.of

    def killed(self, pairs):
        if len(batches) == 3:
            raise KeyboardInterrupt
        batches.append(len(pairs))
        return compute(self, pairs)

    monkeypatch.setattr(VariantScorer, "of", killed)
    with pytest.raises(KeyboardInterrupt):
        run(language_model, vcf, tiny_fasta, out)
    assert not out.exists()
    # What a kill in the middle of writing a batch leaves.
    journal = tmp_path / f".{name}.scoring" / "scores.f32"
    with journal.open("ab") as file:
        file.write(b"\0" * 6)

    def counted(self, pairs):
        batches.append(len(pairs))
        return compute(self, pairs)

    monkeypatch.setattr(VariantScorer, "of", counted)
    run(language_model, vcf, tiny_fasta, out)
    assert batches == [4] * 8 + [3]
    assert out.read_bytes() == whole.read_bytes()
    assert list(tmp_path.glob(".*")) == []


def test_scores_of_other_settings_are_not_gone_on_with(
    language_model, vcf, tiny_fasta, tmp_path, monkeypatch
):
    out = tmp_path / "out.vcf"
    compute = VariantScorer.of
    calls = []

    def killed(self, pairs):
        if calls:
            raise KeyboardInterrupt
        calls.append(pairs)
        return compute(self, pairs)

    monkeypatch.setattr(VariantScorer, "of", killed)
    with pytest.raises(KeyboardInterrupt):
        run(language_model, vcf, tiny_fasta, out)
    monkeypatch.setattr(VariantScorer, "of", compute)
    settings = ScoreSettings(window=32, batch_size=4)
    run(language_model, vcf, tiny_fasta, out, settings=settings)
    run(language_model, vcf, tiny_fasta, tmp_path / "whole.vcf", settings=settings)
    assert out.read_bytes() == (tmp_path / "whole.vcf").read_bytes()


def test_wrong_records_are_errors_before_anything_is_scored_or_counted(
    language_model, vcf, tiny_fasta, tmp_path, monkeypatch
):
    wrong = tmp_path / "wrong.vcf"
    lines = vcf.read_text().splitlines(keepends=True)
    last = lines[-1].split("\t")
    lines[-1] = "\t".join([*last[:3], {"A": "C"}.get(last[3], "A"), "G", *last[5:]])
    lines.append("7\t1\t.\tA\tG\t.\t.\t." + SAMPLES)
    wrong.write_text("".join(lines))
    out = tmp_path / "out.vcf"
    with monkeypatch.context() as patch:
        patch.setattr(VariantScorer, "of", None)
        with pytest.raises(RecordError, match=r"wrong.vcf, line 45, 2:7 .*REF is .* on_error=skip"):
            run(language_model, wrong, tiny_fasta, out)
    counts = run(language_model, wrong, tiny_fasta, out, on_error="skip")
    assert dict(counts.skipped) == {"REF mismatch": 1, "unknown contig": 1}
    assert "2:7" in counts.first_skipped
    assert counts.scored == 34
    assert out.read_text().splitlines()[-2:] == wrong.read_text().splitlines()[-2:]
    with pysam.VariantFile(str(out)) as file:
        assert "1 records skipped (REF mismatch)" in str(file.header)


def test_mistakes_are_told_first(language_model, vcf, tiny_fasta, tmp_path):
    declared = tmp_path / "declared.vcf"
    declared.write_text(vcf.read_text().replace("length=5000", "length=249250621"))
    with pytest.raises(DataError, match="two builds"):
        run(language_model, declared, tiny_fasta, tmp_path / "out.vcf")
    assert (
        run(language_model, declared, tiny_fasta, tmp_path / "out.vcf", contig_lengths="ignore").scored == 35
    )
    with pytest.raises(ConfigError, match=r"INFO field.*GENOSEQ_LLR.*another prefix"):
        run(language_model, tmp_path / "out.vcf", tiny_fasta, tmp_path / "x.vcf", contig_lengths="ignore")
    twice = tmp_path / "twice.vcf"
    run(language_model, tmp_path / "out.vcf", tiny_fasta, twice, contig_lengths="ignore", prefix="B")
    with pysam.VariantFile(str(twice)) as file:
        assert {"GENOSEQ_LLR", "B_LLR"} <= set(next(iter(file)).info)
    with pytest.raises(ConfigError, match="prefix='a b'"):
        run(language_model, vcf, tiny_fasta, tmp_path / "x.vcf", prefix="a b")
    with pytest.raises(ConfigError, match=r"end in \.vcf"):
        require_vcf_name("out.txt")
    with pytest.raises(DataError, match="does not exist"):
        run(language_model, vcf, tiny_fasta, tmp_path / "nowhere" / "out.vcf")


def test_two_processes_do_not_write_one_file(language_model, vcf, tiny_fasta, tmp_path):
    with FileLock(tmp_path / ".out.vcf.scoring.lock"), pytest.raises(ConfigError, match="another genoseq"):
        run(language_model, vcf, tiny_fasta, tmp_path / "out.vcf")
