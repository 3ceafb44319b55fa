"""Operators that sequence models are made of, each with a plain-torch reference and a choice of backends."""

from genoseq_kernels.dispatch import Backend, BackendUnavailable
from genoseq_kernels.fft_conv import fft_conv, filter_spectrum

__all__ = ["Backend", "BackendUnavailable", "fft_conv", "filter_spectrum"]
