"""What mixers share whose heads keep a matrix: values written under keys, and read by queries."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn
from torch.nn import functional as F

from genoseq.errors import ConfigError
from genoseq.nn.mixer import Mixer, MixerContext
from genoseq.nn.recurrence import next_tail, precise, require_rows
from genoseq_kernels import causal_conv1d, causal_conv1d_update, rms_norm


@dataclass
class MatrixMemoryState:
    """What the heads remember: as much after a million positions as after one.

    Attributes:
        position: number of positions seen.
        q_tail, k_tail, v_tail: (B, C, d_conv - 1) the last inputs of the short convolutions.
        memory: (B, H, ...) a matrix a head, float32 or better.
    """

    position: int
    q_tail: torch.Tensor
    k_tail: torch.Tensor
    v_tail: torch.Tensor
    memory: torch.Tensor


class MatrixMemory(Mixer):
    """Queries, keys and values through short convolutions, what a subclass does with them, a gated norm.

    Args:
        d_model: D, width of input and output.
        num_heads: G, heads of queries and keys.
        head_dim: K, width of a query and a key.
        expand_v: V / K, how much wider a value is.
        num_v_heads: H, heads of values, of which H / G read the same queries and keys; None for G.
        d_conv: taps of the short convolutions.
        conv_bias: of the short convolutions.
        norm_epsilon: of the norm of what is read.

    Raises:
        ConfigError: the heads of queries and keys do not divide those of values.
    """

    causal: ClassVar[bool] = True
    streams: ClassVar[bool] = True
    fixed_memory = True
    packs: ClassVar[bool] = True

    def __init__(
        self,
        *,
        d_model: int,
        num_heads: int,
        head_dim: int,
        expand_v: int,
        num_v_heads: int | None,
        d_conv: int,
        conv_bias: bool,
        norm_epsilon: float,
    ) -> None:
        super().__init__()
        self.num_heads, self.num_v_heads = num_heads, num_v_heads or num_heads
        if self.num_v_heads % num_heads:
            raise ConfigError(
                f"num_heads={num_heads} does not divide num_v_heads={num_v_heads}: choose one that does."
            )
        self.head_dim, self.value_dim = head_dim, expand_v * head_dim
        keys, values = num_heads * head_dim, self.num_v_heads * self.value_dim
        self.q_proj = nn.Linear(d_model, keys, bias=False)
        self.k_proj = nn.Linear(d_model, keys, bias=False)
        self.v_proj = nn.Linear(d_model, values, bias=False)
        self.q_conv1d = nn.Conv1d(keys, keys, d_conv, groups=keys, bias=conv_bias)
        self.k_conv1d = nn.Conv1d(keys, keys, d_conv, groups=keys, bias=conv_bias)
        self.v_conv1d = nn.Conv1d(values, values, d_conv, groups=values, bias=conv_bias)
        self.g_proj = nn.Linear(d_model, values, bias=False)
        self.o_norm = nn.RMSNorm(self.value_dim, eps=norm_epsilon)
        self.o_proj = nn.Linear(values, d_model, bias=False)

    def _mix(self, x: torch.Tensor, context: MixerContext, state: MatrixMemoryState | None) -> torch.Tensor:
        mask, runs = context.mask, context.runs
        if state is not None:
            require_rows(x.shape[0], state.memory.shape[0])
        q, k, v = (self._convolve(name, x, mask, runs, state) for name in ("q", "k", "v"))
        read, last = self._scan(x, q, k, v, mask, runs, None if state is None else state.memory)
        if state is not None:
            state.memory = last.detach()
            state.position += x.shape[1]
        return self._write_out(x, read)

    @torch.no_grad()
    def step(self, x: torch.Tensor, state: MatrixMemoryState) -> tuple[torch.Tensor, MatrixMemoryState]:
        """See `Mixer.step`; without gradient.

        Raises:
            SequenceError: the state is of another number of sequences.
        """
        require_rows(x.shape[0], state.memory.shape[0])
        q, k, v = (self._convolve_one(name, x, state) for name in ("q", "k", "v"))
        state.position += 1
        return self._write_out(x, self._update(x, q, k, v, state.memory)), state

    def init_state(
        self, batch_size: int, *, max_length: int, device: torch.device | str, dtype: torch.dtype
    ) -> MatrixMemoryState:
        """See `Mixer.init_state`; the memory does not depend on `max_length`."""

        def tail(conv: nn.Conv1d) -> torch.Tensor:
            width, _, taps = conv.weight.shape
            return torch.zeros(batch_size, width, taps - 1, device=device, dtype=dtype)

        return MatrixMemoryState(
            position=0,
            q_tail=tail(self.q_conv1d),
            k_tail=tail(self.k_conv1d),
            v_tail=tail(self.v_conv1d),
            memory=torch.zeros(
                batch_size,
                self.num_v_heads,
                *self._matrix,
                device=device,
                dtype=torch.promote_types(dtype, torch.float32),
            ),
        )

    @property
    @abstractmethod
    def _matrix(self) -> tuple[int, int]:
        """Shape of a head's memory."""

    @abstractmethod
    def _scan(
        self,
        x: torch.Tensor,
        q: torch.Tensor,
        k: torch.Tensor,
        v: torch.Tensor,
        mask: torch.Tensor | None,
        runs: torch.Tensor | None,
        memory: torch.Tensor | None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """What is read (B, L, H, V), and the memory after the last position.

        Args:
            x: (B, L, D).
            q, k: (B, L, G, K).
            v: (B, L, H, V).
            mask: (B, L); the memory does not move where it is False.
            runs: (B, L) integers, numbers of packed sequences.
            memory: before the first position; None for zeros.
        """

    @abstractmethod
    def _update(
        self, x: torch.Tensor, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, memory: torch.Tensor
    ) -> torch.Tensor:
        """What is read (B, H, V) at one position, as of `_scan`; changes the memory."""

    def _convolve(
        self,
        name: str,
        x: torch.Tensor,
        mask: torch.Tensor | None,
        runs: torch.Tensor | None,
        state: MatrixMemoryState | None,
    ) -> torch.Tensor:
        """Queries, keys or values (B, L, heads, width); what the state remembers of them moves on."""
        conv = getattr(self, f"{name}_conv1d")
        mixed = getattr(self, f"{name}_proj")(x).transpose(1, 2)
        if mask is not None:
            mixed = mixed.masked_fill(~mask.unsqueeze(1), 0)
        before = None
        if state is not None:
            before = getattr(state, f"{name}_tail")
            setattr(state, f"{name}_tail", next_tail(before, mixed, mask))
        mixed = causal_conv1d(
            mixed, conv.weight[:, 0], conv.bias, seq_idx=runs, initial_states=before, activation="silu"
        )
        return self._split(name, mixed.transpose(1, 2))

    def _convolve_one(self, name: str, x: torch.Tensor, state: MatrixMemoryState) -> torch.Tensor:
        """As `_convolve`, (B, heads, width) of one position."""
        conv, tail = getattr(self, f"{name}_conv1d"), getattr(state, f"{name}_tail")
        mixed = getattr(self, f"{name}_proj")(x)
        mixed = causal_conv1d_update(mixed, tail, conv.weight[:, 0], conv.bias, "silu")
        return self._split(name, mixed)

    def _split(self, name: str, mixed: torch.Tensor) -> torch.Tensor:
        """(..., heads * width) as (..., heads, width)."""
        return mixed.unflatten(-1, (self.num_v_heads if name == "v" else self.num_heads, -1))

    def _write_out(self, x: torch.Tensor, read: torch.Tensor) -> torch.Tensor:
        """What is read (..., H, V), normed and gated, to (..., D)."""
        assert self.o_norm.eps is not None
        kept = torch.promote_types(read.dtype, torch.float32)
        normal = rms_norm(read, self.o_norm.weight, self.o_norm.eps, dtype=kept)
        gate = F.silu(precise(self.g_proj(x))).unflatten(-1, read.shape[-2:])
        return self.o_proj((normal * gate).to(read.dtype).flatten(-2))
