"""FEMBA: windows a second and peak memory, read and trained, on the CPU or a GPU.

    python benchmarks/femba_throughput.py                      # two CPU cores
    python benchmarks/femba_throughput.py --device cuda --batch-sizes 1,64,512 --dtype bfloat16

Windows are of 22 channels and 5 s at 256 Hz. Training is masked reconstruction: 60 % of the patches hidden,
another mask for each window, forward, backward and AdamW. Times are medians; the peak is what tensors held at
most, weights and the optimiser's state included (on a GPU, what the allocator held for them).
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch

from genoseq.models import Femba
from genoseq_kernels.live_bytes import LiveBytes

SIZES = {"tiny": (2, 35), "base": (12, 35), "large": (4, 79), "huge": (20, 79)}


def steps(
    model: Femba, optimizer: torch.optim.Optimizer, batch_size: int, dtype: torch.dtype
) -> dict[str, Callable[[], None]]:
    """What is timed, by name."""
    device = model.device
    x = torch.randn(batch_size, model.num_channels, model.sequence_length, device=device)
    mask = model.draw_mask(torch.arange(batch_size)).to(device)
    precision = torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32)

    def read() -> None:
        with torch.inference_mode(), precision:
            model(x)

    def train() -> None:
        optimizer.zero_grad()
        with precision:
            loss = model(x, mask).loss
        assert loss is not None
        loss.backward()
        optimizer.step()

    return {"read": read, "train": train}


def median_seconds(step: Callable[[], None], *, repeats: int, device: torch.device) -> float:
    seconds = []
    for turn in range(repeats + 2):
        start = time.perf_counter()
        step()
        if device.type == "cuda":
            torch.cuda.synchronize()
        if turn >= 2:  # the first two warm up
            seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def peak_bytes(step: Callable[[], None], model: Femba, optimizer: torch.optim.Optimizer) -> int:
    """The most that tensors held during a step, after others."""
    if model.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        step()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated()
    optimizer.zero_grad()
    state = [value for values in optimizer.state.values() for value in values.values()]
    held = sum(tensor.nbytes for tensor in (*model.parameters(), *state))
    with LiveBytes() as watch:
        step()
    return held + watch.peak["cpu"]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", choices=SIZES, default="tiny")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch-sizes", default="1,8,32")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    device, dtype = torch.device(options.device), getattr(torch, options.dtype)
    layers, width = SIZES[options.preset]
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{options.threads} CPU threads"
    print(f"FEMBA-{options.preset}, {where}, {options.dtype}, torch {torch.__version__}")
    print("| | windows | windows/s | ms | peak MiB |\n|---|---|---|---|---|")
    for batch_size in map(int, options.batch_sizes.split(",")):
        model = Femba(num_layers=layers, embed_dim=width).to(device)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
        for name, step in steps(model, optimizer, batch_size, dtype).items():
            seconds = median_seconds(step, repeats=options.repeats, device=device)
            memory = peak_bytes(step, model, optimizer) / 2**20
            rate = batch_size / seconds
            print(
                f"| {name} | {batch_size} | {rate:,.1f} | {seconds * 1e3:.1f} | {memory:,.0f} |", flush=True
            )


if __name__ == "__main__":
    main()
