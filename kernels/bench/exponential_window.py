"""`exponential_window_` beside torch, eager and compiled, which make the window, then multiply.

python kernels/bench/exponential_window.py [--size gpu|cpu|tiny] [--cases WORD] [--contestants WORD]
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from harness import Case, Contestant, Inputs, Operator, Work, draw, main

from genoseq_kernels import Backend, exponential_window_

SCALE = 20.0


def make_inputs(device: str, *, channels: int, length: int) -> Inputs:
    """Normal numbers, in the range of decays of a Hyena filter."""
    return {
        "x": draw(1, channels, length, device=device, grad=True),
        "remains": torch.exp(-torch.linspace(3, 15.4, channels, device=device)),
        "t": torch.linspace(0, 1, length, device=device),
    }


def cases(size: str) -> list[Case]:
    """Each pass reads a tensor and writes one."""
    shapes = {
        "gpu": [(256, 2**20), (256, 1_000_000), (256, 160_002)],
        "cpu": [(32, 65_536)],
        "tiny": [(3, 50)],
    }[size]
    made = []
    for channels, length in shapes:
        inputs = partial(make_inputs, channels=channels, length=length)
        checked = partial(make_inputs, channels=min(channels, 8), length=length)
        work = Work((8.0 * channels * length, 16.0 * channels * length))
        made.append(Case(f"{channels} x {length:,}", inputs, work, checked=checked))
    return made


def ours(backend: Backend, case: Case) -> Operator:
    """One backend, on a tensor that is made for it, as nothing else may be changed: a pass more, forward."""
    del case
    return lambda x, remains, t: exponential_window_(x.clone(), remains, t, SCALE, backend=backend)


def in_torch(x: torch.Tensor, remains: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """Also the oracle; a new tensor."""
    return x * (1 + SCALE * remains[:, None] ** t)


CONTESTANTS: Sequence[Contestant] = (
    Contestant("genoseq", partial(ours, "auto")),
    Contestant("genoseq triton", partial(ours, "triton")),
    Contestant("genoseq reference", partial(ours, "reference")),
    Contestant("torch eager", lambda case: in_torch),
    Contestant("torch compiled", lambda case: torch.compile(in_torch)),
)


if __name__ == "__main__":
    main("exponential_window", cases, CONTESTANTS, in_torch)
