"""Suites read folders in their official form, made here of rows that are real; half a folder is refused."""

from __future__ import annotations

import gzip
import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from genoseq.benchmark.cells import data_overrides
from genoseq.benchmark.facts import task_facts
from genoseq.benchmark.suites import Suite, Task
from genoseq.errors import ConfigError, DataError, GenoseqError
from genoseq.paths import configs_dir, data_dir

SUITES = sorted(path.stem for path in (configs_dir() / "suite").glob("*.yaml"))
SIZES = {
    "gue": 28,
    "nucleotide_transformer": 18,
    "nucleotide_transformer_revised": 18,
    "genomic_benchmarks": 8,
    "shipped": 4,
}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENOSEQ_CACHE", str(tmp_path / "cache"))


def suite(name: str, **settings: Any) -> Suite:
    with initialize_config_dir(str(configs_dir()), version_base="1.3"):
        config = compose("benchmark", overrides=[f"suite={name}", "models=[]"]).suite
    config.update({"folder": "."} | settings)
    return instantiate(config)


def rows_of(task: Task, part: str = "test") -> Any:
    with initialize_config_dir(str(configs_dir()), version_base="1.3"):
        config = compose("train", overrides=["experiment=finetune", *data_overrides(task, 32)])
    return instantiate(config.data).examples(part)


@pytest.mark.parametrize("name", SUITES)
def test_every_suite_knows_its_tasks(name: str) -> None:
    found = suite(name)
    assert len(found.names) == SIZES.get(name, len(found.names))
    assert found.names
    with pytest.raises(ConfigError, match="has no nonsense; it has"):
        suite(name, tasks=["nonsense"]).tasks()


def test_cells_name_shipped_tables_wherever_the_package_is():
    for task in suite("shipped").tasks():
        overrides = data_overrides(task, 32)
        assert any(text.startswith("data.train=genoseq:labelled/") for text in overrides)
        assert not [text for text in overrides if str(data_dir()) in text]
        assert len(rows_of(task, "train")) > 0


@pytest.fixture
def gue(shared: Path, tmp_path: Path) -> Path:
    """A folder as GUE.zip makes it, with two sets, a part of their rows each."""
    for path, source in (("tf/2", "GUE_tf_2"), ("prom/prom_core_tata", "GUE_prom_prom_core_tata")):
        folder = tmp_path / "GUE" / path
        folder.mkdir(parents=True)
        for part in ("train", "dev", "test"):
            table = pd.read_csv(shared / f"data/bench/labelled/{source}/{part}.tsv.gz", sep="\t")
            table.head(300).to_csv(folder / f"{part}.csv", index=False)
    return tmp_path


def test_gue_is_read_as_it_is(gue: Path) -> None:
    first, second = suite("gue", folder=str(gue), tasks=["tf_2", "prom_core_tata"]).tasks()
    assert (first.metric, first.strand, first.published) == ("mcc", "unstranded", ("GUE", "tf_human"))
    assert second.strand == "stranded"
    for task, path in ((first, "tf/2"), (second, "prom/prom_core_tata")):
        for part, file in (("train", "train"), ("validation", "dev"), ("test", "test")):
            official = pd.read_csv(gue / f"GUE/{path}/{file}.csv")
            assert rows_of(task, part)["sequence"].tolist() == official["sequence"].tolist()
    assert set(first.sources or {}) == {f"GUE/tf/2/{part}.csv" for part in ("train", "dev", "test")}


def test_half_a_folder_is_refused(gue: Path) -> None:
    (gue / "GUE/tf/2/dev.csv").unlink()
    with pytest.raises(DataError, match=r"only 2 of the 3 files.*missing: GUE/tf/2/dev.csv"):
        suite("gue", folder=str(gue), tasks=["tf_2"]).tasks()


def test_a_file_that_was_cut_short_is_refused(gue: Path) -> None:
    path = gue / "GUE/tf/2/train.csv"
    (gue / "SHA256SUMS").write_text(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  GUE/tf/2/train.csv\n")
    suite("gue", folder=str(gue), tasks=["tf_2"]).tasks()
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match=r"GUE/tf/2/train.csv is not what the checksums say"):
        suite("gue", folder=str(gue), tasks=["tf_2"]).tasks()
    path.write_bytes(b"")
    (gue / "SHA256SUMS").unlink()
    with pytest.raises(DataError, match=r"GUE/tf/2/train.csv is not"):
        suite("gue", folder=str(gue), tasks=["tf_2"]).tasks()


def test_no_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is no folder"):
        suite("gue", folder=str(tmp_path / "none"), tasks=["tf_2"]).tasks()


def test_the_open_sets_are_checked_against_their_manifests(shared: Path, tmp_path: Path) -> None:
    found = suite("open", folder=str(shared / "data"), tasks=["uci_promoters", "GUE_mouse_0"]).tasks()
    assert [len(rows_of(task)) for task in found][1] == 810
    copy = tmp_path / "copy"
    place = copy / "bench/labelled/uci_promoters"
    place.mkdir(parents=True)
    (copy / "embed").mkdir()
    for manifest in ("bench/manifest.tsv", "embed/manifest.tsv"):
        shutil.copyfile(shared / "data" / manifest, copy / manifest)
    text = gzip.decompress((shared / "data/bench/labelled/uci_promoters/all.tsv.gz").read_bytes())
    (place / "all.tsv.gz").write_bytes(gzip.compress(text[:-200]))
    with pytest.raises(DataError, match="is not what the checksums say"):
        suite("open", folder=str(copy), tasks=["uci_promoters"]).tasks()


def test_both_forms_of_the_nucleotide_transformers_tasks(shared: Path, tmp_path: Path) -> None:
    table = pd.read_csv(shared / "data/bench/labelled/GUE_mouse_0/test.tsv.gz", sep="\t").head(200)
    table["name"] = [f"chr1:{row}-{row + 101}" for row in range(200)]
    first, second = tmp_path / "first", tmp_path / "revised"
    for folder in (first / "enhancers", second / "enhancers"):
        folder.mkdir(parents=True)
    for part, rows in (("train", table[:120]), ("test", table[120:])):
        rows.to_parquet(second / f"enhancers/{part}.parquet")
        records = [f">{row.name}|{row.label}\n{row.sequence}\n" for row in rows.itertuples(index=False)]
        (first / f"enhancers/{part}.fna").write_text("".join(records))
    for name, folder in (("nucleotide_transformer", first), ("nucleotide_transformer_revised", second)):
        (task,) = suite(name, folder=str(folder), tasks=["enhancers"]).tasks()
        rows = rows_of(task)
        assert rows["sequence"].tolist() == table["sequence"].tolist()[120:]
        assert rows["label"].tolist() == table["label"].astype(str).tolist()[120:]
        assert rows["name"].tolist() == table["name"].tolist()[120:]
        assert task.validation is None
    (first / "enhancers/test.fna").write_text(">no label here\nACGT\n")
    with pytest.raises(DataError, match="has no label"):
        suite("nucleotide_transformer", folder=str(first), tasks=["enhancers"]).tasks()


@pytest.fixture
def genomic(shared: Path, tmp_path: Path) -> tuple[Path, Path, pd.DataFrame]:
    """Official tables of intervals on chr9, the genome, and what the sequences have to be."""
    rows = pd.read_csv(
        shared / "data/bench/labelled/GB_intervals_resolved_GRCh38_chr9.tsv.gz",
        sep="\t",
        dtype={"chrom": str},
    )
    genome = tmp_path / "chr9.fa"
    packed = shared / "data/bench/genomes/human_GRCh38_chr9_first1Mb.fa.gz"
    genome.write_bytes(gzip.decompress(packed.read_bytes()))
    for (name, split, label), part in rows.groupby(["dataset", "split", "class"]):
        folder = tmp_path / "datasets" / str(name) / str(split)
        folder.mkdir(parents=True, exist_ok=True)
        table = part[["chrom", "start", "end", "strand"]].rename(columns={"chrom": "region"})
        table.insert(0, "id", range(len(table)))
        table.to_csv(folder / f"{label}.csv.gz", index=False)
    return tmp_path / "datasets", genome, rows


def whole_set(rows: pd.DataFrame) -> str:
    """A set that has rows of each class in both splits."""
    wanted = suite("genomic_benchmarks").names
    counts = (
        rows[rows["dataset"].isin(wanted)]
        .groupby("dataset")[["split", "class"]]
        .apply(lambda part: part.drop_duplicates().shape[0])
    )
    return str(counts[counts == 4].index[0])


def test_intervals_of_genomic_benchmarks_give_their_sequences(
    genomic: tuple[Path, Path, pd.DataFrame],
) -> None:
    folder, genome, rows = genomic
    name = whole_set(rows)
    settings = {"folder": str(folder), "tasks": [name], "genomes": {"default": str(genome)}}
    (task,) = suite("genomic_benchmarks", **settings).tasks()
    mine = rows[(rows["dataset"] == name) & (rows["split"] == "test")]
    found = rows_of(task)
    assert sorted(found["sequence"]) == sorted(mine["sequence"].str.upper())
    assert set(found["label"]) == set(mine["class"])
    with pytest.raises(ConfigError, match=r"suite\.genomes"):
        suite("genomic_benchmarks", folder=str(folder), tasks=[name]).tasks()


def test_sequences_of_genomic_benchmarks_as_their_tool_writes_them(
    genomic: tuple[Path, Path, pd.DataFrame], tmp_path: Path
) -> None:
    _, _, rows = genomic
    name = whole_set(rows)
    for place, row in enumerate(rows[rows["dataset"] == name].itertuples(index=False)):
        folder = tmp_path / "made" / name / row.split / rows.loc[row_index(rows, row), "class"]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{place}.txt").write_text(row.sequence)
    (task,) = suite("genomic_benchmarks", folder=str(tmp_path / "made"), tasks=[name]).tasks()
    mine = rows[(rows["dataset"] == name) & (rows["split"] == "test")]
    assert sorted(rows_of(task)["sequence"]) == sorted(mine["sequence"].str.upper())


def row_index(rows: pd.DataFrame, row: Any) -> int:
    same = rows[(rows["dataset"] == row.dataset) & (rows["sequence"] == row.sequence)]
    return int(same[same["split"] == row.split].index[0])


Write = Callable[[list[tuple[str, str]], list[tuple[str, str]]], Task]


@pytest.fixture
def own(tmp_path: Path) -> Write:
    """A task of the rows that are given."""

    def write(train: list[tuple[str, str]], test: list[tuple[str, str]]) -> Task:
        paths = {}
        for part, rows in (("train", train), ("test", test)):
            paths[part] = tmp_path / f"{part}.csv"
            pd.DataFrame(rows, columns=["sequence", "label"]).to_csv(paths[part], index=False)
        return Task("own", paths["train"], None, paths["test"], metric="accuracy")

    return write


def look(task: Task, tmp_path: Path, *overrides: str) -> Any:
    with initialize_config_dir(str(configs_dir()), version_base="1.3"):
        config = compose("train", overrides=["experiment=finetune", *data_overrides(task, 8), *overrides])
    return task_facts(task, config.data, tmp_path / "facts.json")


ROWS = [
    (f"ACGTACGGTTA{a}{b}{c}GGA", "01"[(i + j) % 2])
    for i, a in enumerate("ACGT")
    for j, b in enumerate("ACGT")
    for c in "AC"
]
OTHER = [("TTTTTTTTGGGGGGGCC", "0"), ("CCCCCCCCAAAAAAATT", "1")]


def test_facts_count_what_stands_in_train_on_either_strand(own: Write, tmp_path: Path) -> None:
    spread = [(text * 2, label) for text, label in [("GATTACAGATTACACC", "0"), ("CCCTTTAGAGAGATTT", "1")]]
    turned = [("GGTGTAATCTGTAATCGGTGTAATCTGTAATC", "0")]
    facts = look(
        own([*spread, *OTHER], [*spread[:1], *turned, *OTHER[:1], ("GTGTGTGCACACACAC", "1")]), tmp_path
    )
    # Validation is cut from train; what stands there is a leak, too.
    assert facts.leaks["test"]["exact"] == 2
    assert facts.leaks["test"]["reverse_complement"] == 1
    assert facts.leaks["test"]["kmer"] == 3
    assert facts.leaks["test"]["repeated"] == 2
    assert facts.rows["test"] == 4
    assert facts.split["validation"] == "cut from train by clusters (kmers)"


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ([("ACGTTGCA", "1"), ("TTGGCCAA", "1"), ("GGGGTTTT", "1")], "one class only, '1'"),
        ([("ACGTTGCA", "0"), ("TTGGCCAA", ""), ("GGGGTTTT", "1")], "label"),
        ([("ACGTTGCA", "0"), ("", "1"), ("GGGGTTTT", "1")], "the sequence is empty"),
    ],
)
def test_rows_that_cannot_be_used_stop_the_run_before_it_begins(
    own: Write, tmp_path: Path, train: list[tuple[str, str]], message: str
) -> None:
    with pytest.raises(GenoseqError, match=message):
        look(own(train, OTHER), tmp_path)


def test_test_rows_in_train_are_an_error_where_leaks_are(own: Write, tmp_path: Path) -> None:
    with pytest.raises(GenoseqError, match="share 8 bases with"):
        look(
            own([*OTHER, ("ACGTACGTACGTAAC", "1"), ("GGATCCGGATCCAAG", "0")], OTHER),
            tmp_path,
            "data.leaks=error",
        )
