"""Rows of memory that start where vectors of memory do."""

from __future__ import annotations

from collections.abc import Sequence

import torch

_ALIGNMENT = 16


def empty_rows(shape: Sequence[int], like: torch.Tensor) -> torch.Tensor:
    """An empty tensor whose rows, its last axis, are dense and lie a multiple of 16 numbers apart.

    Kernels read and write such rows in whole vectors whatever their length is.

    Args:
        shape: of two axes or more.
        like: gives dtype and device.
    """
    strides = [1, -(-shape[-1] // _ALIGNMENT) * _ALIGNMENT]
    for size in reversed(shape[1:-1]):
        strides.append(strides[-1] * size)
    return torch.empty_strided(tuple(shape), strides[::-1], dtype=like.dtype, device=like.device)
