"""`selective_scan` in Triton: what the kernels are given, and how many programs run them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import triton
from torch.nn import functional as F

from genoseq_kernels.selective_scan.reference import Gradients, Inputs, num_chunks
from genoseq_kernels.selective_scan.triton_impl import kernels

CHUNK = 64
"""Positions between two states kept for the gradient."""

_PROGRAMS = 2048
_PARTS = 8
_CARRY_BLOCK = 128


@dataclass(frozen=True)
class Configuration:
    """How a kernel is cut up.

    Attributes:
        block: channels of a program.
        tile: positions read at once, a divisor of `CHUNK`.
        num_warps: of a program.
    """

    block: int
    tile: int
    num_warps: int


FORWARD = (
    Configuration(32, 8, 1),
    Configuration(32, 4, 1),
    Configuration(64, 8, 2),
    Configuration(128, 8, 4),
)
"""For all passes but `gradients`, the preferred first. A tile of 16 bytes a channel (8 positions of
bfloat16, 4 of float32) is read by one thread, and stays in it."""

BACKWARD = (Configuration(8, 4, 1), Configuration(16, 2, 1))
"""For `gradients`, whose sums over channels stay in one warp; few channels, so that registers suffice."""


def forward(x: Inputs) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """y (B, D, L), the last state (B, D, N), and the state before each chunk (chunks, B, N, D)."""
    call = _Call(x, FORWARD[0])
    call.cut(call.programs)
    call["entering"] = call.states_in(x.initial_state)
    if call.num_segments > 1:
        call["factors"], call["values"] = (
            call.new_states(call.num_segments),
            call.new_states(call.num_segments),
        )
        call.launch(kernels.summarise)
        call.carry(backward=False)
    y = call["y"] = _new(x.u)
    starts = call["starts"] = call.new_states(num_chunks(x.u.shape[-1], CHUNK))
    last = call["last_state"] = call.new_states(1)
    call.launch(kernels.outputs)
    return y, call.states_out(last[0]), starts


def backward(grad: torch.Tensor, grad_last: torch.Tensor, x: Inputs, starts: torch.Tensor) -> Gradients:
    """Gradients of `forward`'s first two results."""
    call = _Call(x, FORWARD[0])
    small = BACKWARD[0]
    blocks = triton.cdiv(call["channels"] // call["groups"], small.block)
    parts = call["parts"] = min(blocks, _PARTS)
    programs = x.u.shape[0] * call["groups"] * parts
    call.cut(programs)
    call["dy"], call["starts"], call["entering"] = grad.contiguous(), starts, call.states_in(grad_last)
    if call.num_segments > 1:
        call["factors"], call["values"] = (
            call.new_states(call.num_segments),
            call.new_states(call.num_segments),
        )
        call.launch(kernels.summarise_back)
        call.carry(backward=True)
    call.configure(small)
    call["inner"] = call.new(programs * call.num_segments * (CHUNK // small.tile), call["N"], small.block)
    d_u, d_delta = call["du"], call["ddelta"] = _new(x.u), _new(x.delta)
    d_z = call["dz"] = _new(x.u if x.z is None else x.z)
    d_A, d_initial = call["dA"], call["d_initial"] = call.new_states(call.num_segments), call.new_states(1)
    d_B, d_C = call["dB"], call["dC"] = tuple(call.new(parts, *call[w].shape) for w in ("B", "C"))
    d_D, d_bias = call["dD"], call["dbias"] = tuple(
        call.new(call.num_segments, *x.u.shape[:2]) for _ in range(2)
    )
    call.launch(kernels.gradients, programs=programs)
    return Gradients(
        u=d_u,
        delta=d_delta,
        A=call.states_out(d_A.sum((0, 1))).to(x.A.dtype),
        B=call.weights_out(d_B.sum(0)).to(x.B.dtype),
        C=call.weights_out(d_C.sum(0)).to(x.C.dtype),
        D=None if x.D is None else d_D.sum((0, 1)).to(x.D.dtype),
        z=None if x.z is None else d_z,
        delta_bias=None if x.delta_bias is None else d_bias.sum((0, 1)).to(x.delta_bias.dtype),
        initial_state=None
        if x.initial_state is None
        else call.states_out(d_initial[0]).to(x.initial_state.dtype),
    )


def starts_shape(u: torch.Tensor, A: torch.Tensor) -> tuple[int, ...]:
    """Of the states kept for the gradient."""
    return (num_chunks(u.shape[-1], CHUNK), u.shape[0], padded_states(A.shape[1]), u.shape[1])


def padded_states(states: int) -> int:
    """States that the kernels hold: a power of two."""
    return int(triton.next_power_of_2(states))


class _Call:
    """Every argument of the kernels by name; a kernel takes those that its signature has."""

    def __init__(self, x: Inputs, configuration: Configuration) -> None:
        self.x = x
        self.real_states = x.A.shape[1]
        batch, channels, length = x.u.shape
        unused = x.u
        z = unused if x.z is None else x.z
        tensors = {"u": _rows(x.u), "delta": _rows(x.delta), "z": _rows(z)}
        self.arguments: dict[str, Any] = tensors | {
            "D": unused if x.D is None else x.D.contiguous(),
            "bias": unused if x.delta_bias is None else x.delta_bias.contiguous(),
            "keep": unused if x.seq_idx is None else _keep(x.seq_idx),
            "length": length,
            "num_batch": batch,
            "channels": channels,
            "groups": x.B.shape[1],
            "N": padded_states(self.real_states),
            "CHUNK": CHUNK,
            "HAS_D": x.D is not None,
            "HAS_Z": x.z is not None,
            "HAS_BIAS": x.delta_bias is not None,
            "HAS_KEEP": x.seq_idx is not None,
            "SOFTPLUS": x.delta_softplus,
        }
        self["A"], self["B"], self["C"] = (
            self._states_second_last(x.A), self._states_last(x.B), self._states_last(x.C)
        )  # fmt: skip
        for name, tensor in tensors.items():
            self[f"{name}_batch"], self[f"{name}_channel"] = tensor.stride()[:2]
        self.configure(configuration)

    def __getitem__(self, name: str) -> Any:
        return self.arguments[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self.arguments[name] = value

    @property
    def programs(self) -> int:
        """Those of one segment."""
        return int(self["num_batch"] * self["groups"] * self["blocks"])

    def configure(self, configuration: Configuration) -> None:
        self.num_warps = configuration.num_warps
        self["T"], self["BLOCK"] = configuration.tile, configuration.block
        self["blocks"] = triton.cdiv(self["channels"] // self["groups"], configuration.block)

    def cut(self, programs: int) -> None:
        """Cut L into as many segments of whole chunks as fill a GPU, with so many programs to each."""
        chunks = num_chunks(self["length"], CHUNK)
        of_segment = triton.cdiv(chunks, min(chunks, triton.cdiv(_PROGRAMS, programs)))
        self["segment"] = of_segment * CHUNK
        self.num_segments = self["segments"] = triton.cdiv(chunks, of_segment)

    def launch(self, kernel: Any, *, programs: int | None = None) -> None:
        arguments = {name: self[name] for name in kernel.arg_names}
        kernel[(programs or self.programs, self.num_segments)](**arguments, num_warps=self.num_warps)

    def carry(self, *, backward: bool) -> None:
        """From the states (or gradients) of each segment alone to those that enter it."""
        first, size = self["entering"], self["entering"].numel()
        entering = self["entering"] = self.new_states(self.num_segments)
        kernels.carry[(triton.cdiv(size, _CARRY_BLOCK),)](
            self["factors"], self["values"], first, entering, size, self.num_segments, backward, _CARRY_BLOCK
        )

    def new(self, *shape: int) -> torch.Tensor:
        return torch.empty(shape, dtype=torch.float32, device=self.x.u.device)

    def new_states(self, number: int) -> torch.Tensor:
        return self.new(number, self["num_batch"], self["N"], self["channels"])

    def states_in(self, state: torch.Tensor | None) -> torch.Tensor:
        """(B, D, N) as the kernels have it, (1, B, N, D)."""
        return self.new_states(1).zero_() if state is None else self._states_second_last(state).unsqueeze(0)

    def states_out(self, states: torch.Tensor) -> torch.Tensor:
        """(..., N, D) as the caller has it, (..., D, N)."""
        return states[..., : self.real_states, :].mT.contiguous()

    def weights_out(self, weights: torch.Tensor) -> torch.Tensor:
        """(..., L, N) as the caller has it, (..., N, L)."""
        return weights[..., : self.real_states].mT.contiguous()

    def _states_second_last(self, states: torch.Tensor) -> torch.Tensor:
        """(..., D, N) to (..., N, D) in float32, with states of no effect up to a power of two."""
        return F.pad(states.float().mT, (0, 0, 0, self["N"] - self.real_states)).contiguous()

    def _states_last(self, weights: torch.Tensor) -> torch.Tensor:
        """(..., N, L) to (..., L, N), likewise."""
        return F.pad(weights.float().mT, (0, self["N"] - self.real_states)).contiguous()


def _rows(x: torch.Tensor) -> torch.Tensor:
    """With the positions of a channel side by side."""
    return x if x.stride(-1) == 1 else x.contiguous()


def _keep(seq_idx: torch.Tensor) -> torch.Tensor:
    """(B, L) float32: 0 where a sequence begins, else 1."""
    return F.pad((seq_idx[:, 1:] == seq_idx[:, :-1]).float(), (1, 0), value=1.0)


def _new(x: torch.Tensor) -> torch.Tensor:
    return torch.empty(x.shape, dtype=x.dtype, device=x.device)
