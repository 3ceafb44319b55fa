"""Training throughput of the tiny HyenaDNA on CPU: ours, and the same model written plainly in torch.

    python benchmarks/training_throughput.py

Both take whole optimiser steps (forward, backward, AdamW) on the same batch, in turns, in one run; medians.
The plain model follows the released code: library convolutions, transforms and their automatic gradients.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from plain_hyenadna import PlainHyenaDNA
from torch import nn

from genoseq.models import HyenaDNA, LanguageModelHead, SequenceModel

D_MODEL, NUM_LAYERS, L_MAX = 128, 2, 1026


def make_ours() -> SequenceModel:
    backbone = HyenaDNA(d_model=D_MODEL, num_layers=NUM_LAYERS, l_max=L_MAX)
    return SequenceModel(backbone, LanguageModelHead(backbone))


def training_step(model: nn.Module, loss: Callable[[], torch.Tensor]) -> Callable[[], None]:
    optimizer = torch.optim.AdamW(model.parameters(), lr=6e-4)

    def step() -> None:
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()

    return step


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--length", type=int, default=1024)
    parser.add_argument("--steps", type=int, default=15)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)

    ours = make_ours()
    assert isinstance(ours.backbone, HyenaDNA)
    plain = PlainHyenaDNA.like(ours.backbone)
    ids = torch.randint(7, 11, (options.batch_size, options.length))
    with torch.no_grad():
        difference = (ours.eval()(ids, labels=ids).loss - plain.eval()(ids)).abs().item()
    ours.train(), plain.train()

    steps = {
        "plain torch": training_step(plain, lambda: plain(ids)),
        "genoseq": training_step(ours, lambda: ours(ids, labels=ids).loss),
    }
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(options.steps + 2):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            if turn >= 2:  # the first two warm up
                seconds[name].append(time.perf_counter() - start)

    tokens = options.batch_size * options.length
    print(
        f"batch {options.batch_size} x {options.length}, {options.threads} threads, torch {torch.__version__}"
    )
    print(f"losses differ by {difference:.1e}")
    rates = {name: tokens / statistics.median(times) for name, times in seconds.items()}
    for name, rate in rates.items():
        print(f"{name:<12} {rate:>9,.0f} tokens/s   {tokens / rate * 1e3:7.1f} ms a step")
    print(f"genoseq / plain torch: {rates['genoseq'] / rates['plain torch']:.2f}")


if __name__ == "__main__":
    main()
