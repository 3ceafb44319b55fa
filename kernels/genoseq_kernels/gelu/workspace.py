"""What the Triton path of `gelu_backward_` takes in memory while it runs, beside its result."""

from __future__ import annotations

from typing import Any


def backward(args: tuple[Any, ...], result: Any, device_type: str) -> int:
    """Bytes of a call of `genoseq::gelu_backward_`."""
    from genoseq_kernels.gelu import triton_impl

    return triton_impl.workspace(args[1])
