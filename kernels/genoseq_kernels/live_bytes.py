"""Bytes of tensors that are alive at once: on real tensors, or on fakes, which take no memory themselves."""

from __future__ import annotations

import weakref
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

Workspace = Callable[[tuple[Any, ...], Any, str], int]
"""Bytes that an operator takes while it runs, beside its results: of (arguments, result, device type)."""

_GRANULE = 512  # what the allocator of CUDA rounds up to


class LiveBytes(TorchDispatchMode):
    """Counts what every operator under it makes, and what is let go, by type of device.

    Args:
        workspaces: by name of operator (`aten::_fft_r2c`).
        device_type: where operators run, for the workspaces; None for where their tensors are.

    Attributes:
        live: bytes now.
        peak: the most so far, workspaces included; see `reset_peak`.
        undeclared: operators of ours whose workspace is not known.
    """

    def __init__(
        self, workspaces: Mapping[str, Workspace] | None = None, *, device_type: str | None = None
    ) -> None:
        super().__init__()
        self.live: dict[str, int] = defaultdict(int)
        self.peak: dict[str, int] = defaultdict(int)
        self.undeclared: set[str] = set()
        self._workspaces = workspaces or {}
        self._device_type = device_type
        self._watched: dict[int, weakref.ref[torch.UntypedStorage]] = {}

    def watch(self, tensors: Any) -> None:
        """Count tensors (in any nest of containers) that were made before."""
        for tensor in tree_leaves(tensors):
            if isinstance(tensor, torch.Tensor):
                self._add(tensor)

    def reset_peak(self) -> None:
        """Count the peak anew from what is alive."""
        self.peak = defaultdict(int, self.live)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        self.watch(result)
        name = func.name().split(".")[0]
        workspace = self._workspaces.get(name)
        if workspace is not None:
            device = next(x.device.type for x in tree_leaves(args) if isinstance(x, torch.Tensor))
            extra = workspace(args, result, self._device_type or device)
            self.peak[device] = max(self.peak[device], self.live[device] + extra)
        elif name.startswith("genoseq::"):
            self.undeclared.add(name)
        return result

    def _add(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._watched:
            return
        device, size = tensor.device.type, -(-storage.nbytes() // _GRANULE) * _GRANULE

        def let_go(_: Any) -> None:
            del self._watched[key]
            self.live[device] -= size

        self._watched[key] = weakref.ref(storage, let_go)
        self.live[device] += size
        self.peak[device] = max(self.peak[device], self.live[device])
