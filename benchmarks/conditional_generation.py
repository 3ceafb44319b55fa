"""Does a model that was asked for a property by its control token give it? A classifier of its own judges.

    python benchmarks/conditional_generation.py OUT [--num 500] [--train TABLE --test TABLE]
        [--set KEY=VALUE ...]

trains experiment=umaydis_conditional twice: on the labels as they are, and on the labels of the training
table shuffled, which leaves the control tokens without a meaning. Each model generates `--num` sequences a
label, as long as the real ones. The judge is the k-mer logistic regression of the baselines, fitted on the
real training split, which never saw a model; its accuracy on the real test rows is the most that can be
seen. `--train` and `--test` are other labelled tables, such as promoters and what lies before them; by
default the shipped coding and intergenic DNA. `--set` gives settings of both runs, such as model=pretrained
model.checkpoint=runs/celegans. Finished runs are not repeated.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from judging import kmer_judged
from omegaconf import DictConfig

from genoseq.data import ConditionalDataModule, read_table
from genoseq.inference import generate
from genoseq.models.hub import load
from genoseq.paths import configs_dir
from genoseq.statistics import mean_interval

EXPERIMENT = "umaydis_conditional"
REAL = "real test rows"
RUNS = {"labels": "generated", "shuffled_labels": "generated, labels shuffled in training"}


def settings(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(configs_dir()), version_base="1.3"):
        return compose("train", overrides=[f"experiment={EXPERIMENT}", *overrides])


def tables(train: str | None, test: str | None) -> list[str]:
    """Settings that take other tables than the shipped ones."""
    given = {"train": train, "test": test}
    return [f"data.labelled.{split}={path}" for split, path in given.items() if path is not None]


def shuffle_labels(source: str, out: Path, seed: int = 0) -> Path:
    table = read_table(source)
    labels = np.random.default_rng(seed).permutation(table["label"].to_numpy())
    table.assign(label=labels).to_csv(out, sep="\t", index=False)
    return out


def train(folder: Path, *overrides: str) -> None:
    if (folder / "report.html").exists():
        return
    command = [sys.executable, "-m", "genoseq", "train", f"experiment={EXPERIMENT}", f"run_dir={folder}"]
    subprocess.run([*command, "resume=auto", *overrides], check=True)


def generated(folder: Path, source: str, count: int, length: int) -> pd.DataFrame:
    model = load(folder)
    assert model.tokenizer is not None
    results = (
        result
        for label in model.tokenizer.controls
        for result in generate(model, length=length, num_sequences=count, control=label, batch_size=250)
    )
    rows = [{"sequence": result.sequence, "label": result.control, "group": source} for result in results]
    return pd.DataFrame(rows)


def verdicts(table: pd.DataFrame) -> pd.DataFrame:
    """One row a source: how often the judge sees the label that was asked for."""
    rows = []
    for source, part in table.groupby("group", sort=False):
        right = (part["prediction"] == part["label"]).astype(float)
        estimate = mean_interval(right, unit="sequence")
        rows.append(
            {
                "source": source,
                "sequences": f"{len(part):,}",
                "judged as asked": f"{estimate.mean:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]",
                **{
                    f"of {label}": f"{right[part['label'] == label].mean():.3f}"
                    for label in sorted(part["label"].unique())
                },
            }
        )
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--num", type=int, default=500, help="sequences a label")
    parser.add_argument("--train", help="labelled table to learn from")
    parser.add_argument("--test", help="labelled table of its kind, of other places")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="settings of both runs")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    data_settings = tables(given.train, given.test)
    config = settings(*data_settings, *given.set)
    shuffled = shuffle_labels(config.data.labelled.train, given.out / "shuffled.tsv")
    train(given.out / "labels", *data_settings, *given.set)
    shuffled_settings = tables(str(shuffled), given.test)
    train(given.out / "shuffled_labels", *shuffled_settings, *given.set)
    data: ConditionalDataModule = instantiate(config.data)
    real = data.labelled.examples("test").assign(group=REAL)
    length = int(real["sequence"].str.len().median())
    parts = [generated(given.out / run, source, given.num, length) for run, source in RUNS.items()]
    judged = pd.concat([real, *parts], ignore_index=True)
    table = verdicts(kmer_judged(data.labelled, judged))
    table.to_csv(given.out / "table.tsv", sep="\t", index=False)
    print(table.to_string(index=False))


if __name__ == "__main__":
    main()
