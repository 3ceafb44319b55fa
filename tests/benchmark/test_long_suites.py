"""Suites of intervals, matrices and genomes, in their official forms, made of real sequence and genes."""

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
from scipy.io import savemat

from genoseq.benchmark.cells import data_overrides
from genoseq.benchmark.suites import SpeciesClassification, Suite, Task
from genoseq.data.fasta import Fasta
from genoseq.errors import ConfigError, DataError
from genoseq.paths import configs_dir
from genoseq.sequence import reverse_complement

h5py = pytest.importorskip("h5py")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENOSEQ_CACHE", str(tmp_path / "cache"))


def suite(name: str, **settings: Any) -> Suite:
    with initialize_config_dir(str(configs_dir()), version_base="1.3"):
        config = compose("benchmark", overrides=[f"suite={name}", "models=[]"]).suite
    OmegaConf.set_struct(config, False)
    return instantiate(OmegaConf.merge(config, settings))


def data_of(task: Task) -> Any:
    with initialize_config_dir(str(configs_dir()), version_base="1.3"):
        config = compose("train", overrides=["experiment=finetune", *data_overrides(task, 32)])
    return instantiate(config.data)


@pytest.fixture
def chromosome(shared: Path, tmp_path: Path) -> Path:
    path = tmp_path / "chr9.fa"
    packed = shared / "data/bench/genomes/human_GRCh38_chr9_first1Mb.fa.gz"
    path.write_bytes(gzip.decompress(packed.read_bytes()))
    return path


@pytest.fixture
def exons(shared: Path) -> pd.DataFrame:
    """Exons of protein-coding genes of the first megabase of chr9, 0-based."""
    path = shared / "data/bench/annotation/human_GRCh38.91_chr9_1_1000000.gtf.gz"
    names = ["chromosome", "source", "kind", "start", "end", "score", "strand", "phase", "about"]
    table = pd.read_csv(path, sep="\t", names=names, comment="#", dtype={"chromosome": str})
    found = table[(table["kind"] == "exon") & (table["start"] > 5000)].drop_duplicates(["start", "end"])
    return found.assign(start=found["start"] - 1).head(60).reset_index(drop=True)


@pytest.fixture
def bend(tmp_path: Path, exons: pd.DataFrame) -> Path:
    """BEND's gene finding and histone marks: BED tables with a header, labels in HDF5 beside them."""
    folder = tmp_path / "bend"
    middle = ((exons["start"] + exons["end"]) // 2).to_numpy()
    table = pd.DataFrame({"chromosome": "chr9", "start": middle - 60, "end": middle + 60})
    table["split"] = np.array(["train", "train", "train", "valid", "test"])[np.arange(len(table)) % 5]
    table["strand"] = exons["strand"]
    inside = np.zeros((len(table), 120), dtype=np.int64)
    for row, (start, exon) in enumerate(zip(table["start"], exons.itertuples(), strict=True)):
        inside[row, max(0, exon.start - start) : max(0, exon.end - start)] = 1
    inside[table["strand"].to_numpy() == "-"] = inside[table["strand"].to_numpy() == "-"][:, ::-1]
    marks = np.random.default_rng(0).random((len(table), 18)) < 0.2
    for name, labels in (("gene_finding", inside), ("histone_modification", marks.astype(np.int8))):
        (folder / name).mkdir(parents=True)
        table.to_csv(folder / name / f"{name}.bed", sep="\t", index=False)
        with h5py.File(folder / name / f"{name}.hdf5", "w") as file:
            file["labels"] = labels
    return folder


def test_bend_has_a_label_for_each_base_and_many_for_a_window(bend: Path, chromosome: Path) -> None:
    settings = {"folder": str(bend), "genomes": {"GRCh38": str(chromosome)}}
    genes, marks = suite("bend", tasks=["gene_finding", "histone_modification"], **settings).tasks()
    fasta = Fasta(chromosome)
    for task in (genes, marks):
        table = pd.read_csv(bend / task.name / f"{task.name}.bed", sep="\t")
        with h5py.File(bend / task.name / f"{task.name}.hdf5") as file:
            official = file["labels"][:]
        module = data_of(task)
        assert module.num_outputs == {"gene_finding": 9, "histone_modification": 18}[task.name]
        for part, split in (("train", "train"), ("validation", "valid"), ("test", "test")):
            rows = table[table["split"] == split]
            examples, labels = module.examples(part), module.labels(part)
            assert len(examples) == len(rows)
            for place, (index, row) in enumerate(rows.iterrows()):
                letters = fasta.fetch("chr9", row["start"], row["end"]).upper()
                if task is genes and row["strand"] == "-":
                    letters = reverse_complement(letters)
                assert examples["sequence"][place] == letters
                assert (labels[place] == official[index]).all()


def test_tables_and_labels_of_different_length_are_refused(bend: Path, chromosome: Path) -> None:
    with h5py.File(bend / "gene_finding/gene_finding.hdf5", "r+") as file:
        short = file["labels"][:-3]
        del file["labels"]
        file["labels"] = short
    settings = {"folder": str(bend), "genomes": {"GRCh38": str(chromosome)}, "tasks": ["gene_finding"]}
    with pytest.raises(DataError, match="labels of 57 intervals, the table beside it 60"):
        suite("bend", **settings).tasks()


def test_the_long_range_benchmark_reads_windows_around_places(
    tmp_path: Path, chromosome: Path, exons: pd.DataFrame
) -> None:
    folder = tmp_path / "lrb"
    for name in ("regulatory_elements", "chromatin_features"):
        (folder / name).mkdir(parents=True)
    split = np.array(["train", "train", "test"])[np.arange(len(exons)) % 3]
    elements = pd.DataFrame(
        {
            "CHROM": "chr9", "START": exons["start"] + 1, "STOP": exons["end"],
            "label": np.arange(len(exons)) % 2, "split": split,
        }
    )  # fmt: skip
    beyond = pd.DataFrame({"CHROM": ["chr9"], "START": [10], "STOP": [20], "label": [1], "split": ["test"]})
    pd.concat([elements, beyond]).to_csv(folder / "regulatory_elements/promoter_dataset.csv", index=False)
    marks = (np.random.default_rng(0).random((len(exons), 20)) < 0.3).astype(float)
    places = pd.DataFrame({"CHROM": "9", "POS": exons["start"] + 1, "split": split})
    places["HISTONES"] = [str(row.tolist()) for row in marks]
    places.to_csv(folder / "chromatin_features/histones_and_dnase.csv", index=False)
    both = ["regulatory_element_promoter", "chromatin_histone_marks"]
    genomes = {"hg38": str(chromosome), "hg19": str(chromosome)}
    settings = {"folder": str(folder), "genomes": genomes, "common": {"length": 2000}}
    promoters, chromatin = suite("long_range", tasks=both, **settings).tasks()
    fasta = Fasta(chromosome)
    tests = elements[elements["split"] == "test"]
    examples = data_of(promoters).examples("test")
    assert len(examples) == len(tests)  # the place at the chromosome's start is left out
    for place, row in enumerate(tests.itertuples()):
        start = (row.START - 1 + row.STOP) // 2 - 1000
        assert examples["sequence"][place] == fasta.fetch("chr9", start, start + 2000).upper()
        assert examples["label"][place] == str(row.label)
    module = data_of(chromatin)
    assert module.num_outputs == 20
    assert (np.stack(module.labels("test")) == marks[split == "test"]).all()
    with pytest.raises(ConfigError, match=r"suite\.genomes\.hg38"):
        suite("long_range", tasks=both, folder=str(folder)).tasks()


@pytest.fixture
def deepsea(tmp_path: Path, chromosome: Path) -> tuple[Path, dict[str, list[str]], np.ndarray]:
    """The three files, of windows of 100 bases, the layout of each as in the release."""
    folder = tmp_path / "deepsea"
    folder.mkdir()
    fasta, sequences = Fasta(chromosome), {}
    labels = (np.random.default_rng(1).random((12, 919)) < 0.02).astype(np.uint8)
    for number, (key, file) in enumerate((("train", "train"), ("valid", "valid"), ("test", "test"))):
        starts = [50_000 + 1000 * (12 * number + row) for row in range(12)]
        texts = [fasta.fetch("chr9", start, start + 100).upper() for start in starts]
        bases = np.stack([[[letter == base for letter in text] for base in "AGCT"] for text in texts])
        sequences[key] = texts
        if key == "train":
            with h5py.File(folder / "train.mat", "w", userblock_size=512) as handle:
                handle["trainxdata"] = bases.astype(np.uint8).transpose(2, 1, 0)
                handle["traindata"] = labels.T
            with (folder / "train.mat").open("r+b") as raw:
                raw.write(b"MATLAB 7.3 MAT-file HDF5 schema 1.00")
        else:
            content = {f"{key}xdata": bases.astype(np.uint8), f"{key}data": labels}
            savemat(folder / f"{file}.mat", content)
    return folder, sequences, labels


def test_deepsea_is_read_from_both_kinds_of_its_files(
    deepsea: tuple[Path, dict[str, list[str]], np.ndarray],
) -> None:
    folder, sequences, labels = deepsea
    (task,) = suite("deepsea", folder=str(folder)).tasks()
    module = data_of(task)
    assert module.num_outputs == 919
    for part, key in (("train", "train"), ("validation", "valid"), ("test", "test")):
        assert module.examples(part)["sequence"].tolist() == sequences[key]
        assert (np.stack(module.labels(part)) == labels).all()


def test_a_matrix_of_another_shape_is_refused(deepsea: tuple[Path, Any, Any]) -> None:
    with pytest.raises(DataError, match=r"\(N, 12\) are wanted"):
        suite("deepsea", folder=str(deepsea[0]), num_labels=12).tasks()


def test_species_are_drawn_from_chromosomes_that_no_two_parts_share(shared: Path, tmp_path: Path) -> None:
    # Two mitochondria, each cut in three that play chromosomes.
    for name in ("human", "orangutan"):
        text = gzip.decompress((shared / f"data/bench/genomes/{name}_MT.fa.gz").read_bytes()).decode()
        letters = "".join(text.split("\n")[1:])
        third = len(letters) // 3
        parts = [f">m{place}\n{letters[place * third : (place + 1) * third]}\n" for place in range(3)]
        (tmp_path / f"{name}.fa").write_text("".join(parts))
    own: dict[str, Any] = {"name": "species", "repository": None, "revision": None, "tasks": None, "seed": 0}
    settings: dict[str, Any] = {
        "folder": str(tmp_path),
        "genomes": {"human": "human.fa", "orangutan": "orangutan.fa"},
        "chromosomes": {"train": ["m0"], "validation": ["m1"], "test": ["m2"]},
        "length": 200,
        "windows": {"train": 20, "validation": 5, "test": 10},
    }
    (task,) = SpeciesClassification(**own, **settings).tasks()
    module = data_of(task)
    for part, chromosome, count in (("train", "m0", 20), ("validation", "m1", 5), ("test", "m2", 10)):
        rows = module.examples(part)
        assert rows["label"].value_counts().to_dict() == {"human": count, "orangutan": count}
        assert rows["name"].str.contains(f" {chromosome}:").all()
        assert (rows["sequence"].str.len() == 200).all()
    settings["chromosomes"] = {"train": ["m0"], "validation": ["m0"], "test": ["m2"]}
    with pytest.raises(ConfigError, match="each chromosome to one part"):
        SpeciesClassification(**own, **settings)
