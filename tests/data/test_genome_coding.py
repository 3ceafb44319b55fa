"""Codons of a genome in its windows: one frame whatever the window, on either strand, and what is refused."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genoseq.data import (
    BlockSplit,
    GenomeCoding,
    GenomeDataModule,
    Genomes,
    GenomeTiles,
    GenomeWindows,
    read_coding_sequences,
)
from genoseq.data.loading import ExampleKey
from genoseq.errors import ConfigError, GenoseqError, RecordError
from genoseq.sequence import Interval
from genoseq.tokenizers import CharacterTokenizer, CodonTokenizer, FrameTokenizer, KmerTokenizer

FRAMES = FrameTokenizer()
CODONS = CodonTokenizer(special_tokens="none")


def line(start: int, end: int, name: str, strand: str = "+", chromosome: str = "chr1") -> str:
    return f"{chromosome}\ts\tCDS\t{start}\t{end}\t.\t{strand}\t.\tID={name}\n"


# With introns that divide codons on both strands, and a gene that begins in another, in another frame.
GENES = (
    "".join(line(start, end, "a") for start, end in [(101, 250), (301, 401), (500, 651)])
    + "".join(line(start, end, "b", "-") for start, end in [(1001, 1100), (1201, 1401)])
    + line(1391, 1600, "c")
    + line(11, 400, "d", "-", "chr2")
)


@pytest.fixture
def annotation(tmp_path: Path) -> Path:
    path = tmp_path / "genes.gff3"
    path.write_text(GENES)
    return path


@pytest.fixture
def genomes(tiny_fasta: Path) -> Genomes:
    return Genomes([tiny_fasta])


@pytest.fixture
def coding(genomes: Genomes, annotation: Path) -> GenomeCoding:
    return GenomeCoding(genomes, [annotation])


def test_windows_have_the_frames_of_their_chromosome(genomes: Genomes, coding: GenomeCoding) -> None:
    codes = genomes.codes("chr1", 0, 5000)
    whole = FRAMES.encode_codes(codes, coding=coding.within("chr1", 0, 5000))
    places = FRAMES.places[whole]
    # Counted by hand: the parts of a have 150, 101 and 152 bases, so that the second intron divides a codon.
    assert places[100:103].tolist() == [0, 1, 2]
    assert places[248:251].tolist() == [1, 2, -1]
    assert places[398:401].tolist() == [2, -1, -1]
    assert places[499:503].tolist() == [-1, 0, 1, 2]
    assert places[1398:1401].tolist() == [5, 4, 3]
    # Where c begins, b is not over: its codons begin behind it, in their own frame.
    assert places[1401:1405].tolist() == [-1, 0, 1, 2]
    for start in range(60, 1700, 7):
        stop = start + 50
        given = FRAMES.encode_codes(codes[start:stop], coding=coding.within("chr1", start, stop))
        expected = whole[start:stop].copy()
        begins = np.flatnonzero(np.isin(FRAMES.places[expected], [0, 5]))
        inside = np.zeros(50, dtype=bool)
        for place in range(3):
            inside[begins[begins + 2 < 50] + place] = True
        bare = FRAMES.encode_codes(codes[start:stop])
        np.testing.assert_array_equal(given, np.where(inside, expected, bare))
    assert coding.within("chr2", 500, 900) == []


@pytest.mark.parametrize("settings", [{"examples_per_epoch": 60}, {"jitter": 9}])
def test_a_turned_window_has_its_genes_turned(
    genomes: Genomes, coding: GenomeCoding, settings: dict[str, Any]
) -> None:
    regions = [Interval("chr1", 0, 2000)]
    shared = {"length": 90, "coding": coding, "seed": 2, **settings}
    given = GenomeWindows(genomes, regions, FRAMES, **shared)
    mixed = GenomeWindows(genomes, regions, FRAMES, strands="augment", **shared)
    turned = 0
    for index in range(len(given)):
        ids, other = (data[ExampleKey(1, index)]["input_ids"] for data in (given, mixed))
        if not np.array_equal(ids, other):
            np.testing.assert_array_equal(FRAMES.reverse_complement(ids), other)
            turned += (FRAMES.places[ids] >= 0).any()
    assert turned > 3


@pytest.mark.parametrize(("tokenizer", "lost"), [(FRAMES, 0), (CODONS, 4)])
@pytest.mark.parametrize("stride", [None, 20])
def test_tiles_score_each_base_once(
    genomes: Genomes, coding: GenomeCoding, tokenizer: Any, lost: int, stride: int | None
) -> None:
    region = Interval("chr1", 50, 1700)
    tiles = GenomeTiles(genomes, [region], tokenizer, length=60, stride=stride, coding=coding)
    scored = np.zeros(region.end, dtype=int)
    longest = 0
    for index, row in tiles.table.iterrows():
        item = tiles[ExampleKey(0, int(str(index)))]
        labelled = np.flatnonzero(item["labels"][1:] != -100) + 1
        window = int(row["window"])
        for start, stop in tokenizer.offsets(item["input_ids"], int(row["end"]) - window)[labelled]:
            scored[window + start : window + stop] += 1
            longest = max(longest, stop - start)
    assert scored.max() == 1
    assert longest == tokenizer.longest_token
    assert (scored[region.start :] == 0).sum() <= 3 + lost * len(tiles)


def test_codons_are_those_of_the_genes_of_a_real_annotation(shared: Path, tmp_path: Path) -> None:
    bench = shared / "data/bench"
    fasta, gtf = tmp_path / "9.fa", bench / "annotation/human_GRCh38.91_chr9_1_1000000.gtf.gz"
    # The GTF calls the chromosome 9, the FASTA chr9.
    packed = (bench / "genomes/human_GRCh38_chr9_first1Mb.fa.gz").read_bytes()
    fasta.write_bytes(gzip.decompress(packed).replace(b">chr9", b">9", 1))
    wanted: dict[str, set[int]] = {"+": set(), "-": set()}
    for record in read_coding_sequences(gtf, fasta).records:
        assert record.transcript is not None
        positions = record.codon_positions
        whole = positions[np.abs(positions[:, 2] - positions[:, 0]) == 2]
        wanted[record.transcript.strand] |= set(whole.min(1).tolist())
    genomes = Genomes([fasta])
    regions = GenomeCoding(genomes, [gtf]).within("9", 0, genomes.lengths["9"])
    found = {
        strand: {
            start
            for region in regions
            if region.strand == strand
            for start in range(region.start, region.stop, 3)
        }
        for strand in "+-"
    }
    for strand in "+-":
        assert found[strand] <= wanted[strand]
        # What is missing is in two genes at once.
        assert len(found[strand]) > 0.97 * len(wanted[strand]) > 500


def datamodule(fasta: Path | list[Path], **settings: Any) -> GenomeDataModule:
    arguments = {
        "tokenizer": CODONS, "fasta": fasta, "weights": None, "split": BlockSplit(), "length": 64,
        "length_schedule": None, "constant_tokens": False, "examples_per_epoch": 32, "jitter": 0,
        "strands": "augment", "planted_repeats": 0.0, "max_n_fraction": 0.1, "evaluation_length": None,
        "stride": None,
        "global_batch_size": 8, "micro_batch_size": None, "num_workers": 0, "pin_memory": False, "seed": 0,
    }  # fmt: skip
    return GenomeDataModule(**{**arguments, **settings})  # type: ignore[arg-type]


def test_windows_of_as_many_bases_have_other_numbers_of_codons(tiny_fasta: Path, annotation: Path) -> None:
    data = datamodule(tiny_fasta, annotation=annotation, length=300)
    dataset = data.dataset("train")
    rows = [dataset[ExampleKey(0, index)]["input_ids"] for index in range(32)]
    assert {int(CODONS.num_bases[row].sum()) for row in rows} == {300}
    assert len({len(row) for row in rows}) > 3
    assert any((row > 11).any() for row in rows)


def test_transcripts_that_are_in_no_genome_are_refused_or_counted(
    tiny_fasta: Path, annotation: Path, caplog: pytest.LogCaptureFixture
) -> None:
    annotation.write_text(GENES + line(1, 9, "e", "+", "chr7") + line(4990, 5001, "f"))
    with pytest.raises(RecordError, match=r"^e: the FASTA has no sequence 'chr7'; it has chr1, chr2"):
        datamodule(tiny_fasta, annotation=annotation).dataset("train")
    with caplog.at_level("WARNING"):
        datamodule(tiny_fasta, annotation=annotation, on_error="skip").dataset("train")
    assert "4 records read, 2 skipped: 2 not in the FASTA; the first: e:" in caplog.text


def test_several_genomes_have_an_annotation_each(tiny_fasta: Path, annotation: Path, tmp_path: Path) -> None:
    other, none = tmp_path / "other.fa", tmp_path / "none.gff3"
    other.write_bytes(tiny_fasta.read_bytes())
    none.write_text(line(2001, 2300, "g", "-"))
    genomes = Genomes([tiny_fasta, other])
    both = GenomeCoding(genomes, [annotation, none])
    assert both.within("tiny:chr1", 100, 250) == [(0, 150, "+", 0)]
    assert both.within("other:chr1", 100, 250) == []
    assert both.within("other:chr1", 2001, 2290) == [(2, 287, "-", 0)]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, r"CodonTokenizer.* has to be told where codons are: give annotation=FILE"),
        ({"tokenizer": FRAMES}, r"FrameTokenizer.* has to be told"),
        ({"tokenizer": KmerTokenizer(), "annotation": "a.gff3"}, r"KmerTokenizer.* has no codons"),
        ({"tokenizer": CharacterTokenizer(), "annotation": "a.gff3"}, "has no codons"),
        ({"annotation": "a.gff3", "planted_repeats": 0.5}, "planted_repeats=0.5 writes copies over genes"),
        ({"annotation": ["a.gff3", "b.gff3"]}, "annotation names 2 files, fasta 1"),
        ({"annotation": "nowhere.gff3"}, "does not exist"),
    ],
)
def test_refusals(tiny_fasta: Path, settings: dict[str, Any], words: str) -> None:
    with pytest.raises(GenoseqError, match=words) as raised:
        datamodule(tiny_fasta, **settings).dataset("train")
    assert isinstance(raised.value, ConfigError) or "nowhere" in words or "exist" in words


def test_a_model_of_codons_may_be_evaluated_on_plain_dna(
    tiny_fasta: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tiles = datamodule(tiny_fasta).dataset("validation")
    assert "it is given plain DNA" in caplog.text
    assert int(tiles[ExampleKey(0, 0)]["input_ids"].max()) <= 11
