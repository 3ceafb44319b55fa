"""DNALongBench in the folders of its loader, made of real sequence, genes and signals."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf

from genoseq.benchmark.cells import data_overrides
from genoseq.benchmark.suites import DNALongBench, Task
from genoseq.errors import ConfigError, DataError
from genoseq.paths import configs_dir
from genoseq.sequence import reverse_complement

_SIGNALS = "transcription_initiation_signal_prediction"
_LONGEST = 40_000


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENOSEQ_CACHE", str(tmp_path / "cache"))


def suite(folder: Path, *tasks: str, **settings: Any) -> DNALongBench:
    with initialize_config_dir(str(configs_dir()), version_base="1.3"):
        config = compose("benchmark", overrides=["suite=dnalongbench", "models=[]"]).suite
    OmegaConf.set_struct(config, False)
    return instantiate(OmegaConf.merge(config, {"folder": str(folder), "tasks": list(tasks), **settings}))


def data_of(task: Task) -> Any:
    with initialize_config_dir(str(configs_dir()), version_base="1.3"):
        return instantiate(
            compose("train", overrides=["experiment=finetune", *data_overrides(task, 32)]).data
        )


@pytest.fixture
def letters(shared: Path) -> str:
    """The first megabase of human chr9."""
    path = shared / "data/bench/genomes/human_GRCh38_chr9_first1Mb.fa.gz"
    return "".join(gzip.decompress(path.read_bytes()).decode().split("\n")[1:]).upper()


@pytest.fixture
def genes(shared: Path) -> pd.DataFrame:
    path = shared / "data/bench/annotation/human_GRCh38.91_chr9_1_1000000.gtf.gz"
    names = ["chromosome", "source", "kind", "start", "end", "score", "strand", "phase", "about"]
    table = pd.read_csv(path, sep="\t", names=names, comment="#", dtype={"chromosome": str})
    found = table[table["kind"] == "gene"].assign(start=table["start"] - 1)
    return found.assign(gene_id=found["about"].str.extract('gene_id "([^"]+)"')[0]).reset_index(drop=True)


def pairs(genes: pd.DataFrame, regions: list[tuple[int, int]]) -> pd.DataFrame:
    """Each gene with a region, in the columns of the benchmark."""
    count = len(regions)
    chosen = genes.iloc[np.arange(count) % len(genes)].reset_index(drop=True)
    return pd.DataFrame(
        {
            "gene_chrom": "chr9", "gene_start": chosen["start"], "gene_end": chosen["end"],
            "region_chrom": "chr9", "region_start": [start for start, _ in regions],
            "region_end": [end for _, end in regions], "gene_id": chosen["gene_id"],
            "gene_strand": chosen["strand"], "region_id": [f"r{number}" for number in range(count)],
            "target": np.array(["positive", "negative"])[np.arange(count) // 3 % 2],
            "subset": np.array(["train", "valid", "test"])[np.arange(count) % 3],
        }
    )  # fmt: skip


def write_pairs(folder: Path, letters: str, config: str, keys: tuple[str, str], table: pd.DataFrame) -> None:
    (folder / "config").mkdir(parents=True)
    (folder / "genome.fa").write_text(f">chr9\n{letters}\n")
    table.to_csv(folder / "pairs.txt", sep="\t", index=False)
    middle = (table["region_start"] + table["gene_start"]) // 2
    masks = "".join(f"chr9\t{place}\t{place + 50}\n" for place in sorted(middle))
    with gzip.open(folder / "masked.bed.gz", "wt") as file:
        file.write(masks)
    lines = [
        "genome_fa genome.fa str", f"{keys[0]} pairs.txt str", f"{keys[1]} masked.bed.gz str",
        f"seq_len_cutoff {_LONGEST} int", "tss_flank_upstream 300 int", "tss_flank_downstream 200 int",
        "region_flank_upstream 20 int", "region_flank_downstream 30 int", "organism human str",
    ]  # fmt: skip
    (folder / "config" / f"{config}.config").write_text("\n".join(lines) + "\n")


@pytest.fixture
def enhancers(tmp_path: Path, letters: str, genes: pd.DataFrame) -> tuple[Path, pd.DataFrame]:
    """Regions on either side of genes; the last is too far away."""
    far = np.array([5000, -9000, 12_000, -3000, 100, 20_000, -20_000, 700, 8000, 30_000, -15_000, 900_000])
    starts = np.abs(genes["start"].to_numpy()[np.arange(12) % len(genes)] + far) % 990_000
    table = pairs(genes, [(int(start), int(start) + 400) for start in starts])
    folder = tmp_path / "DNALongBench/enhancer_target_gene"
    keys = ("EPI_file", "enhancer_tabix_file")
    write_pairs(folder, letters, "CRISPRi_EPI_K562_hg19", keys, table)
    return folder.parent, table


def expected(row: Any, letters: str, masks: list[int]) -> str | None:
    """What the authors' loader makes of a row, less the N that it fills up with."""
    first = row.gene_start if row.gene_strand == "+" else row.gene_end - 1
    (gene, gene_end), (region, region_end) = (
        (first - 300, first + 201),
        (row.region_start - 20, row.region_end + 30),
    )
    if max(gene, region) - min(gene_end, region_end) > _LONGEST:
        return None
    start, end = min(gene, region), max(gene_end, region_end)
    text = list(letters[start:end])
    for mask in masks:
        if mask < max(gene, region) and mask + 50 > min(gene_end, region_end) and start < mask < end - 50:
            text[mask - start : mask - start + 50] = "N" * 50
    whole = "".join(text)
    return reverse_complement(whole) if row.gene_start > region_end else whole


def test_genes_and_their_enhancers(enhancers: tuple[Path, pd.DataFrame], letters: str) -> None:
    folder, table = enhancers
    (task,) = suite(folder, "enhancer_target_gene").tasks()
    assert (task.metric, task.classes) == ("auroc", ("negative", "positive"))
    assert set(task.sources or {}) == {
        f"enhancer_target_gene/{name}"
        for name in ("config/CRISPRi_EPI_K562_hg19.config", "pairs.txt", "masked.bed.gz", "genome.fa")
    }
    masks = sorted(((table["region_start"] + table["gene_start"]) // 2).tolist())
    module = data_of(task)
    turned = hidden = 0
    for part, subset in (("train", "train"), ("validation", "valid"), ("test", "test")):
        rows = [row for row in table[table["subset"] == subset].itertuples() if expected(row, letters, masks)]
        examples = module.examples(part)
        assert examples["label"].tolist() == [row.target for row in rows]
        assert examples["sequence"].tolist() == [expected(row, letters, masks) for row in rows]
        turned += sum(row.gene_start > row.region_end + 30 for row in rows)
        hidden += examples["sequence"].str.contains("N" * 50).sum()
    assert 0 < turned < 11
    assert hidden


def test_variants_and_the_genes_they_act_on(tmp_path: Path, letters: str, genes: pd.DataFrame) -> None:
    folder = tmp_path / "DNALongBench"
    places = np.abs(genes["start"].to_numpy()[np.arange(9) % len(genes)] + 4000) % 990_000
    table = pairs(genes, [(int(place), int(place) + 1) for place in places])
    table["allele1"] = [letters[place] for place in places]
    table["allele2"] = [{"A": "G", "G": "A", "C": "TT", "T": "C"}[base] for base in table["allele1"]]
    keys = ("eQTL_file", "eQTL_tabix_file")
    write_pairs(folder / "eQTL", letters, "gtex_hg38.Thyroid", keys, table)
    (task,) = suite(folder, "eqtl_Thyroid").tasks()
    masks = sorted(((table["region_start"] + table["gene_start"]) // 2).tolist())
    for sequence, row in zip(
        data_of(task).examples("train")["sequence"],
        table[table["subset"] == "train"].itertuples(),
        strict=True,
    ):
        reference = expected(row, letters, masks)
        assert reference is not None
        assert sequence.startswith(reference)
        other = sequence[len(reference) :]
        assert len(other) == len(reference) + len(row.allele2) - 1
        turned = row.gene_start > row.region_end + 30
        place = row.region_start - min(row.region_start - 20, _first(row) - 300)
        other = reverse_complement(other) if turned else other
        assert other[place : place + len(row.allele2)] == row.allele2
    table.loc[0, "allele1"] = {"A": "C"}.get(table.loc[0, "allele1"], "A")
    table.to_csv(folder / "eQTL/pairs.txt", sep="\t", index=False)
    with pytest.raises(DataError, match=r"row 0 .* allele1 is .*the genome has"):
        suite(folder, "eqtl_Thyroid").tasks()


def _first(row: Any) -> int:
    return row.gene_start if row.gene_strand == "+" else row.gene_end - 1


@pytest.fixture
def signals(tmp_path: Path, letters: str, shared: Path) -> tuple[Path, dict[str, np.ndarray]]:
    """Four pieces of real sequence that play chromosomes, and a real signal of the fly in ten shifts."""
    library = pytest.importorskip("pyBigWig")
    folder = tmp_path / "DNALongBench" / _SIGNALS
    (folder / "seqs").mkdir(parents=True)
    (folder / "targets/blacklists").mkdir(parents=True)
    pieces = {name: letters[200_000 + 5000 * n :][:5000] for n, name in enumerate(("1", "8", "9", "10"))}
    genome = "".join(f">{name}\n{text}\n" for name, text in pieces.items())
    (folder / "seqs/Homo_sapiens.GRCh38.dna.primary_assembly.fa").write_text(genome)
    with library.open(str(shared / "data/bench/annotation/dm3_bigwig2_X_2.5e6_3.5e6.bw")) as file:
        real = np.nan_to_num(file.values("X", 2_500_000, 3_300_000, numpy=True))
    from genoseq.benchmark.suites.signal_windows import _BIGWIGS

    written = {}
    for number, (track, name) in enumerate(_BIGWIGS.items()):
        with library.open(str(folder / "targets" / name), "w") as file:
            file.addHeader([(f"chr{chromosome}", 5000) for chromosome in pieces])
            for place, chromosome in enumerate(pieces):
                values = real[(number * 4 + place) * 20_000 :][:5000].astype(np.float64)
                file.addEntries(f"chr{chromosome}", 0, values=values, span=1, step=1)
                written[f"{track} {chromosome}"] = values
    for name, start in (("plus", 300), ("minus", 4000)):
        with gzip.open(folder / f"targets/blacklists/fantom.blacklist8.{name}.bed.gz", "wt") as file:
            file.write(f"chr8\t{start}\t{start + 40}\n")
    return folder.parent, written


def test_signals_base_by_base(signals: tuple[Path, dict[str, np.ndarray]], letters: str) -> None:
    folder, written = signals
    settings = {"length": 500, "windows": {"train": 12, "validation": 3, "test": 1000}}
    (task,) = suite(folder, "transcription_initiation", **settings).tasks()
    module = data_of(task)
    assert module.num_outputs == 10
    test, labels = module.examples("test"), module.labels("test")
    assert len(test) == 2 * (2 * 10 - 1)
    tracks = list(task.label_column)
    for name, sequence, found in zip(test["name"], test["sequence"], labels, strict=True):
        chromosome, _, place = name.partition(":")
        start, end = map(int, place.split("-"))
        offset = 200_000 + 5000 * ("1", "8", "9", "10").index(chromosome) + start
        assert sequence == letters[offset : offset + 500]
        wanted = np.stack([written[f"{track} {chromosome}"][start:end] for track in tracks], axis=1)
        if chromosome == "8":
            for first, track, other in ((300, 0, 1), (4000, 9, 8)):
                inside = slice(max(first - start, 0), max(first + 40 - start, 0))
                wanted[inside, track] = wanted[inside, other] * 0.61357
        np.testing.assert_allclose(found, wanted, rtol=1e-5)
    assert set(module.examples("train")["name"].str.partition(":")[0]) == {"1"}
    assert module.examples("validation")["name"].tolist() == ["10:0-500", "10:2250-2750", "10:4500-5000"]
    (folder / _SIGNALS / "targets/agg.minus.bw.bedgraph.bw").write_bytes(b"none")
    with pytest.raises(DataError, match="is no bigWig"):
        suite(folder, "transcription_initiation", **settings).tasks()


def test_what_is_not_there_or_cannot_be_learnt(enhancers: tuple[Path, pd.DataFrame]) -> None:
    folder, _ = enhancers
    for task in ("contact_map_HFF", "regulatory_activity_human"):
        with pytest.raises(ConfigError, match=f"{task} of DNALongBench cannot be learnt here: its labels"):
            suite(folder, task).tasks()
    with pytest.raises(DataError, match=r"missing: eQTL/config/gtex_hg38\.Thyroid\.config"):
        suite(folder, "eqtl_Thyroid").tasks()
    (folder / "enhancer_target_gene/masked.bed.gz").unlink()
    with pytest.raises(DataError, match=r"missing: enhancer_target_gene/masked\.bed\.gz"):
        suite(folder, "enhancer_target_gene").tasks()
    config = folder / "enhancer_target_gene/config/CRISPRi_EPI_K562_hg19.config"
    config.write_text("genome_fa genome.fa str\n")
    with pytest.raises(DataError, match="has no EPI_file, enhancer_tabix_file, tss_flank_upstream"):
        suite(folder, "enhancer_target_gene").tasks()


def test_another_genome_is_refused(enhancers: tuple[Path, pd.DataFrame]) -> None:
    folder, _ = enhancers
    (folder / "enhancer_target_gene/genome.fa").write_text(">chr1\nACGT\n")
    with pytest.raises(DataError, match=r"has no chr9\. Is it the right genome"):
        suite(folder, "enhancer_target_gene").tasks()
