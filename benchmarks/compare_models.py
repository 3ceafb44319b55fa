"""A hybrid, Mamba-2, Hyena and attention of equal size, trained for equal time on the same genomes.

    python benchmarks/compare_models.py run OUT --minutes 10 --devices 0 1 --parallel 4
    python benchmarks/compare_models.py table OUT

All four are one class, eight layers of width 256 with gated MLPs whose width makes up for the mixers: 6.6
million parameters each. They share the recipe of `experiment=celegans_hybrid`, but for a rate that stays
constant after its warm-up, with the weights averaged: every point of a curve is then what that much time
gives, and a run that is cut short is as good as one that was meant to be shorter. Each is trained for the
time on the clock, validation included; the time of a curve leaves validation out.

`run` trains on each genome (NAME=FASTA, by default the shipped C. elegans and, where the shared benchmark
data are, the start of human chr20), several runs at a time on each device; finished ones are not repeated. At
its end each opens the test split once, with the weights that validation chose. `table` writes OUT/table.tsv
and OUT/compare_models.png from what there is, also while the runs go on, beside what counting reaches.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd
from curves import Curve
from device_jobs import on_the_clock, run_and_table, run_jobs, training
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from matplotlib.figure import Figure
from omegaconf import DictConfig, OmegaConf
from pretraining_floors import CELEGANS, HUMAN

from genoseq.data.splits import Split
from genoseq.paths import configs_dir
from genoseq.report.style import INK, MATPLOTLIB, MODEL, MUTED, Plot, series_of
from genoseq.training.results import baseline_predictions, metrics

# The pattern of each model, and the width of its MLPs.
MODELS = {
    "hybrid": ("mmmmammm", 544),
    "Mamba-2": ("m", 512),
    "Hyena": ("h", 688),
    "attention": ("a", 816),
}
RECIPE = (
    "experiment=celegans_hybrid",
    "data=genome",
    "ema_decay=0.999",
    "schedule=constant_warmup",
    "schedule.warmup_fraction=0.001",
    "trainer.max_steps=100000",
    "trainer.val_check_interval=50",
    "~callbacks.early_stop",
    "test=true",
    "report=false",
)
FLOORS = {"static_markov": "static Markov", "adaptive_counter": "adaptive counter"}
FORMATS = {
    "parameters": "{:,.0f}",
    "tokens/s": "{:,.0f}",
    "minutes": "{:.2f}",
    "best after": "{:.2f}",
    "validation": "{:.4f}",
    "test": "{:.4f}",
}
SPLITS: tuple[Split, ...] = ("validation", "test")
AXES = {"minutes": "minutes of training", "tokens": "tokens"}
TOP = 1.97  # two bits are a guess; the first steps fall from there at once


def run(
    out: Path,
    genomes: Mapping[str, str],
    *,
    minutes: float,
    devices: Sequence[str],
    parallel: int,
    extra: Sequence[str],
) -> None:
    """Train every model on every genome."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "genomes.json").write_text(json.dumps(genomes, indent=1) + "\n")
    jobs = []
    for genome, fasta in genomes.items():
        for model, (pattern, width) in MODELS.items():
            overrides = [
                *RECIPE,
                f"data.fasta={fasta}",
                f"model.pattern={pattern}",
                f"model.d_inner={width}",
                f"+trainer.max_time='{on_the_clock(minutes)}'",
                *extra,
            ]
            jobs.append(training(out / genome / model, overrides, done="results.json"))
    run_jobs(jobs, devices=devices, parallel=parallel)


def table(out: Path) -> pd.DataFrame:
    """Print and write the table, and draw the plot."""
    genomes = json.loads((out / "genomes.json").read_text())
    rows, curves, floors = [], {}, {}
    for genome in genomes:
        found = {model: Curve.of(out / genome / model) for model in MODELS if (out / genome / model).exists()}
        curves[genome] = {model: curve for model, curve in found.items() if curve is not None}
        if curves[genome]:
            floors[genome] = read_floors(out / genome)
        for model, curve in curves[genome].items():
            last = curve.points.iloc[-1]
            rows.append(
                {
                    "genome": genome,
                    "model": model,
                    "parameters": curve.parameters,
                    "tokens/s": last["tokens"] / (60 * last["minutes"]),
                    "minutes": last["minutes"],
                    "best after": curve.best["minutes"],
                    "validation": curve.best["bits"],
                    "test": curve.test,
                }
            )
        rows += [{"genome": genome, "model": name} | bits for name, bits in floors.get(genome, {}).items()]
    frame = pd.DataFrame(rows)
    frame.to_csv(out / "table.tsv", sep="\t", index=False)
    formats = {name: text.format for name, text in FORMATS.items() if name in frame}
    print(frame.to_string(index=False, formatters=formats, na_rep=""))
    draw(curves, floors).save_png(out)
    return frame


def read_floors(folder: Path) -> dict[str, dict[str, float | None]]:
    """Bits per base that counting reaches, by name and split, on the data of the folder's runs.

    They are counted once, and kept in `floors.json`.
    """
    kept = folder / "floors.json"
    if not kept.exists():
        saved = OmegaConf.load(next(folder.glob("*/config.yaml")))
        assert isinstance(saved, DictConfig)
        with initialize_config_dir(str(configs_dir()), version_base="1.3"):
            baselines = compose("train", overrides=["baselines=genome"]).baselines
        datamodule = instantiate(saved.data)
        floors: dict[str, dict[str, float | None]] = {}
        for split in SPLITS:
            chosen = {name: baselines[name] for name in FLOORS}
            for key, _, rows in baseline_predictions(chosen, datamodule, split):
                floors.setdefault(FLOORS[key], {})[split] = metrics("language_model", rows)["bits_per_base"]
        kept.write_text(json.dumps(floors, indent=1) + "\n")
    return json.loads(kept.read_text())


@matplotlib.rc_context(MATPLOTLIB)
def draw(
    curves: Mapping[str, Mapping[str, Curve]], floors: Mapping[str, Mapping[str, Mapping[str, Any]]]
) -> Plot:
    """A row of panels a genome: bits per base in validation against time, and against tokens."""
    shown = [genome for genome, models in curves.items() if models]
    figure = Figure(figsize=(9.0, 0.8 + 2.9 * len(shown)), layout="constrained")
    grid = figure.subplots(len(shown), 2, sharey="row", squeeze=False)
    names = list(MODELS)
    styles = {names[0]: MODEL, **series_of(names[1:])}
    for genome, axes in zip(shown, grid, strict=True):
        for panel, (column, words) in zip(axes, AXES.items(), strict=True):
            for name, curve in curves[genome].items():
                style = styles[name]
                panel.plot(
                    curve.points[column], curve.points["bits"], color=style.colour, label=name, ls=style.line
                )
            for (name, bits), line, colour in zip(
                floors[genome].items(), ("--", ":"), (MUTED, INK), strict=True
            ):
                panel.axhline(bits["validation"], color=colour.light, ls=line, lw=1.0, label=name)
            panel.set_xscale("log")
            panel.xaxis.set_major_formatter(
                lambda value, _: f"{value:g}" if value < 1e6 else f"{value / 1e6:g} M"
            )
            panel.set_xlabel(words)
        axes[0].set_ylabel("bits per base, validation")
        axes[0].set_title(genome, loc="left")
        axes[0].set_ylim(top=TOP)
    handles = {text: handle for handle, text in zip(*grid[0, 0].get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles, loc="outside upper center", ncols=len(handles))
    return Plot("compare_models", "Bits per base of four models of equal size", "", figure)


def main(arguments: Sequence[str] | None = None) -> None:
    parser, running = run_and_table(__doc__)
    running.add_argument("genomes", nargs="*", metavar="NAME=FASTA")
    running.add_argument("--minutes", type=float, default=10.0, help="of each run (10)")
    given = parser.parse_args(arguments)
    if given.command == "table":
        table(given.out)
        return
    shipped = {"C. elegans": CELEGANS} | ({"human chr20": str(HUMAN)} if HUMAN.is_file() else {})
    genomes = dict(text.split("=", 1) for text in given.genomes) or shipped
    run(
        given.out,
        genomes,
        minutes=given.minutes,
        devices=given.devices,
        parallel=given.parallel,
        extra=given.set,
    )


if __name__ == "__main__":
    main()
