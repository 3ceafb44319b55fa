"""Transcripts to be drawn under tracks."""

from __future__ import annotations

from pathlib import Path

from genoseq.data import GeneModel, read_gene_models
from genoseq.sequence import Interval


def test_exons_of_an_interval(tmp_path: Path) -> None:
    path = tmp_path / "a.gtf"
    lines = [
        ("9", "exon", 11, 20, 'gene_id "g"; gene_name "ONE"; transcript_id "t1";'),
        ("9", "exon", 31, 40, 'gene_id "g"; gene_name "ONE"; transcript_id "t1";'),
        ("9", "CDS", 15, 20, 'gene_id "g"; gene_name "ONE"; transcript_id "t1";'),
        ("9", "gene", 11, 40, 'gene_id "g"; gene_name "ONE";'),
        ("9", "CDS", 101, 140, 'gene_id "h"; transcript_id "t2";'),
        ("8", "exon", 11, 20, 'gene_id "i"; transcript_id "t3";'),
    ]
    path.write_text("".join(f"{c}\tx\t{kind}\t{a}\t{b}\t.\t-\t.\t{text}\n" for c, kind, a, b, text in lines))
    first, second, none = Interval("chr9", 0, 12), Interval("chr9", 39, 200), Interval("chr9", 40, 100)
    one = GeneModel("ONE", "-", ((10, 20), (30, 40)), ((14, 20),))
    two = GeneModel("t2", "-", ((100, 140),), ((100, 140),))
    assert read_gene_models(path, [first, second, none]) == {first: [one], second: [one, two], none: []}


def test_real_genes(shared: Path) -> None:
    path = shared / "data/bench/annotation/human_GRCh38.91_chr9_1_1000000.gtf.gz"
    interval = Interval("chr9", 217_000, 217_120)
    models = read_gene_models(path, [interval])[interval]
    assert {model.name for model in models} == {"DOCK8"}
