"""`gelu_backward_` through Triton: two numbers read and two written, an exponential and a reciprocal each.

Machine code for sm_90 (Triton 3.6.0 and 3.7.1): 34 instructions a number of 16 bits, with the last sums,
64 registers. Issued they take half the time that 8 bytes a number do: bytes decide.

Sums are kept apart by program and added up in a fixed order: the same bits each time.
"""

from __future__ import annotations

import torch
import triton

from genoseq_kernels.gelu import kernels

OPTIONS = {"ROWS": 4, "WIDTH": 512, "num_warps": 4}
"""In 16 bits, two vectors of 16 bytes a thread of each tensor."""
_PROGRAMS = 1056
"""At most: 8 for each multiprocessor of an H100, which has room for them."""


def backward_(grad: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """See `genoseq_kernels.gelu_backward_`."""
    sums = torch.empty(*_programs(x), dtype=torch.float32, device=x.device)
    columns = triton.cdiv(x.shape[1], OPTIONS["WIDTH"])
    kernels.backward[(sums.shape[0], columns)](grad, x, sums, *x.shape, **OPTIONS)
    return sums.sum(0)


def workspace(x: torch.Tensor) -> int:
    """Bytes that `backward_` takes beside its result."""
    programs, width = _programs(x)
    return programs * width * torch.float32.itemsize


def _programs(x: torch.Tensor) -> tuple[int, int]:
    """Programs that share out the rows, and the columns that all of them have together."""
    rows, width = x.shape
    columns = triton.cdiv(width, OPTIONS["WIDTH"])
    return min(triton.cdiv(rows, OPTIONS["ROWS"]), triton.cdiv(_PROGRAMS, columns)), width
