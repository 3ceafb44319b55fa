"""Convolutions of images with kernels of many taps, through the Fourier domain."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from genoseq_kernels.fft_conv.reference import next_fast_length


class WideConv2d(nn.Conv2d):
    """`nn.Conv2d` of one channel that keeps the size of the image, for kernels of hundreds of taps.

    Transforms run in float32, of float64 weights in float64; autocast does not reach them.

    Args:
        kernel_size: taps along both axes, odd.
    """

    def __init__(self, kernel_size: tuple[int, int]) -> None:
        assert all(size % 2 for size in kernel_size)
        super().__init__(1, 1, kernel_size=kernel_size, bias=False)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(..., H, W) floating point to (..., H, W) of the weight's dtype; zeros lie around the image."""
        precise = torch.promote_types(self.weight.dtype, torch.float32)
        taps = self.weight[0, 0].to(precise)
        # Half a kernel of zeros between the image's end and its beginning is what keeps these apart.
        size = [next_fast_length(n + k // 2) for n, k in zip(image.shape[-2:], taps.shape, strict=True)]
        spectrum = torch.fft.rfft2(image.to(precise), s=size) * self._spectrum(taps, size).conj()
        height, width = image.shape[-2:]
        return torch.fft.irfft2(spectrum, s=size)[..., :height, :width].to(self.weight.dtype)

    @staticmethod
    def _spectrum(taps: torch.Tensor, size: list[int]) -> torch.Tensor:
        """Of the taps around the origin, those before it at the other end."""
        rows, columns = taps.shape
        padded = F.pad(taps, (0, size[1] - columns, 0, size[0] - rows))
        return torch.fft.rfft2(padded.roll((-(rows // 2), -(columns // 2)), (0, 1)))
