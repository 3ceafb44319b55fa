"""Abilities from the command line: learned at one length, tested at several, drawn, and tested again."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from genoseq.cli import main

TINY = [
    "experiment=ability_recall",
    "model=mamba2_tiny",
    "model.d_model=32",
    "model.num_layers=1",
    "data.num_pairs=2",
    "data.length=64",
    "data.length_schedule=null",
    "data.test_lengths=[64,200]",
    "data.evaluation_examples=5",
    "data.examples_per_epoch=8",
    "global_batch_size=4",
    "trainer=cpu",
    "trainer.max_steps=2",
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "recall"
    main(["train", *TINY, f"run_dir={folder}"])
    return folder


def test_every_length_is_tested_and_every_example_counted(run: Path) -> None:
    results = json.loads((run / "results.json").read_text())
    table = pd.read_parquet(run / "predictions.parquet")
    assert table["length"].tolist() == [64] * 5 + [200] * 5
    assert set(table["num_bases"]) == {2 * 4}
    for row, (length, rows) in zip(results["by_length"], table.groupby("length"), strict=True):
        assert row["length"] == length
        assert row["metrics"]["accuracy"] == pytest.approx((rows["num_correct"] / rows["num_bases"]).mean())
    assert (run / "plots" / "accuracy_by_length.png").is_file()
    assert pd.read_csv(run / "metrics.csv")["val/accuracy"].notna().any()
    page = (run / "report.html").read_text()
    assert "5 examples of each length" in page
    assert "Guessing blindly among four bases gets a quarter of them." in page


def test_a_checkpoint_is_asked_at_other_lengths(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "more.json"
    asked = ["data=ability_passkey", "data.test_lengths=[100,300]", "data.evaluation_examples=3"]
    main(["evaluate", f"checkpoint={run}", *asked, f"out={out}"])
    assert [row["length"] for row in json.loads(out.read_text())["by_length"]] == [100, 300]
    assert "3 examples of each length" in capsys.readouterr().out


def test_a_sequence_without_room_is_refused(tmp_path: Path, mistake) -> None:
    message = mistake(main, ["train", *TINY, f"run_dir={tmp_path / 'x'}", "data.test_lengths=[64,39]"])
    assert "test_lengths=39 has no room" in message
