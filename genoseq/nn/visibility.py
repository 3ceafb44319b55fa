"""Which places of a sequence a place may look at."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from genoseq.nn.mixer import MixerContext
from genoseq.nn.packing import run_ids


@dataclass(frozen=True)
class Places:
    """Where queries or keys stand; R is the batch size, or 1 where all rows are alike.

    Attributes:
        index: (R, L) integers, counted from the first of each sequence.
        sequence: (R, L) integers that tell sequences apart, padding being one of its own; None where all are
            of one.
    """

    index: torch.Tensor
    sequence: torch.Tensor | None = None

    def part(self, start: int, end: int) -> Places:
        """Those from `start` to `end`."""
        sequence = None if self.sequence is None else self.sequence[:, start:end]
        return Places(self.index[:, start:end], sequence)

    def chosen(self, kept: torch.Tensor) -> Places:
        """Those of the given numbers (n,)."""
        return Places(self.index[:, kept], None if self.sequence is None else self.sequence[:, kept])


@dataclass(frozen=True)
class Visibility:
    """A rule.

    Attributes:
        causal: no place sees a later one.
        window: places seen on a side, the own one counted; None for all.
        num_sinks: first places of a sequence that every later one sees, whatever the window.
    """

    causal: bool
    window: int | None = None
    num_sinks: int = 0

    def within(self, query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
        """Whether `query` sees `key`, places of one sequence; bool, broadcast."""
        return sees(query, key, causal=self.causal, window=self.window, num_sinks=self.num_sinks)

    def mask(self, queries: Places, keys: Places) -> torch.Tensor:
        """(R, Lq, Lk) bool: who sees whom."""
        seen = self.within(queries.index.unsqueeze(-1), keys.index.unsqueeze(-2))
        if queries.sequence is not None:
            assert keys.sequence is not None
            seen = seen & (queries.sequence.unsqueeze(-1) == keys.sequence.unsqueeze(-2))
        return seen

    def for_length(self, length: int) -> Visibility:
        """The same rule for sequences of `length`, without a window that reaches all of them."""
        if self.window is None or self.window < length:
            return self
        return Visibility(self.causal)


def sees(
    query: torch.Tensor,
    key: torch.Tensor,
    *,
    causal: bool,
    window: int | torch.Tensor | None,
    num_sinks: int | torch.Tensor,
) -> torch.Tensor:
    """See `Visibility`, whose attributes these are."""
    seen = key <= query if causal else torch.ones_like(key <= query)
    if window is not None:
        seen = seen & (((query - key).abs() < window) | (key < num_sinks))
    return seen


def run_starts(runs: torch.Tensor) -> torch.Tensor:
    """(B, L) number of the first position of each position's run."""
    number = torch.arange(runs.shape[1], device=runs.device).expand(runs.shape)
    changes = torch.ones_like(runs, dtype=torch.bool)
    changes[:, 1:] = runs[:, 1:] != runs[:, :-1]
    return torch.where(changes, number, 0).cummax(1).values


def runs_of(context: MixerContext) -> torch.Tensor | None:
    """(B, L) numbers of the sequences of each row, padding a sequence of its own; None for one a row."""
    if context.mask is None:
        return context.runs
    if context.segment_ids is None:
        return run_ids(context.mask)
    return run_ids(2 * context.segment_ids.long() + context.mask)
