"""What attention remembers: keys and values, in a room of fixed size where the window has one."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from genoseq.errors import SequenceError
from genoseq.nn.recurrence import require_rows
from genoseq.nn.visibility import Places, Visibility


@dataclass
class KeyValueState:
    """Keys and values of what was read.

    Place p of a row stands in slot p while there are sinks, and then goes round the remaining slots. Padding
    is not kept. With a window there are slots for the window and its sinks, and no end; without one there are
    `max_length`.

    Attributes:
        position: number of positions seen, padding included.
        max_length: number of positions there is room for; None for any number.
        num_sinks: slots that are never written again.
        keys, values: (B, G, slots, P).
        counts: (B,) tokens kept of each row so far; None while no row has seen padding, which makes all of
            them `position`.
    """

    position: int
    max_length: int | None
    num_sinks: int
    keys: torch.Tensor
    values: torch.Tensor
    counts: torch.Tensor | None = None

    @classmethod
    def empty(
        cls,
        rule: Visibility,
        shape: tuple[int, int, int],
        *,
        max_length: int,
        device: torch.device | str,
        dtype: torch.dtype,
    ) -> KeyValueState:
        """Room for `max_length` positions, or those that a window keeps; the shape is (B, G, P)."""
        rows, groups, width = shape
        bounded = rule.window is not None
        slots = max_length if rule.window is None else rule.window + rule.num_sinks
        keys, values = (torch.zeros(rows, groups, slots, width, device=device, dtype=dtype) for _ in range(2))
        return cls(
            position=0,
            max_length=None if bounded else max_length,
            num_sinks=rule.num_sinks,
            keys=keys,
            values=values,
        )

    def require_room(self, rows: int, length: int) -> None:
        """Refuse a chunk that does not fit.

        Raises:
            SequenceError: it is of another number of rows, or there is no room for it.
        """
        require_rows(rows, self.keys.shape[0])
        if self.max_length is not None and self.position + length > self.max_length:
            raise SequenceError(
                f"{self.position + length:,} positions do not fit the state's room for "
                f"{self.max_length:,}: ask init_state for a larger max_length."
            )

    def next_places(self, length: int, mask: torch.Tensor | None) -> Places:
        """Where the next positions stand; a mask (B, L) is False at padding."""
        if mask is None and self.counts is None:
            number = torch.arange(self.position, self.position + length, device=self.keys.device)
            return Places(number.unsqueeze(0))
        counts = self._counts().unsqueeze(1)
        if mask is None:
            index = counts + torch.arange(length, device=counts.device)
            return Places(index, torch.zeros_like(index))
        index = (counts + mask.cumsum(1) - 1).clamp(min=0)
        return Places(index, mask.long() - 1)

    def places(self) -> Places:
        """Where the kept keys stand, slot by slot; free slots, at the end, are of no sequence."""
        if self.counts is None:
            used = min(self.position, self._slots)
            return Places(self._latest(torch.full((1, 1), self.position, device=self.keys.device), used))
        index = self._latest(self.counts.unsqueeze(1), self._slots)
        slots = torch.arange(self._slots, device=index.device)
        return Places(index, torch.where(index >= slots, 0, -2))

    def append(
        self, keys: torch.Tensor, values: torch.Tensor, places: Places, mask: torch.Tensor | None
    ) -> None:
        """Keep keys and values (B, G, L, P) of the next positions, which stand at `places`."""
        keys, values = keys.detach().to(self.keys.dtype), values.detach().to(self.values.dtype)
        start, length = self.position, keys.shape[2]
        self.position += length
        if mask is None and self.counts is None:
            kept = self._last_ones(start, self.position)
            slots = self._slot(kept)
            self.keys[:, :, slots] = keys[:, :, kept - start]
            self.values[:, :, slots] = values[:, :, kept - start]
            return
        counts = self.counts if self.counts is not None else torch.full_like(places.index[:, 0], start)
        self.counts = counts + (length if mask is None else mask.sum(1))
        # Later places of the chunk take the slots of earlier ones.
        wanted = (places.index < self.num_sinks) | (places.index >= self.counts.unsqueeze(1) - self._ring)
        row, number = (wanted if mask is None else wanted & mask).nonzero(as_tuple=True)
        slots = self._slot(places.index[row, number])
        self.keys[row, :, slots] = keys[row, :, number]
        self.values[row, :, slots] = values[row, :, number]

    @property
    def _slots(self) -> int:
        return self.keys.shape[2]

    @property
    def _ring(self) -> int:
        return self._slots - self.num_sinks

    def _counts(self) -> torch.Tensor:
        if self.counts is not None:
            return self.counts
        return torch.full((self.keys.shape[0],), self.position, device=self.keys.device)

    def _slot(self, place: torch.Tensor) -> torch.Tensor:
        """Slots of places."""
        around = self.num_sinks + (place - self.num_sinks) % self._ring
        return torch.where(place < self.num_sinks, place, around)

    def _last_ones(self, start: int, end: int) -> torch.Tensor:
        """Places from `start` to `end` still kept at `end`: sinks, and the last round of the others."""
        first = max(start, self.num_sinks, end - self._ring)
        sinks = torch.arange(start, max(start, min(end, self.num_sinks)), device=self.keys.device)
        return torch.cat([sinks, torch.arange(first, max(first, end), device=self.keys.device)])

    def _latest(self, counts: torch.Tensor, used: int) -> torch.Tensor:
        """(R, used) the last place that each slot took, of `counts` (R, 1) read; below the slot's number
        where there was none."""
        slots = torch.arange(used, device=counts.device)
        last = counts - 1 - (counts - 1 - slots) % self._ring
        return torch.where((slots < self.num_sinks) & (counts > slots), slots, last)
