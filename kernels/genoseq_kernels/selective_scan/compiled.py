"""`selective_scan` on a CPU: what is elementwise in torch, the recurrence in compiled loops over threads.

A stretch of positions at a time, so that what is made beside the inputs and results stays small.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn import functional as F

from genoseq_kernels.selective_scan.reference import Gradients, Inputs, num_chunks, precise

CHUNK = 64
"""Positions between two states kept for the gradient; that of the loops."""

_STRETCH = 64 * CHUNK
_LANES = 8
_LEAST_WORK = 2**17
Rows = Callable[[Callable[[int, int, int], Any]], Any]


def runs(u: torch.Tensor, A: torch.Tensor, B: torch.Tensor, C: torch.Tensor) -> bool:
    """Whether these tensors are for the loops: on a CPU, real, no float64, B and C in equal groups."""
    real = not any(x.is_complex() for x in (A, B, C))
    alike = B.dim() == C.dim() == 4 and B.shape[1] == C.shape[1]
    return u.device.type == "cpu" and real and alike and precise(u.dtype) == torch.float32


def forward(x: Inputs) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """y (B, D, L), the last state (B, D, N), and the state before each chunk (chunks, B, D, N)."""
    from genoseq_kernels.selective_scan import loops

    batch, channels, length = x.u.shape
    y = torch.empty(x.u.shape, dtype=x.u.dtype)
    state = _first_state(x)
    exponents = _padded(x.A) / math.log(2)
    kept = state.new_empty(starts_shape(x.u, x.A))
    with _threads(batch * channels, work=x.u.numel()) as (_, run):
        for a in range(0, length, _STRETCH):
            part = _Stretch(x, slice(a, min(a + _STRETCH, length)))
            starts = state.new_empty(num_chunks(part.u.shape[-1], CHUNK), *state.shape)
            inner = torch.empty_like(part.u)
            arrays = _arrays(part.u, part.dt, exponents, part.B, part.C, part.keep, state, starts, inner)
            run(lambda _, first, last, arrays=arrays: loops.forward(*arrays, first, last))  # type: ignore[misc]
            kept[a // CHUNK : a // CHUNK + len(starts)] = starts[..., : x.A.shape[1]]
            y[..., part.positions] = part.finished(inner)
    return y, state[..., : x.A.shape[1]].clone(), kept


def backward(grad: torch.Tensor, grad_last: torch.Tensor, x: Inputs, starts: torch.Tensor) -> Gradients:
    """Gradients of `forward`'s first two results, from the last stretch to the first."""
    batch, channels, length = x.u.shape
    sums = _Sums(x, grad_last)
    with _threads(batch * channels, work=x.u.numel()) as (workers, run):
        for a in reversed(range(0, length, _STRETCH)):
            part = _Stretch(x, slice(a, min(a + _STRETCH, length)))
            first = a // CHUNK
            before = starts[first : first + num_chunks(part.u.shape[-1], CHUNK)]
            _gather(part, grad, before, sums, workers, run)
    return sums.finish()


def starts_shape(u: torch.Tensor, A: torch.Tensor) -> tuple[int, ...]:
    """Of the states kept for the gradient."""
    return (num_chunks(u.shape[-1], CHUNK), u.shape[0], *A.shape)


class _Stretch:
    """The inputs at some positions, float32 and contiguous; B and C with the states last."""

    def __init__(self, x: Inputs, positions: slice) -> None:
        self.x, self.positions = x, positions
        self.u = self._cut(x.u)
        self.raw = self._cut(x.delta)
        if x.delta_bias is not None:
            self.raw = self.raw + x.delta_bias.float()[:, None]
        self.dt = F.softplus(self.raw) if x.delta_softplus else self.raw
        self.B, self.C = (_padded(weights[..., positions].transpose(2, 3)) for weights in (x.B, x.C))
        self.keep = torch.ones(self.u.shape[0], self.u.shape[2])
        if x.seq_idx is not None:
            first = max(positions.start, 1)
            same = x.seq_idx[:, first : positions.stop] == x.seq_idx[:, first - 1 : positions.stop - 1]
            self.keep[:, first - positions.start :] = same
        self.z = None if x.z is None else self._cut(x.z)

    def ungated(self, inner: torch.Tensor) -> torch.Tensor:
        """With the skip term."""
        return inner if self.x.D is None else torch.addcmul(inner, self.u, self.x.D.float()[:, None])

    def finished(self, inner: torch.Tensor) -> torch.Tensor:
        """With the skip term and the gate."""
        y = self.ungated(inner)
        return y if self.z is None else y * F.silu(self.z)

    def _cut(self, x: torch.Tensor) -> torch.Tensor:
        return x[..., self.positions].float().contiguous()


class _Sums:
    """Gradients as they are gathered; those of weights in float32."""

    def __init__(self, x: Inputs, grad_last: torch.Tensor) -> None:
        self.x = x
        self.u, self.delta, self.B, self.C = (torch.empty(t.shape, dtype=t.dtype) for t in x[:2] + x[3:5])
        self.z = None if x.z is None else torch.empty(x.z.shape, dtype=x.z.dtype)
        self.carried = _padded(grad_last).clone()
        self.A = torch.zeros_like(self.carried)
        self.D, self.delta_bias = (None if t is None else torch.zeros(t.shape) for t in (x.D, x.delta_bias))

    def finish(self) -> Gradients:
        """All, in the dtypes of the inputs."""
        x, states = self.x, self.x.A.shape[1]
        initial = None
        if x.initial_state is not None:
            initial = self.carried[..., :states].to(x.initial_state.dtype, copy=True)
        return Gradients(
            u=self.u,
            delta=self.delta,
            A=self.A.sum(0)[..., :states].contiguous().to(x.A.dtype),
            B=self.B,
            C=self.C,
            D=_as(self.D, x.D),
            z=self.z,
            delta_bias=_as(self.delta_bias, x.delta_bias),
            initial_state=initial,
        )


def _gather(
    part: _Stretch, grad: torch.Tensor, starts: torch.Tensor, sums: _Sums, workers: int, run: Rows
) -> None:
    """The gradients of one stretch."""
    from genoseq_kernels.selective_scan import loops

    x = part.x
    dy_outer = part._cut(grad)
    dy = dy_outer if part.z is None else dy_outer * F.silu(part.z)
    inner, d_u, d_dt = (torch.empty_like(part.u) for _ in range(3))
    d_b, d_c = (torch.zeros(workers, *part.B.shape), torch.zeros(workers, *part.C.shape))
    A = _padded(x.A)
    shared = _arrays(part.u, part.dt, A / math.log(2), A, part.B, part.C, part.keep, _padded(starts), dy)
    written = _arrays(sums.carried, inner, d_u, d_dt, sums.A)
    own_b, own_c = _arrays(d_b, d_c)
    run(lambda own, a, b: loops.backward(*shared, *written, own_b[own], own_c[own], a, b))
    if part.z is not None and sums.z is not None:
        gate = torch.sigmoid(part.z)
        slope = gate * (1 + part.z * (1 - gate))
        sums.z[..., part.positions] = dy_outer * part.ungated(inner) * slope
    if x.D is not None and sums.D is not None:
        sums.D += (dy * part.u).sum((0, 2))
        d_u = torch.addcmul(d_u, dy, x.D.float()[:, None])
    if x.delta_softplus:
        d_dt = d_dt * torch.sigmoid(part.raw)
    if sums.delta_bias is not None:
        sums.delta_bias += d_dt.sum((0, 2))
    sums.u[..., part.positions] = d_u
    sums.delta[..., part.positions] = d_dt
    for total, pieces in ((sums.B, d_b), (sums.C, d_c)):
        total[..., part.positions] = pieces.sum(0)[..., : x.A.shape[1]].transpose(2, 3)


@contextmanager
def _threads(rows: int, *, work: int) -> Iterator[tuple[int, Rows]]:
    """The number of threads, and a function that runs `task(thread, first row, last row)` on each.

    Threads of one call: a pool kept for longer would not survive a fork.
    """
    workers = min(torch.get_num_threads(), rows) if work >= _LEAST_WORK else 1
    if workers == 1:
        yield 1, lambda task: task(0, 0, rows)
        return
    edges = [rows * own // workers for own in range(workers + 1)]
    with ThreadPoolExecutor(workers) as pool:
        yield workers, lambda task: list(pool.map(task, range(workers), edges, edges[1:]))


def _first_state(x: Inputs) -> torch.Tensor:
    if x.initial_state is not None:
        return _padded(x.initial_state).clone()
    return _padded(torch.zeros(x.u.shape[0], *x.A.shape))


def _padded(x: torch.Tensor) -> torch.Tensor:
    """Float32, contiguous, with states of no effect up to whole vectors."""
    x = x.detach().float()
    missing = -x.shape[-1] % _LANES
    return F.pad(x, (0, missing)) if missing else x.contiguous()


def _arrays(*tensors: torch.Tensor) -> list[Any]:
    return [x.detach().numpy() for x in tensors]


def _as(total: torch.Tensor | None, like: torch.Tensor | None) -> torch.Tensor | None:
    return None if total is None or like is None else total.to(like.dtype)
