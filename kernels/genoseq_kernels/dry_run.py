"""What an operator takes in memory while it runs, from a run of its own code on tensors that have none."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._pytree import tree_leaves, tree_map_only

from genoseq_kernels.live_bytes import LiveBytes, Workspace


def scratch_bytes(
    function: Callable[..., Any],
    args: tuple[Any, ...],
    device_type: str,
    workspaces: Mapping[str, Workspace] | None = None,
) -> int:
    """The peak of a call on a type of device, without its arguments and results.

    Args:
        function: in torch and Triton, whose kernels are not launched; it looks at no value.
        args: tensors, of which shapes, strides and dtypes count, and others.
        device_type: where it would run.
        workspaces: of the operators that it calls, see `LiveBytes`.
    """
    there = next(x.device for x in tree_leaves(args) if isinstance(x, torch.Tensor))
    device = there if there.type == device_type else torch.device("meta")
    with nothing_launched(), FakeTensorMode(), LiveBytes(workspaces, device_type=device_type) as watch:
        empty = tree_map_only(torch.Tensor, lambda x: _weightless(x, device), args)
        given = watch.live[device.type]
        results = tree_leaves(function(*empty))
        kept = sum(x.nbytes for x in results if isinstance(x, torch.Tensor))
        return max(0, watch.peak[device.type] - given - kept)


def own_scratch(operator: Any) -> Workspace:
    """The workspace of an operator made by `torch.library.custom_op`, from its own function.

    Layers of a model call it alike: each kind of call is run once.
    """
    known: dict[tuple[Any, ...], int] = {}

    def workspace(args: tuple[Any, ...], result: Any, device_type: str) -> int:
        key = (device_type, *map(_kind, args))
        if key not in known:
            known[key] = scratch_bytes(operator._init_fn, args, device_type)
        return known[key]

    return workspace


def _kind(given: Any) -> Any:
    """All of an argument that a dry run sees."""
    if isinstance(given, torch.Tensor):
        return given.shape, given.stride(), given.dtype, given.device
    return given


def _weightless(x: torch.Tensor, device: torch.device) -> torch.Tensor:
    return torch.empty_strided(x.shape, x.stride(), dtype=x.dtype, device=device)


@contextmanager
def nothing_launched() -> Iterator[None]:
    """Calls of Triton's kernels do nothing: their results are there before, as tensors."""
    try:
        from triton.runtime.jit import KernelInterface
    except ImportError:
        yield
        return
    launch = KernelInterface.__getitem__
    KernelInterface.__getitem__ = lambda kernel, grid: lambda *args, **options: None
    try:
        yield
    finally:
        KernelInterface.__getitem__ = launch
