"""The LSTM as a mixer: what state-space layers are measured against.

Source: Hochreiter and Schmidhuber 1997, "Long Short-Term Memory"; torch computes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from genoseq.nn.mixer import Mixer, MixerContext
from genoseq.nn.recurrence import require_rows


@dataclass
class LstmState:
    """Attributes:
    position: number of positions seen.
    hidden, cell: (B, D).
    """

    position: int
    hidden: torch.Tensor
    cell: torch.Tensor


class LstmMixer(Mixer):
    """One layer of an LSTM.

    Args:
        d_model: D, width of input, output and state.
    """

    causal: ClassVar[bool] = True
    streams: ClassVar[bool] = True
    fixed_memory = True

    def __init__(self, *, d_model: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(d_model, d_model, batch_first=True)

    def _mix(self, x: torch.Tensor, context: MixerContext, state: LstmState | None) -> torch.Tensor:
        first = None
        if state is not None:
            require_rows(x.shape[0], state.hidden.shape[0])
            first = (state.hidden, state.cell)
        if context.mask is None:
            y, last = self._run(x, first)
        else:
            y, last = self._run_masked(x, context.mask, first)
        if state is not None:
            state.hidden, state.cell = (part.detach() for part in last)
            state.position += x.shape[1]
        return y

    @torch.no_grad()
    def step(self, x: torch.Tensor, state: LstmState) -> tuple[torch.Tensor, LstmState]:
        """See `Mixer.step`; without gradient."""
        y, state = self.forward(x.unsqueeze(1), state=state, return_state=True)
        return y.squeeze(1), state

    def init_state(
        self, batch_size: int, *, max_length: int, device: torch.device | str, dtype: torch.dtype
    ) -> LstmState:
        """See `Mixer.init_state`; the memory does not depend on `max_length`."""
        zeros = torch.zeros(batch_size, self.lstm.hidden_size, device=device, dtype=dtype)
        return LstmState(position=0, hidden=zeros, cell=zeros.clone())

    def _run(self, x: Any, first: tuple[torch.Tensor, torch.Tensor] | None) -> tuple[Any, Any]:
        # Torch has no kernel of it for every dtype that autocast may choose.
        device = x.data.device.type
        dtype = next(self.lstm.parameters()).dtype
        with torch.autocast(device_type=device, enabled=False):
            given = None if first is None else tuple(part.to(dtype).unsqueeze(0) for part in first)
            y, (hidden, cell) = self.lstm(x.to(dtype), given)
        return y, (hidden.squeeze(0), cell.squeeze(0))

    def _run_masked(
        self, x: torch.Tensor, mask: torch.Tensor, first: tuple[torch.Tensor, torch.Tensor] | None
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
        """Real positions are moved to the beginning of their rows, and their results back."""
        count = mask.sum(1)
        start = mask.int().argmax(1, keepdim=True)
        place = torch.arange(x.shape[1], device=x.device)
        moved = x.gather(1, ((place + start) % x.shape[1]).unsqueeze(-1).expand_as(x))
        lengths = count.clamp(min=1).cpu()
        packed = pack_padded_sequence(moved, lengths, batch_first=True, enforce_sorted=False)
        y, last = self._run(packed, first)
        y, _ = pad_packed_sequence(y, batch_first=True, total_length=x.shape[1])
        y = y.gather(1, ((place - start) % x.shape[1]).unsqueeze(-1).expand_as(y))
        if first is not None:
            empty = (count == 0).unsqueeze(-1)
            last = tuple(torch.where(empty, old, new) for old, new in zip(first, last, strict=True))
        return y.masked_fill(~mask.unsqueeze(-1), 0), last
