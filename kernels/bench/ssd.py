"""The table of `ssd` (Mamba-2's scan): ours, the loop, mamba_ssm and fla where they are installed.

python kernels/bench/ssd.py [--out FOLDER] [--cases WORD] [--contestants WORD] [--size gpu|cpu|tiny]
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from harness import LENGTHS, Case, Contestant, DoesNotApply, Inputs, Operator, Work, main

from genoseq_kernels import ssd
from genoseq_kernels.dispatch import Backend
from genoseq_kernels.ssd.reference import Inputs as LoopInputs
from genoseq_kernels.ssd.reference import sequential

_ORACLE_LENGTH = 2048
_LOOP_LENGTH = 16384


def make_inputs(device: str, length: int, heads: int, width: int, states: int, dtype: torch.dtype) -> Inputs:
    """One sequence, one group: decays and steps as Mamba-2 is initialised."""
    generator = torch.Generator(device).manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        values = torch.randn(shape, generator=generator, device=device, dtype=dtype)
        return values.requires_grad_()

    uniform = torch.rand(heads, generator=generator, device=device)
    return {
        "x": normal(1, length, heads, width),
        "dt": normal(1, length, heads),
        "A": (-1 - 15 * uniform).requires_grad_(),
        "B": normal(1, length, 1, states),
        "C": normal(1, length, 1, states),
        "D": torch.ones(heads, device=device, requires_grad=True),
        "dt_bias": (-2 - 5 * uniform.flip(0)).requires_grad_(),
    }


def make_case(length: int, heads: int, width: int, states: int, dtype: torch.dtype) -> Case:
    """Floor: x, dt, B, C in and y out; again with dy, and all gradients out. Products: each position into the
    state and out of it, and in the backward pass twice as many beside the states made anew."""
    element = torch.finfo(dtype).bits // 8
    wide, narrow = length * heads * width * element, length * (heads + 2 * states) * element
    products = 4 * length * heads * width * states
    inputs = partial(make_inputs, heads=heads, width=width, states=states, dtype=dtype)
    return Case(
        name=f"L={length} H={heads} P={width} N={states} {str(dtype).removeprefix('torch.')}",
        inputs=lambda device: inputs(device, length),
        work=Work(
            moved=(2 * wide + narrow, 5 * wide + 3 * narrow),
            operations=(products, 3.5 * products),
            precision="bf16" if dtype == torch.bfloat16 else "fp32",
        ),
        checked=lambda device: inputs(device, min(length, _ORACLE_LENGTH)),
        options={"length": length},
    )


def cases(size: str) -> list[Case]:
    """Mamba-2 1.3B's heads on a GPU; three widths on a CPU."""
    if size == "gpu":
        return [make_case(length, 32, 64, 128, torch.bfloat16) for length in LENGTHS]
    if size == "cpu":
        shapes = ((2, 32, 64), (8, 32, 64), (16, 64, 128))
        return [make_case(4096, *shape, torch.float32) for shape in shapes]
    return [make_case(70, 2, 4, 8, torch.float32)]


def loop(**given: Any) -> torch.Tensor:
    """The definition, position by position."""
    names = ("x", "dt", "A", "B", "C", "D", "z", "dt_bias", "initial_states", "seq_idx")
    tensors = [given.get(name) for name in names]
    return sequential(LoopInputs(*tensors, True, 0.0, float("inf")))[0]  # type: ignore[arg-type]


def ours(backend: Backend) -> Callable[[Case], Operator]:
    return lambda case: partial(ssd, dt_softplus=True, backend=backend)


def short_loop(case: Case) -> Operator:
    if (case.options or {})["length"] > _LOOP_LENGTH:
        raise DoesNotApply(f"a loop over more than {_LOOP_LENGTH} positions")
    return loop


def mamba_ssm(case: Case) -> Operator:
    from mamba_ssm.ops.triton.ssd_combined import mamba_chunk_scan_combined

    return partial(mamba_chunk_scan_combined, chunk_size=256, dt_softplus=True)


def fla(case: Case) -> Operator:
    """Takes decays and scaled values, a B and C a head: made beforehand here, as part of the call."""
    from fla.ops.simple_gla import chunk_simple_gla

    def run(
        x: torch.Tensor,
        dt: torch.Tensor,
        A: torch.Tensor,
        B: torch.Tensor,
        C: torch.Tensor,
        D: torch.Tensor,
        dt_bias: torch.Tensor,
    ) -> torch.Tensor:
        steps = torch.nn.functional.softplus(dt.float() + dt_bias)
        heads = x.shape[2]
        k, q = (weights.expand(-1, -1, heads, -1).contiguous() for weights in (B, C))
        values = (x * steps.unsqueeze(-1)).to(x.dtype)
        y, _ = chunk_simple_gla(q, k, values, steps * A, scale=1.0)
        return y + (D.unsqueeze(-1) * x).to(x.dtype)

    return run


def mambapy(case: Case) -> Operator:
    raise DoesNotApply("its Mamba-2 calls mamba_ssm's kernels, which have a row of their own")


CONTESTANTS = [
    Contestant("genoseq triton", ours("triton")),
    Contestant("genoseq torch", ours("reference")),
    Contestant("loop over positions", short_loop),
    Contestant("mamba_ssm (Triton)", mamba_ssm),
    Contestant("fla simple_gla", fla),
    Contestant("mambapy", mambapy),
]


if __name__ == "__main__":
    main("ssd", cases, CONTESTANTS, loop)
