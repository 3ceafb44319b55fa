"""The table of `gated_delta_rule`: in torch, the loop, and fla's kernels where they are installed.

python kernels/bench/gated_delta_rule.py [--out FOLDER] [--cases WORD] [--contestants WORD] [--size SIZE]
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from harness import Case, Contestant, DoesNotApply, Inputs, Operator, Work, main

from genoseq_kernels import gated_delta_rule
from genoseq_kernels.dispatch import Backend
from genoseq_kernels.gated_delta_rule.chunked import CHUNK
from genoseq_kernels.gated_delta_rule.reference import Inputs as LoopInputs
from genoseq_kernels.gated_delta_rule.reference import sequential

_ORACLE_LENGTH = 2048
_LOOP_LENGTH = 4096


def make_inputs(device: str, length: int, heads: int, key: int, value: int, dtype: torch.dtype) -> Inputs:
    """One sequence; decays and shares as the layer is initialised, keys of length one."""
    generator = torch.Generator(device).manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator, device=device)

    q, k = (torch.nn.functional.normalize(normal(1, length, heads, key), dim=-1) for _ in range(2))
    rates = 16 * torch.rand(heads, generator=generator, device=device)
    steps = torch.nn.functional.softplus(normal(1, length, heads) - 4.5)
    tensors = {"q": q, "k": k, "v": normal(1, length, heads, value)}
    tensors = {name: x.to(dtype) for name, x in tensors.items()}
    tensors |= {"g": -rates * steps, "beta": normal(1, length, heads).sigmoid()}
    return {name: x.requires_grad_() for name, x in tensors.items()}


def make_case(length: int, heads: int, key: int, value: int, dtype: torch.dtype) -> Case:
    """Floor: q, k, v, g, beta in and o out; again with do, and all gradients out. Products of a chunk's
    positions: keys with keys and queries, the system for keys and values, in and out of the state thrice, and
    what is written read; in the backward pass twice as many beside those made anew."""
    element = torch.finfo(dtype).bits // 8
    narrow, wide = 2 * length * heads * key * element, length * heads * value * element
    gates = 8 * length * heads
    products = 2 * length * heads * (CHUNK * (1.5 * key + value) + 3 * key * value)
    inputs = partial(make_inputs, heads=heads, key=key, value=value, dtype=dtype)
    return Case(
        name=f"L={length} H={heads} K={key} V={value} {str(dtype).removeprefix('torch.')}",
        inputs=lambda device: inputs(device, length),
        work=Work(
            moved=(narrow + 2 * wide + gates, 3 * narrow + 5 * wide + 3 * gates),
            operations=(products, 4 * products),
            precision="bf16" if dtype == torch.bfloat16 else "fp32",
        ),
        checked=lambda device: inputs(device, min(length, _ORACLE_LENGTH)),
        options={"length": length},
    )


def cases(size: str) -> list[Case]:
    """Heads of a layer of width 2,048 on a GPU; narrow ones on a CPU."""
    if size == "gpu":
        return [make_case(length, 6, 256, 512, torch.bfloat16) for length in (8192, 131072)] + [
            make_case(length, 16, 128, 128, torch.bfloat16) for length in (8192, 131072, 1048576)
        ]
    if size == "cpu":
        return [make_case(4096, 4, key, 2 * key, torch.float32) for key in (16, 64)]
    return [make_case(70, 2, 4, 8, torch.float32)]


def loop(**given: Any) -> torch.Tensor:
    """The definition, position by position."""
    tensors = [given[name] for name in ("q", "k", "v", "g", "beta")]
    return sequential(LoopInputs(*tensors, None, None, given["k"].shape[-1] ** -0.5, False))[0]


def ours(backend: Backend) -> Callable[[Case], Operator]:
    return lambda case: partial(gated_delta_rule, backend=backend)


def short_loop(case: Case) -> Operator:
    if case.options["length"] > _LOOP_LENGTH:
        raise DoesNotApply(f"a loop over more than {_LOOP_LENGTH} positions")
    return loop


def fla(case: Case) -> Operator:
    """Its own function, gradient and all; `genoseq fla` is the same through our door."""
    from fla.ops.gated_delta_rule import chunk_gated_delta_rule

    def run(**given: torch.Tensor) -> torch.Tensor:
        return chunk_gated_delta_rule(**given)[0]

    return run


CONTESTANTS = [
    Contestant("genoseq torch", ours("reference")),
    Contestant("genoseq fla", ours("fla")),
    Contestant("fla", fla),
    Contestant("loop over positions", short_loop),
]


if __name__ == "__main__":
    main("gated_delta_rule", cases, CONTESTANTS, loop)
