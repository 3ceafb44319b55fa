"""`ssd` by Triton kernels: segments of the sequence side by side, each walked chunk by chunk.

Forward: what each segment adds to the state, with the state of a head in registers; the states between the
segments, which are all that is kept for the gradient; y, walked likewise. Backward: the same from the end for
the gradients of states; then the states and their gradients at every chunk, in memory for a part of the
segments at once, and from them the gradients of x and dt, of the pairs of positions, and of B and C, whose
heads are summed in the program. States between segments are float32; those of chunks have the dtype of x.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl

from genoseq_kernels.ssd.reference import Gradients, Inputs, limited, runs
from genoseq_kernels.ssd.triton_impl import kernels, steps
from genoseq_kernels.ssd.triton_impl.launches import (
    CONFIGS,
    OPERANDS,
    Config,
    Launch,
    constants,
    padded_side,
)

_LARGEST_STATE = 128 * 128
_LARGEST_SIDE = 256
_PROGRAMS = 1024
"""About so many programs walk: 8 for each processor of a large GPU."""
_PART_BYTES = 2**31
"""At most so large are the states of chunks, and their gradients, that are in memory at once."""
_PASS_BLOCK = 256
_STEP_HEADS = 16
"""Heads of a program for time steps: of 16-bit dt at one position, what memory gives at a time."""


def chosen(inputs: Inputs) -> Config:
    """The configuration for a call."""
    return CONFIGS[inputs.x.dtype]


def supports(x: torch.Tensor, B: torch.Tensor, C: torch.Tensor) -> bool:
    """Whether the kernels take these dtypes and sizes."""
    width, size = padded_side(x.shape[-1]), padded_side(B.shape[-1])
    fits = max(width, size) <= _LARGEST_SIDE and width * size <= _LARGEST_STATE
    return fits and x.dtype in OPERANDS and B.dtype == C.dtype == x.dtype


def saved_like(inputs: Inputs) -> torch.Tensor:
    """An empty tensor for the states between segments, (B, segments + 1, H, N, P)."""
    batch, _, heads, width = inputs.x.shape
    shape = (batch, _segments(inputs).number + 1, heads, inputs.B.shape[-1], width)
    return torch.empty(shape, dtype=torch.float32, device=inputs.x.device)


def forward(inputs: Inputs) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """y (B, L, H, P), the last state (B, H, P, N), and the states that the gradient needs."""
    call = _Call(inputs, chosen(inputs).chunk)
    edges = call.walk_edges(call.x, call.B, inputs.initial_states, reverse=False)
    return call.scan(edges, inputs.z), _outer(edges[:, -1]), edges


def backward(grad: torch.Tensor, grad_last: torch.Tensor, inputs: Inputs, saved: torch.Tensor) -> Gradients:
    """Gradients of the first two results of `forward`."""
    config = chosen(inputs)
    dz = None
    if inputs.z is not None:
        z, sigmoid = inputs.z.float(), torch.sigmoid(inputs.z.float())
        y = _Call(inputs, config.chunk).scan(saved, None, torch.float32)
        dz = (grad * y * sigmoid * (1 + z * (1 - sigmoid))).to(inputs.z.dtype)
        grad = (grad * (z * sigmoid)).to(inputs.x.dtype)
    call = _Backward(inputs, config, grad.contiguous(), saved)
    return call.gradients(grad_last, dz)


class _Segments(NamedTuple):
    """`number` pieces of the sequence of `span` positions, the last of them shorter."""

    span: int
    number: int


def _segments(inputs: Inputs) -> _Segments:
    """As many as keep a GPU busy, of whole chunks of the forward and the backward pass."""
    batch, length, heads, _ = inputs.x.shape
    config = chosen(inputs)
    unit = math.lcm(config.chunk, config.gradient_chunk)
    wanted = max(1, _PROGRAMS // (batch * heads))
    span = triton.cdiv(triton.cdiv(length, unit), wanted) * unit
    return _Segments(span, triton.cdiv(length, span))


class _Call:
    """The tensors of a call, ready for kernels with chunks of `chunk` positions."""

    def __init__(self, inputs: Inputs, chunk: int) -> None:
        self.inputs, self.chunk, self.config = inputs, chunk, chosen(inputs)
        self.walks = self.config.walk
        self.x, self.B, self.C = (_dense_rows(tensor) for tensor in (inputs.x, inputs.B, inputs.C))
        self.batch, self.length, self.heads, self.width = inputs.x.shape
        self.groups, self.size = inputs.B.shape[2:]
        self.segments = _segments(inputs)
        self.chunks = triton.cdiv(self.length, chunk)
        self.padded = self.chunks * chunk
        self.whole = self.padded == self.length
        self.steps = self.new(self.batch, self.heads, self.padded)
        # Sums are float64 where results are float32.
        exact = torch.float64 if self.x.dtype == torch.float32 else torch.float32
        self.logs = torch.empty_like(self.steps, dtype=exact)
        self.over_steps(
            steps.make_steps, rates=inputs.A.float() / math.log(2), steps=self.steps, logs=self.logs
        )
        self.run = self.x
        if inputs.seq_idx is not None:
            run = runs(inputs.seq_idx).to(torch.int32)
            # The last sequence goes on beyond the end, so that the last state is its.
            self.run = torch.cat([run, run[:, -1:].expand(-1, self.padded - self.length)], 1)
        self.D = None if inputs.D is None else _skip_by_width(inputs.D, self.width)

    def walk_edges(
        self, values: torch.Tensor, keys: torch.Tensor, known: torch.Tensor | None, *, reverse: bool
    ) -> torch.Tensor:
        """The states between segments (B, segments + 1, H, N, P), or their gradients, from what is known at
        one end (B, H, P, N)."""
        edges, overs = saved_like(self.inputs), self.new(self.batch, self.segments.number, self.heads)
        self.walk(values, keys, edges, overs, None, 0, self.segments.number, reverse=reverse)
        size = self.size * self.width
        first = torch.zeros_like(edges[:, 0]) if known is None else _outer(known.float())
        kernels.pass_segments[(self.batch * self.heads, triton.cdiv(size, _PASS_BLOCK))](
            edges, overs, first, self.segments.number, self.heads, SIZE=size, BLOCK=_PASS_BLOCK,
            REVERSE=reverse,
        )  # fmt: skip
        return edges

    def walk(
        self, values: torch.Tensor, keys: torch.Tensor, edges: torch.Tensor, overs: torch.Tensor,
        states: torch.Tensor | None, first: int, pieces: int, *, reverse: bool,
    ) -> None:  # fmt: skip
        """Some segments, to what they add or to the states of their chunks."""
        kernels.walk[(self.batch * pieces * self.heads,)](
            values, keys, self.steps, self.logs, self.run, edges, overs, edges if states is None else states,
            first, pieces, self.segments.span, self.length, self.padded, self.segments.number, self.heads,
            self.groups, *strides(values, keys), WHOLE=self.whole, REVERSE=reverse,
            STORE=states is not None, **self.options(self.walks), **self.constants(),
        )  # fmt: skip

    def scan(
        self, edges: torch.Tensor, z: torch.Tensor | None, dtype: torch.dtype | None = None
    ) -> torch.Tensor:
        """y, gated where z is given."""
        y = torch.empty(self.x.shape, dtype=dtype or self.x.dtype, device=self.x.device)
        gate = self.x if z is None else _dense_rows(z)
        kernels.scan[(self.batch * self.segments.number * self.heads,)](
            self.x, self.B, self.C, gate, self.skip(), self.steps, self.logs, self.run, self.similarities(),
            edges, y,
            self.segments.span, self.length, self.padded, self.segments.number, self.heads, self.groups,
            *strides(self.x, self.B, self.C, gate), WHOLE=self.whole, SKIP=self.D is not None,
            GATE=z is not None, **self.options(self.config.scan), **self.constants(),
        )  # fmt: skip
        return y

    def similarities(self) -> torch.Tensor:
        """What all heads of a group read, chunk by chunk."""
        size = self.chunk**2
        similar = torch.empty(
            (self.batch, self.chunks, self.groups, size), dtype=self.x.dtype, device=self.x.device
        )
        constants = {name: given for name, given in self.constants().items() if name not in ("P", "BLOCK_P")}
        kernels.similarities[(self.batch * self.chunks * self.groups,)](
            self.B, self.C, self.run, similar, self.chunks, self.length, self.padded, self.groups,
            *strides(self.B, self.C), **self.options(self.config.similarities), **constants,
        )  # fmt: skip
        return similar

    def skip(self) -> torch.Tensor:
        return self.logs if self.D is None else self.D

    def options(self, launch: Launch) -> dict[str, Any]:
        return launch.options(self.width, self.size)

    def constants(self) -> dict[str, Any]:
        given = constants(self.x.dtype, self.width, self.size, self.chunk, self.inputs.seq_idx is not None)
        if self.x.device.type == "cpu" and self.x.dtype == torch.bfloat16:
            given["OPERAND"] = tl.float32  # the interpreter has no products of bfloat16
        return given

    def new(self, *shape: int) -> torch.Tensor:
        return torch.empty(shape, dtype=torch.float32, device=self.x.device)

    def over_steps(self, kernel: Any, **given: Any) -> None:
        """A kernel of `steps`, over all chunks and heads."""
        inputs, heads = self.inputs, min(_STEP_HEADS, triton.next_power_of_2(self.heads))
        kernel[(self.batch * self.chunks, triton.cdiv(self.heads, heads))](
            dt=inputs.dt, bias=inputs.dt if inputs.dt_bias is None else inputs.dt_bias, **given,
            low=inputs.dt_min, high=inputs.dt_max, length=self.length, padded=self.padded,
            heads=self.heads, dt_batch=inputs.dt.stride(0), dt_row=inputs.dt.stride(1),
            dt_head=inputs.dt.stride(2), Q=self.chunk, HEADS=heads, HAS_BIAS=inputs.dt_bias is not None,
            SOFTPLUS=inputs.dt_softplus, LIMITED=limited(inputs),
        )  # fmt: skip


class _Part(NamedTuple):
    """Some segments from `segment` on, and their chunks from `first` on."""

    segment: int
    segments: int
    first: int
    chunks: int


class _Backward(_Call):
    """A call of the gradient; `grad` is that of y before z, `edges` the states between segments."""

    def __init__(self, inputs: Inputs, config: Config, grad: torch.Tensor, edges: torch.Tensor) -> None:
        super().__init__(inputs, config.gradient_chunk)
        self.grad, self.edges, self.walks = grad, edges, config.walk_back
        self.dx, self.dB, self.dC = (
            torch.empty(of.shape, dtype=of.dtype, device=of.device) for of in (self.x, self.B, self.C)
        )
        self.met, self.seen, self.gone = (torch.empty_like(self.steps) for _ in range(3))
        planes = 2 if self.chunk > config.tile else 1
        self.given, self.taken = (self.new(planes, *self.steps.shape) for _ in range(2))
        self.alike = self.new(self.batch, self.groups, self.padded)
        self.through = self.new(self.batch, self.heads, self.chunks)
        self.by_width = inputs.D is not None and inputs.D.dim() == 2
        tiles = self.padded // config.tile if self.by_width else 0
        self.dD = self.new(self.batch, tiles, self.heads, self.width)

    def gradients(self, grad_last: torch.Tensor, dz: torch.Tensor | None) -> Gradients:
        after = self.walk_edges(self.grad, self.C, grad_last, reverse=True)
        for part in self._parts():
            self._part_gradients(part, after)
        inputs = self.inputs
        ddt, dA, dD, dbias = self._step_gradients()
        first = None if inputs.initial_states is None else _outer(after[:, 0]).to(inputs.initial_states.dtype)
        return Gradients(
            x=self.dx,
            dt=ddt,
            A=dA.sum((0, 1)).to(inputs.A.dtype),
            B=self.dB,
            C=self.dC,
            D=None if inputs.D is None else (self.dD if self.by_width else dD).sum((0, 1)).to(inputs.D.dtype),
            z=dz,
            dt_bias=None if inputs.dt_bias is None else dbias.sum((0, 1)).to(inputs.dt_bias.dtype),
            initial_states=first,
        )

    def _step_gradients(self) -> tuple[torch.Tensor, ...]:
        """The gradient of dt, and chunk by chunk (B, chunks, H) those of A, D and the bias."""
        result = torch.empty(self.inputs.dt.shape, dtype=self.inputs.dt.dtype, device=self.x.device)
        dA, dD, dbias = (self.new(self.batch, self.chunks, self.heads) for _ in range(3))
        self.over_steps(
            steps.step_gradients, A=self.inputs.A, steps=self.steps, given=self.given, taken=self.taken,
            met=self.met, alike=self.alike, seen=self.seen, gone=self.gone, through=self.through,
            result=result, dA=dA, dD=dD, dbias=dbias, whole=self.steps.numel(), groups=self.groups,
            HALVES=self.chunk > self.config.tile,
        )  # fmt: skip
        return result, dA, dD, dbias

    def _parts(self) -> Iterator[_Part]:
        chunks = self.segments.span // self.chunk
        segment_bytes = self.batch * chunks * self.heads * self.size * self.width * self.x.element_size()
        most = max(1, _PART_BYTES // segment_bytes)
        for segment in range(0, self.segments.number, most):
            first, pieces = segment * chunks, min(most, self.segments.number - segment)
            yield _Part(segment, pieces, first, min(pieces * chunks, self.chunks - first))

    def _part_gradients(self, part: _Part, after: torch.Tensor) -> None:
        size = (self.batch, part.chunks, self.heads, self.size, self.width)
        states, state_gradients = (
            torch.empty(size, dtype=self.x.dtype, device=self.x.device) for _ in range(2)
        )
        where = (part.segment, part.segments)
        self.walk(self.x, self.B, self.edges, self.edges, states, *where, reverse=False)
        self.walk(self.grad, self.C, after, after, state_gradients, *where, reverse=True)
        counts = (part.first, part.chunks, self.length, self.padded, self.heads, self.groups)
        constants = self.constants()
        pairs = torch.empty(
            (self.batch, part.chunks, self.groups, self.chunk, self.chunk), dtype=self.x.dtype,
            device=self.x.device,
        )  # fmt: skip
        programs = self.batch * part.chunks * self.groups
        tiles = 2 * (self.chunk // self.config.tile) - 1
        kernels.pair_gradients[(programs * tiles,)](
            self.x, self.grad, self.B, self.C, self.steps, self.logs, self.run, self.given, self.taken,
            self.met, self.alike, self.dD, pairs, self.steps.numel(), *counts,
            *strides(self.x, self.B, self.C), TILE=self.config.tile, BY_WIDTH=self.by_width,
            **self.options(self.config.pair_gradients), **constants,
        )  # fmt: skip
        kernels.value_gradients[(programs,)](
            self.grad, self.B, self.C, self.skip(), self.steps, self.logs, self.run, state_gradients,
            self.dx, *counts, *strides(self.B, self.C), SKIP=self.D is not None,
            **self.options(self.config.value_gradients), **constants,
        )  # fmt: skip
        forth, back = self.config.weight_gradients, self.config.weight_gradients_back
        for u, own, k, held, result, edge, reverse in (
            (self.grad, self.C, self.B, states, self.dC, self.seen, False),
            (self.x, self.B, self.C, state_gradients, self.dB, self.gone, True),
        ):
            kernels.weight_gradients[(programs,)](
                u, own, k, self.steps, self.logs, self.run, held, states, pairs, result, edge, self.through,
                *counts, *strides(u, own, k), REVERSE=reverse, **self.options(back if reverse else forth),
                **constants,
            )  # fmt: skip


def strides(*tensors: torch.Tensor) -> list[int]:
    return [stride for tensor in tensors for stride in tensor.stride()[:2]]


def _outer(state: torch.Tensor) -> torch.Tensor:
    """A state (..., N, P) as (..., P, N), or the other way round, in memory of its own."""
    return state.transpose(-1, -2).contiguous()


def _dense_rows(tensor: torch.Tensor) -> torch.Tensor:
    """(B, L, H, P) whose last two axes are one piece of memory, as it is where it has that already."""
    dense = tensor.stride(3) == 1 and tensor.stride(2) == tensor.shape[3]
    return tensor if dense else tensor.contiguous()


def _skip_by_width(D: torch.Tensor, width: int) -> torch.Tensor:
    """D as (H, P)."""
    return (D.unsqueeze(-1).expand(-1, width) if D.dim() == 1 else D).float().contiguous()
