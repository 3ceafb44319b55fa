"""Four sizes of the hybrid, trained on the same data: bits per base against parameters and operations.

    python benchmarks/scaling.py run OUT [FASTA ...] --devices 0 1 --parallel 2
    python benchmarks/scaling.py table OUT

The sizes differ in width alone, 64 to 512; all have eight layers, seven of Mamba-2 and one of attention, and
MLPs twice as wide. They take the recipe of `experiment=celegans_hybrid` for equally many steps, the rate
in inverse proportion to the width (1e-3 at 256), and see the same windows in the same order. The genomes (by
default the shipped C. elegans and, where the shared benchmark data are, the starts of human chr9 and chr20)
are each cut into blocks of 70, 10 and 20 %. Weights are those that validation chose; test is opened once.

`run` does not repeat what is finished. `table` writes OUT/table.tsv and OUT/scaling.png: the points, and the
line fitted to the logarithms, with what its slope says. Operations are three forward passes of those that
`hybrid_steps.py` counts.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import torch
from curves import Curve
from device_jobs import run_and_table, run_jobs, training
from hybrid_steps import forward_operations
from hydra.utils import instantiate
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter
from pretraining_floors import CELEGANS, HUMAN
from scipy.stats import linregress

from genoseq.report.folder import RunFolder
from genoseq.report.style import MATPLOTLIB, MODEL, MUTED, OTHERS, Plot

WIDTHS = (64, 128, 256, 512)
RECIPE = (
    "experiment=celegans_hybrid",
    "data=genome",
    "model.pattern=mmmmammm",
    "~callbacks.early_stop",
    "test=true",
    "report=false",
)
CHECKS = 16  # validations of a run
AXES = {"parameters": ("parameters", ""), "operations": ("operations of training", "FLOP")}


@dataclass(frozen=True)
class Line:
    """bits = factor * x ** slope, fitted to the logarithms, of whose variance it explains `r2`."""

    slope: float
    factor: float
    r2: float

    @classmethod
    def through(cls, x: pd.Series, bits: pd.Series) -> Line:
        fit = linregress(np.log(x), np.log(bits))
        return cls(float(fit.slope), float(np.exp(fit.intercept)), float(fit.rvalue**2))

    def at(self, x: np.ndarray) -> np.ndarray:
        return self.factor * x**self.slope

    def __str__(self) -> str:
        saved = 1 - 10**self.slope
        return f"slope {self.slope:+.4f}, R2 {self.r2:.3f}; ten times as much: {saved:.2%} fewer bits"


def run(
    out: Path,
    fastas: Sequence[str],
    *,
    steps: int,
    devices: Sequence[str],
    parallel: int,
    extra: Sequence[str],
) -> None:
    """Train every size, the largest first: it takes longest."""
    jobs = []
    for width in reversed(WIDTHS):
        overrides = [
            *RECIPE,
            f"data.fasta=[{','.join(fastas)}]",
            f"model.d_model={width}",
            f"model.d_inner={2 * width}",
            f"optimizer.lr={0.256 / width}",
            f"trainer.max_steps={steps}",
            f"trainer.val_check_interval={max(1, steps // CHECKS)}",
            *extra,
        ]
        jobs.append(training(out / str(width), overrides, done="results.json"))
    run_jobs(jobs, devices=devices, parallel=parallel)


def operations(folder: Path) -> float:
    """Operations of a training step of a run, a token."""
    config = RunFolder(folder).config
    assert config is not None
    with torch.device("meta"):
        backbone = instantiate(config.model)
    return 3 * forward_operations(backbone, config.data.length) / config.data.length


def table(out: Path) -> pd.DataFrame:
    """Print and write the table and the lines, and draw the plot."""
    curves = {width: Curve.of(out / str(width)) for width in WIDTHS if (out / str(width)).exists()}
    finished = {width: curve for width, curve in curves.items() if curve and curve.test is not None}
    rows = []
    for width, curve in finished.items():
        tokens = curve.points["tokens"].iloc[-1]
        rows.append(
            {
                "width": width,
                "parameters": curve.parameters,
                "million tokens": tokens / 1e6,
                "operations": operations(out / str(width)) * tokens,
                "minutes": curve.points["minutes"].iloc[-1],
                "best after million": curve.best["tokens"] / 1e6,
                "validation": curve.best["bits"],
                "test": curve.test,
            }
        )
    if not rows:
        raise SystemExit(f"no run of {out} has opened its test split yet.")
    frame = pd.DataFrame(rows)
    frame.to_csv(out / "table.tsv", sep="\t", index=False)
    print(frame.to_string(index=False, float_format="{:,.4g}".format))
    lines = {axis: Line.through(frame[axis], frame["test"]) for axis in AXES}
    for axis, line in lines.items():
        print(f"test against {axis}: {line}")
    (out / "lines.json").write_text(json.dumps({axis: vars(line) for axis, line in lines.items()}, indent=1))
    draw(frame, lines).save_png(out)
    return frame


@matplotlib.rc_context(MATPLOTLIB)
def draw(frame: pd.DataFrame, lines: dict[str, Line]) -> Plot:
    figure = Figure(figsize=(9.0, 3.6), layout="constrained")
    grid = figure.subplots(1, len(AXES), sharey=True)
    for axes, (axis, (words, unit)) in zip(grid, AXES.items(), strict=True):
        draw_panel(axes, frame, axis, lines[axis])
        axes.xaxis.set_major_formatter(EngFormatter(unit))
        axes.set_xlabel(words)
    grid[0].set_ylabel("bits per base")
    handles, texts = grid[0].get_legend_handles_labels()
    figure.legend(handles, texts, loc="outside upper center", ncols=len(texts))
    return Plot("scaling", "Bits per base of four sizes", "", figure)


def draw_panel(axes: Axes, frame: pd.DataFrame, axis: str, line: Line) -> None:
    for column, style in (("test", MODEL), ("validation", OTHERS[0])):
        points: dict[str, Any] = {"color": style.colour, "marker": style.marker, "ls": "none"}
        axes.plot(frame[axis], frame[column], label=column, **points)
    reach = np.geomspace(frame[axis].min(), frame[axis].max())
    axes.plot(reach, line.at(reach), color=MUTED.light, lw=1.0, label="fitted to test")
    axes.set_xscale("log")
    axes.set_title(f"x to the power of {line.slope:+.4f}", loc="left")


def main(arguments: Sequence[str] | None = None) -> None:
    parser, running = run_and_table(__doc__)
    running.add_argument("fasta", nargs="*", metavar="FASTA")
    running.add_argument("--steps", type=int, default=800, help="optimiser steps of each run (800)")
    given = parser.parse_args(arguments)
    if given.command == "table":
        table(given.out)
        return
    chr9 = HUMAN.with_name("human_GRCh38_chr9_first1Mb.fa.gz")
    shipped = [CELEGANS, *(str(path) for path in (chr9, HUMAN) if path.is_file())]
    run(
        given.out,
        given.fasta or shipped,
        steps=given.steps,
        devices=given.devices,
        parallel=given.parallel,
        extra=given.set,
    )


if __name__ == "__main__":
    main()
