"""Several sequences in one row, and each in a row of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import torch

if TYPE_CHECKING:
    from genoseq.nn.mixer import MixerContext


class Unpacking(NamedTuple):
    """Where the positions of packed rows go when every sequence gets its own row.

    Attributes:
        destination: (B * L,) index into the flattened new rows.
        rows: number of sequences.
        length: positions of the longest.
    """

    destination: torch.Tensor
    rows: int
    length: int

    def unpack(self, x: torch.Tensor) -> torch.Tensor:
        """(B, L, ...) to (rows, length, ...), zero behind the end of each sequence."""
        flat = x.new_zeros(self.rows * self.length, *x.shape[2:])
        flat = flat.index_copy(0, self.destination, x.flatten(0, 1))
        return flat.unflatten(0, (self.rows, self.length))

    def pack(self, x: torch.Tensor, batch_size: int) -> torch.Tensor:
        """(rows, length, ...) back to (B, L, ...)."""
        return x.flatten(0, 1)[self.destination].unflatten(0, (batch_size, -1))


def plan_unpacking(segment_ids: torch.Tensor) -> Unpacking:
    """Neighbours of one id, (B, L), are one sequence; a row's end always ends one."""
    starts = _starts(segment_ids)
    run = starts.flatten().cumsum(0) - 1
    index = torch.arange(run.numel(), device=run.device)
    offset = index - index[starts.flatten()][run]
    length = int(offset.max()) + 1
    return Unpacking(run * length + offset, rows=int(run[-1]) + 1, length=length)


def through_rows(
    mix: Callable[[torch.Tensor, MixerContext], torch.Tensor], x: torch.Tensor, context: MixerContext
) -> torch.Tensor:
    """What a mixer gives for packed rows (B, L, D), every sequence in a row of its own."""
    assert context.segment_ids is not None
    plan = plan_unpacking(context.segment_ids)
    mask, time_step = (
        None if given is None else plan.unpack(given) for given in (context.mask, context.time_step)
    )
    rows = mix(plan.unpack(x), replace(context, segment_ids=None, mask=mask, time_step=time_step))
    return plan.pack(rows, x.shape[0])


def run_ids(segment_ids: torch.Tensor) -> torch.Tensor:
    """Numbers (B, L) int32 of the sequences of each row, from zero: an id that comes again gets another."""
    return (_starts(segment_ids).cumsum(1) - 1).to(torch.int32)


def _starts(segment_ids: torch.Tensor) -> torch.Tensor:
    """Where a sequence begins, (B, L) bool."""
    starts = torch.ones_like(segment_ids, dtype=torch.bool)
    starts[:, 1:] = segment_ids[:, 1:] != segment_ids[:, :-1]
    return starts
