"""Generation under constraints: only bases from which a whole sequence can follow are drawn."""

from __future__ import annotations

import numpy as np
import torch

from genoseq.errors import SequenceError
from genoseq.sequence.feasible import Feasible, Walk


class Restriction:
    """A batch of growing sequences, and what may come next in each.

    Args:
        feasible: what whole sequences hold.
        tokens: (B, N) the letters that they begin with, as tokens.
        bases: the tokens of A, C, G and T, in this order.

    Raises:
        SequenceError: what they begin with breaks a constraint.
    """

    def __init__(self, feasible: Feasible, tokens: torch.Tensor, bases: np.ndarray) -> None:
        self._walk: Walk = feasible.walk(len(tokens))
        self._code = {int(token): code for code, token in enumerate(bases)}
        for place, column in enumerate(tokens.unbind(1)):
            allowed = self._walk.allowed()
            for row, token in zip(allowed, column.tolist(), strict=True):
                if token not in self._code or not row[self._code[token]]:
                    raise SequenceError(
                        f"the prompt breaks the constraints at base {place}: change it, or them."
                    )
            self.append(column)

    @property
    def failed(self) -> np.ndarray:
        """(B,) bool: where GC left nothing to draw; such a sequence was then drawn freely."""
        return self._walk.failed

    def adjust(self, logits: torch.Tensor) -> torch.Tensor:
        """Logits (B, N), those of A, C, G and T first, with all ruled out that may not come next."""
        allowed = torch.from_numpy(self._walk.allowed()).to(logits.device)
        ruled_out = torch.ones(logits.shape, dtype=torch.bool, device=logits.device)
        ruled_out[:, : allowed.shape[1]] = ~allowed
        return logits.masked_fill(ruled_out, -torch.inf)

    def append(self, tokens: torch.Tensor) -> None:
        """Every sequence has one more token, (B,)."""
        self._walk.append(np.array([self._code[token] for token in tokens.tolist()], dtype=np.uint8))
