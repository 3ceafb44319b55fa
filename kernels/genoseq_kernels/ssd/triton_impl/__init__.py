"""`ssd` by Triton kernels: chunks side by side, their states in memory.

Forward: what each chunk adds to the state; the states, chunk after chunk; y. Backward: the first two again,
then the same from the end for the gradients of the states; gradients of x and dt a head, of B and C a group
with its heads summed in the program. States are in memory as bfloat16 for bfloat16 input, else float32; the
carry from chunk to chunk is float32. No state is kept between the passes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl

from genoseq_kernels.ssd.reference import Gradients, Inputs, runs, time_step
from genoseq_kernels.ssd.triton_impl import kernels

_OPERANDS = {torch.float32: tl.float32, torch.bfloat16: tl.bfloat16, torch.float16: tl.float16}
_LARGEST_STATE = 128 * 128
_PASS_BLOCK, _PASS_AT_ONCE = 128, 16


class Config(NamedTuple):
    """Positions of a chunk, and warps of a program: of the forward kernels, and of those for gradients."""

    chunk: int
    warps: int
    gradient_warps: int


CONFIGS = (Config(64, 8, 8), Config(64, 4, 8))
"""All that the tests hold to. Which is the fastest has to be measured on a GPU."""


def chosen(inputs: Inputs) -> Config:
    """The configuration for a call."""
    return CONFIGS[0]


def supports(x: torch.Tensor, B: torch.Tensor, C: torch.Tensor) -> bool:
    """Whether the kernels take these dtypes and sizes."""
    padded = _padded(x.shape[-1]) * _padded(B.shape[-1])
    return x.dtype in _OPERANDS and B.dtype == C.dtype == x.dtype and padded <= _LARGEST_STATE


def saved_like(inputs: Inputs) -> torch.Tensor:
    """Nothing is kept for the gradient."""
    return inputs.x.new_empty(0)


def forward(inputs: Inputs) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """y (B, L, H, P), the last state (B, H, P, N), and an empty tensor."""
    call = _Call(inputs)
    last = call.make_states()
    y = call.scan()
    if inputs.z is not None:
        y = (y * torch.nn.functional.silu(inputs.z.float())).to(inputs.x.dtype)
    return y, last, saved_like(inputs)


def backward(grad: torch.Tensor, grad_last: torch.Tensor, inputs: Inputs, saved: torch.Tensor) -> Gradients:
    """Gradients of the first two results of `forward`."""
    call = _Call(inputs)
    call.make_states()
    dz = None
    if inputs.z is not None:
        z, sigmoid = inputs.z.float(), torch.sigmoid(inputs.z.float())
        dz = (grad * call.scan() * sigmoid * (1 + z * (1 - sigmoid))).to(inputs.z.dtype)
        grad = (grad * (z * sigmoid)).to(inputs.x.dtype)
    return call.gradients(grad.contiguous(), grad_last, dz)


class _Call:
    """The tensors of a call, ready for the kernels."""

    def __init__(self, inputs: Inputs) -> None:
        self.inputs = inputs
        self.config = chosen(inputs)
        self.x, self.B, self.C = (_dense_rows(tensor) for tensor in (inputs.x, inputs.B, inputs.C))
        self.step = time_step(inputs, slice(None), with_slope=True)
        self.dt, self.A = self.step.value.contiguous(), inputs.A.float().contiguous()
        self.run = self.x if inputs.seq_idx is None else runs(inputs.seq_idx).contiguous()
        self.batch, self.length, self.heads, self.width = inputs.x.shape
        self.groups, self.size = inputs.B.shape[2:]
        self.chunks = triton.cdiv(self.length, self.config.chunk)
        self.D = None if inputs.D is None else _skip_by_width(inputs.D, self.width)

    def make_states(self) -> torch.Tensor:
        """Fill `states`, (B, chunks + 1, H, P, N), those before each chunk; the last in float32."""
        self.states = self._new_states()
        self.over_chunk = self._new(self.batch, self.chunks, self.heads)
        self._add_chunks(self.x, self.B, self.states, reverse=False)
        first = self.inputs.initial_states
        return self._pass(self.states, self._zero_state() if first is None else first, reverse=False)

    def scan(self) -> torch.Tensor:
        """y before z, which wants it in float32."""
        dtype = self.x.dtype if self.inputs.z is None else torch.float32
        y = torch.empty(self.x.shape, dtype=dtype, device=self.x.device)
        kernels.scan[(self.batch * self.chunks * self.heads,)](
            self.x, self.B, self.C, self.dt, self.A, self._skip(), self.run, self.states, y, *self._counts(),
            *self._strides(self.x, self.B, self.C), SKIP=self.D is not None, num_warps=self.config.warps,
            **self._constants(),
        )  # fmt: skip
        return y

    def gradients(self, grad: torch.Tensor, grad_last: torch.Tensor, dz: torch.Tensor | None) -> Gradients:
        """All of them; `grad` is that of y before z."""
        inputs = self.inputs
        after = self._new_states()
        self._add_chunks(grad, self.C, after, reverse=True)
        first = self._pass(after, grad_last, reverse=True)
        dx, ddt, dlogs, dD = self._value_gradients(grad, after)
        dA = (dlogs * self.dt).sum((0, 1))
        ddt += dlogs * self.A
        if self.step.slope is not None:
            ddt *= self.step.slope
        return Gradients(
            x=dx,
            dt=ddt.to(inputs.dt.dtype),
            A=dA.to(inputs.A.dtype),
            B=self._weight_gradients(self.x, grad, self.C, after, reverse=True),
            C=self._weight_gradients(grad, self.x, self.B, self.states, reverse=False),
            D=None if inputs.D is None else _like_skip(dD.sum((0, 1)), inputs.D),
            z=dz,
            dt_bias=None if inputs.dt_bias is None else ddt.sum((0, 1)).to(inputs.dt_bias.dtype),
            initial_states=None if inputs.initial_states is None else first.to(inputs.initial_states.dtype),
        )

    def _add_chunks(
        self, values: torch.Tensor, keys: torch.Tensor, states: torch.Tensor, *, reverse: bool
    ) -> None:
        kernels.chunk_states[(self.batch * self.chunks * self.heads,)](
            values, keys, self.dt, self.A, self.run, states, self.over_chunk, *self._counts(),
            *self._strides(values, keys), REVERSE=reverse, num_warps=self.config.warps, **self._constants(),
        )  # fmt: skip

    def _pass(self, states: torch.Tensor, first: torch.Tensor, *, reverse: bool) -> torch.Tensor:
        last, size = self._zero_state(), self.width * self.size
        block = min(_PASS_BLOCK, _padded(size))
        kernels.pass_states[(self.batch * self.heads, triton.cdiv(size, block))](
            states, self.over_chunk, first.float().contiguous(), last, self.chunks, self.heads,
            SIZE=size, BLOCK=block, AT_ONCE=min(_PASS_AT_ONCE, triton.next_power_of_2(self.chunks)),
            REVERSE=reverse,
        )  # fmt: skip
        return last

    def _value_gradients(self, grad: torch.Tensor, after: torch.Tensor) -> tuple[torch.Tensor, ...]:
        dx = torch.empty(self.x.shape, dtype=self.x.dtype, device=self.x.device)
        ddt, dlogs = torch.empty_like(self.dt), torch.empty_like(self.dt)
        dD = self._new(self.batch, self.chunks, self.heads, self.width)
        kernels.value_gradients[(self.batch * self.chunks * self.heads,)](
            self.x, grad, self.B, self.C, self.dt, self.A, self._skip(), self.run, self.states, after,
            dx, ddt, dlogs, dD, *self._counts(), *self._strides(self.x, self.B, self.C),
            SKIP=self.D is not None, num_warps=self.config.gradient_warps, **self._constants(),
        )  # fmt: skip
        return dx, ddt, dlogs, dD

    def _weight_gradients(
        self, u: torch.Tensor, v: torch.Tensor, keys: torch.Tensor, states: torch.Tensor, *, reverse: bool
    ) -> torch.Tensor:
        result = torch.empty(self.B.shape, dtype=self.B.dtype, device=self.B.device)
        kernels.weight_gradients[(self.batch * self.chunks * self.groups,)](
            u, v, keys, self.dt, self.A, self.run, states, result, *self._counts(),
            *self._strides(u, v, keys), REVERSE=reverse, num_warps=self.config.gradient_warps,
            **self._constants(),
        )  # fmt: skip
        return result

    def _counts(self) -> tuple[int, int, int, int]:
        return self.length, self.chunks, self.heads, self.groups

    def _strides(self, *tensors: torch.Tensor) -> list[int]:
        return [stride for tensor in tensors for stride in tensor.stride()[:2]]

    def _skip(self) -> torch.Tensor:
        return self.A if self.D is None else self.D

    def _constants(self) -> dict[str, Any]:
        given = constants(self.x.dtype, self.width, self.size, self.config, self.inputs.seq_idx is not None)
        if self.x.device.type == "cpu" and self.x.dtype == torch.bfloat16:
            given["OPERAND"] = tl.float32  # the interpreter has no products of bfloat16
        return given

    def _new(self, *shape: int) -> torch.Tensor:
        return torch.empty(shape, dtype=torch.float32, device=self.x.device)

    def _new_states(self) -> torch.Tensor:
        shape = (self.batch, self.chunks + 1, self.heads, self.width, self.size)
        dtype = torch.bfloat16 if self.x.dtype == torch.bfloat16 else torch.float32
        return torch.empty(shape, dtype=dtype, device=self.x.device)

    def _zero_state(self) -> torch.Tensor:
        shape = (self.batch, self.heads, self.width, self.size)
        return torch.zeros(shape, dtype=torch.float32, device=self.x.device)


def constants(dtype: torch.dtype, width: int, size: int, config: Config, packed: bool) -> dict[str, Any]:
    """What the kernels are compiled for; sums of logarithms are float64 where results are float32."""
    precise = dtype == torch.float32
    return {
        "P": width,
        "N": size,
        "BLOCK_P": _padded(width),
        "BLOCK_N": _padded(size),
        "Q": config.chunk,
        "PACKED": packed,
        "LOGS": tl.float64 if precise else tl.float32,
        "OPERAND": _OPERANDS[dtype],
        "DOT": "tf32x3" if precise else "tf32",
    }


def _padded(size: int) -> int:
    """The smallest side of a tile that holds it."""
    return max(16, triton.next_power_of_2(size))


def _dense_rows(tensor: torch.Tensor) -> torch.Tensor:
    """(B, L, H, P) whose last two axes are one piece of memory, as it is where it has that already."""
    dense = tensor.stride(3) == 1 and tensor.stride(2) == tensor.shape[3]
    return tensor if dense else tensor.contiguous()


def _skip_by_width(D: torch.Tensor, width: int) -> torch.Tensor:
    """D as (H, P)."""
    return (D.unsqueeze(-1).expand(-1, width) if D.dim() == 1 else D).float().contiguous()


def _like_skip(gradient: torch.Tensor, D: torch.Tensor) -> torch.Tensor:
    return (gradient.sum(-1) if D.dim() == 1 else gradient).to(D.dtype)
