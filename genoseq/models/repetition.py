"""What keeps generated sequences from repeating themselves."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from genoseq.models.sampling import Sampling


class SeenNgrams:
    """The n-grams of one growing sequence, and where each was last.

    Memory grows with the sequence; a look and an addition take the same time at any length.
    """

    def __init__(self, size: int, tokens: Sequence[int]) -> None:
        self.length = 0
        self._size = size
        self._recent: tuple[int, ...] = ()
        self._last: dict[tuple[int, ...], dict[int, int]] = {}
        for token in tokens:
            self.append(token)

    def append(self, token: int) -> None:
        """The sequence has one more token."""
        if len(self._recent) == self._size - 1:
            self._last.setdefault(self._recent, {})[token] = self.length
        self._recent = (*self._recent, token)[-(self._size - 1) :]
        self.length += 1

    def completions(self, window: int | None = None) -> set[int]:
        """Tokens that would complete an n-gram whose last token is among the last `window`, or anywhere."""
        start = 0 if window is None else self.length - window
        return {token for token, place in self._last.get(self._recent, {}).items() if place >= start}


class RepetitionControl:
    """The two controls of `Sampling`, for a batch of sequences.

    Args:
        sampling: the settings.
        tokens: (B, L) the sequences so far.
        bases: the tokens of A, C, G and T, or of words of them, as the columns of the logits have them.
    """

    def __init__(self, sampling: Sampling, tokens: torch.Tensor, bases: Sequence[int]) -> None:
        self._sampling = sampling
        self._column = {token: column for column, token in enumerate(bases)}
        rows = tokens.tolist()
        self._forbidden = self._seen(sampling.no_repeat_ngram_size, rows)
        penalised = sampling.repetition_ngram_size if sampling.repetition_penalty != 1 else None
        self._penalised = self._seen(penalised, rows)

    def adjust(self, logits: torch.Tensor) -> torch.Tensor:
        """Logits (B, N), bases first, with repeats penalised or ruled out."""
        changes = torch.zeros(logits.shape, dtype=torch.float64)
        for row, seen in enumerate(self._penalised):
            columns = self._columns(seen.completions(self._sampling.repetition_window))
            changes[row, columns] -= math.log(self._sampling.repetition_penalty)
        for row, seen in enumerate(self._forbidden):
            columns = self._columns(seen.completions())
            if len(columns) < len(self._column):
                changes[row, columns] = -torch.inf
        return logits.double() + changes.to(logits.device)

    def append(self, tokens: torch.Tensor) -> None:
        """Every sequence has one more token, (B,)."""
        drawn = tokens.tolist()
        for rows in (self._forbidden, self._penalised):
            for seen, token in zip(rows, drawn, strict=bool(rows)):
                seen.append(token)

    def _seen(self, size: int | None, rows: list[list[int]]) -> list[SeenNgrams]:
        return [] if size is None else [SeenNgrams(size, row) for row in rows]

    def _columns(self, tokens: set[int]) -> list[int]:
        return [self._column[token] for token in tokens if token in self._column]
