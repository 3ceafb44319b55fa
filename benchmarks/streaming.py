"""A stream of 650,000 samples: equal to one pass, in memory that does not grow.

    python benchmarks/streaming.py OUT 100.hea
    python benchmarks/streaming.py OUT 100.hea --mixer s4d --steps 0

The record is an ECG of half an hour, MIT-BIH's number 100. A small causal model learns one lead from the
other on its first fifth (`--steps 0` leaves it as it was drawn: equality and memory do not depend on what it
knows). The whole record is then read through `genoseq.inference.stream`, in a process of its own, in pieces
of 64 and of 4,096 samples, and compared with the batch pass; the resident memory of each process is taken as
it goes on. Written are OUT/streaming.tsv (memory at each point), OUT/streaming.json (largest difference,
growth, samples a second) and OUT/streaming.png.
"""

from __future__ import annotations

import argparse
import gc
import json
import multiprocessing
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from genoseq.data.channel_scaler import ChannelScaler
from genoseq.data.sample_streams import open_samples
from genoseq.data.wfdb_records import read_wfdb
from genoseq.inference.stream import stream
from genoseq.models import FlatRegressor, load_signal_model
from genoseq.report.style import MATPLOTLIB, Plot, series_of

OPTIONS: dict[str, dict[str, Any]] = {
    "s4d": {"d_state": 16},
    "mamba": {"d_state": 16},
    "mamba2": {"headdim": 16, "d_state": 16},
    "lstm": {},
    "attention": {"num_heads": 4, "window": 64},
}
POINTS = 100
WINDOW, BATCH = 720, 32


def resident_bytes() -> int:
    """Memory of this process that is in use, by Linux."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def make_model(mixer: str) -> FlatRegressor:
    torch.manual_seed(0)
    return FlatRegressor(
        input_channels=1,
        num_outputs=1,
        mixer=mixer,
        d_model=32,
        num_layers=2,
        options=OPTIONS[mixer],
        dropout=0.0,
    )


def learn(model: FlatRegressor, values: np.ndarray, *, steps: int) -> None:
    """Fit the second lead to the first on the first fifth of the record."""
    part = values[: len(values) // 5]
    scaler = ChannelScaler.fit(part, ["input", "target"], scaling="robust")
    model.preprocessing = {"scaler": scaler.to_json(), "classes": ["target"]}
    scaled = torch.from_numpy(scaler.transform(part).astype(np.float32))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    generator = np.random.default_rng(0)
    for _ in range(steps):
        starts = generator.integers(len(scaled) - WINDOW, size=BATCH)
        batch = torch.stack([scaled[start : start + WINDOW] for start in starts])
        loss = torch.nn.functional.mse_loss(model(batch[..., :1]).prediction, batch[..., 1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    if steps:
        print(f"{steps} steps: loss {loss.item():.3f}, scaled", flush=True)
    model.eval()


def streamed(folder: str, record: str, lead: str, samples: int, out: str, points: int) -> None:
    """In a process of its own: stream the record, and write predictions and the memory at each point."""
    torch.set_num_threads(1)
    model = load_signal_model(folder)
    assert isinstance(model, FlatRegressor)
    # A file of numbers: the reader of a format shall not be what is measured.
    total = np.load(record, mmap_mode="r").shape[0]
    every = max(samples, total // points)
    memory: list[tuple[int, float, int]] = []
    start = time.perf_counter()
    # Appended to a file: a map of it would be counted as memory.
    with open(f"{out}.raw", "wb") as file:
        for rows in stream(model, open_samples(record, [lead], samples=samples, sampling_rate=None)):
            file.write(rows["prediction"].to_numpy(dtype=np.float32).tobytes())
            seen = int(rows["sample"].iloc[-1]) + 1
            if seen >= every * (len(memory) + 1):
                gc.collect()
                memory.append((seen, time.perf_counter() - start, resident_bytes()))
    pd.DataFrame(memory, columns=["sample", "seconds", "bytes"]).to_csv(f"{out}.tsv", sep="\t", index=False)


def whole(folder: str, record: str, out: str) -> None:
    """In a process of its own: the batch pass, and its peak of memory."""
    import resource

    torch.set_num_threads(1)
    model = load_signal_model(folder)
    scaler = ChannelScaler.from_json(model.preprocessing["scaler"])
    values = np.load(record)
    start, before = time.perf_counter(), resident_bytes()
    with torch.inference_mode():
        x = torch.from_numpy(((values - scaler.shift[:1]) / scaler.scale[:1]).astype(np.float32)).unsqueeze(0)
        y = model(x).prediction[0, :, 0].double().numpy()
    np.save(f"{out}.npy", y * scaler.scale[1] + scaler.shift[1])
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    facts = {"seconds": time.perf_counter() - start, "peak_bytes": peak, "bytes_before": before}
    Path(f"{out}.json").write_text(json.dumps(facts))


def apart(function: Any, *arguments: Any) -> None:
    """Run in a fresh process, whose memory is its own."""
    process = multiprocessing.get_context("spawn").Process(target=function, args=arguments)
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(f"{function.__name__} ended with {process.exitcode}")


def run(
    out: Path, header: str, *, mixer: str, steps: int, pieces: Sequence[int], limit: int | None
) -> dict[str, Any]:
    """Measure, and write the results."""
    out.mkdir(parents=True, exist_ok=True)
    series = read_wfdb(header).series
    values = series.values[:limit]
    model = make_model(mixer)
    learn(model, values, steps=steps)
    folder, record = str(out / "model"), str(out / "samples.npy")
    model.save(folder)
    np.save(record, values[:, :1])
    apart(whole, folder, record, str(out / "whole"))
    expected = np.load(out / "whole.npy")
    batch = json.loads((out / "whole.json").read_text())
    rows: list[dict[str, Any]] = []
    memory = {}
    for samples in pieces:
        name = str(out / f"pieces_{samples}")
        apart(streamed, folder, record, series.names[0], samples, name, POINTS)
        found = np.fromfile(f"{name}.raw", dtype=np.float32)
        memory[samples] = pd.read_csv(f"{name}.tsv", sep="\t")
        late = memory[samples].iloc[len(memory[samples]) // 10 :]
        rows.append(
            {
                "samples_at_once": samples,
                "samples": len(values),
                "largest_difference": float(np.abs(found - expected).max()),
                "standard_deviation": float(expected.std()),
                "growth_mib": float(late["bytes"].iloc[-1] - late["bytes"].iloc[0]) / 2**20,
                "samples_a_second": len(values) / float(memory[samples]["seconds"].iloc[-1]),
            }
        )
    facts = {
        "mixer": mixer,
        "parameters": sum(p.numel() for p in model.parameters()),
        "batch": batch,
        "stream": rows,
    }
    (out / "streaming.json").write_text(json.dumps(facts, indent=1) + "\n")
    tables = [table.assign(samples_at_once=samples) for samples, table in memory.items()]
    pd.concat(tables).to_csv(out / "streaming.tsv", sep="\t", index=False)
    draw(memory, batch["peak_bytes"]).save_png(out)
    print(pd.DataFrame(rows).to_string(index=False))
    print(f"one pass: {batch['peak_bytes'] / 2**20:,.0f} MiB at its peak, {batch['seconds']:.1f} s")
    return facts


@matplotlib.rc_context(MATPLOTLIB)
def draw(memory: dict[int, pd.DataFrame], peak: int) -> Plot:
    """Memory against samples read, and the peak of the one pass."""
    figure = Figure(figsize=(7.0, 3.2), layout="constrained")
    panel = figure.subplots()
    streams = {f"stream, {samples:,} at once": table for samples, table in memory.items()}
    styles = series_of([*streams, "one pass, peak"])
    for name, table in streams.items():
        style = styles[name]
        panel.plot(table["sample"], table["bytes"] / 2**20, color=style.colour, ls=style.line, label=name)
    last = styles["one pass, peak"]
    panel.axhline(peak / 2**20, color=last.colour, ls=last.line, label="one pass, peak")
    panel.set_xlabel("samples read")
    panel.set_ylabel("MiB resident")
    panel.set_ylim(bottom=0)
    panel.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    panel.legend()
    return Plot("streaming", "Memory of a stream and of one pass", "", figure)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("header", help="the record's .hea file, with two leads")
    parser.add_argument("--mixer", choices=sorted(OPTIONS), default="s4d")
    parser.add_argument("--steps", type=int, default=300, help="of training (300)")
    parser.add_argument("--pieces", type=int, nargs="+", default=[64, 4096], help="samples at once (64 4096)")
    parser.add_argument("--limit", type=int, help="only so many samples of the record")
    given = parser.parse_args(arguments)
    run(given.out, given.header, mixer=given.mixer, steps=given.steps, pieces=given.pieces, limit=given.limit)


if __name__ == "__main__":
    main()
