"""Grouped-query softmax attention: full or in a sliding window with sinks, causal or not.

Names of parameters, and the order of rows in `in_proj` (queries, keys, values), are those of mamba_ssm.
Source: Ainslie et al. 2023, "GQA"; Xiao et al. 2024, "Efficient Streaming Language Models with Attention
Sinks".
"""

from __future__ import annotations

from typing import ClassVar, Literal, get_args

import torch
from torch import nn

from genoseq.errors import ConfigError, require_choice
from genoseq.nn.attend import attend, attend_whole, chunk_reach, masked_attention, score_mask
from genoseq.nn.kv_cache import KeyValueState
from genoseq.nn.mixer import Mixer, MixerContext, StatelessMixer
from genoseq.nn.rotary import alibi_slopes, rotate
from genoseq.nn.visibility import Places, Visibility, run_starts, runs_of

PositionalEncoding = Literal["none", "rotary", "alibi"]


class Attention(Mixer):
    """Causal attention.

    Only distances between positions matter, so that padding on either side shifts nothing.

    Args:
        d_model: D, width of input and output.
        num_heads: H, heads of queries.
        num_kv_heads: G, heads of keys and values, which H / G heads of queries share; None for H.
        head_dim: P; None for D / H.
        window: positions seen, the own one counted; None for all.
        num_sinks: first positions of a sequence that are seen from beyond the window.
        position: `none`, `rotary` or `alibi`.
        rotary_dim: channels of a head that are rotated; None for all.
        rotary_base: of the rotation's wavelengths.
        rotary_interleaved: rotate pairs of neighbouring channels instead of halves.
        qkv_bias: of the projection to queries, keys and values.
        out_bias: of the projection out.

    Raises:
        ConfigError: an argument is outside its range, or numbers of heads do not divide.
    """

    causal: ClassVar[bool] = True
    streams: ClassVar[bool] = True
    packs: ClassVar[bool] = True

    def __init__(
        self,
        *,
        d_model: int,
        num_heads: int,
        num_kv_heads: int | None = None,
        head_dim: int | None = None,
        window: int | None = None,
        num_sinks: int = 0,
        position: PositionalEncoding = "none",
        rotary_dim: int | None = None,
        rotary_base: float = 10000.0,
        rotary_interleaved: bool = False,
        qkv_bias: bool = False,
        out_bias: bool = False,
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.num_kv_heads = num_heads if num_kv_heads is None else num_kv_heads
        _check_heads(d_model, num_heads, self.num_kv_heads, head_dim)
        self.head_dim = head_dim or d_model // num_heads
        self.rotary_dim = self.head_dim if rotary_dim is None else rotary_dim
        _check_position(position, self.rotary_dim, self.head_dim)
        _check_window(window, num_sinks)
        self.position = position
        self.rotary_base = rotary_base
        self.rotary_interleaved = rotary_interleaved
        self.rule = Visibility(self.causal, window, num_sinks)
        self.fixed_memory = self.streams and window is not None
        width = self.num_heads * self.head_dim
        shared = self.num_kv_heads * self.head_dim
        self.in_proj = nn.Linear(d_model, width + 2 * shared, bias=qkv_bias)
        self.out_proj = nn.Linear(width, d_model, bias=out_bias)

    def _mix(self, x: torch.Tensor, context: MixerContext, state: KeyValueState | None) -> torch.Tensor:
        """See `Mixer`; `context.positions` change nothing, since only distances matter."""
        if state is None:
            return self._merge(self._whole(*self._project(x), context))
        state.require_room(*x.shape[:2])
        return self._merge(self._chunk(*self._project(x), context.mask, state))

    def step(self, x: torch.Tensor, state: KeyValueState) -> tuple[torch.Tensor, KeyValueState]:
        state.require_room(x.shape[0], 1)
        q, k, v = self._project(x.unsqueeze(1))
        places = state.next_places(1, None)
        q, k = self._rotate(q, places), self._rotate(k, places)
        state.append(k, v, places, None)
        used = min(state.position, state.keys.shape[2])
        keys, values = (kept[:, :, :used].to(q.dtype) for kept in (state.keys, state.values))
        mask = None
        slopes = self._slopes(q)
        # All that is kept is seen, unless rows differ in what they have kept.
        if state.counts is not None or slopes is not None:
            mask = score_mask(self.rule, places, state.places().part(0, used), slopes, q.dtype)
        return self._merge(masked_attention(q, keys, values, mask)).squeeze(1), state

    def init_state(
        self, batch_size: int, *, max_length: int, device: torch.device | str, dtype: torch.dtype
    ) -> KeyValueState:
        """See `Mixer.init_state`; with a window neither the memory nor the length depends on `max_length`."""
        shape = (batch_size, self.num_kv_heads, self.head_dim)
        return KeyValueState.empty(self.rule, shape, max_length=max_length, device=device, dtype=dtype)

    def _whole(
        self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, context: MixerContext
    ) -> torch.Tensor:
        runs = runs_of(context)
        number = torch.arange(q.shape[2], device=q.device).unsqueeze(0)
        places = Places(number if runs is None else number - run_starts(runs))
        q, k = self._rotate(q, places), self._rotate(k, places)
        return attend_whole(q, k, v, self.rule, runs=runs, slopes=self._slopes(q))

    def _chunk(
        self,
        q: torch.Tensor,
        k: torch.Tensor,
        v: torch.Tensor,
        mask: torch.Tensor | None,
        state: KeyValueState,
    ) -> torch.Tensor:
        places = state.next_places(q.shape[2], mask)
        q, k = self._rotate(q, places), self._rotate(k, places)
        slopes = self._slopes(q)
        if state.position == 0 and mask is None:
            y = attend_whole(q, k, v, self.rule, slopes=slopes)
        else:
            before = state.places()
            used = before.index.shape[1]
            keys = torch.cat([state.keys[:, :, :used].to(k.dtype), k], dim=2)
            values = torch.cat([state.values[:, :, :used].to(v.dtype), v], dim=2)
            reach = chunk_reach(self.rule, q.shape[2], padded=mask is not None)
            y = attend(q, keys, values, self.rule, places, _joined(before, places), reach, slopes=slopes)
        state.append(k, v, places, mask)
        return y

    def _project(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """(B, L, D) to queries (B, H, L, P), keys and values (B, G, L, P)."""
        heads = self.in_proj(x).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        q, k, v = heads.split([self.num_heads, self.num_kv_heads, self.num_kv_heads], dim=1)
        return q, k, v

    def _merge(self, heads: torch.Tensor) -> torch.Tensor:
        """(B, H, L, P) to (B, L, D)."""
        return self.out_proj(heads.transpose(1, 2).flatten(-2))

    def _rotate(self, x: torch.Tensor, places: Places) -> torch.Tensor:
        if self.position != "rotary":
            return x
        return rotate(
            x,
            places.index,
            width=self.rotary_dim,
            base=self.rotary_base,
            interleaved=self.rotary_interleaved,
        )

    def _slopes(self, q: torch.Tensor) -> torch.Tensor | None:
        if self.position != "alibi":
            return None
        dtype = torch.promote_types(q.dtype, torch.float32)
        return alibi_slopes(self.num_heads, device=q.device, dtype=dtype)


class BidirectionalAttention(StatelessMixer, Attention):
    """Attention to both sides; the window counts on each, and there is no state to carry.

    Args are those of `Attention`.
    """


def _joined(before: Places, chunk: Places) -> Places:
    rows = max(before.index.shape[0], chunk.index.shape[0])
    index = torch.cat([before.index.expand(rows, -1), chunk.index.expand(rows, -1)], dim=1)
    if before.sequence is None and chunk.sequence is None:
        return Places(index)
    sequences = [torch.zeros_like(p.index) if p.sequence is None else p.sequence for p in (before, chunk)]
    return Places(index, torch.cat([sequence.expand(rows, -1) for sequence in sequences], dim=1))


def _check_heads(d_model: int, num_heads: int, num_kv_heads: int, head_dim: int | None) -> None:
    if num_heads < 1 or num_kv_heads < 1 or num_heads % num_kv_heads:
        raise ConfigError(
            f"num_kv_heads={num_kv_heads} does not divide num_heads={num_heads}: choose one that does."
        )
    if head_dim is None and d_model % num_heads:
        raise ConfigError(
            f"num_heads={num_heads} does not divide d_model={d_model}: choose one that does, or set head_dim."
        )


def _check_position(position: str, rotary_dim: int, head_dim: int) -> None:
    require_choice("position", position, get_args(PositionalEncoding))
    if position == "rotary" and not (0 < rotary_dim <= head_dim and rotary_dim % 2 == 0):
        raise ConfigError(
            f"rotary_dim={rotary_dim}: of a head's {head_dim} channels an even number, 2 or more, is rotated."
        )


def _check_window(window: int | None, num_sinks: int) -> None:
    if window is not None and window < 1:
        raise ConfigError(f"window={window}: give 1 or more, or null to see everything.")
    if num_sinks < 0 or (num_sinks and window is None):
        raise ConfigError(
            f"num_sinks={num_sinks} with window={window}: give 0 or more, and a window that they are beyond."
        )
