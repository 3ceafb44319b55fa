"""Attention through torch's FlexAttention: a kernel compiled for the rule, which skips unseen blocks."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch.nn.attention.flex_attention import BlockMask, flex_attention

from genoseq.nn.visibility import Visibility, run_starts, sees

_BLOCK = 128


def flex_attend(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    rule: Visibility,
    *,
    runs: torch.Tensor | None,
    slopes: torch.Tensor | None,
) -> torch.Tensor:
    """See `genoseq.nn.attend.attend_whole`."""
    if runs is None:
        mask = _plain_mask(rule, q.shape[2], q.device)
    else:
        mask = _packed_mask(rule, runs)
    score = None if slopes is None else _distance_penalty(slopes.float())
    return _kernel(q.device.type)(q, k, v, score_mod=score, block_mask=mask, enable_gqa=True)


@functools.cache
def _kernel(device_type: str) -> Callable[..., Any]:
    """Compiled, but on a CPU, where the plain function is what tests compare with."""
    if device_type == "cpu":
        return flex_attention
    return torch.compile(flex_attention)


def _distance_penalty(slopes: torch.Tensor) -> Callable[..., torch.Tensor]:
    def penalised(
        score: torch.Tensor, b: torch.Tensor, h: torch.Tensor, q: torch.Tensor, k: torch.Tensor
    ) -> torch.Tensor:
        return score - slopes[h] * (q - k).abs()

    return penalised


# Layers and steps ask for the same few.
@functools.lru_cache(maxsize=4)
def _plain_mask(rule: Visibility, length: int, device: torch.device) -> BlockMask:
    within = _on_device(rule, device)

    def seen(b: torch.Tensor, h: torch.Tensor, q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
        return within(q, k)

    return _from_blocks(_near_blocks(rule, length, device)[None], length, seen)


def _packed_mask(rule: Visibility, runs: torch.Tensor) -> BlockMask:
    """Runs rise, so that two blocks share one where the ranges of their numbers meet."""
    length = runs.shape[1]
    starts = run_starts(runs)
    within = _on_device(rule, runs.device)

    def seen(b: torch.Tensor, h: torch.Tensor, q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
        start = starts[b, q]
        return (start == starts[b, k]) & within(q - start, k - start)

    # The last block is filled with its last run.
    padding = -length % _BLOCK
    blocks = torch.cat([runs, runs[:, -1:].expand(-1, padding)], dim=1).unflatten(1, (-1, _BLOCK))
    low, high = blocks[..., 0], blocks[..., -1]
    shared = (low.unsqueeze(2) <= high.unsqueeze(1)) & (low.unsqueeze(1) <= high.unsqueeze(2))
    if rule.num_sinks:
        # The first places of a run may stand in any block.
        near = _near_blocks(Visibility(rule.causal), length, runs.device)
    else:
        near = _near_blocks(rule, length, runs.device)
    return _from_blocks(shared & near, length, seen)


def _on_device(rule: Visibility, device: torch.device) -> Callable[..., torch.Tensor]:
    """`rule.within` for a kernel, which reads the rule's numbers from a tensor.

    Plain numbers would be compiled in, and other ones then compiled as symbols, which on a CPU fails (torch
    2.13).
    """
    causal, bounded = rule.causal, rule.window is not None
    bounds = torch.tensor([rule.window or 0, rule.num_sinks], device=device)

    def within(q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
        return sees(q, k, causal=causal, window=bounds[0] if bounded else None, num_sinks=bounds[1])

    return within


def _near_blocks(rule: Visibility, length: int, device: torch.device) -> torch.Tensor:
    """(n, n) bool: whether some place of a block of queries may see some place of a block of keys."""
    number = torch.arange(-(-length // _BLOCK), device=device)
    query, key = number.unsqueeze(1), number
    near = key <= query if rule.causal else torch.ones_like(key <= query)
    if rule.window is not None:
        # Between neighbouring blocks the nearest places are one apart.
        distance = ((query - key).abs() - 1) * _BLOCK + 1
        near = near & ((distance < rule.window) | (key * _BLOCK < rule.num_sinks))
    return near


def _from_blocks(blocks: torch.Tensor, length: int, seen: Callable[..., torch.Tensor]) -> BlockMask:
    """Blocks (R, n, n) that are looked at, each of them under the rule `seen` of single places."""
    # A stable sort keeps the wanted blocks in their order.
    indices = blocks.int().argsort(dim=-1, descending=True, stable=True).int()
    return BlockMask.from_kv_blocks(
        blocks.sum(-1, dtype=torch.int32).unsqueeze(1),
        indices.unsqueeze(1),
        BLOCK_SIZE=_BLOCK,
        mask_mod=seen,
        seq_lengths=(length, length),
    )
