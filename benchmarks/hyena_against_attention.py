"""The comparison of HyenaDNA's paper: a training step of Hyena and of attention, from 1k to a million tokens.

    python benchmarks/hyena_against_attention.py --out FOLDER

Two layers of width 128 over as many tokens in every batch (one sequence where that is longer), forward and
backward, in bfloat16 on a GPU. Both models are HyenaDNA, of the same norms, MLPs, embedding and loss; in the
second the Hyena operators are replaced by causal attention, in heads of 64 channels, through torch's fused
kernels: FlashAttention, and cuDNN's where it runs. The ratio is that of the faster of these to Hyena.

Source: Nguyen et al. 2023, "HyenaDNA", figure 4.1 (there on an A100, with the kernels of its day).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
import torch
from matplotlib.ticker import NullFormatter
from steps import Table, clear, failure, hyena_operators, in_short, measure, random_bases
from torch.nn.attention import SDPBackend, sdpa_kernel

from genoseq.models import HyenaDNA, LanguageModelHead, SequenceModel
from genoseq.nn.attention import Attention
from genoseq.report.style import MATPLOTLIB, MODEL, Plot, new_axes, series_of
from genoseq.tokenizers import CharacterTokenizer

D_MODEL, NUM_LAYERS, HEAD_DIM = 128, 2, 64
HYENA = "Hyena"
KERNELS = {
    "attention, FlashAttention": SDPBackend.FLASH_ATTENTION,
    "attention, cuDNN": SDPBackend.CUDNN_ATTENTION,
}
SIZES = {"gpu": (2**10, 2**20, 2**20), "tiny": (64, 256, 256)}
COLUMNS = ("length", "batch", "model", "ms", "steps", "peak GiB", "attention / Hyena", "note")


def make_model(name: str, length: int) -> SequenceModel:
    """The language model of a row."""
    backbone = HyenaDNA(d_model=D_MODEL, num_layers=NUM_LAYERS, l_max=length)
    if name != HYENA:
        for layer in backbone.layers:
            layer.mixer = Attention(d_model=D_MODEL, num_heads=D_MODEL // HEAD_DIM)
    return SequenceModel(backbone, LanguageModelHead(backbone), CharacterTokenizer()).train()


def step_of(name: str, batch: int, length: int, device: torch.device) -> Callable[[], torch.Tensor]:
    """Forward and backward pass of a batch; gives the loss."""
    model = make_model(name, length).to(device)
    assert model.tokenizer is not None
    tokens = random_bases(model.tokenizer, (batch, length), device)

    def step() -> torch.Tensor:
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            loss = model(tokens, labels=tokens, loss_only=True).loss
        model.zero_grad()
        loss.backward()
        return loss.detach()

    return step


@contextmanager
def kernel_of(name: str) -> Iterator[None]:
    """The kernel of a row: it runs or raises."""
    if name == HYENA:
        yield
        return
    with sdpa_kernel(KERNELS[name]):
        yield


def measure_length(table: Table, length: int, tokens: int, device: torch.device, budget: float) -> None:
    """A row for each model."""
    batch = max(1, tokens // length)
    hyena: float | None = None
    for name in (HYENA, *KERNELS):
        row: dict[str, Any] = {"length": length, "batch": batch, "model": name, "note": ""}
        try:
            with kernel_of(name):
                measured = measure(step_of(name, batch, length, device), device, budget=budget)
        except Exception as error:  # the other rows still run
            row["note"] = failure(error)
        else:
            row |= {"ms": 1e3 * measured.seconds, "steps": measured.steps}
            row["peak GiB"] = None if measured.peak is None else measured.peak / 2**30
            if name == HYENA:
                hyena = measured.seconds
            elif hyena is not None:
                row["attention / Hyena"] = measured.seconds / hyena
        clear(device)
        table.add(**row)


@matplotlib.rc_context(MATPLOTLIB)
def draw(rows: Sequence[dict[str, Any]], device: str) -> Plot:
    """Milliseconds against length, both axes logarithmic, with the ratio at the longest."""
    figure, axes = new_axes((7.0, 4.0))
    styles = {HYENA: MODEL, **series_of(list(KERNELS))}
    for name, style in styles.items():
        points = [(row["length"], row["ms"]) for row in rows if row["model"] == name and "ms" in row]
        if points:
            line: dict[str, Any] = {"color": style.colour, "linestyle": style.line, "marker": style.marker}
            axes.plot(*zip(*points, strict=True), label=name, **line)
    ratios = fastest_ratios(rows)
    if ratios:
        longest = max(ratios)
        words = f"at {longest:,} tokens attention takes {ratios[longest]:.3g} times as long"
        axes.set_title(f"{device}\n{words}", size=9)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    lengths = sorted({row["length"] for row in rows})
    axes.set_xticks(lengths, [in_short(length) for length in lengths])
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("length of a sequence (tokens)")
    axes.set_ylabel("training step (ms)")
    figure.legend(loc="outside upper center", ncols=2)
    return Plot("hyena_against_attention", "A training step of Hyena and of attention", "", figure)


def fastest_ratios(rows: Sequence[dict[str, Any]]) -> dict[int, float]:
    """By length, the time of the fastest attention over Hyena's."""
    ratios: dict[int, float] = {}
    for row in rows:
        if "attention / Hyena" in row:
            ratios[row["length"]] = min(row["attention / Hyena"], ratios.get(row["length"], float("inf")))
    return ratios


def main(arguments: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Print the table and the ratios, draw the plot, and give the rows."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", choices=tuple(SIZES), help="default: what the machine is")
    parser.add_argument("--shortest", type=int, help="tokens of the first sequences; then twice as many, ...")
    parser.add_argument("--longest", type=int, help="... up to this many")
    parser.add_argument("--tokens", type=int, help="of a batch, where a sequence is not longer")
    backends = ("auto", "reference", "triton")
    parser.add_argument("--backend", choices=backends, default="auto", help="of Hyena's operators")
    parser.add_argument("--budget", type=float, default=1.0, help="seconds of timed steps a row (1)")
    parser.add_argument("--out", type=Path, help="folder for the plot, JSON and Markdown")
    options = parser.parse_args(arguments)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    size = options.size or ("gpu" if device.type == "cuda" else "tiny")
    given = (options.shortest, options.longest, options.tokens)
    length, longest, tokens = (one or other for one, other in zip(given, SIZES[size], strict=True))
    torch.manual_seed(0)
    table = Table("hyena_against_attention", COLUMNS, device, options.out)
    while length <= longest:
        with hyena_operators(options.backend):
            measure_length(table, length, tokens, device, options.budget)
        length *= 2
    for place, ratio in fastest_ratios(table.rows).items():
        print(f"{place:>9,} tokens: attention / Hyena {ratio:.3g}")
    if options.out is not None:
        draw(table.rows, table.device).save_png(options.out)
    return table.rows


if __name__ == "__main__":
    main()
