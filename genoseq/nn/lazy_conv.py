"""A causal convolution whose input arrives position by position, in O(L log^2 L) for all L of them.

Positions are grouped in blocks. Within a block an output is a direct sum. At the end of every block a tile is
added: with U the largest power of two that divides the position t, what the U inputs before t add to the U
outputs from t on, by one transform of 2 U points. Every pair of an input and a later output is then counted
exactly once.

Source: van der Hoeven 2002, "Relax, but don't be too lazy", section 4; Oncescu et al. 2024, "Flash Inference:
Near Linear Time Inference for Long Convolution Sequence Models and Beyond", algorithm 2.
"""

from __future__ import annotations

import torch

from genoseq_kernels import fft_conv

BLOCK = 64
"""Positions whose sums are direct; measured, see `LazyConv`."""

_CPU_GROUP, _GPU_GROUP = 2**17, 2**26


class LazyConv:
    """Filters, the inputs so far, and the sums that later outputs have received from them.

    Chunks and single positions may come in any order. Beside the filters it holds (B, D, max_length) numbers,
    inputs before the position and sums behind it, and as transforms of the filters at most half as many
    numbers as these have. A step needs no more; a chunk needs the memory of one convolution of all inputs so
    far with all taps that reach them.

    The block of 64 is where a direct sum of half a block costs as much as a tile or two: on one CPU core, 256
    channels, 11 microseconds for 64 positions, 40 for 128; 2.4 a step for each size of tiles.

    Args:
        filters: (D, K) the taps, lag zero first; used as they are, without gradient.
        batch_size: B.
        max_length: the most positions there will be; taps beyond it are not used.

    Attributes:
        position: number of positions so far.
        past: (B, D, max_length), float32 or better.
    """

    def __init__(self, filters: torch.Tensor, *, batch_size: int, max_length: int) -> None:
        dtype = torch.promote_types(filters.dtype, torch.float32)
        self.filters = filters.detach()[:, :max_length].to(dtype)
        self.max_length = max_length
        self.position = 0
        self.past = self.filters.new_zeros(batch_size, len(filters), max_length)
        self._nearest = torch.nn.functional.pad(self.filters[:, :BLOCK], (0, max(0, BLOCK - self.taps)))
        self._nearest = self._nearest.flip(-1)
        self._spectra: dict[int, torch.Tensor] = {}
        # The position that the sums in `past` are complete for, block by block; another one after a chunk.
        self._prepared = 0

    @property
    def taps(self) -> int:
        """K, at most `max_length`."""
        return self.filters.shape[-1]

    def chunk(self, value: torch.Tensor) -> torch.Tensor:
        """The outputs (B, D, l) of the next inputs (B, D, l); gradients flow from one to the other."""
        start, end = self.position, self.position + value.shape[-1]
        reach = max(0, start - self.taps + 1)
        whole = torch.cat([self.past[..., reach:start].to(value.dtype), value], dim=-1)
        self.past[..., start:end] = value.detach()
        self.position = end
        return fft_conv(whole, self.filters[:, : end - reach])[..., start - reach :]

    def step(self, value: torch.Tensor) -> torch.Tensor:
        """The output (B, D) of the next input (B, D), without gradient."""
        if self._prepared != self.position:
            self._prepare()
        position = self.position
        block = slice(position - position % BLOCK, position + 1)
        earlier = self.past[..., position].clone()
        self.past[..., position] = value.detach()
        # Products and a sum: as many memory passes as a matrix product here, and autocast lets them be.
        y = (self.past[..., block] * self._nearest[:, block.start - block.stop :]).sum(-1).add_(earlier)
        self.position = self._prepared = position + 1
        if self.position % BLOCK == 0:
            self._add_tile(self.position, _lowest_power(self.position))
        return y.to(value.dtype)

    def _prepare(self) -> None:
        """Bring the sums to where steps alone would have: one tile for every power of two in the position."""
        self.past[..., self.position : 2 << self.position.bit_length()] = 0
        place = self.position
        while place >= BLOCK:
            size = _lowest_power(place)
            if size >= BLOCK:
                self._add_tile(place, size)
            place -= size
        self._prepared = self.position

    def _add_tile(self, place: int, size: int) -> None:
        """Add what `size` inputs before a place add to `size` outputs from it on, those computed aside."""
        size = min(size, _next_power(self.taps))
        end = min(place + size, self.max_length)
        for channels in self._groups(size):
            product = torch.fft.rfft(self.past[:, channels, place - size : place], n=2 * size)
            product *= self._spectrum(size, channels)
            sums = torch.fft.irfft(product, n=2 * size)[..., size : size + end - place]
            start = max(place, self.position)
            self.past[:, channels, start:end] += sums[..., start - place :]

    def _groups(self, size: int) -> list[slice]:
        """Channels to transform at a time: few enough for the cache, or for the memory."""
        most = _CPU_GROUP if self.past.device.type == "cpu" else _GPU_GROUP
        width = max(1, most // (2 * size * self.past.shape[0]))
        return [slice(first, first + width) for first in range(0, self.past.shape[1], width)]

    def _spectrum(self, size: int, channels: slice) -> torch.Tensor:
        """Transforms of the first 2 `size` taps; kept where they serve often."""
        if 8 * size > self.max_length:
            return torch.fft.rfft(self.filters[channels, : 2 * size], n=2 * size)
        if size not in self._spectra:
            self._spectra[size] = torch.fft.rfft(self.filters[:, : 2 * size], n=2 * size)
        return self._spectra[size][channels]


def _lowest_power(number: int) -> int:
    """The largest power of two that divides it."""
    return number & -number


def _next_power(number: int) -> int:
    """The smallest power of two, a block at least, that is not below it."""
    return max(BLOCK, 1 << (number - 1).bit_length())
