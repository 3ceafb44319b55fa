"""`genoseq benchmark`: the table, the files beside it, resumption by cell, and mistakes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from genoseq.cli import main
from genoseq.data.tables import read_table
from genoseq.paths import data_dir

TINY = "model:hyenadna_tiny_1k,model.d_model:16,model.num_layers:1,model.l_max:400,model.filter_order:8"
MODEL = f"models={{tiny:{{{TINY}}}}}"
KMERS = "k-mer logistic regression (1 to 3)"
STEPS = 'settings=["trainer=cpu","trainer.max_steps=4","trainer.val_check_interval=2"]'


@pytest.fixture
def benchmark(tmp_path: Path) -> list[str]:
    """A command line for one small task: a model, k-mers and the Markov chains of each class."""
    tables = {}
    for part, rows in (("train", 120), ("test", 60)):
        whole = read_table(data_dir() / f"labelled/umaydis_splice_donors/{part}.tsv.gz")
        tables[part] = tmp_path / "suite" / f"{part}.csv"
        tables[part].parent.mkdir(exist_ok=True)
        whole.sample(rows, random_state=0).to_csv(tables[part], index=False)
    return [
        "suite=shipped",
        f"suite.folder={tmp_path / 'suite'}",
        "suite.name=tiny",
        "+suite.sets.donors={metric:mcc,parts:{train:train.csv,test:test.csv}}",
        "suite.tasks=[donors]",
        MODEL,
        STEPS,
        "~baselines.onehot_regression",
        "~baselines.kmer_counts",
        "~baselines.small_CNN",
        *(f"~baselines.compression_{name}" for name in ("gzip", "bz2", "lzma", "brotli")),
        "baselines.kmer_regression.max_k=3",
        "resamples=100",
        f"out={tmp_path / 'out'}",
    ]


def changed(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("results.json")}


def test_a_benchmark_and_what_it_writes(benchmark, tmp_path, refused):
    main(["benchmark", *benchmark, "seeds=1"])
    out = tmp_path / "out"
    table = pd.read_csv(out / "table.tsv", sep="\t").set_index("contender")
    assert set(table.index) == {"tiny", KMERS, "interpolated Markov, by class"}
    assert (table["metric"] == "mcc").all()
    assert table.loc["tiny", "seeds"] == 1
    assert (table["all_low"] <= table["mean"]).all()
    assert (table["mean"] <= table["all_high"]).all()
    assert pd.isna(table.loc[KMERS, "versus_reference_all_mean"])
    apart = table.loc["tiny", "mean"] - table.loc[KMERS, "mean"]
    assert table.loc["tiny", "versus_reference_all_mean"] == pytest.approx(apart)
    facts = json.loads((out / "tasks/donors.json").read_text())
    assert facts["rows"]["test"] == 60
    assert facts["rows"]["train"] + facts["rows"]["validation"] == 120
    for cell in ("tiny/seed_0", "kmer_regression/once", "interpolated_markov/once"):
        predictions = pd.read_parquet(out / "cells/donors" / cell / "predictions.parquet")
        assert len(predictions) == 60
        assert {"label", "prediction", "probability_0", "probability_1", "leaked"} <= set(predictions)
    for name in ("table.md", "report.html", "plots/donors.png"):
        assert (out / name).stat().st_size > 1000
    page = (out / "report.html").read_text()
    assert "http" not in page.replace("http://www.w3.org", "").lower()
    assert KMERS in (out / "table.md").read_text()

    # The same again does nothing, and gives the same table; another recipe under the same name is refused.
    before, text = changed(out), (out / "table.tsv").read_text()
    main(["benchmark", *benchmark, "seeds=1"])
    assert changed(out) == before
    assert (out / "table.tsv").read_text() == text
    again = [*benchmark, "seeds=1", STEPS.replace("max_steps=4", "max_steps=6")]
    assert "was made with other settings" in refused(["benchmark", *again])

    moved = out.rename(tmp_path / "moved")
    before = changed(moved)
    main(["benchmark", *benchmark, "seeds=1", f"out={moved}"])
    assert changed(moved) == before, "a benchmark may be moved"


def test_a_cell_that_fails_is_told_and_the_others_are_in_the_table(benchmark, tmp_path, refused):
    wrong = [text.replace("model.l_max:400", "model.l_max:20") for text in benchmark]
    message = refused(["benchmark", *wrong, "seeds=1", "~baselines.interpolated_markov"])
    assert "1 of 2 cells failed" in message
    assert "donors, tiny, seed 0" in message
    table = pd.read_csv(tmp_path / "out/table.tsv", sep="\t")
    assert table["contender"].tolist() == [KMERS]


def test_mistakes_are_told_before_anything_runs(benchmark, tmp_path, refused):
    assert "seeds=0" in refused(["benchmark", *benchmark, "seeds=0"])
    assert "keep='all'" in refused(["benchmark", *benchmark, "keep=all"])
    assert "devices=cuda" in refused(["benchmark", *benchmark, "devices=cuda"])
    test = tmp_path / "suite/test.csv"
    whole = pd.read_csv(test)
    whole[whole["label"] == 1].to_csv(test, index=False)
    assert "rows of test are of the class '1'" in refused(["benchmark", *benchmark])
    whole.assign(label=whole["label"].astype(object).where(whole.index != 3)).to_csv(test, index=False)
    assert "row 3 (counted from 0): it has no label" in refused(["benchmark", *benchmark])
    test.unlink()
    assert "only 1 of the 2 files" in refused(["benchmark", *benchmark])
    assert not (tmp_path / "out/table.tsv").exists()


@pytest.mark.slow
def test_a_benchmark_killed_half_way_finishes_without_repeating_and_gives_the_same_table(benchmark, tmp_path):
    whole = [*benchmark, "seeds=2", f"out={tmp_path / 'whole'}"]
    main(["benchmark", *whole])
    command = [sys.executable, "-m", "genoseq", "benchmark", *benchmark, "seeds=2"]
    out = tmp_path / "out"
    with subprocess.Popen(command, start_new_session=True) as process:
        while process.poll() is None and not changed(out):
            time.sleep(0.05)
        assert process.poll() is None, "it was to be killed before its end"
        os.killpg(process.pid, signal.SIGKILL)
    finished = changed(out)
    assert 1 <= len(finished) < 4
    main(["benchmark", *benchmark, "seeds=2"])
    now = changed(out)
    assert {name: now[name] for name in finished} == finished
    assert len(now) == 4
    first, second = (
        pd.read_csv(folder / "table.tsv", sep="\t").drop(columns="seconds")
        for folder in (tmp_path / "whole", out)
    )
    pd.testing.assert_frame_equal(first, second)
