"""Draw how the answers of several models stand up to sequences longer than those learned on.

    genoseq train experiment=ability_recall run_dir=runs/hybrid
    genoseq train experiment=ability_recall run_dir=runs/mamba2 model=mamba2_tiny
    python benchmarks/ability_plot.py docs/ability_recall.png hybrid=runs/hybrid Mamba-2=runs/mamba2

The runs are of one ability, learned at one length, their test split opened. The numbers are printed too.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from pathlib import Path

import matplotlib

from genoseq.report.folder import AtLength, RunFolder
from genoseq.report.plots.abilities import accuracy_by_length
from genoseq.report.style import MATPLOTLIB


def answers(run: RunFolder) -> tuple[AtLength, ...]:
    if run.results is None or not run.results.by_length:
        raise SystemExit(f"{run.path} has no answers by length: train an ability, with test=true.")
    return run.results.by_length


def table(models: Mapping[str, tuple[AtLength, ...]]) -> str:
    (lengths,) = {tuple(row.length for row in rows) for rows in models.values()}
    header = ["| bases |", *(f" {length:,} |" for length in lengths)]
    lines = ["".join(header), "|---" * (len(lengths) + 1) + "|"]
    for name, rows in models.items():
        lines.append(f"| {name} |" + "".join(f" {row.accuracy.mean:.3f} |" for row in rows))
    return "\n".join(lines)


def main(out: str, *named: str) -> None:
    runs = {name: RunFolder(Path(folder)) for name, _, folder in (text.partition("=") for text in named)}
    models = {name: answers(run) for name, run in runs.items()}
    (trained_at,) = {run.trained_at for run in runs.values()}
    with matplotlib.rc_context(MATPLOTLIB):
        plot = accuracy_by_length(models, trained_at=trained_at)
    dataclasses.replace(plot, name=Path(out).stem).save_png(Path(out).parent)
    print(table(models))


if __name__ == "__main__":
    main(*sys.argv[1:])
