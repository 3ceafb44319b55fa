"""What does pretraining give? Coding vs intergenic DNA of U. maydis, fine-tuned from several starting points.

    python benchmarks/finetuning_study.py run OUT scratch celegans=runs/celegans shuffled=runs/shuffled
    python benchmarks/finetuning_study.py table OUT

`run` chooses the learning rate of each starting point on the validation split, with the first seed; then it
fine-tunes every seed at that rate and opens the test split once for each. Finished runs are not repeated.
`table` gathers the test metrics: mean and 95 % interval over seeds, on all rows and on those that share no
20-mer with train, beside k-mer counts fitted on the same train split.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from genoseq.benchmark.job_queue import Job, Places, run_jobs
from genoseq.paths import configs_dir
from genoseq.statistics import mean_interval

RATES = (3e-4, 1e-3, 3e-3)
CRITERION = "val/mcc"
METRICS = ("accuracy", "mcc", "auroc")


def run(out: Path, starts: Sequence[str], *, seeds: int, parallel: int, extra: Sequence[str]) -> None:
    names = [start.partition("=")[0] for start in starts]
    model = {name: _model_overrides(start) for name, start in zip(names, starts, strict=True)}
    candidates = {name: {rate: out / name / f"rate_{rate:g}" for rate in RATES} for name in names}
    _train_all(
        (
            (folder, [*model[name], f"optimizer.lr={rate:g}", "seed=0", *extra])
            for name in names
            for rate, folder in candidates[name].items()
        ),
        parallel,
    )
    best = {name: max(RATES, key=lambda rate: _criterion(candidates[name][rate])) for name in names}
    (out / "chosen.json").write_text(json.dumps(best, indent=2) + "\n")
    _train_all(
        (
            (
                out / name / f"seed_{seed}",
                [*model[name], f"optimizer.lr={best[name]:g}", f"seed={seed}", "test=true", *extra],
            )
            for name in names
            for seed in range(seeds)
        ),
        parallel,
    )


def _model_overrides(start: str) -> list[str]:
    _, _, checkpoint = start.partition("=")
    if (configs_dir() / "model" / f"{checkpoint}.yaml").is_file():
        return [f"model={checkpoint}"]
    return ["model=pretrained", f"model.checkpoint={checkpoint}"] if checkpoint else []


def _train_all(jobs: Iterable[tuple[Path, list[str]]], parallel: int) -> None:
    command = (sys.executable, "-m", "genoseq", "train", "experiment=umaydis", "baselines=none")
    todo = [
        Job(
            str(folder),
            (*command, f"run_dir={folder}", "resume=auto", *overrides),
            folder.with_suffix(".log"),
        )
        for folder, overrides in jobs
        if not (folder / "report.html").exists()
    ]
    outcome = run_jobs(todo, Places(processes=parallel))
    for failure in outcome.failed:
        print(f"{failure.job.name}:\n{failure.last_lines}", file=sys.stderr)
    if outcome.failed:
        raise SystemExit(1)


def _criterion(folder: Path) -> float:
    return float(pd.read_csv(folder / "metrics.csv")[CRITERION].max())


def table(out: Path) -> None:
    chosen = json.loads((out / "chosen.json").read_text())
    rows = [_kmer_row()]
    for name in chosen:
        results = [json.loads(path.read_text()) for path in sorted((out / name).glob("seed_*/results.json"))]
        rows.append(
            {"start": name, "rate": f"{chosen[name]:g}", "seeds": str(len(results)), **_summary(results)}
        )
    frame = pd.DataFrame(rows)
    frame.to_csv(out / "table.tsv", sep="\t", index=False)
    print(frame.to_string(index=False))


def _summary(results: Sequence[dict]) -> dict[str, str]:
    summary = {}
    for rows in ("rows", "leak_free_rows"):
        for metric in METRICS:
            values = [result[rows][0]["metrics"][metric] for result in results]
            estimate = mean_interval(values)
            label = metric if rows == "rows" else f"{metric}, leak-free"
            summary[label] = f"{estimate.mean:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"
    return summary


def _kmer_row() -> dict[str, str]:
    from genoseq.training.results import compare, describe_rows

    with initialize_config_dir(str(configs_dir()), version_base="1.3"):
        config = compose("train", overrides=["experiment=umaydis"])
    datamodule = instantiate(config.data)
    predictions = instantiate(config.baselines.kmer_regression).predict(datamodule, split="test")
    result = compare("single_label", "test", "k-mers", describe_rows(predictions, datamodule, "test"), {})
    row = {"start": "k-mer counts", "rate": "", "seeds": ""}
    for rows in ("rows", "leak_free_rows"):
        for metric in METRICS:
            label = metric if rows == "rows" else f"{metric}, leak-free"
            row[label] = f"{result[rows][0]['metrics'][metric]:.3f}"
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    running = commands.add_parser("run")
    running.add_argument("out", type=Path)
    running.add_argument("starts", nargs="+", metavar="NAME[=CHECKPOINT_OR_PRESET]")
    running.add_argument("--seeds", type=int, default=5)
    running.add_argument("--parallel", type=int, default=1, help="runs at a time")
    running.add_argument(
        "--set", nargs="*", default=[], metavar="KEY=VALUE", help="further settings of every run"
    )
    commands.add_parser("table").add_argument("out", type=Path)
    arguments = parser.parse_args()
    if arguments.command == "table":
        table(arguments.out)
        return
    arguments.out.mkdir(parents=True, exist_ok=True)
    run(
        arguments.out,
        arguments.starts,
        seeds=arguments.seeds,
        parallel=arguments.parallel,
        extra=arguments.set,
    )


if __name__ == "__main__":
    main()
