"""The study of variants: what it measures, on made and on real sites."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from genoseq.data import AlleleReader, Fasta, Vcf, read_table
from genoseq.sequence import Variant

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def study() -> ModuleType:
    spec = importlib.util.spec_from_file_location("variant_scores", ROOT / "benchmarks" / "variant_scores.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_contexts_are_of_the_major_allele_on_either_strand(study: ModuleType, tmp_path: Path) -> None:
    fasta = tmp_path / "x.fa"
    fasta.write_text(">20\nTACGTT\n")
    rows = [("20", 3, "C", "T", 0.1), ("20", 4, "G", "A", 0.1), ("20", 3, "C", "T", 0.9)]
    table = pd.DataFrame(rows, columns=["chrom", "pos", "ref", "alt", "af"])
    # The second is the first on the other strand; in the third T is the major allele.
    assert study.contexts(table, Fasta(fasta)).tolist() == ["ACG>T", "ACG>T", "ATG>C"]
    scored = table.assign(X_LLR=[1.0, 2.0, 3.0], X_DISTANCE=[1.0, 2.0, 3.0])
    assert study.polarised(scored, "X_LLR").tolist() == [1, 2, -3]
    assert study.polarised(scored, "X_DISTANCE").tolist() == [-1, -2, -3]


def test_matching_takes_away_what_context_tells(study: ModuleType) -> None:
    generator = np.random.default_rng(0)
    context = generator.integers(4, size=4000).astype(str)
    chance = np.array([0.2, 0.4, 0.6, 0.8])[context.astype(int)]
    labels = (generator.random(4000) < chance).astype(int)
    blocks = np.arange(4000) // 100
    by_context = study.context_scores(context, labels, blocks)
    assert study.auroc(labels, by_context) > 0.68
    noisy = chance + generator.normal(scale=0.01, size=4000)
    assert study.auroc(labels, noisy) > 0.68
    assert study.matched_auroc(labels, noisy, context) == pytest.approx(0.5, abs=0.04)
    own = labels + generator.normal(size=4000)
    assert study.matched_auroc(labels, own, context) == pytest.approx(study.auroc(labels, own), abs=0.03)


def test_every_real_ref_is_in_the_genome(shared: Path, tmp_path: Path) -> None:
    """28,998 of 28,998; and the labelled sites are among them."""
    import gzip

    bench = shared / "data" / "bench"
    fasta = tmp_path / "chr20.fa"
    fasta.write_bytes(gzip.decompress((bench / "genomes/human_b37_chr20_first2Mb.fa.gz").read_bytes()))
    reader = AlleleReader(Fasta(fasta))
    records, sites = 0, set()
    for record in Vcf(bench / "variants/1000G_phase3_chr20_1-2Mb_sites.hg19.vcf.gz"):
        records += 1
        sites |= {
            (allele.position + 1, allele.reference, allele.alternate)
            for allele in reader.alleles(record)
            if isinstance(allele, Variant)
        }
    assert records == 28_998
    labelled = read_table(bench / "labelled/vep_1000G_chr20_common_vs_singleton.tsv.gz").astype({"pos": int})
    assert set(labelled[["pos", "ref", "alt"]].itertuples(index=False, name=None)) <= sites
