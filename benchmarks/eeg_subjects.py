"""Twenty people, alcoholic or not: does masked pretraining on the same trials help?

    python benchmarks/eeg_subjects.py run OUT eegdata.rda --devices 0 --parallel 6
    python benchmarks/eeg_subjects.py run OUT eegdata.rda --fists FOLDER --devices cpu
    python benchmarks/eeg_subjects.py table OUT eegdata.rda

Five folds by subject, three seeds; each fold once from first values and once after masked pretraining on its
own training people (`pretrain=masked_recording`), with the same steps of fine-tuning. `table` pools the test
people of all folds, with probabilities averaged over seeds, and gives balanced accuracy and AUROC by trial
and by subject, with an interval over subjects and a permutation p-value over them; the difference of the two
starts, paired by subject; and a logistic regression on the band power of each channel, on the same folds.
With `--fists` the left and right fist of EEGMMIDB's S001 too, learnt from run R03, chosen on R04 (imagined)
and tested on R07: one person with 15 trials a run, a smoke test and no more.

Twenty people are few: an interval of a fifth of the range is what to expect.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from device_jobs import add_places, run_jobs, training
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from sklearn.linear_model import LogisticRegressionCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from genoseq.data.loading import ExampleKey
from genoseq.data.recordings import RecordingDataModule
from genoseq.paths import configs_dir
from genoseq.statistics import paired_bootstrap
from genoseq.training.grouped_results import by_unit

FOLDS = 5
STARTS = {"from scratch": "pretrain=none", "masked pretraining first": "pretrain=masked_recording"}
RECIPE = (
    "test=true",
    "report=false",
    "trainer.max_steps=300",
    "trainer.val_check_interval=30",
    "global_batch_size=16",
)
BANDS = ((1, 4), (4, 8), (8, 13), (13, 30), (30, 45))


def run(
    out: Path,
    rda: str,
    *,
    fists: str | None,
    seeds: Sequence[int],
    devices: Sequence[str],
    parallel: int,
    extra: Sequence[str],
) -> None:
    """Train every fold, seed and start."""
    out.mkdir(parents=True, exist_ok=True)
    jobs: dict[Path, Sequence[str]] = {}
    for start, switch in STARTS.items():
        for seed in seeds:
            for fold in range(FOLDS):
                settings = [
                    "experiment=eegdata",
                    f"data.path={rda}",
                    f"data.folds={FOLDS}",
                    f"data.fold={fold}",
                ]
                jobs[folder(out, start, seed, fold)] = [*settings, f"seed={seed}", switch, *RECIPE, *extra]
    if fists is not None:
        table = out / "fists.tsv"
        rows = [
            ("S001R03.edf", "a", "train"),
            ("S001R04.edf", "b", "validation"),
            ("S001R07.edf", "c", "test"),
        ]
        frame = pd.DataFrame(rows, columns=["path", "subject", "split"])
        frame.to_csv(table, sep="\t", index=False)
        settings = ["experiment=fists", f"data.path={fists}", f"data.table={table}", "pretrain=none"]
        small = [*RECIPE, "global_batch_size=8", *extra]
        jobs |= {out / "fists" / str(seed): [*settings, f"seed={seed}", *small] for seed in seeds}
    runs = [training(run, settings, done="results.json") for run, settings in jobs.items()]
    run_jobs(runs, devices=devices, parallel=parallel)


def folder(out: Path, start: str, seed: int, fold: int) -> Path:
    """Of one run."""
    return out / start.replace(" ", "_") / f"seed_{seed}" / f"fold_{fold}"


def pooled(out: Path, start: str) -> tuple[pd.DataFrame, int]:
    """Predictions of all folds, averaged over the seeds that have them all; and how many these are."""
    complete = []
    for seed in sorted((out / start.replace(" ", "_")).glob("seed_*/")):
        files = [seed / f"fold_{fold}" / "predictions.parquet" for fold in range(FOLDS)]
        if all(file.exists() for file in files):
            complete.append(
                pd.concat([pd.read_parquet(file) for file in files]).sort_values(
                    ["group", "recording", "index"]
                )
            )
    if not complete:
        return pd.DataFrame(), 0
    first = complete[0].reset_index(drop=True)
    for name in first.columns[first.columns.str.startswith("probability_")]:
        first[name] = np.mean([table[name].to_numpy() for table in complete], axis=0)
    return first, len(complete)


def band_power(out: Path, rda: str) -> pd.DataFrame:
    """Predictions of a logistic regression on log band power of each channel, on the same folds."""
    kept = out / "band_power.parquet"
    if not kept.exists():
        tables = [_band_power_fold(rda, fold) for fold in range(FOLDS)]
        pd.concat(tables, ignore_index=True).to_parquet(kept)
    return pd.read_parquet(kept)


def _band_power_fold(rda: str, fold: int) -> pd.DataFrame:
    with initialize_config_dir(str(configs_dir()), version_base="1.3"):
        settings = ["experiment=eegdata", f"data.path={rda}", f"data.folds={FOLDS}", f"data.fold={fold}"]
        config = compose("train", overrides=settings)
    data: RecordingDataModule = instantiate(config.data)
    features, labels = zip(
        *(_features(data, split) for split in ("train", "validation", "test")), strict=True
    )
    model = make_pipeline(StandardScaler(), LogisticRegressionCV(Cs=np.logspace(-4, 0, 5), max_iter=2000))
    model.fit(np.concatenate(features[:2]), np.concatenate(labels[:2]))
    chances = model.predict_proba(features[2])
    table = data.examples("test").reset_index(drop=True)
    assert data.classes is not None
    return table.assign(**{f"probability_{name}": chances[:, row] for row, name in enumerate(data.classes)})


def _features(data: RecordingDataModule, split: Any) -> tuple[np.ndarray, np.ndarray]:
    dataset = data.dataset(split)
    items = [dataset[ExampleKey(0, row)] for row in range(len(dataset))]  # type: ignore[arg-type]
    power = np.abs(np.fft.rfft(np.stack([item["x"] for item in items]), axis=-1)) ** 2
    hertz = np.fft.rfftfreq(data.sequence_length, 1 / data.rate)
    bands = [power[..., (hertz >= low) & (hertz < high)].mean(-1) for low, high in BANDS]
    return np.log(np.stack(bands, -1) + 1e-3).reshape(len(items), -1), np.array(
        [item["labels"] for item in items]
    )


def table(out: Path, rda: str) -> pd.DataFrame:
    """Print and write the table."""
    found = {start: pooled(out, start) for start in STARTS}
    found["band power, logistic regression"] = (band_power(out, rda), 1)
    rows = []
    for name, (predictions, seeds) in found.items():
        if seeds:
            rows += [_row(name, seeds, unit) for unit in by_unit(predictions)]
    frame = pd.DataFrame(rows)
    frame.to_csv(out / "table.tsv", sep="\t", index=False)
    print(frame.to_string(index=False))
    if all(found[start][1] for start in STARTS):
        print(f"\n{_difference(*(found[start][0] for start in STARTS))}")
    for results in sorted((out / "fists").glob("*/results.json")):
        metrics = json.loads(results.read_text())["rows"][0]["metrics"]
        print(f"fists, seed {results.parent.name}, a smoke test: accuracy {metrics['accuracy']:.3f}")
    return frame


def _row(name: str, seeds: int, unit: Mapping[str, Any]) -> dict[str, Any]:
    cells = {}
    for metric in ("balanced_accuracy", "auroc"):
        value = unit[metric]
        cells[metric] = (
            f"{value['mean']:.3f} [{value['low']:.3f}, {value['high']:.3f}], p {value['p_value']:.3f}"
        )
    return {"start": name, "seeds": seeds, "unit": unit["unit"], "n": unit["n"], **cells}


def _difference(scratch: pd.DataFrame, pretrained: pd.DataFrame) -> str:
    chances = []
    for predictions in (pretrained, scratch):
        columns = {label: f"probability_{label}" for label in predictions["label"].unique()}
        true = [row[columns[row["label"]]] for _, row in predictions.iterrows()]
        chances.append(predictions.assign(chance=true).groupby("group")["chance"].mean())
    assert chances[0].index.equals(chances[1].index)
    estimate = paired_bootstrap(chances[0], chances[1], unit="subject")
    return (
        f"masked pretraining minus scratch, probability of the true class, paired over {estimate.n} "
        f"subjects: {estimate.mean:+.3f} [{estimate.low:+.3f}, {estimate.high:+.3f}]"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    running = commands.add_parser("run")
    tabulating = commands.add_parser("table")
    for command in (running, tabulating):
        command.add_argument("out", type=Path)
        command.add_argument("rda", help="eegdata.rda")
    running.add_argument("--fists", help="folder of S001R03.edf, S001R04.edf and S001R07.edf")
    running.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    add_places(running)
    given = parser.parse_args(arguments)
    if given.command == "run":
        run(
            given.out,
            given.rda,
            fists=given.fists,
            seeds=given.seeds,
            devices=given.devices,
            parallel=given.parallel,
            extra=given.set,
        )
    table(given.out, given.rda)


if __name__ == "__main__":
    main()
