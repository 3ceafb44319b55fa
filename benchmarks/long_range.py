"""Long-range tasks that are generated, with several mixers of one model, beside what is published of theirs.

    python benchmarks/long_range.py run OUT --devices 0 --parallel 4
    python benchmarks/long_range.py table OUT

ListOps and Pathfinder are drawn as `experiment=listops` and `experiment=pathfinder` say: of the kind of Long
Range Arena's, not its files, and fewer (20,000 to train on), so that published values are a direction and no
target. Sequential digits are scikit-learn's. Every run is chosen on validation and opens the test split once;
finished ones are not repeated.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path

import pandas as pd
from device_jobs import run_and_table, run_jobs, training
from forecasting import PUBLISHED

from genoseq.report.folder import RunFolder
from genoseq.statistics import mean_interval

# Experiment -> its name in the table of published results.
TASKS = {"listops": "ListOps", "pathfinder": "Pathfinder", "sequential_digits": None}
# Mixer -> its letter, and what is published of it.
MIXERS = {
    "S4D": ("q", "S4D-LegS"),
    "S5": ("v", "S5"),
    "Mamba": ("s", "Mamba (MetaLA table)"),
    "attention": ("a", "Transformer (LRA)"),
}


def folder_of(out: Path, task: str, mixer: str, seed: int) -> Path:
    """Of a run."""
    return out / task / mixer / f"seed_{seed}"


def run(
    out: Path,
    tasks: Sequence[str],
    mixers: Sequence[str],
    seeds: Sequence[int],
    *,
    devices: Sequence[str],
    parallel: int,
    extra: Sequence[str],
) -> None:
    """Train everything that has no results yet."""
    jobs = []
    for task, mixer, seed in product(tasks, mixers, seeds):
        settings = [f"experiment={task}", f"model.pattern={MIXERS[mixer][0]}", f"seed={seed}"]
        settings += ["test=true", "report=false", *extra]
        jobs.append(training(folder_of(out, task, mixer, seed), settings, done="results.json"))
    run_jobs(jobs, devices=devices, parallel=parallel)


def table(out: Path) -> pd.DataFrame:
    """Print and write the table, of what there is."""
    known = pd.read_csv(PUBLISHED, sep="\t") if PUBLISHED.is_file() else None
    rows = []
    for task, mixer in product(TASKS, MIXERS):
        runs = [RunFolder(path) for path in sorted((out / task / mixer).glob("seed_*/"))]
        found = [row for run in runs if run.results is not None and (row := run.results.model) is not None]
        if not found:
            continue
        estimate = mean_interval([100 * row.metrics["accuracy"] for row in found])
        half = estimate.high - estimate.mean
        row = {"task": task, "mixer": mixer, "seeds": len(found), "accuracy": estimate.mean, "±": half}
        if known is not None:
            same = known[known["bench"].eq("LRA") & known["dataset"].eq(TASKS[task])]
            values = same.loc[same["model"].eq(MIXERS[mixer][1]), "value"]
            row["published"] = float(values.iloc[0]) if len(values) else float("nan")
        rows.append(row)
    if not rows:
        raise SystemExit(f"{out} holds no finished run.")
    frame = pd.DataFrame(rows)
    frame.to_csv(out / "table.tsv", sep="\t", index=False)
    print(frame.to_string(index=False, float_format="{:.1f}".format, na_rep=""))
    return frame


def main(arguments: Sequence[str] | None = None) -> None:
    parser, running = run_and_table(__doc__)
    running.add_argument("--tasks", nargs="+", default=list(TASKS), choices=TASKS)
    running.add_argument("--mixers", nargs="+", default=list(MIXERS), choices=MIXERS)
    running.add_argument("--seeds", nargs="+", type=int, default=[0])
    given = parser.parse_args(arguments)
    if given.command == "run":
        run(
            given.out,
            given.tasks,
            given.mixers,
            given.seeds,
            devices=given.devices,
            parallel=given.parallel,
            extra=given.set,
        )
    table(given.out)


if __name__ == "__main__":
    main()
