"""Alignment: places, strands and CIGARs of simulated reads, indexes, stores, and what is no such thing."""

import gzip
import io
import re

import numpy as np
import pytest
import torch

from genoseq.data.fasta import Fasta
from genoseq.data.reads import Read, read_reads
from genoseq.errors import ConfigError, DataError, GenoseqError
from genoseq.inference.align import (
    AlignSettings,
    KmerEncoder,
    ModelEncoder,
    PafWriter,
    SamWriter,
    align,
    build_index,
    load_index,
    make_store,
    open_alignments,
    save_index,
)
from genoseq.models import EmbeddingHead, HyenaDNA, SequenceModel
from genoseq.sequence import decode_bases, encode_bases, reverse_complement
from genoseq.sequence.errors_of_reads import sequence_with_errors
from genoseq.tokenizers import CharacterTokenizer

# Every window of the small genome: where an encoder that learnt nothing looks does not matter then.
ALL = AlignSettings(candidates=100)


def encoder_of(seed):
    torch.manual_seed(seed)
    backbone = HyenaDNA(d_model=16, num_layers=2, l_max=512, filter_order=8, initializer_range=0.3)
    tokenizer = CharacterTokenizer(special_tokens="none")
    return ModelEncoder(SequenceModel(backbone, EmbeddingHead(backbone, width=12), tokenizer).eval())


@pytest.fixture(scope="module")
def encoder():
    return encoder_of(0)


@pytest.fixture
def fasta(tiny_fasta):
    return Fasta(tiny_fasta)


@pytest.fixture
def index(encoder, fasta):
    return build_index(encoder, fasta, window_length=300, stride=100)


def simulated(fasta, count, rate, length=200, seed=0):
    """Reads of either strand with their chromosome, start and strand in their names."""
    generator = np.random.default_rng(seed)
    for _ in range(count):
        name = str(generator.choice(fasta.names))
        start = int(generator.integers(fasta.lengths[name] - length + 1))
        read = sequence_with_errors(fasta.codes(name, start, start + length), rate, generator)
        strand = "+" if generator.random() < 0.5 else "-"
        text = decode_bases(read if strand == "+" else reverse_complement(read))
        yield Read(f"{name}:{start}:{strand}", text, "I" * len(text))


def walked(cigar, read, genome):
    """Edits along a CIGAR; its steps have to agree with the letters."""
    edits = place = 0
    for count, kind in ((int(n), kind) for n, kind in re.findall(r"(\d+)([=XID])", cigar)):
        for _ in range(count):
            if kind in "=X":
                assert (read[0] == genome[place]) == (kind == "=")
            edits += kind != "="
            read, place = (read[1:] if kind != "D" else read), place + (kind != "I")
    assert not read
    assert place == len(genome)
    return edits


def test_windows_cover_the_genome(index, fasta):
    assert index.vectors.shape == (48 + 28, 12)
    np.testing.assert_allclose(np.linalg.norm(index.vectors, axis=1), 1, atol=1e-5)
    windows = [index.window(number) for number in range(len(index.starts))]
    assert windows[0] == ("chr1", 0, 300)
    assert windows[47] == ("chr1", 4700, 5000)
    assert windows[-1] == ("chr2", 2700, 3000)


@pytest.mark.parametrize("rate", [0.0, 0.05])
def test_places_of_reads(encoder, index, fasta, rate):
    store = make_store("exact", index.vectors, encoder.device)
    found = list(align(encoder, index, store, fasta, simulated(fasta, 40, rate), ALL))
    for read, aligned in found:
        name, start, strand = read.name.split(":")
        assert (aligned.chromosome, aligned.strand) == (name, strand)
        assert abs(aligned.start - int(start)) <= 5
        genome = fasta.fetch(name, aligned.start, aligned.end)
        text = read.sequence if strand == "+" else reverse_complement(read.sequence)
        assert walked(aligned.cigar, text, genome) == aligned.distance <= 0.15 * len(text)
        assert aligned.quality == 60


def test_the_order_and_the_batch_do_not_matter(encoder, index, fasta):
    store, reads = make_store("exact", index.vectors, encoder.device), list(simulated(fasta, 9, 0.03))
    whole = list(align(encoder, index, store, fasta, reads, AlignSettings(candidates=4)))
    single = list(align(encoder, index, store, fasta, reads, AlignSettings(candidates=4, batch_size=2)))
    assert [read for read, _ in whole] == reads
    assert [found and found.start for _, found in whole] == [found and found.start for _, found in single]


def test_reads_of_nowhere_and_of_two_places(encoder, tmp_path):
    generator = np.random.default_rng(4)
    unique, twice = ("".join(generator.choice(list("ACGT"), size=n)) for n in (600, 300))
    path = tmp_path / "repeats.fa"
    path.write_text(f">a\n{unique}{twice}{unique[::-1]}{reverse_complement(twice)}\n")
    fasta = Fasta(path)
    index = build_index(encoder, fasta, window_length=300, stride=50)
    store = make_store("exact", index.vectors, encoder.device)
    foreign = "".join(generator.choice(list("ACGT"), size=200))
    reads = [Read("twice", twice[50:250]), Read("foreign", foreign), Read("once", unique[100:300].lower())]
    (_, repeated), (_, nowhere), (_, once) = align(encoder, index, store, fasta, reads, ALL)
    assert repeated.quality == 0
    assert repeated.distance == 0
    assert nowhere is None
    assert (once.start, once.end, once.strand, once.quality) == (100, 300, "+", 60)


def test_stores_find_the_same(index, encoder):
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(700, 12)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    queries = vectors[::7] + 0.01 * generator.normal(size=(100, 12)).astype(np.float32)
    products = queries @ vectors.T
    expected = np.argsort(-products, axis=1)[:, :5]
    exact = make_store("exact", vectors, encoder.device).search(queries, 5)
    assert np.array_equal(exact[1], expected)
    np.testing.assert_allclose(exact[0], np.take_along_axis(products, expected, axis=1), atol=1e-6)
    graph = make_store("faiss", vectors, encoder.device).search(queries, 5)
    assert (graph[1] == expected).mean() > 0.98
    with pytest.raises(ConfigError, match="store='usearch'"):
        make_store("usearch", vectors, encoder.device)


def test_an_index_comes_back_and_is_checked(encoder, index, fasta, tmp_path):
    path = tmp_path / "x.npz"
    save_index(index, path)
    again = load_index(path, encoder, fasta)
    assert np.array_equal(again.vectors, index.vectors)
    assert again.window(60) == index.window(60)
    with pytest.raises(DataError, match="another encoder"):
        load_index(path, encoder_of(1), fasta)
    other = tmp_path / "other.fa"
    other.write_text(">chr1\nACGT\n")
    with pytest.raises(DataError, match="another genome"):
        load_index(path, encoder, Fasta(other))
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match="is no index"):
        load_index(path, encoder, fasta)


def test_sam_and_paf(encoder, index, fasta):
    store = make_store("exact", index.vectors, encoder.device)
    reads = [*simulated(fasta, 12, 0.02), Read("foreign", "ACGT" * 50, None)]
    sam, paf = io.StringIO(), io.StringIO()
    writers = (SamWriter(sam, fasta.lengths), PafWriter(paf, fasta.lengths))
    for read, found in align(encoder, index, store, fasta, reads, ALL):
        for writer in writers:
            writer.write(read, found)
    header = [line for line in sam.getvalue().splitlines() if line.startswith("@")]
    lines = [line.split("\t") for line in sam.getvalue().splitlines() if not line.startswith("@")]
    assert "@SQ\tSN:chr2\tLN:3000" in header
    assert len(lines) == 13
    assert lines[-1][:6] == ["foreign", "4", "*", "0", "0", "*"]
    for read, fields in zip(reads[:-1], lines[:-1], strict=True):
        turned = read.name.endswith("-")
        assert int(fields[1]) == (16 if turned else 0)
        assert fields[9] == (reverse_complement(read.sequence) if turned else read.sequence)
        genome = fasta.fetch(fields[2], int(fields[3]) - 1, int(fields[3]) + 300 - 1)[: 10**6]
        span = sum(int(n) for n, kind in re.findall(r"(\d+)([=XID])", fields[5]) if kind != "I")
        assert walked(fields[5], fields[9], genome[:span]) == int(fields[11].removeprefix("NM:i:"))
    rows = [line.split("\t") for line in paf.getvalue().splitlines()]
    assert len(rows) == 12
    for row, fields in zip(rows, lines[:-1], strict=True):
        assert (row[5], int(row[7]) + 1, row[13]) == (fields[2], int(fields[3]), f"cg:Z:{fields[5]}")
        assert int(row[9]) <= int(row[10])
        assert row[6] == str(fasta.lengths[row[5]])


def test_bam_is_sorted_and_indexed_and_holds_what_sam_holds(encoder, index, fasta, tmp_path):
    pysam = pytest.importorskip("pysam")
    store = make_store("exact", index.vectors, encoder.device)
    reads = [Read("foreign", "ACGT" * 50, None), *simulated(fasta, 12, 0.02)]
    aligned = list(align(encoder, index, store, fasta, reads, ALL))
    for name in ("x.sam", "x.bam"):
        with open_alignments(str(tmp_path / name), fasta.lengths) as writer:
            for read, found in aligned:
                writer.write(read, found)
    assert {path.name for path in tmp_path.glob("x.*")} == {"x.sam", "x.bam", "x.bam.bai"}
    with pysam.AlignmentFile(tmp_path / "x.bam") as bam, pysam.AlignmentFile(tmp_path / "x.sam") as sam:
        assert bam.header["HD"]["SO"] == "coordinate"
        assert dict(zip(bam.references, bam.lengths, strict=True)) == fasta.lengths
        records = list(bam.fetch(until_eof=True))
        places = [(record.reference_id, record.reference_start) for record in records[:-1]]
        assert places == sorted(places)
        assert (records[-1].query_name, records[-1].is_unmapped) == ("foreign", True)
        assert {record.to_string() for record in records} == {record.to_string() for record in sam}
        by_name = {record.query_name: record for record in records}
        for read, found in aligned[1:]:
            record = by_name[read.name]
            assert record.is_reverse == (found.strand == "-")
            assert (record.reference_name, record.reference_start) == (found.chromosome, found.start)
            assert read.name in {
                one.query_name for one in bam.fetch(found.chromosome, found.start, found.end)
            }


def test_a_bam_that_fails_leaves_nothing(fasta, tmp_path):
    pytest.importorskip("pysam")
    with pytest.raises(RuntimeError), open_alignments(str(tmp_path / "x.bam"), fasta.lengths):
        raise RuntimeError
    assert not list(tmp_path.glob("*x.bam*"))


def test_errors_of_reads_are_of_their_kinds_and_rate():
    generator = np.random.default_rng(0)
    codes = generator.integers(0, 4, 100_000).astype(np.uint8)
    assert np.array_equal(sequence_with_errors(codes, 0.0, generator), codes)
    only = {"substitutions": (1, 0, 0), "insertions": (0, 1, 0), "deletions": (0, 0, 1)}
    read = sequence_with_errors(codes, 0.1, generator, shares=only["substitutions"])
    assert (read != codes).mean() == pytest.approx(0.1, abs=0.005)
    longer = sequence_with_errors(codes, 0.1, generator, shares=only["insertions"])
    assert len(longer) / len(codes) == pytest.approx(1.1, abs=0.005)
    shorter = sequence_with_errors(codes, 0.1, generator, shares=only["deletions"])
    assert len(shorter) / len(codes) == pytest.approx(0.9, abs=0.005)
    with pytest.raises(ConfigError, match="a sum of 1"):
        sequence_with_errors(codes, 0.1, generator, shares=(0.5, 0.1, 0.1))


def test_reads_from_files(tmp_path):
    fastq = tmp_path / "x.fq"
    fastq.write_text("@a first\nACGT\n+\nIIII\n@b\nGG\n+\nI!\n")
    assert list(read_reads(fastq)) == [Read("a", "ACGT", "IIII"), Read("b", "GG", "I!")]
    plain = tmp_path / "x.fa"
    plain.write_text(">a first\nAC\nGT\n")
    assert list(read_reads(plain)) == [Read("a", "ACGT")]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.fq", "@a\nACGT\n+\nIII\n", "cut off"),
        ("x.fq", "", "no read"),
        ("x.bam", "", "fastq"),
        ("x.fq.gz", "@a\nACGT\n+\nIIII\n", "cut off"),
    ],
)
def test_files_that_hold_no_reads(tmp_path, name, text, message):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        list(read_reads(path))


def test_what_cannot_be_aligned(encoder, index, fasta, language_model, tmp_path):
    store = make_store("exact", index.vectors, encoder.device)
    for bad, message in (
        (Read("x", ""), "no base"),
        (Read("x", "AC-T"), "nucleotide"),
        (Read("x", "A" * 600), "at most"),
    ):
        with pytest.raises(GenoseqError, match=message):
            list(align(encoder, index, store, fasta, [bad]))
    with pytest.raises(ConfigError, match="encoder of reads"):
        ModelEncoder(language_model)
    with pytest.raises(ConfigError, match="stride=400"):
        build_index(encoder, fasta, window_length=300, stride=400)
    unknown = tmp_path / "n.fa"
    unknown.write_text(">a\n" + "N" * 500 + "\n")
    with pytest.raises(DataError, match="half N"):
        build_index(encoder, Fasta(unknown))
    with pytest.raises(ConfigError, match="max_error"):
        AlignSettings(max_error=0.6)
    assert encode_bases("A").tolist() == [0]


def test_kmers_find_reads_in_a_real_genome(shared, tmp_path):
    path = tmp_path / "lambda.fa"
    source = shared / "data" / "embed" / "genomes" / "lambda_NC_001416.fa.gz"
    path.write_bytes(gzip.decompress(source.read_bytes()))
    fasta, encoder = Fasta(path), KmerEncoder()
    index = build_index(encoder, fasta)
    store = make_store("exact", index.vectors, encoder.device)
    reads = list(simulated(fasta, 100, 0.05, length=250))
    places = [found for _, found in align(encoder, index, store, fasta, reads, AlignSettings(candidates=5))]
    true = [read.name.split(":") for read in reads]
    right = [
        found is not None and found.strand == strand and abs(found.start - int(start)) <= 10
        for (_, start, strand), found in zip(true, places, strict=True)
    ]
    assert np.mean(right) > 0.95
    with pytest.raises(GenoseqError, match="no 6 known ones"):
        encoder(["ACGNNNACG"])
