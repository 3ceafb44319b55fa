"""Which control a labelled sequence is put under: its class, or the bin of its number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from genoseq.errors import ConfigError
from genoseq.tokenizers import CharacterTokenizer, ControlTokenizer, Tokenizer


@dataclass(frozen=True)
class ControlScheme:
    """From labels, as `LabelReader` reads them, to the labels of control tokens.

    Attributes:
        labels: of the control tokens, in the order of their classes or bins.
        edges: where bin i + 1 begins, for each of its bins but the first, ascending; None for classes.
    """

    labels: tuple[str, ...]
    edges: tuple[float, ...] | None = None

    @classmethod
    def of_quantiles(cls, values: Sequence[np.ndarray], bins: int) -> ControlScheme:
        """Bins `bin_1` (the lowest) to `bin_<bins>` that hold equally many of the values, or nearly.

        Args:
            values: finite numbers, of the training split alone.
            bins: how many.

        Raises:
            ConfigError: there are fewer than 2 bins, or so many that one would be empty.
        """
        if not isinstance(bins, int) or bins < 2:
            raise ConfigError(f"bins={bins}: give a whole number, 2 or more.")
        numbers = np.asarray(values, dtype=np.float64)
        edges = np.quantile(numbers, np.arange(1, bins) / bins)
        scheme = cls(tuple(f"bin_{number}" for number in range(1, bins + 1)), tuple(edges.tolist()))
        held = np.bincount([scheme._bin(number) for number in numbers], minlength=bins)
        if not held.all():
            raise ConfigError(
                f"bins={bins}: {int((held == 0).sum())} of them would hold none of the {len(numbers):,} "
                f"training numbers, of which {len(np.unique(numbers)):,} are different. Give fewer bins."
            )
        return scheme

    def label_of(self, value: np.ndarray) -> str:
        """The control label of one label: the number of a class, or a number."""
        return self.labels[int(value) if self.edges is None else self._bin(value)]

    def described(self) -> dict[str, Any]:
        """The same as JSON can hold it."""
        return {"labels": list(self.labels), "edges": None if self.edges is None else list(self.edges)}

    def _bin(self, value: float | np.ndarray) -> int:
        assert self.edges is not None
        return int(np.searchsorted(self.edges, float(value), side="right"))


def with_controls(tokenizer: Tokenizer, labels: tuple[str, ...]) -> ControlTokenizer:
    """The same tokens with one more a label.

    Raises:
        ConfigError: they are other tokens than characters, a label cannot be a control, or nothing ends a
            sequence.
    """
    if not isinstance(tokenizer, CharacterTokenizer):
        raise ConfigError(f"control tokens go with tokenizer=character, not with {tokenizer!r}.")
    if not len(tokenizer.suffix_ids):
        raise ConfigError(
            f"{tokenizer!r} ends no sequence, so that generation could not end one either: give "
            "special_tokens=sep or cls_sep."
        )
    return ControlTokenizer(**tokenizer.settings | {"controls": labels})
