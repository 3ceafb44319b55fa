"""What does pretraining give? Labelled sequences, fine-tuned from several starting points.

    python benchmarks/finetuning_study.py run OUT scratch celegans=runs/celegans shuffled=runs/shuffled
    python benchmarks/finetuning_study.py table OUT

    python benchmarks/finetuning_study.py run OUT 'mine=runs/mine_{seed}' scratch=hybridna_small \\
        --experiments umaydis pombe_halflife --seeds 3 --devices 0 1 --parallel 4

`run` chooses the learning rate of each starting point on the validation split, with the first seed; then it
fine-tunes every seed at that rate and opens the test split once for each. Finished runs are not repeated. A
starting point is a preset, or a checkpoint, which keeps its own tokenizer; `{seed}` in its path is the number
of the seed. `table` gathers the test metrics of each experiment (by default coding against intergenic DNA of
U. maydis): mean and 95 % interval over seeds, on all rows and on those that share no bases with train as the
data say, beside the experiment's baselines, fitted on the same train split.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from device_jobs import FINISHED, Job, add_places, run_jobs, training
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig

from genoseq.paths import configs_dir
from genoseq.statistics import mean_interval
from genoseq.tokenizers.base import FILE_NAME
from genoseq.training.results import baseline_predictions, compare, describe_rows

RATES = (3e-4, 1e-3, 3e-3)
METRICS = ("accuracy", "mcc", "auroc", "spearman", "r2")
BASELINES = "baselines.json"
ROWS = {"rows": "all", "leak_free_rows": "leak-free"}


def candidates(
    out: Path,
    starts: Sequence[str],
    experiments: Sequence[str],
    *,
    rates: Sequence[float] = RATES,
    extra: Sequence[str] = (),
) -> list[Job]:
    """The first seed of each starting point at each rate, without test; and each experiment's baselines."""
    jobs = [_baseline_job(out / experiment, experiment) for experiment in experiments]
    for experiment in experiments:
        for start in starts:
            for rate in rates:
                folder, overrides = _run_of(out, start, experiment, rate, seed=0)
                jobs.append(training(folder, [*overrides, *extra]))
    return jobs


def chosen(
    out: Path,
    starts: Sequence[str],
    experiments: Sequence[str],
    *,
    seeds: int,
    rates: Sequence[float] = RATES,
    extra: Sequence[str] = (),
) -> list[Job]:
    """All seeds of each starting point at the rate that validation chose, which is written; with test.

    A starting point that has not finished at every rate is left out: the choice would not be a fair one.
    """
    jobs = []
    best: dict[str, dict[str, float]] = {}
    for experiment in experiments:
        config = _config(experiment)
        for start in starts:
            folders = {rate: _run_of(out, start, experiment, rate, seed=0)[0] for rate in rates}
            if not all((folder / FINISHED).exists() for folder in folders.values()):
                continue
            scores = {rate: _criterion(folder, config) for rate, folder in folders.items()}
            rate = max(scores, key=scores.__getitem__)
            best.setdefault(experiment, {})[_name(start)] = rate
            for seed in range(seeds):
                folder, overrides = _run_of(out, start, experiment, rate, seed=seed)
                jobs.append(training(folder, [*overrides, "test=true", *extra], done="results.json"))
    (out / "chosen.json").write_text(json.dumps(best, indent=2) + "\n")
    return jobs


def results(out: Path) -> pd.DataFrame:
    """What test gave: `experiment`, `start`, `seed`, `rows` (all or leak-free), `metric`, `value`."""
    best: Mapping[str, Mapping[str, float]] = json.loads((out / "chosen.json").read_text())
    found: list[dict[str, Any]] = []
    for experiment, rates in best.items():
        named: list[tuple[str, int | None, dict[str, Any]]] = [
            (name, None, result)
            for name, result in json.loads((out / experiment / BASELINES).read_text()).items()
        ]
        for name, rate in rates.items():
            folders = sorted((out / experiment / name / f"rate_{rate:g}").glob("seed_*/results.json"))
            named += [
                (name, int(file.parent.name.removeprefix("seed_")), json.loads(file.read_text()))
                for file in folders
            ]
        for name, seed, result in named:
            for key, words in ROWS.items():
                for metric, value in result[key][0]["metrics"].items() if key in result else ():
                    if value is None:  # not defined on these rows
                        continue
                    row = {"experiment": experiment, "start": name, "seed": seed, "rows": words}
                    found.append(row | {"metric": metric, "value": value})
    return pd.DataFrame(found)


def table(out: Path) -> pd.DataFrame:
    """Print and write the table."""
    found = results(out)
    found = found[found["metric"].isin(METRICS)]
    best = json.loads((out / "chosen.json").read_text())
    lines: dict[tuple[str, str], dict[str, str]] = {}
    for (experiment, start, rows, metric), values in found.groupby(
        ["experiment", "start", "rows", "metric"], sort=False
    )["value"]:
        estimate = mean_interval(values)
        seeds = found.loc[values.index, "seed"].notna().sum()
        rate = best[experiment].get(start, "")
        line = lines.setdefault((experiment, start), {"rate": f"{rate}", "seeds": f"{seeds or ''}"})
        interval = f" [{estimate.low:.3f}, {estimate.high:.3f}]" if estimate.n > 1 else ""
        line[metric if rows == "all" else f"{metric}, {rows}"] = f"{estimate.mean:.3f}{interval}"
    frame = pd.DataFrame(
        [{"experiment": experiment, "start": start} | line for (experiment, start), line in lines.items()]
    ).fillna("")
    frame.to_csv(out / "table.tsv", sep="\t", index=False)
    print(frame.to_string(index=False))
    return frame


def write_baselines(out: Path, experiment: str) -> None:
    """Fit the baselines of an experiment, and write how they do on its test split."""
    config = _config(experiment)
    datamodule = instantiate(config.data)
    found = {}
    for _, name, predictions in baseline_predictions(config.baselines, datamodule, "test"):
        rows = describe_rows(predictions, datamodule, "test")
        found[name] = compare(datamodule.judged_as, "test", name, rows, {})
    (out / BASELINES).write_text(json.dumps(found, indent=1) + "\n")


def _baseline_job(folder: Path, experiment: str) -> Job:
    command = [sys.executable, __file__, "baselines", str(folder), experiment]
    return Job(f"{folder}: baselines", command, folder / BASELINES, folder / "baselines.log")


def _run_of(out: Path, start: str, experiment: str, rate: float, *, seed: int) -> tuple[Path, list[str]]:
    overrides = [f"experiment={experiment}", "baselines=none", "report=false"]
    overrides += [*_start(start, seed), f"optimizer.lr={rate:g}", f"seed={seed}"]
    return out / experiment / _name(start) / f"rate_{rate:g}" / f"seed_{seed}", overrides


def _name(start: str) -> str:
    return start.partition("=")[0]


def _start(start: str, seed: int) -> list[str]:
    """The settings of a starting point: a preset's, or a checkpoint's with its tokenizer."""
    origin = start.partition("=")[2].replace("{seed}", str(seed))
    if (configs_dir() / "model" / f"{origin}.yaml").is_file():
        return [f"model={origin}"]
    if not origin:
        return []
    overrides = ["model=pretrained", f"model.checkpoint={origin}"]
    files: Iterable[Path] = (Path(origin, *inside, FILE_NAME) for inside in ((), ("model",)))
    own = next((file for file in files if file.is_file()), None)
    return [*overrides, "tokenizer@data.tokenizer=file", f"data.tokenizer.file={own}"] if own else overrides


def _config(experiment: str) -> DictConfig:
    with initialize_config_dir(str(configs_dir()), version_base="1.3"):
        return compose("train", overrides=[f"experiment={experiment}"])


def _criterion(folder: Path, config: DictConfig) -> float:
    """The best validation of a run, larger being better."""
    choice = config.callbacks.checkpoint
    values = pd.read_csv(folder / "metrics.csv")[choice.monitor]
    return float(values.max() if choice.mode == "max" else -values.min())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    running = commands.add_parser("run")
    running.add_argument("out", type=Path)
    running.add_argument("starts", nargs="+", metavar="NAME[=CHECKPOINT_OR_PRESET]")
    running.add_argument("--experiments", nargs="+", default=["umaydis"])
    running.add_argument("--seeds", type=int, default=5)
    add_places(running)
    commands.add_parser("table").add_argument("out", type=Path)
    fitting = commands.add_parser("baselines", help="fit those of an experiment; `run` asks for it")
    fitting.add_argument("out", type=Path)
    fitting.add_argument("experiment")
    given = parser.parse_args()
    if given.command == "table":
        table(given.out)
    elif given.command == "baselines":
        write_baselines(given.out, given.experiment)
    else:
        what = (given.out, given.starts, given.experiments)
        places = {"devices": given.devices, "parallel": given.parallel}
        run_jobs(candidates(*what, extra=given.set), **places)
        run_jobs(chosen(*what, seeds=given.seeds, extra=given.set), **places)
        table(given.out)


if __name__ == "__main__":
    main()
