"""Forecasts of ETTh1 and of exchange rates: KARMA, recurrence by channel, DLinear and PatchTST.

    python benchmarks/forecasting.py run OUT --devices 0 --parallel 10
    python benchmarks/forecasting.py run OUT --devices 0 --parallel 10 --data ETTh1 --models KARMA --seeds 0
    python benchmarks/forecasting.py run OUT --devices cpu --models DLinear --horizons 96
    python benchmarks/forecasting.py table OUT

Look-back 96, horizons 96, 192, 336 and 720, three seeds; the usual borders (12, 4 and 4 months of ETTh1, 70,
10 and 20 % of the exchange rates), scaled by the training part. At most ten epochs, of which the best on
validation is tested, once, and the third in a row that is no better is the last; no window is left out. The
first seed of everything comes before the second, so that what is cut short is a whole table of fewer seeds;
finished runs are not repeated. `run` ends with `table`, which writes OUT/table.tsv and OUT/forecasting.png
from what there is, with persistence and the last season, beside what was published (`published/signals.tsv`
of the shared folder, where that is).

KARMA learns as its released scripts say for each data set: mostly from the distance of spectra on ETTh1,
hardly on exchange rates, without clipping, at a rate that is halved each epoch after the second.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import pandas as pd
from device_jobs import run_and_table, run_jobs, training
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from genoseq.report.folder import RunFolder
from genoseq.report.style import INK, MATPLOTLIB, MODEL, MUTED, Plot, series_of
from genoseq.statistics import mean_interval

SHARED = Path(os.environ.get("GENOSEQ_SHARED", Path(__file__).resolve().parents[2] / "shared"))
PUBLISHED = SHARED / "published" / "signals.tsv"


class DataSet(NamedTuple):
    """Attributes:
    experiment: of `genoseq train`.
    file: in the shared folder.
    published: its name in the table of published results.
    channels, marks: of a model that has to know.
    karma: what KARMA was released with for these data.
    karma_widths: its width at each horizon.
    """

    experiment: str
    file: Path
    published: str
    channels: int
    marks: int
    karma: tuple[str, ...]
    karma_widths: Mapping[int, int]


HORIZONS = (96, 192, 336, 720)
DATA = {
    "ETTh1": DataSet(
        "etth1",
        SHARED / "data/bench/ts/ETTh1.csv.gz",
        "ETTh1",
        7,
        4,
        ("optimizer.lr=1e-4", "task.spectral_weight=0.8", "model.attention_width=32"),
        {96: 256, 192: 256, 336: 512, 720: 512},
    ),
    "Exchange": DataSet(
        "exchange_rate",
        SHARED / "data/bench/ts/exchange_rate.txt.gz",
        "Exchange",
        8,
        0,
        (
            *("optimizer.lr=1e-5", "task.spectral_weight=0.01", "global_batch_size=16"),
            *("model.expand=1", "model.d_state=16", "model.d_conv=2", "model.attention_width=64"),
        ),
        dict.fromkeys(HORIZONS, 512),
    ),
}
# The taps of db4, for machines without PyWavelets.
DB4 = (
    0.23037781330885523, 0.7148465705525415, 0.6308807679295904, -0.02798376941698385,
    -0.18703481171888114, 0.030841381835986965, 0.032883011666982945, -0.010597401784997278,
)  # fmt: skip
KARMA = (
    "model.num_channels={channels}",
    "model.num_marks={marks}",
    "model.d_model={width}",
    f"model.wavelet=[{','.join(map(str, DB4))}]",
    "schedule=halving",
    "trainer.gradient_clip_val=null",
)
# Settings of each model beyond those of its preset; the first two stand beside the same published rows.
MODELS: dict[str, tuple[str, ...]] = {
    "KARMA": ("model=karma", *KARMA),
    "KARMA with attention": ("model=karma_attention", *KARMA),
    "SSM": ("model=channel_forecaster", "optimizer.lr=5e-4"),
    "DLinear": ("model=dlinear", "optimizer.lr=5e-4"),
    "PatchTST": ("model=patchtst", "optimizer.lr=1e-3"),
}
METRICS = ("mse", "mae")


class Job(NamedTuple):
    """One run."""

    data: str
    horizon: int
    model: str
    seed: int

    def folder(self, out: Path) -> Path:
        """Of the run."""
        return out / self.data / str(self.horizon) / self.model / f"seed_{self.seed}"

    def overrides(self) -> list[str]:
        """Its settings. Baselines know no seed: one run of each model has them."""
        data = DATA[self.data]
        known = {"channels": data.channels, "marks": data.marks, "width": data.karma_widths[self.horizon]}
        chosen = [text.format(**known) for text in MODELS[self.model]]
        if self.model.startswith("KARMA"):
            chosen += data.karma
        return [
            f"experiment={data.experiment}",
            f"data.path={data.file}",
            f"data.horizon={self.horizon}",
            f"seed={self.seed}",
            "test=true",
            "trainer.enable_progress_bar=false",
            *chosen,
            *([] if self.seed == 0 else ["baselines=none"]),
        ]


def run(
    out: Path, jobs: Sequence[Job], *, devices: Sequence[str], parallel: int, extra: Sequence[str]
) -> None:
    """Train everything that has no results yet."""
    runs = [
        training(job.folder(out), [*job.overrides(), "report=false", *extra], done="results.json")
        for job in jobs
    ]
    run_jobs(runs, devices=devices, parallel=parallel)


def table(out: Path) -> pd.DataFrame:
    """Print and write the table, and draw the plot."""
    rows = [row for data, horizon in product(DATA, HORIZONS) for row in _rows(out, data, horizon)]
    if not rows:
        raise SystemExit(f"{out} holds no finished run.")
    frame = pd.DataFrame(rows)
    frame.to_csv(out / "table.tsv", sep="\t", index=False)
    print(frame.to_string(index=False, float_format="{:.3f}".format, na_rep=""))
    for remark in remarks(frame):
        print(remark)
    draw(frame).save_png(out)
    return frame


def remarks(frame: pd.DataFrame) -> list[str]:
    """Where the last value does better than everything that was published."""
    found = []
    for (data, horizon), rows in frame.groupby(["data", "horizon"], sort=False):
        last = rows.loc[rows["model"] == "persistence", "mse"]
        published = rows["published mse"].dropna() if "published mse" in rows else pd.Series(dtype=float)
        if len(last) and len(published) and last.item() < published.min():
            found.append(
                f"{data}, {horizon} steps ahead: the last value ({last.item():.3f}) beats every published "
                f"model here (best {published.min():.3f})."
            )
    return found


def _rows(out: Path, data: str, horizon: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    naive: dict[str, dict[str, float]] = {}
    for model in MODELS:
        runs = [
            RunFolder(folder) for folder in sorted(Job(data, horizon, model, 0).folder(out).parent.glob("*/"))
        ]
        found = [run.results for run in runs if run.results is not None]
        each = [results.model.metrics for results in found if results.model is not None]
        naive |= {row.name: row.metrics for results in found for row in results.baselines}
        if each:
            rows.append(_row(data, horizon, model, each) | _published(data, horizon, model))
    if not rows:
        return []
    trained = {row["model"].split()[0] for row in rows}
    rows += [_row(data, horizon, name, [metrics]) for name, metrics in naive.items()]
    others = [name for name in _known(data, horizon)["model"].unique() if name not in trained]
    head: dict[str, Any] = {"data": data, "horizon": horizon, "seeds": 0}
    return rows + [head | {"model": name} | _published(data, horizon, name) for name in others]


def _row(data: str, horizon: int, name: str, each: Sequence[dict[str, float]]) -> dict[str, Any]:
    row: dict[str, Any] = {"data": data, "horizon": horizon, "model": name, "seeds": len(each)}
    for metric in METRICS:
        estimate = mean_interval([metrics[metric] for metrics in each])
        row |= {metric: estimate.mean, f"{metric} ±": estimate.high - estimate.mean}
    return row


def _published(data: str, horizon: int, model: str) -> dict[str, float]:
    known = _known(data, horizon)
    rows = known[known["model"].eq(model.split()[0])]
    values = dict(zip(rows["metric"].str.lower(), rows["value"].astype(float), strict=True))
    return {f"published {metric}": values[metric] for metric in METRICS if metric in values}


def _known(data: str, horizon: int) -> pd.DataFrame:
    """What was published of it: `model`, `metric` and `value`."""
    if not PUBLISHED.is_file():
        return pd.DataFrame(columns=["model", "metric", "value"])
    known = pd.read_csv(PUBLISHED, sep="\t")
    of_window = known["bench"].eq("LTSF lookback96") & known["setting"].eq(f"H={horizon}")
    return known[of_window & known["dataset"].eq(DATA[data].published)]


@matplotlib.rc_context(MATPLOTLIB)
def draw(frame: pd.DataFrame) -> Plot:
    """Squared error against the horizon, a panel a data set; published values as open rings."""
    shown = list(dict.fromkeys(frame["data"]))
    figure = Figure(figsize=(4.4 * len(shown), 3.6), layout="constrained")
    grid = figure.subplots(1, len(shown), squeeze=False)[0]
    for axes, data in zip(grid, shown, strict=True):
        rows = frame[(frame["data"] == data) & (frame["seeds"] > 0)]
        for name, curve in rows.groupby("model", sort=False):
            _draw_model(axes, str(name), curve)
        ours = rows.loc[rows["model"].isin(MODELS), "mse"]
        axes.set_ylim(0.9 * ours.min(), 1.05 * ours.max())
        axes.set(title=data, xlabel="horizon, steps", ylabel="mean squared error, scaled", xscale="log")
        axes.set_xticks(HORIZONS, map(str, HORIZONS), minor=False)
        axes.minorticks_off()
    lines: dict[str, Any] = {}
    for axes in grid:
        handles, labels = axes.get_legend_handles_labels()
        lines |= dict(zip(labels, handles, strict=True))
    figure.legend(lines.values(), lines.keys(), loc="outside upper center", ncols=4)
    note = "Rings: published. Naive forecasts that are worse than every model lie above the panel."
    return Plot("forecasting", "Squared error of forecasts", note, figure)


def _draw_model(axes: Axes, name: str, rows: pd.DataFrame) -> None:
    names = list(MODELS)
    if name not in names:
        colour = (MUTED if name == "persistence" else INK).light
        axes.plot(rows["horizon"], rows["mse"], color=colour, ls=":", label=name)
        return
    style = {names[0]: MODEL, **series_of(names[1:])}[name]
    axes.plot(
        rows["horizon"], rows["mse"], color=style.colour, ls=style.line, marker=style.marker, label=name
    )
    if "published mse" in rows:
        axes.plot(rows["horizon"], rows["published mse"], "o", color=style.colour, mfc="none", ms=10)


def main(arguments: Sequence[str] | None = None) -> None:
    parser, running = run_and_table(__doc__)
    running.add_argument("--data", nargs="+", default=list(DATA), choices=DATA)
    running.add_argument("--models", nargs="+", default=list(MODELS), choices=MODELS)
    running.add_argument("--horizons", nargs="+", type=int, default=list(HORIZONS), choices=HORIZONS)
    running.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    given = parser.parse_args(arguments)
    if given.command == "run":
        names = product(given.seeds, given.data, given.horizons, given.models)
        jobs = [Job(data, horizon, model, seed) for seed, data, horizon, model in names]
        run(given.out, jobs, devices=given.devices, parallel=given.parallel, extra=given.set)
    table(given.out)


if __name__ == "__main__":
    main()
