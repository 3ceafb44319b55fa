"""Where rows with room end, for kernels; `rows` says which rows have it."""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import triton
import triton.language as tl

from genoseq_kernels.rows import ALIGNMENT

_ALIGNMENT = tl.constexpr(ALIGNMENT)


@triton.jit
def row_end(length, ROOM: tl.constexpr):
    """Of what may be read and written of a row, with ROOM as `rows.have_room` says."""
    return (length + (_ALIGNMENT - 1)) // _ALIGNMENT * _ALIGNMENT if ROOM else length
