"""Run folders as training leaves them, with made-up but plausible numbers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

LM_CONFIG = """\
name: celegans_demo
seed: 0
global_batch_size: 8
model:
  _target_: genoseq.models.HyenaDNA
  d_model: 128
  num_layers: 2
  l_max: 1026
data:
  _target_: genoseq.data.GenomeDataModule
  fasta: genoseq:genomes/celegans_ce2_chrX_first2Mi.fa.gz
  length: 1024
task:
  _target_: genoseq_tasks.CausalLM
  _partial_: true
optimizer:
  _target_: torch.optim.AdamW
  lr: 0.0006
trainer:
  max_steps: 1200
baselines: {static_markov: null, frozen_counter: null, adaptive_counter: null}
"""
CLASSIFIER_CONFIG = """\
name: umaydis_fine_tuning
seed: 0
global_batch_size: 32
model:
  _target_: genoseq.models.hub.load_backbone
  checkpoint: runs/celegans_demo
data:
  _target_: genoseq.data.LabelledDataModule
  train: genoseq:labelled/umaydis_coding_vs_intergenic/train.tsv.gz
  test: genoseq:labelled/umaydis_coding_vs_intergenic/test.tsv.gz
optimizer:
  _target_: torch.optim.AdamW
  lr: 0.0003
trainer:
  max_epochs: 4
baselines: {kmer: null, one_hot: null}
"""


def _versus(mean: float, half: float, n: int, unit: str) -> dict[str, object]:
    return {"mean": mean, "low": mean - half, "high": mean + half, "n": n, "unit": unit}


def _write_common(folder: Path, config: str, results: dict[str, object], metrics: pd.DataFrame) -> None:
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(config)
    (folder / "results.json").write_text(json.dumps(results))
    metrics.to_csv(folder / "metrics.csv", index=False)
    environment = {
        "genoseq": "0.1.0",
        "torch": "2.13.0",
        "lightning": "2.6.6",
        "python": "3.11.9",
        "platform": "Linux-6.1-x86_64",
        "device": "cpu (2 cores)",
        "git": "0f3a9c1",
        "data": {"genomes/celegans_ce2_chrX_first2Mi.fa.gz": "9f2c" * 16},
    }
    (folder / "environment.json").write_text(json.dumps(environment))
    performance = {
        "tokens_per_second": 21480.4,
        "peak_memory_bytes": 812_345_344,
        "seconds": 96.2,
        "parameters": 436_312,
    }
    (folder / "performance.json").write_text(json.dumps(performance))


def _training_log(
    generator: np.random.Generator, steps: int, start: float, end: float, **validation: tuple[float, float]
) -> pd.DataFrame:
    """Rows as Lightning's CSVLogger writes them: training and validation never in the same row."""
    logged = np.arange(9, steps, 10)
    decay = np.exp(-logged / (steps / 5))
    rows = [
        {
            "epoch": 0,
            "step": int(step),
            "train/loss": end + (start - end) * far + generator.normal(0, 0.02),
            "lr-AdamW": rate,
        }
        for step, far, rate in zip(
            logged, decay, 6e-4 * np.minimum(logged / 100, np.cos(logged / steps * 1.5)), strict=True
        )
    ]
    for step in range(steps // 10 - 1, steps, steps // 10):
        far = float(np.exp(-step / (steps / 5)))
        rows.append(
            {"epoch": 0, "step": step}
            | {f"val/{name}": b + (a - b) * far for name, (a, b) in validation.items()}
        )
    return pd.DataFrame(rows).sort_values("step")


def _tiles(generator: np.random.Generator, level: float) -> pd.DataFrame:
    """The last 20 % of a 2 Mi chromosome, tiles of 1,024 with easy stretches that all methods share."""
    starts = np.arange(1_677_721, 2_097_152, 1024)
    shared = np.random.default_rng(3).normal(0, 0.06, len(starts)) + 0.04 * np.sin(starts / 25_000)
    easy = np.random.default_rng(4).random(len(starts)) < 0.05
    bits = (level + shared - 0.7 * easy + generator.normal(0, 0.01, len(starts))) * 1024
    return pd.DataFrame(
        {"chromosome": "chrX", "start": starts, "end": starts + 1024, "num_bases": 1024, "bits": bits}
    )


@pytest.fixture
def language_model_run(tmp_path: Path) -> Path:
    """A pretraining run with three baselines and generated sequences."""
    generator = np.random.default_rng(0)
    folder = tmp_path / "runs" / "celegans_demo"
    block = "20 kb block"
    rows = [
        {
            "name": "HyenaDNA",
            "kind": "model",
            "metrics": {"bits_per_base": 1.846, "perplexity": 3.595},
            "versus_model": None,
        },
        {
            "name": "static Markov (order 10)",
            "kind": "baseline",
            "metrics": {"bits_per_base": 1.889, "perplexity": 3.704},
            "versus_model": _versus(-0.043, 0.007, 21, block),
        },
        {
            "name": "frozen counter",
            "kind": "baseline",
            "metrics": {"bits_per_base": 1.858, "perplexity": 3.625},
            "versus_model": _versus(-0.012, 0.006, 21, block),
        },
        {
            "name": "adaptive counter (keeps learning on the test block)",
            "kind": "baseline",
            "metrics": {"bits_per_base": 1.690, "perplexity": 3.227},
            "versus_model": _versus(0.156, 0.061, 21, block),
        },
    ]
    results = {
        "problem": "language_model",
        "split": "test",
        "metric": "bits_per_base",
        "higher_is_better": False,
        "rows": rows,
        "leak_free_rows": [],
    }
    log = _training_log(generator, 1200, 1.39, 1.28, loss=(1.38, 1.285), bits_per_base=(1.99, 1.854))
    _write_common(folder, LM_CONFIG, results, log)
    levels = {"": 1.88, "_static_markov": 1.92, "_frozen_counter": 1.892, "_adaptive_counter": 1.74}
    for name, level in levels.items():
        _tiles(generator, level).to_parquet(folder / f"predictions{name}.parquet")
    _write_fasta(folder / "reference.fa", generator, 1, 200_000, [0.32, 0.18, 0.18, 0.32])
    _write_fasta(folder / "generated.fa", generator, 10, 1000, [0.30, 0.20, 0.20, 0.30])
    return folder


def _write_fasta(
    path: Path, generator: np.random.Generator, number: int, length: int, shares: list[float]
) -> None:
    """A chain in which a base is often followed by itself, as A and T runs are in worms."""
    with path.open("w") as handle:
        for index in range(number):
            letters = generator.choice(list("ACGT"), size=length, p=shares)
            again = np.flatnonzero(generator.random(length) < 0.25)[1:]
            letters[again] = letters[again - 1]
            handle.write(f">sequence{index}\n{''.join(letters)}\n")


@pytest.fixture
def classifier_run(tmp_path: Path) -> Path:
    """A fine-tuning run with one baseline and the rows free of leaks."""
    generator = np.random.default_rng(1)
    folder = tmp_path / "runs" / "umaydis_fine_tuning"

    def row(name: str, kind: str, accuracy: float, versus: dict[str, object] | None) -> dict[str, object]:
        metrics = {
            "accuracy": accuracy,
            "mcc": 2 * accuracy - 1,
            "auroc": accuracy + 0.06,
            "auprc": accuracy + 0.05,
        }
        return {"name": name, "kind": kind, "metrics": metrics, "versus_model": versus}

    baseline = "k-mer logistic regression"
    results = {
        "problem": "single_label",
        "split": "test",
        "metric": "accuracy",
        "higher_is_better": True,
        "rows": [
            row("HyenaDNA, pretrained", "model", 0.898, None),
            row(baseline, "baseline", 0.887, _versus(0.011, 0.008, 2412, "example")),
            row("one-hot logistic regression", "baseline", 0.801, _versus(0.097, 0.015, 2412, "example")),
        ],
        "leak_free_rows": [
            row("HyenaDNA, pretrained", "model", 0.891, None),
            row(baseline, "baseline", 0.884, _versus(0.007, 0.009, 2105, "example")),
        ],
    }
    log = _training_log(generator, 800, 0.69, 0.24, loss=(0.69, 0.27), accuracy=(0.5, 0.9))
    _write_common(folder, CLASSIFIER_CONFIG, results, log)
    truth = generator.random(2412) < 0.5
    for name, strength in (
        ("", 2.6),
        ("_kmer", 2.3),
        ("_one_hot", 1.4),
    ):
        score = strength * (2 * truth - 1) / 2 + generator.logistic(0, 0.55, len(truth))
        probability = 1 / (1 + np.exp(-2 * score))
        names = np.array(["intergenic", "coding"])
        pd.DataFrame(
            {
                "index": np.arange(len(truth)),
                "label": names[truth.astype(int)],
                "prediction": names[(probability > 0.5).astype(int)],
                "probability_intergenic": 1 - probability,
                "probability_coding": probability,
            }
        ).to_parquet(folder / f"predictions{name}.parquet")
    return folder


@pytest.fixture
def bare_run(classifier_run: Path) -> Path:
    """A short classifier run, quick to draw: sixty examples, no baseline predictions."""
    for file in classifier_run.glob("predictions_*.parquet"):
        file.unlink()
    predictions = classifier_run / "predictions.parquet"
    pd.read_parquet(predictions).head(60).to_parquet(predictions)
    metrics = classifier_run / "metrics.csv"
    pd.read_csv(metrics)[["step", "train/loss"]].to_csv(metrics, index=False)
    return classifier_run
