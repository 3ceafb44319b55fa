"""What is shipped is what the manifest says, and every data config makes batches of it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from genoseq.data import Fasta, SequenceDataModule
from genoseq.paths import configs_dir, data_dir

_INDEXES = (".fai", ".gzi")
_OF_DATA = ("model", "head", "task", "optimizer", "schedule", "callbacks", "logger", "trainer", "baselines")


def test_the_manifest_is_true() -> None:
    manifest = pd.read_csv(data_dir() / "manifest.tsv", sep="\t").set_index("path")
    stored = {
        path.relative_to(data_dir()).as_posix()
        for path in data_dir().rglob("*.*")
        if path.is_file() and path.parent != data_dir() and path.suffix not in _INDEXES
    }
    assert stored == set(manifest.index)
    for name, row in manifest.iterrows():
        content = (data_dir() / str(name)).read_bytes()
        assert hashlib.sha256(content).hexdigest() == row["sha256"]
        assert len(content) == row["bytes"]
    assert sum(path.stat().st_size for path in data_dir().rglob("*") if path.is_file()) < 3_000_000


def test_the_shipped_indexes_are_true(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENOSEQ_CACHE", str(tmp_path / "cache"))
    for path in (data_dir() / "genomes").glob("*.gz"):
        copy = tmp_path / path.name
        copy.write_bytes(path.read_bytes())
        Fasta(copy)
        for kind in _INDEXES:
            made = max((tmp_path / "cache").glob(f"*{kind}"), key=lambda file: file.stat().st_mtime_ns)
            assert made.read_bytes() == path.with_name(path.name + kind).read_bytes()


def datamodule(*overrides: str) -> SequenceDataModule:
    with initialize_config_dir(str(configs_dir()), version_base="1.3"):
        config = compose("train", overrides=[*overrides, *(f"~{group}" for group in _OF_DATA)])
    return instantiate(config.data)


def test_the_genome_config_makes_batches() -> None:
    data = datamodule("data=celegans", "global_batch_size=4")
    assert data.num_examples("validation") == 205
    batch = next(iter(data.evaluation_loader("validation")))
    assert batch["input_ids"].shape == (4, 1024)
    assert "attention_mask" not in batch


def test_a_genome_is_named_on_the_command_line(tiny_fasta: Path) -> None:
    data = datamodule(
        "data=genome", f"data.fasta={tiny_fasta}", "data/split=chromosomes", "data.split.test=[chr2]",
        "data.split.validation=[chr1]",
    )  # fmt: skip
    assert data.num_examples("test") == 3


def test_the_fine_tuning_config_makes_batches() -> None:
    data = datamodule("data=umaydis", "global_batch_size=4")
    batch = next(iter(data.evaluation_loader("test")))
    assert batch["input_ids"].shape == (4, 301)
    table = pd.read_csv(data_dir() / "labelled/umaydis_coding_vs_intergenic/test.tsv.gz", sep="\t")
    assert batch["labels"].tolist() == table["label"].tolist()[:4]
