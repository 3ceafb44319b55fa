"""What the Triton path of `layer_norm` takes in memory while it runs, beside its inputs and results."""

from __future__ import annotations

from typing import Any


def forward(args: tuple[Any, ...], result: Any, device_type: str) -> int:
    """Bytes of a call of `genoseq::layer_norm` or `genoseq::add_layer_norm`."""
    return 0


def backward(args: tuple[Any, ...], result: Any, device_type: str) -> int:
    """Bytes of a call of `genoseq::layer_norm_backward`."""
    from genoseq_kernels.layer_norm import triton_impl

    return triton_impl.backward_workspace(args[2])
