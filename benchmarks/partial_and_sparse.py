"""What a trained HyenaDNA loses with shorter filters, with fewer frequencies, and on longer sequences.

    python kernels/bench/fft_sparse.py --out FOLDER
    python benchmarks/partial_and_sparse.py runs/32k --times FOLDER/fft_sparse.json --out FOLDER

Bits per base of the last fifth of a sequence (what `data=celegans` holds out), the model as it was trained:

- partial: its filters end after fewer taps (`max_taps`), in windows of the length trained at;
- longer: whole filters in ever longer windows (`extended_l_max`), the same bases scored;
- sparse: its filters lack a share of their frequencies. Such filters look ahead, so a base is scored from
  windows that end just before it: fewer bases, one a window.

Windows of partial and longer overlap by half or more. Beside the bits stands their difference from the first
row of the kind, with a 95 % interval, paired: by block of 20,000 bases, for sparse by base. With `--times`
the plot shows the convolution's own time too.

Source: Fu et al. 2023, "FlashFFTConv", section 3.3 and tables 8 and 9.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from steps import Table, clear, in_short

import genoseq
from genoseq.inference import read_records
from genoseq.models import HyenaDNA, SequenceModel
from genoseq.paths import locate
from genoseq.report.style import MATPLOTLIB, MODEL, OTHERS, WIDE, Plot
from genoseq.statistics import mean_interval
from genoseq_kernels import FrequencyPattern

CELEGANS = "genoseq:genomes/celegans_ce2_chrX_first2Mi.fa.gz"
CLASSES, SPARSITIES = 32, (0.0, 0.25, 0.5, 0.75, 0.9)
FEWEST_TAPS = 16
BLOCK = 20_000
TOKENS_AT_ONCE = 2**19
COLUMNS = ("kind", "setting", "bits per base", "minus the first", "from", "to", "bases")


class Held(NamedTuple):
    """What is scored.

    Attributes:
        sequence: all letters.
        bases: how many of the last ones are held out.
    """

    sequence: str
    bases: int


def read(fasta: str, share: float) -> Held:
    """The first sequence of a FASTA, whose last share is held out."""
    sequence = next(iter(read_records(fasta=locate(fasta)))).sequence
    assert isinstance(sequence, str)
    return Held(sequence, int(share * len(sequence)))


def load(checkpoint: str, device: torch.device, **arguments: int) -> SequenceModel:
    """A HyenaDNA with arguments of its own."""
    model = genoseq.load(locate(checkpoint), device=device, arguments=arguments)
    if not isinstance(model.backbone, HyenaDNA):
        raise SystemExit(f"{checkpoint} is a {type(model.backbone).__name__}: give a HyenaDNA.")
    return model


def window_bits(model: SequenceModel, held: Held, length: int) -> np.ndarray:
    """Bits of each base that is held out, read in windows of so many tokens; NaN at N."""
    assert model.tokenizer is not None
    chunk = min(length // 2, held.bases)
    context = length - chunk - len(model.tokenizer.prefix_ids)
    letters = held.sequence[max(0, len(held.sequence) - held.bases - context) :]
    batch = max(1, TOKENS_AT_ONCE // length)
    tables = model.log_prob_chunks(letters, chunk_length=chunk, context=context, batch_size=batch)
    scores = np.concatenate([table["log_prob"].to_numpy() for table in tables])
    return -scores[-held.bases :] / np.log(2)


@torch.inference_mode()
def last_bits(model: SequenceModel, held: Held, length: int, count: int) -> np.ndarray:
    """Bits of bases, evenly spaced, each from the `length` tokens before it and none behind; NaN at N."""
    tokenizer = model.tokenizer
    assert tokenizer is not None
    letters = length - len(tokenizer.prefix_ids)
    first, last = max(letters, len(held.sequence) - held.bases), len(held.sequence) - 1
    found = []
    chosen = np.linspace(first, last, count).astype(int)
    for places in np.array_split(chosen, -(-count * length // TOKENS_AT_ONCE)):
        windows = [held.sequence[place - letters : place + 1] for place in places]
        rows = np.stack([tokenizer.encode(window, add_special_tokens=False) for window in windows])
        prefix = np.broadcast_to(tokenizer.prefix_ids, (len(rows), length - letters))
        tokens = torch.from_numpy(np.concatenate([prefix, rows[:, :-1]], axis=1)).to(model.device)
        logits = model(tokens).logits[:, -1, : tokenizer.vocab_size].double()
        bits = -logits.log_softmax(-1).cpu().numpy()[np.arange(len(rows)), rows[:, -1]] / np.log(2)
        found.append(np.where(np.isin(rows[:, -1], tokenizer.base_ids), bits, np.nan))
    return np.concatenate(found)


def partial(checkpoint: str, held: Held, device: torch.device) -> Iterator[tuple[int, np.ndarray]]:
    """Taps, and the bits of every base."""
    taps = trained = trained_length(checkpoint)
    while taps >= min(FEWEST_TAPS, trained):
        yield taps, window_bits(load(checkpoint, device, max_taps=taps), held, trained)
        taps //= 2


def longer(
    checkpoint: str, held: Held, longest: int, device: torch.device
) -> Iterator[tuple[int, np.ndarray]]:
    """Tokens of a window, and the bits of every base."""
    length = trained_length(checkpoint)
    while length <= min(longest, len(held.sequence)):
        yield length, window_bits(load(checkpoint, device, extended_l_max=length), held, length)
        clear(device)
        length *= 2


def sparse(
    checkpoint: str, held: Held, count: int, device: torch.device
) -> Iterator[tuple[float, np.ndarray]]:
    """Share of the frequencies that the filters lack, and the bits of a base a window."""
    model, length = load(checkpoint, device), trained_length(checkpoint)
    assert isinstance(model.backbone, HyenaDNA)
    for share in SPARSITIES:
        pattern = FrequencyPattern.lowest(CLASSES, sparsity=share)
        model.backbone.sparsify(pattern if share else None)
        yield pattern.sparsity, last_bits(model, held, length, count)


def trained_length(checkpoint: str) -> int:
    """Tokens that the filters of a checkpoint were trained on."""
    return load(checkpoint, torch.device("cpu")).backbone.arguments["l_max"]


def add_rows(table: Table, kind: str, found: Iterator[tuple[float, np.ndarray]], block: int) -> None:
    """A row for each setting, with its difference from the first."""
    first: np.ndarray | None = None
    for setting, bits in found:
        first = bits if first is None else first
        known = bits[~np.isnan(bits)]
        row = {"kind": kind, "setting": setting, "bits per base": float(known.mean()), "bases": known.size}
        if first is not bits:
            differences = (bits - first)[~np.isnan(bits)]
            parts = np.array_split(differences, max(2, differences.size // block))
            interval = mean_interval([part.mean() for part in parts])
            row |= {"minus the first": interval.mean, "from": interval.low, "to": interval.high}
        table.add(**row)


def read_times(path: Path) -> dict[str, dict[float, float]]:
    """Of a table of `kernels/bench/fft_sparse.py`, by kind and taps or sparsity: ms of the fastest that saves
    work."""
    times: dict[str, dict[float, float]] = {"partial": {}, "sparse": {}}
    for row in json.loads(path.read_text())["rows"]:
        case = re.match(r"(partial) K=L/(\d+) .*L=(\d+)|(sparse) ([\d.]+)", row["case"])
        if case is None or row["both"] is None or row["contestant"] in ("floor", "one transform"):
            continue
        kind = case[1] or case[4]
        setting = int(case[3]) / int(case[2]) if case[1] else float(case[5])
        milliseconds = row["both"]["median"]
        times[kind][setting] = min(milliseconds, times[kind].get(setting, float("inf")))
    return times


@matplotlib.rc_context(MATPLOTLIB)
def draw(rows: Sequence[dict[str, Any]], times: dict[str, dict[float, float]]) -> Plot:
    """Bits per base against taps, frequencies and length, with the time of the convolution."""
    figure = Figure(figsize=WIDE, layout="constrained")
    labels = {
        "partial": "taps of the filters",
        "sparse": "share of frequencies left out",
        "longer": "tokens of a window",
    }
    panels = figure.subplots(1, len(labels), sharey=True)
    for axes, (kind, label) in zip(panels, labels.items(), strict=True):
        points = [(row["setting"], row["bits per base"]) for row in rows if row["kind"] == kind]
        axes.plot(*zip(*points, strict=True), color=MODEL.colour, marker=MODEL.marker)
        axes.set_xlabel(label)
        settings = [setting for setting, _ in points]
        if kind != "sparse":
            ticks = settings[:: -(-len(settings) // 6)]
            axes.set_xscale("log", base=2)
            axes.set_xticks(ticks, [in_short(tick) for tick in ticks])
        longest = max(settings) if kind == "partial" else 1
        measured = [(x, y) for x, y in sorted(times.get(kind, {}).items()) if x <= longest]
        if measured:
            _draw_times(axes, measured)
    panels[0].set_ylabel("bits per base")
    return Plot("partial_and_sparse", "Shorter, sparser and longer", "", figure)


def _draw_times(axes: Axes, points: Sequence[tuple[float, float]]) -> None:
    style, right = OTHERS[0], axes.twinx()
    right.grid(visible=False)
    line: dict[str, Any] = {"color": style.colour, "linestyle": style.line, "marker": style.marker}
    right.plot(*zip(*points, strict=True), **line)
    right.set_ylabel("ms of the convolution (1M positions)", color=style.colour)
    right.set_ylim(0, 1.1 * max(time for _, time in points))


def main(arguments: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Print the table, draw the plot, and give the rows."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", help="a run or a model folder of HyenaDNA")
    parser.add_argument("--fasta", default=CELEGANS, help="its first sequence is read")
    parser.add_argument("--held-out", type=float, default=0.2, help="share at the end to score (0.2)")
    parser.add_argument("--longest", type=int, default=2**20, help="tokens of a window, at most (1,048,576)")
    parser.add_argument("--windows", type=int, default=1024, help="bases scored with sparse filters (1,024)")
    parser.add_argument("--times", type=Path, help="fft_sparse.json, for the plot")
    parser.add_argument("--out", type=Path, help="folder for the plot, JSON and Markdown")
    options = parser.parse_args(arguments)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    held = read(options.fasta, options.held_out)
    table = Table("partial_and_sparse", COLUMNS, device, options.out)
    add_rows(table, "partial", partial(options.checkpoint, held, device), BLOCK)
    add_rows(table, "longer", longer(options.checkpoint, held, options.longest, device), BLOCK)
    add_rows(table, "sparse", sparse(options.checkpoint, held, options.windows, device), 1)
    if options.out is not None:
        draw(table.rows, read_times(options.times) if options.times else {}).save_png(options.out)
    return table.rows


if __name__ == "__main__":
    main()
