"""Filters, and the buffers that their gradients are gathered in."""

from __future__ import annotations

from typing import NamedTuple, overload

import torch

from genoseq_kernels.fft_conv.reference import centre_tap


@overload
def dense(x: torch.Tensor) -> torch.Tensor: ...
@overload
def dense(x: torch.Tensor | None) -> torch.Tensor | None: ...
def dense(x: torch.Tensor | None) -> torch.Tensor | None:
    """`x` with neighbours in memory along its last axis, whatever its other strides."""
    return x if x is None or x.stride(-1) == 1 else x.contiguous()


def strides(x: torch.Tensor | None) -> tuple[int, int]:
    """From one batch entry and from one channel to the next."""
    if x is None:
        return 0, 0
    entry, channel, _ = x.stride()
    return entry, channel


class Taps(NamedTuple):
    """Filters and the lags of their taps.

    Attributes:
        k: (D, K).
        centre: tap n + centre has lag n >= 0.
        wrap: tap n - N + wrap has lag n - N, 0 <= n < N, where N is the length of the transform.
        apart: whether a tap may have a lag of each kind, as around a circle.
    """

    k: torch.Tensor
    centre: int
    wrap: int
    apart: bool

    @classmethod
    def of(cls, k: torch.Tensor, length: int, mode: str) -> Taps:
        centre = centre_tap(k.shape[-1], mode)
        circular = mode == "circular"
        return cls(dense(k), centre, length if circular else centre, circular)

    @property
    def channels(self) -> int:
        return self.k.shape[0]

    @property
    def number(self) -> int:
        return self.k.shape[1]

    def gradients(self, parts: int) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Buffers (parts, D, K) for the lags from 0 on, and for those below: None where there are none."""
        dtype = self.k.dtype if parts == 1 and not self.apart else torch.float32
        near = torch.empty(parts, *self.k.shape, dtype=dtype, device=self.k.device)
        if self.wrap == 0:
            return near, None
        return near, torch.empty_like(near) if self.apart else near

    def total(self, near: torch.Tensor, far: torch.Tensor | None) -> torch.Tensor:
        """Gradient (D, K) from these buffers."""
        if self.apart:
            assert far is not None
            near = near + far
        return (near[0] if near.shape[0] == 1 else near.sum(0)).to(self.k.dtype)
