"""`selective_scan` in Triton: what the kernels are given, and how many programs run them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
import triton
from torch.nn import functional as F

from genoseq_kernels.selective_scan.reference import Gradients, Inputs, num_chunks
from genoseq_kernels.selective_scan.triton_impl import kernels


@dataclass(frozen=True)
class Configuration:
    """How a program is cut up: channels times lanes are the threads of a warp.

    Attributes:
        channels: side by side.
        lanes: of a channel, each with its own positions.
        run: positions of a lane, one after another; powers of two, all three.
        warps: at most, of which each has its part of the states (forward only).
        registers: a thread may have, where the compiler would take more than so many warps can.
    """

    channels: int
    lanes: int
    run: int
    warps: int = 1
    registers: int | None = None

    @property
    def tile(self) -> int:
        """Positions of a program at a time."""
        return self.lanes * self.run


FORWARD = Configuration(1, 32, 16, warps=2, registers=128)
"""As many programs as channels: most often enough to go through all positions in one piece.

One warp of each is too few to hide how long exponentials and shuffles take: 16 of 128 registers fit an SM.
"""

BACKWARD = Configuration(8, 4, 16)
"""Fewer lanes, because dB and dC are sums over channels; its tile is the distance of states kept for it."""

_PROGRAMS = 1056
_PARTS = 8
_CARRY_BLOCK = 128


def forward(x: Inputs) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """y (B, D, L), the last state (B, D, N), and the state before each chunk (B, D, chunks, N)."""
    call = _Call(x, FORWARD)
    call.cut(call.programs)
    call["entering"] = call.states(x.initial_state)
    if call["segments"] > 1:
        call.enter("u", "B", back=False)
    y = call["y"] = _new(x.u)
    starts = call["starts"] = call.new(*starts_shape(x.u, x.A))
    last = call["last_state"] = call.new(*x.u.shape[:2], call["N"])
    call.launch(kernels.outputs)
    return y, last, starts


def backward(grad: torch.Tensor, grad_last: torch.Tensor, x: Inputs, starts: torch.Tensor) -> Gradients:
    """Gradients of `forward`'s first two results."""
    call = _Call(x, BACKWARD)
    parts = call["parts"] = min(call["blocks"], _PARTS)
    programs = x.u.shape[0] * call["groups"] * parts
    call.cut(programs)
    call["starts"], call["entering"] = starts, call.states(grad_last)
    call.add_rows("dy", grad.contiguous())
    if call["segments"] > 1:
        call.enter("dy", "C", back=True)
    d_u, d_delta = call["du"], call["ddelta"] = _new(x.u), _new(x.delta)
    d_z = call["dz"] = _new(x.u if x.z is None else x.z)
    d_A = call["dA"] = call.zeros(call["segments"], *x.u.shape[:2], call["N"])
    d_B, d_C = call["dB"], call["dC"] = tuple(call.new(parts, *call[w].shape) for w in ("B", "C"))
    d_D, d_bias = call["dD"], call["dbias"] = tuple(
        call.zeros(call["segments"], *x.u.shape[:2]) for _ in range(2)
    )
    call.launch(kernels.gradients, programs=programs)
    return Gradients(
        u=d_u,
        delta=d_delta,
        A=d_A.sum((0, 1)).to(x.A.dtype),
        B=d_B.sum(0)[..., : call["length"]].to(x.B.dtype, memory_format=torch.contiguous_format),
        C=d_C.sum(0)[..., : call["length"]].to(x.C.dtype, memory_format=torch.contiguous_format),
        D=None if x.D is None else d_D.sum((0, 1)).to(x.D.dtype),
        z=None if x.z is None else d_z,
        delta_bias=None if x.delta_bias is None else d_bias.sum((0, 1)).to(x.delta_bias.dtype),
        initial_state=None if x.initial_state is None else call["entering"][0].to(x.initial_state.dtype),
    )


def starts_shape(u: torch.Tensor, A: torch.Tensor) -> tuple[int, ...]:
    """Of the states kept for the gradient."""
    return (*u.shape[:2], num_chunks(u.shape[-1], BACKWARD.tile), A.shape[1])


class _Call:
    """Every argument of the kernels by name; a kernel takes those that its signature has."""

    def __init__(self, x: Inputs, configuration: Configuration) -> None:
        self.x = x
        self.tile, self.registers = configuration.tile, configuration.registers
        batch, channels, length = x.u.shape
        groups, states = x.B.shape[1:3]
        # So that no lane of either configuration reads beyond the end.
        padded = num_chunks(length, max(FORWARD.tile, BACKWARD.tile)) * max(FORWARD.tile, BACKWARD.tile)
        unused = x.u
        self.arguments: dict[str, Any] = {
            "B": _padded(x.B, padded),
            "C": _padded(x.C, padded),
            "exponents": (x.A.float() * math.log2(math.e)).contiguous(),
            "D": unused if x.D is None else x.D.contiguous(),
            "bias": unused if x.delta_bias is None else x.delta_bias.contiguous(),
            "keep": unused if x.seq_idx is None else _padded(_keep(x.seq_idx), padded),
            "length": length,
            "padded": padded,
            "num_batch": batch,
            "channels": channels,
            "groups": groups,
            "blocks": triton.cdiv(channels // groups, configuration.channels),
            "N": states,
            "COLUMNS": triton.cdiv(states, configuration.lanes),
            "CHANNELS": configuration.channels,
            "LANES": configuration.lanes,
            "RUN": configuration.run,
            "WARPS": math.gcd(states, configuration.warps),
            "CHUNK": BACKWARD.tile,
            "HAS_D": x.D is not None,
            "HAS_Z": x.z is not None,
            "HAS_BIAS": x.delta_bias is not None,
            "HAS_KEEP": x.seq_idx is not None,
            "SOFTPLUS": x.delta_softplus,
        }
        self.add_rows("u", x.u)
        self.add_rows("delta", x.delta)
        self.add_rows("z", unused if x.z is None else x.z)

    def __getitem__(self, name: str) -> Any:
        return self.arguments[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self.arguments[name] = value

    def add_rows(self, name: str, x: torch.Tensor) -> None:
        """A tensor (B, D, L) with the positions of a channel side by side, and its strides."""
        x = x if x.stride(-1) == 1 else x.contiguous()
        self[name], (self[f"{name}_batch"], self[f"{name}_channel"]) = x, x.stride()[:2]

    @property
    def programs(self) -> int:
        """Those of one segment."""
        return int(self["num_batch"] * self["groups"] * self["blocks"])

    def cut(self, programs: int) -> None:
        """Cut L into as many segments of whole tiles as fill a GPU, with so many programs to each."""
        tiles = num_chunks(self["length"], self.tile)
        of_segment = triton.cdiv(tiles, max(1, min(tiles, _PROGRAMS // programs)))
        self["segment"] = of_segment * self.tile
        self["segments"] = triton.cdiv(tiles, of_segment)

    def launch(self, kernel: Any, *, programs: int | None = None, **more: Any) -> None:
        arguments = {name: self[name] for name in kernel.arg_names if name not in more}
        kernel[(programs or self.programs, self["segments"])](
            **arguments, **more, num_warps=arguments.get("WARPS", 1), maxnreg=self.registers
        )

    def enter(self, source: str, weights: str, *, back: bool) -> None:
        """From the state (or its gradient) that enters all segments to those that enter each."""
        first, size = self["entering"], self["entering"].numel()
        entering = self["entering"] = self.new(self["segments"], *first.shape[1:])
        factors, values = torch.empty_like(entering), torch.empty_like(entering)
        self.launch(
            kernels.summarise,
            source=self[source],
            source_batch=self[f"{source}_batch"],
            source_channel=self[f"{source}_channel"],
            weights=self[weights],
            factors=factors,
            values=values,
            BACK=back,
        )
        kernels.carry[(triton.cdiv(size, _CARRY_BLOCK),)](
            factors, values, first, entering, size, self["segments"], back, _CARRY_BLOCK
        )

    def new(self, *shape: int) -> torch.Tensor:
        return torch.empty(shape, dtype=torch.float32, device=self.x.u.device)

    def zeros(self, *shape: int) -> torch.Tensor:
        return self.new(*shape).zero_()

    def states(self, state: torch.Tensor | None) -> torch.Tensor:
        """(1, B, D, N), not the caller's."""
        shape = (1, *self.x.u.shape[:2], self["N"])
        return self.zeros(*shape) if state is None else self.new(*shape).copy_(state)


def _padded(x: torch.Tensor, length: int) -> torch.Tensor:
    """With ones behind the last position: what is finite has no effect there, and `_keep` keeps."""
    return F.pad(x, (0, length - x.shape[-1]), value=1.0).contiguous()


def _keep(seq_idx: torch.Tensor) -> torch.Tensor:
    """(B, L) float32: 0 where a sequence begins, else 1."""
    return F.pad((seq_idx[:, 1:] == seq_idx[:, :-1]).float(), (1, 0), value=1.0)


def _new(x: torch.Tensor) -> torch.Tensor:
    return torch.empty(x.shape, dtype=x.dtype, device=x.device)
