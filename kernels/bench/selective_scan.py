"""`selective_scan` beside the loop over positions, mambapy's parallel scan and mamba_ssm's CUDA extension.

    python kernels/bench/selective_scan.py [--size gpu|cpu|tiny] [--cases WORD] [--contestants WORD]

Every case has the skip term, the gate, the bias and softplus, N = 16 states and one group.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from harness import LENGTHS, Case, Contestant, DoesNotApply, Inputs, Operator, Work, draw, main
from torch.nn import functional as F

from genoseq_kernels import selective_scan

STATES = 16


def make_inputs(device: str, *, channels: int, length: int, dtype: torch.dtype) -> Inputs:
    """One sequence; time steps and decays of a freshly made Mamba."""
    normal = partial(draw, device=device)
    wide = (1, channels, length)
    steps = torch.rand(channels, generator=torch.Generator().manual_seed(9)) * 4.6 - 6.9
    inputs = {
        "u": normal(*wide, seed=0, dtype=dtype),
        "delta": normal(*wide, seed=1, dtype=dtype),
        "A": -torch.arange(1.0, STATES + 1, device=device).repeat(channels, 1),
        "B": normal(1, STATES, length, seed=2, dtype=dtype),
        "C": normal(1, STATES, length, seed=3, dtype=dtype),
        "D": normal(channels, seed=4),
        "z": normal(*wide, seed=5, dtype=dtype),
        "delta_bias": torch.expm1(steps.exp()).log().to(device),
    }
    return {name: x.requires_grad_() for name, x in inputs.items()}


def make_case(channels: int, length: int, dtype: torch.dtype) -> Case:
    """Forward reads u, delta, z, B, C and writes y; backward reads them and dy and writes seven gradients."""
    inputs = partial(make_inputs, channels=channels, dtype=dtype)
    wide, narrow = channels * length * dtype.itemsize, 2 * STATES * length * dtype.itemsize
    return Case(
        f"D={channels} L={length} {str(dtype).removeprefix('torch.')}",
        partial(inputs, length=length),
        Work((4 * wide + narrow, 11 * wide + 3 * narrow)),
        checked=partial(inputs, length=min(length, 16384)),
        options={"length": length},
    )


def cases(size: str) -> list[Case]:
    """By the machine: `gpu`, `cpu` or `tiny`."""
    if size == "gpu":
        return [
            *(make_case(1024, length, torch.bfloat16) for length in LENGTHS),
            make_case(1024, 131072, torch.float32),
        ]
    shapes = [(8, 100)] if size == "tiny" else [(64, 4096), (256, 2048), (1024, 1024)]
    return [make_case(channels, length, torch.float32) for channels, length in shapes]


def ours(backend: str, case: Case) -> Operator:
    """One backend."""
    del case
    return partial(selective_scan, delta_softplus=True, backend=backend)


def loop(case: Case) -> Operator:
    """What is written first: all decays at once, then a position at a time."""
    _refuse_longer(8_192, case, "a loop over positions takes seconds a call")
    return partial(_in_torch, _walk)


def mambapy(case: Case) -> Operator:
    """The parallel scan that mambapy trains with."""
    from mambapy.pscan import pscan

    _refuse_longer(32_768, case, "all states at once, and as many again for the gradient, do not fit")
    return partial(_in_torch, pscan)


def mamba_ssm(case: Case) -> Operator:
    """The CUDA extension of Mamba's authors."""
    from mamba_ssm.ops.selective_scan_interface import selective_scan_fn

    del case
    return partial(selective_scan_fn, delta_softplus=True)


def _refuse_longer(most: int, case: Case, reason: str) -> None:
    if case.options["length"] > most:
        raise DoesNotApply(reason)


def _in_torch(
    scan: Operator,
    u: torch.Tensor,
    delta: torch.Tensor,
    A: torch.Tensor,
    B: torch.Tensor,
    C: torch.Tensor,
    D: torch.Tensor,
    z: torch.Tensor,
    delta_bias: torch.Tensor,
) -> torch.Tensor:
    """The operator around a scan of decays and values (B, L, D, N)."""
    kept = torch.promote_types(u.dtype, torch.float32)
    dt = F.softplus(delta.to(kept) + delta_bias[:, None]).transpose(1, 2)
    x = u.to(kept).transpose(1, 2)
    decay = torch.exp(dt.unsqueeze(-1) * A)
    value = (dt * x).unsqueeze(-1) * B.to(kept).transpose(1, 2).unsqueeze(2)
    states = scan(decay, value)
    y = (states @ C.to(kept).transpose(1, 2).unsqueeze(-1)).squeeze(-1) + D * x
    return (y.transpose(1, 2) * F.silu(z.to(kept))).to(u.dtype)


def _walk(decay: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    state = torch.zeros_like(value[:, 0])
    states = []
    for a, b in zip(decay.unbind(1), value.unbind(1), strict=True):
        state = a * state + b
        states.append(state)
    return torch.stack(states, dim=1)


CONTESTANTS: Sequence[Contestant] = (
    Contestant("genoseq", partial(ours, "auto")),
    Contestant("genoseq triton", partial(ours, "triton")),
    Contestant("loop over positions", loop),
    Contestant("mambapy", mambapy),
    Contestant("mamba_ssm CUDA", mamba_ssm),
)


if __name__ == "__main__":
    main(
        "selective_scan",
        cases,
        CONTESTANTS,
        partial(selective_scan, delta_softplus=True, backend="reference"),
    )
