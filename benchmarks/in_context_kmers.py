"""The k-mer lines of `in_context.py`: what a regression tells from all of train, and from a few rows of it.

    python benchmarks/in_context_kmers.py OUT.json --folder ../shared/data --sets GUE_tf_2 --shots 1 2 4

Penalties are chosen on the whole validation part, also where few rows are there to fit on: more than a model
in context has. `in_context.py run` calls this.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from replaced_split import ReplacedSplit

from genoseq.benchmark.suites.base import Task
from genoseq.data.tables import read_table
from genoseq.paths import configs_dir
from genoseq.training.results import metrics

METRICS = ("accuracy", "mcc")


def write(out: Path, *, folder: str, sets: Sequence[str], seeds: int, shots: Sequence[int]) -> None:
    """Rows of `set`, `shots` (null for all of train), `seed`, and the metrics on test."""
    rows: list[dict[str, Any]] = []
    for name in sets:
        config = _composed("train", ["experiment=finetune", *data_settings("data", open_task(folder, name))])
        real, regression = instantiate(config.data), instantiate(config.baselines.kmer_regression)
        rows.append({"set": name, "shots": None, "seed": None, **_scores(regression.predict(real))})
        for seed in range(seeds):
            # More shots have those of fewer among them.
            mixed = real.examples("train").sample(frac=1, random_state=seed).groupby("label", sort=False)
            for count in filter(None, shots):
                predicted = regression.predict(ReplacedSplit(real, "train", mixed.head(count)))
                rows.append({"set": name, "shots": count, "seed": seed, **_scores(predicted)})
    out.write_text(json.dumps(rows, indent=1) + "\n")


def open_task(folder: str, name: str) -> Task:
    """A set of `suite=open`, whose files are in a folder."""
    suite = instantiate(_composed("benchmark", ["suite=open", f"suite.folder={folder}"]).suite)
    return suite.read(name)


def data_settings(where: str, task: Task) -> list[str]:
    """The settings of `data=labelled` at a place of the config."""
    files = {part: getattr(task, part) for part in ("train", "validation", "test")}
    strands = "augment" if task.strand == "unstranded" else "none"
    settings = {**files, "strand": task.strand, "strands": strands, "leaks": "report"}
    return [f"{where}.{key}={value}" for key, value in settings.items() if value is not None]


@cache
def number_of_classes(table: Path) -> int:
    """Those that a table has."""
    return int(read_table(table)["label"].nunique())


def _scores(predictions: pd.DataFrame) -> dict[str, float | None]:
    found = metrics("single_label", predictions)
    return {metric: found[metric] for metric in METRICS}


def _composed(verb: str, overrides: Sequence[str]) -> Any:
    with initialize_config_dir(str(configs_dir()), version_base="1.3"):
        return compose(verb, overrides=list(overrides))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--folder", required=True)
    parser.add_argument("--sets", nargs="+", required=True)
    parser.add_argument("--shots", nargs="+", type=int, default=(1, 2, 4, 8, 16))
    parser.add_argument("--seeds", type=int, default=3)
    write(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
