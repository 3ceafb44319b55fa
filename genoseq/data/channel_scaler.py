"""One scale a channel, fitted on training data alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from genoseq.errors import DataError, require_choice

Scaling = Literal["standard", "robust", "none"]

# Interquartile range of a normal distribution of standard deviation 1.
_NORMAL_QUARTILES = 1.3489795003921634


@dataclass(frozen=True)
class ChannelScaler:
    """(x - shift) / scale, channel by channel.

    Attributes:
        shift, scale: (C,) float64, in the units of the data.
    """

    shift: np.ndarray
    scale: np.ndarray

    @classmethod
    def fit(cls, values: np.ndarray, names: Sequence[str], *, scaling: Scaling) -> ChannelScaler:
        """That of training data.

        Args:
            values: (T, C), NaN where nothing was observed.
            names: of the channels, for messages.
            scaling: `standard` (mean and standard deviation), `robust` (median, and the interquartile range
                as a normal distribution's standard deviation) or `none`.

        Raises:
            DataError: a channel is never observed, or always the same. ConfigError: no such scaling.
        """
        require_choice("scaling", scaling, get_args(Scaling))
        never = [name for name, gone in zip(names, np.isnan(values).all(axis=0), strict=True) if gone]
        if never:
            raise DataError(
                f"never observed in the training part: {', '.join(never)}. Leave such channels out (columns "
                "of a table, preparation.channels of recordings), or train on a part that has them."
            )
        if scaling == "none":
            return cls(np.zeros(values.shape[1]), np.ones(values.shape[1]))
        if scaling == "standard":
            shift, scale = np.nanmean(values, axis=0), np.nanstd(values, axis=0)
        else:
            low, shift, high = np.nanquantile(values, [0.25, 0.5, 0.75], axis=0)
            scale = (high - low) / _NORMAL_QUARTILES
        # Rounding leaves a constant channel a spread of about its size times the precision.
        constant = scale <= 1e-12 * np.maximum(1.0, np.nanmax(np.abs(values), axis=0))
        if constant.any():
            which = ", ".join(name for name, flat in zip(names, constant, strict=True) if flat)
            raise DataError(
                f"the channel {which} is {'' if scaling == 'standard' else 'mostly '}constant in the "
                "training part, so that there is no scale to give it: leave it out of columns, or say "
                "scaling=none."
            )
        return cls(shift, scale)

    def transform(self, values: np.ndarray) -> np.ndarray:
        """(..., C) scaled."""
        return (values - self.shift) / self.scale

    def inverse(self, values: np.ndarray) -> np.ndarray:
        """(..., C) in the units of the data."""
        return values * self.scale + self.shift

    def to_json(self) -> dict[str, list[float]]:
        """As JSON holds it."""
        return {"shift": self.shift.tolist(), "scale": self.scale.tolist()}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> ChannelScaler:
        """What `to_json` gave."""
        return cls(np.array(content["shift"]), np.array(content["scale"]))
