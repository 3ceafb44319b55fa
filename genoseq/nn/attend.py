"""Softmax attention under a rule of who sees whom, without a table of all pairs of positions.

Where there is nothing to mask it is torch's `scaled_dot_product_attention` on all at once. Else it goes by
blocks of queries, over the keys that a block can see; on a GPU, long sequences go through FlexAttention.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch.nn import functional as F

from genoseq.nn.visibility import Places, Visibility, run_starts

_BLOCK = 128
_MASK_ELEMENTS = 1 << 24
# Below this many queries a dense mask costs less than what FlexAttention prepares.
_FLEX_LENGTH = 2048

Backend = Literal["auto", "blocks", "flex"]


@dataclass(frozen=True)
class Reach:
    """Bounds on the keys that each query may see.

    Attributes:
        first: (Lq,) number of the first key of the chunk; negative where those before the chunk are seen too.
        end: (Lq,) number behind the last key of the chunk.
    """

    first: np.ndarray
    end: np.ndarray


def attend_whole(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    rule: Visibility,
    *,
    runs: torch.Tensor | None = None,
    slopes: torch.Tensor | None = None,
    backend: Backend = "auto",
) -> torch.Tensor:
    """Attention of whole sequences.

    Args:
        q: (B, H, L, P).
        k, v: (B, G, L, P); G divides H.
        rule: who sees whom within a sequence.
        runs: (B, L) numbers of the sequences of a row, which rise; padding is a sequence like any other.
        slopes: (H,) what a position of distance takes off the scores.
        backend: `auto` takes FlexAttention for long sequences on a GPU, where there is anything to mask.

    Returns:
        (B, H, L, P).
    """
    length = q.shape[2]
    rule = rule.for_length(length)
    if rule.window is None and runs is None and slopes is None:
        return masked_attention(q, k, v, None, causal=rule.causal)
    if backend == "flex" or (backend == "auto" and q.is_cuda and length >= _FLEX_LENGTH):
        from genoseq.nn.flex import flex_attend

        return flex_attend(q, k, v, rule, runs=runs, slopes=slopes)
    number = torch.arange(length, device=q.device).unsqueeze(0)
    if runs is None:
        places = Places(number)
        reach = _reach(rule, np.zeros(length, dtype=np.int64), np.full(length, length))
    else:
        starts, ends = run_starts(runs), length - run_starts(runs.flip(1)).flip(1)
        places = Places(number - starts, runs)
        # The one thing that a GPU is waited for.
        reach = _reach(rule, *torch.stack([starts.amin(0), ends.amax(0)]).numpy(force=True))
    return attend(q, k, v, rule, places, places, reach, slopes=slopes)


def attend(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    rule: Visibility,
    queries: Places,
    keys: Places,
    reach: Reach,
    *,
    slopes: torch.Tensor | None = None,
) -> torch.Tensor:
    """Attention of a chunk, block by block.

    Args:
        q: (B, H, Lq, P).
        k, v: (B, G, Lk, P): keys from before the chunk, then the Lq of the chunk itself.
        rule: who sees whom within a sequence; everyone must see itself.
        queries, keys: where they stand.
        reach: bounds, so that blocks pass over what they cannot see.
        slopes: (H,) what a position of distance takes off the scores.

    Returns:
        (B, H, Lq, P).
    """
    before = k.shape[2] - q.shape[2]
    sinks = _sinks(rule, keys)
    block = _block(queries, k.shape[2], 1 if slopes is None else q.shape[1])
    outputs = []
    for start, first, end in _blocks(reach, block, q.shape[2]):
        begin = 0 if first < 0 else before + first
        stop = before + end
        beyond = [sink for sink in sinks if sink < begin or (sink >= stop and not rule.causal)]
        if beyond:
            near = torch.arange(begin, stop, device=k.device)
            kept = torch.cat([torch.tensor(beyond, device=k.device), near])
            seen_k, seen_v, seen = k[:, :, kept], v[:, :, kept], keys.chosen(kept)
        else:
            seen_k, seen_v, seen = k[:, :, begin:stop], v[:, :, begin:stop], keys.part(begin, stop)
        asking = queries.part(start, start + block)
        mask = score_mask(rule, asking, seen, slopes, q.dtype)
        outputs.append(masked_attention(q[:, :, start : start + block], seen_k, seen_v, mask))
    return torch.cat(outputs, dim=2)


def score_mask(
    rule: Visibility, queries: Places, keys: Places, slopes: torch.Tensor | None, dtype: torch.dtype
) -> torch.Tensor:
    """What torch's attention takes as mask: (R, 1, Lq, Lk) bool, or (R, H, Lq, Lk) of `dtype`."""
    seen = rule.mask(queries, keys).unsqueeze(1)
    if slopes is None:
        return seen
    distance = (queries.index.unsqueeze(-1) - keys.index.unsqueeze(-2)).abs().unsqueeze(1)
    return (-slopes[:, None, None] * distance).masked_fill(~seen, -torch.inf).to(dtype)


def masked_attention(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor | None, *, causal: bool = False
) -> torch.Tensor:
    """torch's attention under a mask; with `causal` and no mask, under that of whole causal sequences."""
    groups = q.shape[1] // k.shape[1]
    if q.is_cuda and groups > 1 and (mask is not None or q.dtype not in (torch.float16, torch.bfloat16)):
        # The one fused CUDA kernel for this wants as many heads of keys as of queries.
        k, v = k.repeat_interleave(groups, dim=1), v.repeat_interleave(groups, dim=1)
    grouped = k.shape[1] != q.shape[1]
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal, enable_gqa=grouped)


def chunk_reach(rule: Visibility, length: int, *, padded: bool) -> Reach:
    """What a chunk of a causal stream reaches; padding in it makes places and numbers differ."""
    number = np.arange(length)
    if padded or rule.window is None:
        return Reach(np.full_like(number, -1), number + 1)
    return Reach(number - rule.window + 1, number + 1)


def _reach(rule: Visibility, starts: np.ndarray, ends: np.ndarray) -> Reach:
    number = np.arange(len(starts))
    if rule.window is not None:
        starts = np.maximum(starts, number - rule.window + 1)
        ends = np.minimum(ends, number + rule.window)
    return Reach(starts, np.minimum(ends, number + 1) if rule.causal else ends)


def _blocks(reach: Reach, block: int, length: int) -> list[tuple[int, int, int]]:
    """First query, first key and end of keys of every block."""
    starts = np.arange(0, length, block)
    lasts = np.minimum(starts + block, length) - 1
    bounds = np.stack([starts, reach.first[starts], reach.end[lasts]], axis=1)
    return [(start, first, end) for start, first, end in bounds.tolist()]


def _sinks(rule: Visibility, keys: Places) -> list[int]:
    """Numbers of the keys that are seen from beyond the window, in one row or more."""
    if rule.window is None or not rule.num_sinks:
        return []
    return (keys.index < rule.num_sinks).any(0).nonzero().squeeze(1).tolist()


def _block(queries: Places, num_keys: int, num_heads: int) -> int:
    """Queries of a block: as many as `_BLOCK`, where their mask is not too large."""
    row = queries.index.shape[0] * num_heads * num_keys
    return max(16, min(_BLOCK, _MASK_ELEMENTS // row))
