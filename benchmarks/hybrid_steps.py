"""HybriDNA on one GPU: a training step, a forward pass over a million tokens, and how well the GPU is used.

    python benchmarks/hybrid_steps.py --out FOLDER
    python benchmarks/hybrid_steps.py --rows train --train 32768 model=hybridna_small

A training step is that of `genoseq train experiment=hybridna` (300 million parameters unless a setting says
otherwise) on one sequence of random bases, with the memory that `plan=true` predicts. A forward pass gives
the logits of all tokens, without gradients: at once with attention to everything (`whole`), and in chunks
with the state carried on and attention in a window (`chunks`), where memory does not depend on the length.

Operations are those that the function needs and matrix units can do, two a multiplication: the products of
linear layers, of attention and of the scan in chunks, of the two latter only what lies below the diagonal. A
training step counts three forward passes. What checkpointing computes again, short convolutions, norms and
the head are not counted. The share is of 989 TFLOP/s, the H100's data sheet, and of what a large product of
bfloat16 matrices reaches in this run.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from long_steps import GIB, Run, tried
from steps import Table, clear, matrix_rate, measure
from torch import nn

from genoseq.models import HybriDNA
from genoseq.nn.attention import Attention
from genoseq.nn.mamba2 import Mamba2Mixer
from genoseq.training.assembly import build_model

DATA_SHEET = 989e12
EXPERIMENT = ("experiment=hybridna", "data.length_schedule=null")
TINY = (
    "model.d_model=16",
    "model.num_layers=2",
    "model.pattern=ma",
    "model.d_inner=16",
    "model.mamba2.d_state=8",
    "model.mamba2.headdim=8",
    "model.mamba2.chunk_size=16",
    "model.attention.num_heads=2",
    "model.attention.num_kv_heads=1",
)
# Tokens of a training step, of a forward pass, of a chunk of it; window of attention there.
SIZES = {"gpu": (131_072, 1_048_576, 65_536, 1024), "tiny": (128, 256, 64, 16)}
ROWS = ("train", "chunks", "whole")
COLUMNS = (
    "tokens", "row", "ms", "steps", "thousand tokens/s", "peak GiB", "planned GiB", "planned/peak", "TFLOP",
    "TFLOP/s", "of data sheet", "of measured", "note",
)  # fmt: skip


def forward_operations(backbone: HybriDNA, length: int) -> float:
    """Operations of a forward pass over one sequence.

    Raises:
        ValueError: a mixer's operations are not known here.
    """
    weights = sum(part.weight.numel() for part in backbone.layers.modules() if isinstance(part, nn.Linear))
    mixing = sum(mixer_operations(block.mixer, length) for block in backbone.blocks)
    return 2.0 * weights * length + mixing


def mixer_operations(mixer: nn.Module, length: int) -> float:
    """Operations of a mixer beside its linear layers."""
    match mixer:
        case Attention():
            channels = mixer.num_heads * mixer.head_dim
            # Scores and their sums over values.
            return 2.0 * 2 * channels * pairs_within(length, mixer.rule.window or length)
        case Mamba2Mixer():
            shared, size = mixer.ngroups * mixer.d_state, mixer.chunk_size
            whole, rest = divmod(length, size)
            pairs = whole * pairs_within(size, size) + pairs_within(rest, size)
            # Scores and their sums in a chunk; the state that a chunk adds to, and what it gives.
            within = 2.0 * (shared + mixer.d_inner) * pairs
            return within + 2.0 * 2 * mixer.d_inner * mixer.d_state * length
    raise ValueError(
        f"operations of a {type(mixer).__name__} are not counted: give a model.pattern of m and a."
    )


def pairs_within(length: int, window: int) -> int:
    """Pairs of a query and a key, of the last `window` up to the query."""
    window = min(window, length)
    return length * window - window * (window - 1) // 2


def add_row(
    table: Table,
    row: str,
    run: Run,
    make: Callable[[Run], Callable[[], torch.Tensor]],
    *,
    passes: int,
    rate: float,
    budget: float,
) -> None:
    """Measure a step that takes as many operations as some forward passes; plan it, where it is training."""
    notes: list[str] = []
    measured = tried(lambda: measure(make(run), run.device, budget=budget), notes)
    clear(run.device)
    planned = tried(run.planned, notes) if row == "train" else None
    clear(run.device)
    values: dict[str, Any] = {"tokens": run.shape.length, "row": row}
    with torch.device("meta"):
        backbone = build_model(run.config, run.datamodule).backbone
    assert isinstance(backbone, HybriDNA)
    operations = passes * forward_operations(backbone, run.shape.length)
    values["TFLOP"] = operations / 1e12
    if planned is not None:
        values["planned GiB"] = planned / GIB
    if measured is not None:
        reached = operations / measured.seconds
        values |= {
            "ms": 1e3 * measured.seconds,
            "steps": measured.steps,
            "thousand tokens/s": run.shape.length / measured.seconds / 1e3,
            "TFLOP/s": reached / 1e12,
            "of data sheet": reached / DATA_SHEET,
            "of measured": reached / rate,
        }
        if measured.peak is not None:
            values["peak GiB"] = measured.peak / GIB
            values["planned/peak"] = None if planned is None else planned / measured.peak
    table.add(**values, note="; ".join(notes))


def main(arguments: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Print the table, and give its rows."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="settings of `genoseq train`")
    parser.add_argument("--size", choices=tuple(SIZES), help="default: what the machine is")
    parser.add_argument("--rows", default=",".join(ROWS), help=f"of {', '.join(ROWS)} (all)")
    parser.add_argument("--train", type=int, help="tokens of a training step (131,072)")
    parser.add_argument("--forward", type=int, help="tokens of a forward pass (1,048,576)")
    parser.add_argument("--chunk", type=int, help="tokens of a chunk (65,536)")
    parser.add_argument("--window", type=int, help="that attention sees in chunks (1,024)")
    parser.add_argument("--budget", type=float, default=5.0, help="seconds of timed steps a row (5)")
    parser.add_argument("--out", type=Path, help="folder for JSON and Markdown")
    options = parser.parse_args(arguments)
    rows = options.rows.split(",")
    if set(rows) - set(ROWS):
        parser.error(f"--rows {options.rows}: choose of {', '.join(ROWS)}")
    size = options.size or ("gpu" if torch.cuda.is_available() else "tiny")
    given = (options.train, options.forward, options.chunk, options.window)
    trained, forward, chunk, window = (one or other for one, other in zip(given, SIZES[size], strict=True))
    # Which devices there are not, and advertisements.
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    overrides = [*EXPERIMENT, *(TINY if size == "tiny" else ()), *options.overrides]
    steps: dict[str, tuple[int, list[str], Callable[[Run], Callable[[], torch.Tensor]]]] = {
        "train": (trained, [], Run.step_of_ours),
        "chunks": (forward, [f"model.attention.window={window}"], lambda run: run.forward_of_ours(chunk)),
        "whole": (forward, [], lambda run: run.forward_of_ours(None)),
    }
    table: Table | None = None
    for row in rows:
        length, settings, make = steps[row]
        run = Run.of(length, [*overrides, *settings])
        if table is None:
            rate = matrix_rate(run.device, side=8192 if size == "gpu" else 256)
            print(f"a product of bfloat16 matrices: {rate / 1e12:,.4g} TFLOP/s", flush=True)
            table = Table("hybrid_steps", COLUMNS, run.device, options.out)
        passes = 3 if row == "train" else 1
        add_row(table, row, run, make, passes=passes, rate=rate, budget=options.budget)
    assert table is not None
    return table.rows


if __name__ == "__main__":
    main()
