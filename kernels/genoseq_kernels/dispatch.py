"""Which backend runs an operator.

`auto` takes the fastest backend that supports the tensors; a backend named outright runs or raises, so that a
benchmark never measures something else than it says.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from typing import Literal, get_args

import torch

Backend = Literal["auto", "reference", "triton", "fla"]
"""`triton` are kernels of ours, `fla` those of flash-linear-attention, where they are installed."""


class BackendUnavailable(RuntimeError):  # noqa: N818 - the name that the public contract has
    """The backend asked for cannot run this operator on these tensors."""


def choose_backend(
    requested: Backend, *, operator: str, available: tuple[str, ...], like: torch.Tensor
) -> str:
    """Name of the backend to run.

    Args:
        requested: what the caller asked for.
        operator: name of the operator, for the message.
        available: the operator's backends that can run `like`, the fastest first.
        like: a tensor with the device, dtype and shape of the call.

    Raises:
        ValueError: no backend has the requested name.
        BackendUnavailable: the requested backend is not among the available.
    """
    if requested not in get_args(Backend):
        raise ValueError(f"backend={requested!r}: choose one of {', '.join(get_args(Backend))}.")
    if requested == "auto":
        return available[0]
    if requested not in available:
        raise BackendUnavailable(
            f"{operator}: backend {requested!r} cannot run on device {like.device}, dtype {like.dtype}, "
            f"shape {tuple(like.shape)}; available here: {', '.join(available)}."
        )
    return requested


def with_triton(like: torch.Tensor) -> tuple[Backend, ...]:
    """Backends of an operator whose Triton kernels take this tensor, the fastest first.

    Interpreted kernels on the CPU are there to be tested.
    """
    return ("triton", "reference") if like.is_cuda else ("reference", "triton")


def triton_runs(like: torch.Tensor) -> bool:
    """Whether Triton kernels can run on this tensor: on a CUDA device of Ampere or later, or interpreted.

    Triton's interpreter runs kernels on the CPU where `TRITON_INTERPRET=1` stood before they were decorated.
    """
    if like.device.type == "cuda":
        return torch.cuda.get_device_capability(like.device) >= (8, 0)
    return like.device.type == "cpu" and os.environ.get("TRITON_INTERPRET") == "1"


def on_device_of(x: torch.Tensor) -> AbstractContextManager[object]:
    """Makes the device of x the current one, on which Triton launches whatever its tensors are on."""
    return torch.cuda.device(x.device) if x.is_cuda else nullcontext()
