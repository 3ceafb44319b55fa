"""Time a token of decoding with a hybrid, by how much came before: attention to everything, and in a window.

    python benchmarks/decoding.py [--model hybridna_small] [--contexts 1000 100000] [--window 1024]
                                  [--steps 50] [--device cpu] [--threads 1]

The model has random weights. Each context is read in chunks; then come `--steps` tokens, one at a time, of
which the median is printed, the memory of the state after them, and the ratio of the last context's median to
the first's. Rounds over the contexts are repeated and interleaved, since other work on the machine comes and
goes.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from steps import describe

from genoseq.models import HybriDNA
from genoseq.paths import configs_dir

CHUNK, ROUNDS = 8192, 3


def make(model: str, window: int | None, device: torch.device) -> HybriDNA:
    setting = "null" if window is None else window
    with initialize_config_dir(str(configs_dir()), version_base="1.3"):
        config = compose(
            "train", overrides=[f"model={model}", f"model.attention.window={setting}", "model.l_max=null"]
        )
    return instantiate(config.model).to(device).eval()


def read(backbone: HybriDNA, context: int, room: int) -> list[Any]:
    """The state after random tokens."""
    state = backbone.init_state(1, max_length=room)
    device = backbone.embedding.weight.device
    for chunk in torch.randint(7, 11, (1, context), device=device).split(CHUNK, dim=1):
        backbone.forward_chunk(chunk, state)
    return state


def step_times(backbone: HybriDNA, state: list[Any], steps: int) -> list[float]:
    """Seconds of each step."""
    device = backbone.embedding.weight.device
    token, times = torch.tensor([7], device=device), []
    for _ in range(steps):
        start = time.perf_counter()
        backbone.step(token, state)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - start)
    return times


def mebibytes(state: list[Any]) -> float:
    held = (getattr(layer, field.name) for layer in state for field in fields(layer))
    return sum(x.nbytes for x in held if isinstance(x, torch.Tensor)) / 2**20


@torch.inference_mode()
def main(arguments: Sequence[str] | None = None) -> None:
    """Print the times, of each kind of attention as soon as they are known."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="hybridna_small")
    parser.add_argument("--contexts", type=int, nargs="+", default=[1000, 100_000])
    parser.add_argument("--window", type=int, default=1024)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    device = torch.device(given.device)
    print(f"{given.model}, {describe(device)}", flush=True)
    for name, window in ((f"window of {given.window:,}", given.window), ("everything", None)):
        backbone = make(given.model, window, device)
        room = max(given.contexts) + ROUNDS * given.steps
        states = {context: read(backbone, context, room) for context in given.contexts}
        times: dict[int, list[float]] = {context: [] for context in states}
        for _ in range(ROUNDS):
            for context, state in states.items():
                times[context] += step_times(backbone, state, given.steps)
        medians = {context: 1e3 * statistics.median(values) for context, values in times.items()}
        for context, state in states.items():
            print(
                f"attention to {name:<18} after {context:>9,} tokens: "
                f"{medians[context]:8.3f} ms a token, state {mebibytes(state):9.1f} MiB"
            )
        first, last = given.contexts[0], given.contexts[-1]
        ratio = medians[last] / medians[first]
        print(f"a token after {last:,} takes {ratio:.3f} times what it takes after {first:,}", flush=True)


if __name__ == "__main__":
    main()
