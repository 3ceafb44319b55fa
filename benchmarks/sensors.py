"""Acceleration of the trunk from that of ankle and thigh: HiSS against flat stacks of equal size.

    python benchmarks/sensors.py run OUT S06R02E0.csv.gz --devices 0 --parallel 8
    python benchmarks/sensors.py table OUT S06R02E0.csv.gz
    python benchmarks/sensors.py noise OUT S06R02E0.csv.gz

Daphnet's file of two minutes at 64 Hz, in blocks: train .7, validation .1, test .2. HiSS (S4D over chunks of
ten samples under S4D), flat S4D, Mamba, LSTM and a causal Transformer, of widths that make their parameters
equal within some percent; five seeds; each on the last tenth, quarter, half and all of the training block.
All predict at the end of each chunk. `table` gives the mean squared error (scaled by the standard deviation
of the whole training part, whatever share a model was scaled by) and its interval over seeds, beside a ridge
regression on the last samples and the training mean, and draws the curve over sizes.

`run` also trains flat S4D with the modes of its plain initialisations and with those of PTD (LegS perturbed,
then diagonalised), and `noise` tests each where one Fourier mode was added to its inputs, at an amplitude of
a tenth to one standard deviation: the test of Yu et al. 2023, "Robustifying State-space Models for Long
Sequences via Approximate Diagonalization".
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import torch
from device_jobs import add_places, run_jobs, training
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from matplotlib.figure import Figure
from sklearn.linear_model import RidgeCV

from genoseq.data import SensorDataModule
from genoseq.data.channel_scaler import ChannelScaler
from genoseq.data.loading import ExampleKey
from genoseq.models import SignalRegressor, load_signal_model
from genoseq.paths import configs_dir
from genoseq.report.style import MATPLOTLIB, MODEL, Plot, series_of
from genoseq.statistics import mean_interval

CHUNK = 10
PARAMETERS = 65_000
SHARES = (0.1, 0.25, 0.5, 1.0)
INITIALISATIONS = ("lin", "inv", "legs", "ptd")
AMPLITUDES = (0.1, 0.3, 1.0)
LAGS = 64
RECIPE = (
    "experiment=daphnet",
    f"data.samples_per_prediction={CHUNK}",
    "global_batch_size=16",
    "test=true",
    "report=false",
    "trainer.max_steps=1000",
    "trainer.val_check_interval=50",
)


def settings_of(model: str, width: int) -> list[str]:
    """Of a model of some width."""
    flat = ["model=flat_regressor", f"model.samples_per_prediction={CHUNK}", f"model.d_model={width}"]
    match model:
        case "HiSS":
            both = [f"model.{part}.d_model={width}" for part in ("low", "high")]
            return ["model=hiss", f"model.chunk_length={CHUNK}", *both]
        case "Mamba":
            return [*flat, "model.mixer=mamba", *_options("{d_state: 16}")]
        case "LSTM":
            return [*flat, "model.mixer=lstm", "model.options=null"]
        case "causal Transformer":
            heads = _options("{num_heads: 4, num_kv_heads: 4, position: rotary}")
            return [*flat, "model.mixer=attention", f"model.d_inner={2 * width}", *heads]
        case _:
            return [*flat, "model.mixer=s4d"]


MODELS = ("HiSS", "flat S4D", "Mamba", "LSTM", "causal Transformer")


def _options(text: str) -> list[str]:
    return ["~model.options", f"+model.options={text}"]


@cache
def width_of(model: str) -> int:
    """The width whose parameters come nearest to `PARAMETERS`; of attention, one that its heads divide."""
    step = 8 if model == "causal Transformer" else 2
    low, high = 1, 256 // step
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _count(model, middle * step) < PARAMETERS else (low, middle)
    return step * min(low, high, key=lambda part: abs(_count(model, part * step) - PARAMETERS))


@cache
def _count(model: str, width: int) -> int:
    with torch.device("meta"):
        made = instantiate(_composed(settings_of(model, width)).model)
    return sum(parameter.numel() for parameter in made.parameters())


def _composed(overrides: Sequence[str], path: str = "x") -> Any:
    with initialize_config_dir(str(configs_dir()), version_base="1.3"):
        return compose("train", overrides=["experiment=daphnet", f"data.path={path}", *overrides])


def jobs(out: Path, path: str, seeds: Sequence[int], extra: Sequence[str]) -> dict[Path, list[str]]:
    """Every run."""
    found = {}
    for seed in seeds:
        common = [*RECIPE, f"data.path={path}", f"seed={seed}", *extra]
        for model in MODELS:
            for share in SHARES:
                settings = settings_of(model, width_of(model))
                found[folder(out, model, share, seed)] = [*common, *settings, f"data.train_share={share}"]
        for init in INITIALISATIONS:
            settings = [*settings_of("flat S4D", width_of("flat S4D")), f"model.options.init={init}"]
            found[out / "initialisations" / init / f"seed_{seed}"] = [*common, *settings]
    return found


def folder(out: Path, model: str, share: float, seed: int) -> Path:
    """Of one run."""
    return out / model.replace(" ", "_") / f"share_{share:g}" / f"seed_{seed}"


def error(run: Path, path: str) -> float | None:
    """Mean squared error on the test part, on the scale of the whole training part; None before the end."""
    file = run / "predictions.parquet"
    if not file.exists():
        return None
    table = pd.read_parquet(file)
    columns = [name.removeprefix("label_") for name in table if name.startswith("label_")]
    errors = [((table[f"label_{name}"] - table[f"prediction_{name}"]) ** 2).mean() for name in columns]
    known = json.loads((run / "model" / "preprocessing.json").read_text())
    scale = ChannelScaler.from_json(known["scaler"]).scale[-len(columns) :]
    return _on_whole_scale(np.array(errors), scale, path)


def _on_whole_scale(errors: np.ndarray, scale: np.ndarray, path: str) -> float:
    """The mean of squared errors of the targets, which were divided by `scale`."""
    return float(np.mean(errors * (scale / _whole_scale(path)) ** 2))


@cache
def _whole_scale(path: str) -> np.ndarray:
    data: SensorDataModule = instantiate(_composed([], path).data)
    return data.scaler.scale[len(data.inputs) :]


def plain_rows(path: str) -> Iterator[dict[str, Any]]:
    """A ridge regression on the last samples, and the mean of the training part."""
    for share in SHARES:
        overrides = [
            f"data.train_share={share}",
            f"data.samples_per_prediction={CHUNK}",
            f"data.stride={CHUNK}",
        ]
        data: SensorDataModule = instantiate(_composed(overrides, path).data)
        (x, y), (test_x, test_y) = (_lagged(data, split) for split in ("train", "test"))
        predicted = RidgeCV(alphas=np.logspace(-1, 5, 13)).fit(x, y).predict(test_x)
        for name, guess in (("ridge on lags", predicted), ("training mean", 0.0)):
            errors = ((test_y - guess) ** 2).mean(axis=0)
            mse = _on_whole_scale(errors, data.scaler.scale[len(data.inputs) :], path)
            yield {"model": name, "share": share, "n": 1, "mse": mse}


def _lagged(data: SensorDataModule, split: Any) -> tuple[np.ndarray, np.ndarray]:
    """The last samples before each prediction, zeros before the window, and what is to be told."""
    dataset = data.dataset(split)
    rows, labels = [], []
    for index in range(len(dataset)):  # type: ignore[arg-type]
        example = dataset[ExampleKey(0, index)]
        x = np.pad(example["x"], ((LAGS - 1, 0), (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(x, LAGS, axis=0)[CHUNK - 1 :: CHUNK]
        rows.append(windows.reshape(len(windows), -1))
        labels.append(example["labels"])
    return np.concatenate(rows), np.concatenate(labels)


def table(out: Path, path: str) -> pd.DataFrame:
    """Print and write the table, and draw the curve."""
    rows = []
    for model in MODELS:
        for share in SHARES:
            runs = sorted(folder(out, model, share, 0).parent.glob("seed_*/"))
            errors = [value for run in runs if (value := error(run, path)) is not None]
            if errors:
                rows.append({"model": model, "share": share, **_estimate(errors), "width": width_of(model)})
                rows[-1]["parameters"] = _count(model, width_of(model))
    rows += plain_rows(path)
    frame = pd.DataFrame(rows)
    frame.to_csv(out / "table.tsv", sep="\t", index=False)
    print(frame.to_string(index=False, float_format="{:.4f}".format, na_rep=""))
    draw(frame).save_png(out)
    return frame


def _estimate(errors: Sequence[float]) -> dict[str, Any]:
    estimate = mean_interval(errors, unit="seed")
    return {"n": estimate.n, "mse": estimate.mean, "low": estimate.low, "high": estimate.high}


@matplotlib.rc_context(MATPLOTLIB)
def draw(frame: pd.DataFrame) -> Plot:
    """Error against the share of the training part."""
    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    panel = figure.subplots()
    names = [name for name in frame["model"].unique() if name != "training mean"]
    styles = {names[0]: MODEL, **series_of(names[1:])}
    for name in names:
        rows, style = frame[frame["model"] == name], styles[name]
        panel.plot(
            rows["share"], rows["mse"], color=style.colour, ls=style.line, marker=style.marker, label=name
        )
        if rows["n"].max() > 1:
            panel.fill_between(rows["share"], rows["low"], rows["high"], color=style.colour, alpha=0.15, lw=0)
    panel.set_xscale("log")
    panel.set_xticks(SHARES, [f"{share:g}" for share in SHARES])
    panel.set_xlabel("share of the training part")
    panel.set_ylabel("mean squared error, test")
    panel.legend()
    return Plot("sensors", "Trunk from ankle and thigh", "", figure)


@torch.inference_mode()
def _mse(model: SignalRegressor, x: torch.Tensor, y: torch.Tensor) -> float:
    return float(((model(x).prediction - y) ** 2).mean())


def noise(out: Path, path: str) -> pd.DataFrame:
    """Print and write what one Fourier mode in the inputs does to models of each initialisation."""
    data: SensorDataModule = instantiate(_composed([f"data.samples_per_prediction={CHUNK}"], path).data)
    dataset = data.dataset("test")
    items = [dataset[ExampleKey(0, row)] for row in range(len(dataset))]  # type: ignore[arg-type]
    x = torch.from_numpy(np.stack([item["x"] for item in items]))
    y = torch.from_numpy(np.stack([item["labels"] for item in items]))
    modes = np.unique(np.geomspace(1, data.sequence_length // 2, 12).round().astype(int))
    time = torch.arange(data.sequence_length) / data.sequence_length
    rows = []
    for init in INITIALISATIONS:
        for run in sorted((out / "initialisations" / init).glob("seed_*/")):
            model = load_signal_model(run)
            assert isinstance(model, SignalRegressor)
            clean = _mse(model, x, y)
            rows.append({"init": init, "seed": run.name, "amplitude": 0.0, "mode": 0, "mse": clean})
            for amplitude in AMPLITUDES:
                for mode in modes.tolist():
                    added = amplitude * torch.cos(2 * torch.pi * mode * time)[:, None]
                    value = _mse(model, x + added, y)
                    rows.append(
                        {"init": init, "seed": run.name, "amplitude": amplitude, "mode": mode, "mse": value}
                    )
    frame = pd.DataFrame(rows)
    frame.to_csv(out / "noise.tsv", sep="\t", index=False)
    worst = frame.groupby(["init", "seed", "amplitude"])["mse"].max().unstack("amplitude")
    summary = worst.groupby("init").agg(["mean", "std"])
    print("the worst mode of each run, mean and standard deviation over seeds, by amplitude")
    print(summary.to_string(float_format="{:.4f}".format))
    return frame


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("run", "table", "noise"):
        command = commands.add_parser(name)
        command.add_argument("out", type=Path)
        command.add_argument("path", help="S06R02E0.csv.gz")
        if name == "run":
            command.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
            add_places(command)
    given = parser.parse_args(arguments)
    if given.command == "run":
        given.out.mkdir(parents=True, exist_ok=True)
        planned = jobs(given.out, given.path, given.seeds, given.set)
        runs = [training(folder, settings, done="results.json") for folder, settings in planned.items()]
        run_jobs(runs, devices=given.devices, parallel=given.parallel)
    if given.command == "noise":
        noise(given.out, given.path)
    else:
        table(given.out, given.path)


if __name__ == "__main__":
    main()
