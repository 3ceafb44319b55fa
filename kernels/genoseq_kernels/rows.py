"""Rows of memory that start where vectors of memory do, and have room to the next such place.

Kernels read and write such rows in whole vectors whatever their length is; what is beyond it means nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

ALIGNMENT = 16
"""Numbers that rows are a multiple of apart."""


def empty_rows(shape: Sequence[int], like: torch.Tensor, dtype: torch.dtype | None = None) -> torch.Tensor:
    """An empty tensor whose rows, its last axis, are dense and have room for a multiple of 16 numbers.

    Args:
        shape: of two axes or more.
        like: gives the device, and the dtype where none is given.
        dtype: of the tensor.
    """
    *outer, length = shape
    whole = torch.empty(*outer, _whole(length), dtype=dtype or like.dtype, device=like.device)
    # No view, which a result of an autograd function may not be where it is written to afterwards.
    return whole.as_strided_(tuple(shape), whole.stride())


def rows_like(x: torch.Tensor, dtype: torch.dtype | None = None) -> torch.Tensor:
    """An empty tensor of the shape of x: with rows as of `empty_rows` where x has such, else contiguous."""
    whole = _whole(x.shape[-1])
    if x.dim() > 1 and whole > x.shape[-1] and x.stride()[-2:] == (whole, 1):
        return empty_rows(x.shape, x, dtype)
    return torch.empty_like(x, dtype=dtype, memory_format=torch.contiguous_format)


def have_room(*tensors: torch.Tensor | None) -> bool:
    """Whether rows whose length is no multiple of 16 may be read to the next one, of all that are given."""
    given = [x for x in tensors if x is not None]
    return given[0].shape[-1] % ALIGNMENT != 0 and all(map(_has_room, given))


def _has_room(x: torch.Tensor) -> bool:
    *outer, last = x.stride()
    if last != 1 or any(number % ALIGNMENT for number in (*outer, x.storage_offset())):
        return False
    starts = sum((size - 1) * stride for size, stride in zip(x.shape[:-1], outer, strict=True))
    end = x.storage_offset() + starts + _whole(x.shape[-1])
    return end * x.element_size() <= x.untyped_storage().nbytes()


def _whole(length: int) -> int:
    return -(-length // ALIGNMENT) * ALIGNMENT
