"""Frequency-sparse convolution: a part of the filter's spectrum is zero, and its transforms are never made.

The transform of N = R M points is made in two stages, so that its frequencies come in R classes, f modulo R:
a product with a matrix (classes kept, R), then one transform of M points for each class. A class that is zero
costs nothing in either, nor on the way back.

Source: Fu et al. 2023, "FlashFFTConv", section 3.3 and appendix on sparsity patterns (there with matrix
products in every stage).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from genoseq_kernels.fft_conv.reference import centre_tap, next_fast_length


@dataclass(frozen=True)
class FrequencyPattern:
    """Which frequencies of a filter are kept: those whose remainder modulo `classes` is in `kept`.

    A real filter needs a class and its mirror image: r stands for r and `classes` - r.

    Attributes:
        classes: R, 2 or more.
        kept: remainders from 0 to R // 2, in order.

    Raises:
        ValueError: a remainder that is out of this range, twice there or out of order, or none.
    """

    classes: int
    kept: tuple[int, ...]

    def __post_init__(self) -> None:
        fitting = all(0 <= r <= self.classes // 2 for r in self.kept)
        if self.classes < 2 or not self.kept or not fitting or list(self.kept) != sorted(set(self.kept)):
            raise ValueError(
                f"FrequencyPattern: classes={self.classes}, kept={self.kept}; wanted 2 classes or more, and "
                "remainders from 0 to classes // 2, each once and in order."
            )

    @classmethod
    def lowest(cls, classes: int, *, sparsity: float) -> FrequencyPattern:
        """The lowest remainders, as many as leave about this share of the spectrum zero, one at least."""
        if not 0 <= sparsity < 1:
            raise ValueError(f"FrequencyPattern: sparsity={sparsity}; wanted 0 or more, less than 1.")
        return cls(classes, tuple(range(max(1, round((1 - sparsity) * (classes // 2 + 1))))))

    @property
    def sparsity(self) -> float:
        """The share of the spectrum that is zero."""
        return 1 - sum(self.weights) / self.classes

    @property
    def weights(self) -> list[int]:
        """How many classes each kept remainder stands for: itself, and a mirror image that differs."""
        return [1 if 2 * r in (0, self.classes) else 2 for r in self.kept]


def sparse_fft_conv(
    u: torch.Tensor,
    k: torch.Tensor,
    skip: torch.Tensor | None = None,
    *,
    pattern: FrequencyPattern,
    gate_in: torch.Tensor | None = None,
    gate_out: torch.Tensor | None = None,
    mode: str = "causal",
) -> torch.Tensor:
    """`gate_out * (conv(v, k') + skip * v)` with `v = u * gate_in`, k' being k without some frequencies.

    Exactly: the transform of k at the N points of `sparse_points` is set to zero wherever the pattern does
    not keep it, multiplied with that of v, and transformed back. Time follows what is kept.

    Mind: a filter whose spectrum is zero somewhere has, in general, taps at every lag of the N points,
    negative ones too. Under mode `causal` the filter k is causal; the result is not. No likelihood may be
    read from a language model with such a layer: its outputs see later letters.

    Args:
        u, k, skip, gate_in, gate_out, mode: as for `fft_conv`; `circular` wants L to be a multiple of the
            pattern's classes.
        pattern: what is kept.

    Returns:
        (B, D, L), of the dtype of `u`; computed in float32 or better, also under autocast. Gradients flow to
        every tensor.

    Raises:
        ValueError: a circle that the classes do not divide.
    """
    length, taps = u.shape[-1], k.shape[-1]
    centre = centre_tap(taps, mode)
    with torch.autocast(device_type=u.device.type, enabled=False):
        precise = torch.promote_types(u.dtype, torch.float32)
        v = u.to(precise) if gate_in is None else u.to(precise) * gate_in
        transform = _Transform(pattern, sparse_points(length, taps, pattern, mode=mode), v)
        product = transform.forward(v) * transform.forward(k.to(precise))
        y = transform.inverse(product, centre + length)[..., centre:]
        if skip is not None:
            y = y + skip.to(precise).unsqueeze(-1) * v
        return (y if gate_out is None else y * gate_out).to(u.dtype)


def sparse_points(length: int, taps: int, pattern: FrequencyPattern, *, mode: str = "causal") -> int:
    """N: points of the transform, a multiple of the pattern's classes that nothing wraps in.

    Raises:
        ValueError: a circle that the classes do not divide.
    """
    if mode != "circular":
        return pattern.classes * next_fast_length(math.ceil((length + taps - 1) / pattern.classes))
    if length % pattern.classes:
        raise ValueError(
            f"sparse_fft_conv: {pattern.classes} classes do not divide a circle of {length} positions."
        )
    return length


class _Transform:
    """The kept classes of the transform of `points` points, and the way back."""

    def __init__(self, pattern: FrequencyPattern, points: int, like: torch.Tensor) -> None:
        self._columns = points // pattern.classes
        remainders = torch.tensor(pattern.kept, dtype=torch.float64, device=like.device)
        rows = torch.arange(pattern.classes, dtype=torch.float64, device=like.device)
        columns = torch.arange(self._columns, dtype=torch.float64, device=like.device)
        # Remainders keep the angles small, and so exact.
        angles = 2 * math.pi / pattern.classes * (remainders[:, None] * rows % pattern.classes)
        turns = remainders[:, None] * columns % points
        self._cosines, self._sines = angles.cos().to(like.dtype), angles.sin().to(like.dtype)
        twiddles = torch.polar(torch.ones_like(turns), -2 * math.pi / points * turns)
        self._twiddles = twiddles.to(torch.complex128 if like.dtype == torch.float64 else torch.complex64)
        weights = torch.tensor(pattern.weights, dtype=like.dtype, device=like.device)
        self._weights = weights.unsqueeze(-1) / pattern.classes

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(..., L) real to (..., kept, M) complex: the frequencies r + R m at [r, m]."""
        rows = -(-x.shape[-1] // self._columns)
        padded = torch.nn.functional.pad(x, (0, rows * self._columns - x.shape[-1]))
        table = padded.unflatten(-1, (rows, self._columns))
        mixed = torch.complex(self._cosines[:, :rows] @ table, -self._sines[:, :rows] @ table)
        return torch.fft.fft(mixed * self._twiddles)

    def inverse(self, spectrum: torch.Tensor, length: int) -> torch.Tensor:
        """The first `length` of the points, (..., length) real."""
        rows = -(-length // self._columns)
        mixed = torch.fft.ifft(spectrum) * self._twiddles.conj_physical()
        cosines, sines = self._cosines[:, :rows] * self._weights, self._sines[:, :rows] * self._weights
        table = cosines.T @ mixed.real - sines.T @ mixed.imag
        return table.flatten(-2)[..., :length]
