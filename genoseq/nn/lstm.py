"""The long short-term memory, under the contract of mixers: what state-space layers are held against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from genoseq.nn.mixer import Mixer, MixerContext
from genoseq.nn.packing import through_rows
from genoseq.nn.recurrence import precise, require_rows


@dataclass
class LstmState:
    """What the layer remembers: as much after a million positions as after one.

    Attributes:
        position: number of positions seen.
        hidden, cell: (B, inner) float32 or better.
    """

    position: int
    hidden: torch.Tensor
    cell: torch.Tensor


class LstmMixer(Mixer):
    """One layer, and a projection back.

    It is computed in float32 or better.

    Args:
        d_model: D.
        d_inner: width of the memory; None for D.

    Source: Hochreiter and Schmidhuber 1997, Neural Computation 9:1735.
    """

    causal: ClassVar[bool] = True
    streams: ClassVar[bool] = True
    fixed_memory = True

    def __init__(self, *, d_model: int, d_inner: int | None = None) -> None:
        super().__init__()
        self.d_inner = d_inner or d_model
        self.lstm = nn.LSTM(d_model, self.d_inner, batch_first=True)
        self.out_proj = nn.Linear(self.d_inner, d_model)

    def reset_parameters(self) -> None:
        """First values, as torch has them."""
        self.lstm.reset_parameters()
        self.out_proj.reset_parameters()

    def forward(
        self,
        x: torch.Tensor,
        context: MixerContext | None = None,
        *,
        state: LstmState | None = None,
        return_state: bool = False,
    ) -> Any:
        """See `Mixer.forward`.

        Raises:
            SequenceError: the state is of another number of sequences.
        """
        context = context or MixerContext()
        if context.segment_ids is not None:
            assert state is None, "a packed row has no state to carry"
            return through_rows(self.forward, x, context)
        assert state is not None or not return_state, "give init_state(...) as the state to start from"
        before = state or self._first(x.shape[0], x.device, torch.promote_types(x.dtype, torch.float32))
        require_rows(x.shape[0], before.hidden.shape[0])
        y, hidden, cell = self._whole(x, context.mask, before)
        if state is not None:
            state.hidden, state.cell = hidden.detach(), cell.detach()
            state.position += x.shape[1]
        y = self.out_proj(y.to(x.dtype))
        return (y, state) if return_state else y

    @torch.no_grad()
    def step(self, x: torch.Tensor, state: LstmState) -> tuple[torch.Tensor, LstmState]:
        """See `Mixer.step`; without gradient.

        Raises:
            SequenceError: the state is of another number of sequences.
        """
        y, state = self.forward(x.unsqueeze(1), state=state, return_state=True)
        return y.squeeze(1), state

    def init_state(
        self, batch_size: int, *, max_length: int, device: torch.device | str, dtype: torch.dtype
    ) -> LstmState:
        """See `Mixer.init_state`; the memory does not depend on `max_length`."""
        return self._first(batch_size, device, torch.promote_types(dtype, torch.float32))

    def _first(self, batch_size: int, device: torch.device | str, dtype: torch.dtype) -> LstmState:
        zeros = torch.zeros(batch_size, self.d_inner, device=device, dtype=dtype)
        return LstmState(0, zeros, zeros)

    def _whole(
        self, x: torch.Tensor, mask: torch.Tensor | None, before: LstmState
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """y (B, L, inner), and hidden and cell state (B, inner) after the last real position of each row."""
        if mask is None:
            return self._run(precise(x), before.hidden, before.cell)
        counts, start = mask.sum(1), mask.int().argmax(1)
        y = precise(x).new_zeros(*x.shape[:2], self.d_inner)
        hidden, cell = before.hidden.clone(), before.cell.clone()
        rows = torch.nonzero(counts).squeeze(1)
        if not len(rows):
            return y, hidden, cell
        place = torch.arange(x.shape[1], device=x.device) + start[rows].unsqueeze(1)
        place = place.clamp(max=x.shape[1] - 1).unsqueeze(-1)
        aligned = precise(x)[rows].gather(1, place.expand(-1, -1, x.shape[-1]))
        lengths = counts[rows].cpu()
        out, *after = self._run(aligned, before.hidden[rows], before.cell[rows], lengths)
        hidden, cell = (old.index_copy(0, rows, new) for old, new in zip((hidden, cell), after, strict=True))
        real = torch.nonzero(mask[rows])
        offset = real[:, 1] - start[rows][real[:, 0]]
        y = y.index_put((rows[real[:, 0]], real[:, 1]), out[real[:, 0], offset])
        return y, hidden, cell

    def _run(
        self, x: torch.Tensor, hidden: torch.Tensor, cell: torch.Tensor, lengths: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        with torch.autocast(device_type=x.device.type, enabled=False):
            weights = {name: precise(value) for name, value in self.lstm.named_parameters()}
            states = (hidden.unsqueeze(0).contiguous(), cell.unsqueeze(0).contiguous())
            given: Any = x
            if lengths is not None:
                given = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
            out, (hidden, cell) = torch.func.functional_call(self.lstm, weights, (given, states))
        if lengths is not None:
            out = pad_packed_sequence(out, batch_first=True, total_length=x.shape[1])[0]
        return out, hidden[0], cell[0]
