"""One level of a discrete wavelet transform along the last axis, and back.

The filters are PyWavelets'; the transform is that of its `dwt` and `idwt` with the mode `symmetric`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from genoseq.errors import ConfigError


class Filters(NamedTuple):
    """Taps, (K,) each, in the order in which a sum over neighbours reads them.

    Attributes:
        low, high: of the analysis.
        low_back, high_back: of the synthesis.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    low_back: tuple[float, ...]
    high_back: tuple[float, ...]


def wavelet_filters(wavelet: str | Sequence[float]) -> Filters:
    """The filters of a wavelet.

    Args:
        wavelet: a name that PyWavelets knows, such as `db4`; or the taps of the synthesis's low-pass filter
            of an orthogonal one, for which no library is needed.

    Raises:
        ConfigError: PyWavelets is not there or knows no such wavelet, or the taps are of no orthogonal one.
    """
    if isinstance(wavelet, str):
        analysis_low, analysis_high, low, high = _library().Wavelet(_known(wavelet)).filter_bank
        return Filters(*(tuple(taps) for taps in (analysis_low[::-1], analysis_high[::-1], low, high)))
    low = tuple(float(tap) for tap in wavelet)
    doubled = torch.tensor(low, dtype=torch.float64, device="cpu")
    shifted = [float(doubled[2 * k :] @ doubled[: len(low) - 2 * k]) for k in range(len(low) // 2)]
    if len(low) < 2 or len(low) % 2 or max(abs(s - (k == 0)) for k, s in enumerate(shifted)) > 1e-6:
        raise ConfigError(
            f"wavelet={list(low)}: taps of an orthogonal wavelet are an even number, of norm 1, and "
            "orthogonal to themselves shifted by two."
        )
    high = tuple((-1) ** place * tap for place, tap in enumerate(low[::-1]))
    return Filters(low, high, low, high)


class WaveletAnalysis(nn.Module):
    """(B, C, L) to the low and the high band, (B, C, (L + K - 1) // 2) each.

    Beyond its ends a sequence is read backwards; no gradient flows there, as in pytorch_wavelets, with which
    published models were trained.

    Args:
        filters: the taps.
    """

    h0: torch.Tensor
    h1: torch.Tensor

    def __init__(self, filters: Filters) -> None:
        super().__init__()
        self._filters = filters
        for name, taps in (("h0", filters.low), ("h1", filters.high)):
            self.register_buffer(name, torch.empty(1, 1, len(taps)))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """The taps again."""
        _set(self.h0, self._filters.low)
        _set(self.h1, self._filters.high)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        taps = self.h0.shape[-1]
        if x.shape[-1] < taps - 1:
            raise ConfigError(f"{x.shape[-1]} values are too few for a wavelet of {taps} taps.")
        count = (x.shape[-1] + taps - 1) // 2
        # Places before the first, and behind the last as far as the windows of all outputs reach.
        before = x[..., : taps - 2].flip(-1).detach()
        behind = x[..., x.shape[-1] - (2 * count - x.shape[-1]) :].flip(-1).detach()
        mirrored = torch.cat([before, x, behind], dim=-1).flatten(0, 1).unsqueeze(1)
        low, high = (F.conv1d(mirrored, h.to(x.dtype), stride=2) for h in (self.h0, self.h1))
        return low.view(*x.shape[:2], count), high.view(*x.shape[:2], count)


class WaveletSynthesis(nn.Module):
    """The bands (B, C, M) back to (B, C, 2 M - K + 2); args: see `WaveletAnalysis`."""

    g0: torch.Tensor
    g1: torch.Tensor

    def __init__(self, filters: Filters) -> None:
        super().__init__()
        self._filters = filters
        for name, taps in (("g0", filters.low_back), ("g1", filters.high_back)):
            self.register_buffer(name, torch.empty(1, 1, len(taps)))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """The taps again."""
        _set(self.g0, self._filters.low_back)
        _set(self.g1, self._filters.high_back)

    def forward(self, low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
        cut = self.g0.shape[-1] - 2
        parts = [
            F.conv_transpose1d(band.flatten(0, 1).unsqueeze(1), g.to(band.dtype), stride=2, padding=cut)
            for band, g in ((low, self.g0), (high, self.g1))
        ]
        return (parts[0] + parts[1]).view(*low.shape[:2], -1)


def _set(buffer: torch.Tensor, taps: Sequence[float]) -> None:
    buffer.copy_(torch.tensor(taps, dtype=torch.float64, device="cpu").view(1, 1, -1))


def _library() -> Any:
    try:
        import pywt
    except ImportError as error:
        raise ConfigError(
            "wavelets by name come from PyWavelets, which is not installed: pip install genoseq[signals], or "
            "give the taps themselves."
        ) from error
    return pywt


def _known(name: str) -> str:
    names = _library().wavelist(kind="discrete")
    if name not in names:
        raise ConfigError(f"wavelet={name!r}: PyWavelets knows {', '.join(names)}.")
    return name
