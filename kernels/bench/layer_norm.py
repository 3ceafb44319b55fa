"""`layer_norm` beside torch's, eager and compiled, from float32 to bfloat16 as under autocast.

python kernels/bench/layer_norm.py [--size gpu|cpu|tiny] [--cases WORD] [--contestants WORD]
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from harness import Case, Contestant, Inputs, Operator, Work, draw, main
from torch.nn import functional as F

from genoseq_kernels import Backend, layer_norm

EPSILON = 1e-5


def make_inputs(device: str, *, rows: int, width: int) -> Inputs:
    """Normal numbers in float32."""
    return {
        "x": draw(1, rows, width, device=device, grad=True),
        "weight": draw(width, seed=1, device=device, grad=True),
        "bias": draw(width, seed=2, device=device, grad=True),
    }


def cases(size: str) -> list[Case]:
    """By the machine: forward reads x and writes y of 16 bits, backward reads x and dy and writes dx."""
    shapes = {"gpu": [(2**20, 256), (2**17, 1024)], "cpu": [(8192, 256)], "tiny": [(50, 24)]}[size]
    made = []
    for rows, width in shapes:
        inputs = partial(make_inputs, rows=rows, width=width)
        checked = partial(make_inputs, rows=min(rows, 4096), width=width)
        work = Work((6.0 * rows * width, 16.0 * rows * width))
        made.append(Case(f"L={rows} D={width}", inputs, work, checked=checked))
    return made


def ours(backend: Backend, case: Case) -> Operator:
    """One backend."""
    del case
    return partial(layer_norm, epsilon=EPSILON, dtype=torch.bfloat16, backend=backend)


def in_torch(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """The norm, then the cast."""
    return F.layer_norm(x, x.shape[-1:], weight, bias, EPSILON).to(torch.bfloat16)


def in_float64(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """The oracle."""
    return F.layer_norm(x, x.shape[-1:], weight, bias, EPSILON)


CONTESTANTS: Sequence[Contestant] = (
    Contestant("genoseq", partial(ours, "auto")),
    Contestant("genoseq triton", partial(ours, "triton")),
    Contestant("torch eager", lambda case: in_torch),
    Contestant("torch compiled", lambda case: torch.compile(in_torch)),
)


if __name__ == "__main__":
    main("layer_norm", cases, CONTESTANTS, in_float64)
