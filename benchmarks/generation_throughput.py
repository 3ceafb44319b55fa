"""Time a base of generating with HyenaDNA, by position: the lazy convolution against a sum over all the past.

    python benchmarks/generation_throughput.py [--length 10000] [--threads 1]

The model is the released size for a million bases (256 x 8, random weights); its filters are made for the
bases asked for only. The lazy side generates from the first base to the last. The plain side, which would
take long, is brought to the positions of the table by one chunk each and then takes 50 steps there. Times are
the process's own on the CPU (of all its threads together), so that a busy machine does not count.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator

import torch

from genoseq.models import HyenaDNA
from genoseq.nn.hyena import HyenaState
from genoseq.nn.lazy_conv import LazyConv

PLAIN_STEPS = 50


class PlainConv(LazyConv):
    """A step is a sum over everything so far, written as the faster of what torch offers for it."""

    def step(self, value: torch.Tensor) -> torch.Tensor:
        end = self.position + 1
        self.past[..., self.position] = value
        self.position = end
        return (self.past[..., :end] * self.reversed_filters[:, -end:]).sum(-1)

    @property
    def reversed_filters(self) -> torch.Tensor:
        if not hasattr(self, "_reversed"):
            self._reversed = self.filters.flip(-1)
        return self._reversed


def plain_state(backbone: HyenaDNA, length: int) -> list[HyenaState]:
    """A fresh state that takes plain steps."""
    state = backbone.init_state(1, max_length=length)
    for layer in state:
        layer.convolutions = [
            PlainConv(conv.filters, batch_size=1, max_length=length) for conv in layer.convolutions
        ]
    return state


def seconds(backbone: HyenaDNA, state: list[HyenaState], tokens: torch.Tensor) -> float:
    """Of one step for each of the tokens (n,)."""
    start = time.process_time()
    for token in tokens.split(1):
        backbone.step(token, state)
    return time.process_time() - start


def measure(backbone: HyenaDNA, length: int, window: int) -> Iterator[tuple[int, float, float]]:
    """For each window its end, and seconds a base of both ways around there."""
    tokens = torch.randint(7, 11, (length,))
    state = backbone.init_state(1, max_length=length)
    seconds(backbone, plain_state(backbone, length), tokens[:5])
    for start in range(0, length, window):
        end = min(start + window, length)
        lazy = seconds(backbone, state, tokens[start:end])
        plain = plain_state(backbone, length)
        near = max(0, end - PLAIN_STEPS)
        if near:
            backbone.forward_chunk(tokens[None, :near], plain)
            seconds(backbone, plain, tokens[near : near + 1])
        steps = tokens[plain[0].position : end]
        yield end, lazy / (end - start), seconds(backbone, plain, steps) / len(steps)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--length", type=int, default=10_000)
    parser.add_argument("--l-max", type=int, default=1_000_002)
    parser.add_argument("--d-model", type=int, default=256)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--windows", type=int, default=10)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    backbone = HyenaDNA(d_model=options.d_model, num_layers=options.layers, l_max=options.l_max).eval()
    window = -(-options.length // options.windows)
    print("| up to base | lazy ms/base | lazy bases/s | plain ms/base | plain bases/s |")
    print("| --- | --- | --- | --- | --- |")
    total = 0.0
    with torch.inference_mode():
        for end, lazy, plain in measure(backbone, options.length, window):
            total += lazy * min(window, options.length)
            print(
                f"| {end:,} | {1e3 * lazy:.2f} | {1 / lazy:.0f} | {1e3 * plain:.2f} | {1 / plain:.0f} |",
                flush=True,
            )
    print(f"\n{options.length:,} bases by lazy convolution: {total:.0f} s of CPU time.")


if __name__ == "__main__":
    main()
