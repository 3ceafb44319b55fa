"""Memory and values for a module that was made without them.

Large models are made under `torch.device("meta")`, sharded, given memory part by part, and only then values,
drawn or copied from files. A module that owns parameters or buffers has a `reset_parameters()` that draws
the ones it owns itself, and makes again those that follow from its arguments.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.utils._python_dispatch import TorchDispatchMode

_WAITING = "_waiting_values"


class Rows:
    """Tensors that are one, row after row: joined only where it is copied from.

    Args:
        parts: in order, alike in all axes but the first.
    """

    def __init__(self, *parts: torch.Tensor) -> None:
        self.parts = parts

    @property
    def shape(self) -> torch.Size:
        """Of the whole."""
        return torch.Size([sum(part.shape[0] for part in self.parts), *self.parts[0].shape[1:]])

    def joined(self) -> torch.Tensor:
        """The whole, a copy."""
        return torch.cat(self.parts)


Values = Mapping[str, torch.Tensor | Rows]


def reset_children(module: nn.Module) -> None:
    """Call `reset_parameters()` of everything below a module, the innermost first."""
    for child in module.children():
        child.apply(_reset)


def _reset(module: nn.Module) -> None:
    owned = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
    reset = getattr(module, "reset_parameters", None)
    assert reset is not None or not owned, f"{type(module).__name__} owns tensors and cannot reset them"
    if reset is not None:
        reset()


def set_values(module: nn.Module, values: Values) -> None:
    """Copy whole values, by names of the state dict, into a module whose tensors are whole or in parts.

    For a tensor on the meta device the value waits, where it is, for `materialize`.
    """
    for name, target in module.state_dict().items():
        if name not in values:
            continue
        if not target.is_meta:
            _copy_whole(target, values[name])
            continue
        owner, _, own = name.rpartition(".")
        module.get_submodule(owner).__dict__.setdefault(_WAITING, {})[own] = values[name]


def whole_state(module: nn.Module) -> dict[str, Any]:
    """The state dict, with what waits for a tensor on the meta device in its place."""
    state = {}
    for name, tensor in module.state_dict().items():
        owner, _, own = name.rpartition(".")
        waiting = module.get_submodule(owner).__dict__.get(_WAITING, {})
        state[name] = waiting.get(own, tensor)
    return state


def materialize(module: Any, device: torch.device, *, seed: int) -> None:
    """Memory and values for a module on the meta device, whose tensors are whole or in parts.

    First values are those that its `reset_parameters()` draws from the seed on the CPU, in any number of
    parts: each process draws every tensor as a whole, one at a time, and keeps its part. What was given by
    `set_values` is then copied, part by part too.

    Args:
        module: has `reset_parameters()`.
        device: of the memory.
        seed: of the first values; torch's own random state stays as it is.

    Raises:
        AssertionError: `reset_parameters()` leaves a tensor without values.
    """
    _allocate(module, device)
    with torch.random.fork_rng(devices=[]), torch.no_grad(), _WholeDraws():
        # Not torch.manual_seed, which would seed the devices too.
        torch.default_generator.manual_seed(seed)
        module.reset_parameters()
    _require_values(module)
    for part in module.modules():
        for name, value in part.__dict__.pop(_WAITING, {}).items():
            _copy_whole(getattr(part, name).detach(), value)


class _WholeDraws(TorchDispatchMode):
    """Under it, a tensor that is drawn gets its part of what the whole would be on the CPU, and a tensor in
    parts that takes a copy its part of that."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if torch.Tag.nondeterministic_seeded in func.tags:
            assert func.overloadpacket.__name__.endswith("_"), f"{func}: first values are drawn in place"
            whole = torch.empty(args[0].shape, dtype=args[0].dtype, device="cpu")
            _copy_whole(args[0], func(whole, *args[1:], **kwargs))
            return args[0]
        copies = func is torch.ops.aten.copy_.default
        if copies and isinstance(args[0], DTensor) and not isinstance(args[1], DTensor):
            _copy_whole(args[0], args[1].expand(args[0].shape))
            return args[0]
        return func(*args, **kwargs)


def _copy_whole(target: torch.Tensor, value: torch.Tensor | Rows) -> None:
    whole = value.joined() if isinstance(value, Rows) else value
    if isinstance(target, DTensor):
        # Without a source rank nothing is sent: each process cuts its own part out of its own whole.
        whole = distribute_tensor(whole, target.device_mesh, target.placements, src_data_rank=None)
    target.copy_(whole)


def _allocate(module: nn.Module, device: torch.device) -> None:
    """Memory; what was one tensor in several places stays one, which `to_empty` alone does not see to."""
    places: dict[int, list[tuple[Any, str]]] = {}
    for part in module.modules():
        for table in (part._parameters, part._buffers):
            for name, tensor in table.items():
                if tensor is not None:
                    places.setdefault(id(tensor), []).append((table, name))
    module.to_empty(device=device)
    for tensor in _floats(module).values():
        tensor.fill_(torch.nan)
    for (table, name), *others in places.values():
        for other, its_name in others:
            other[its_name] = table[name]


def _require_values(module: nn.Module) -> None:
    """No tensor may be left as it was allocated: what happens to lie in memory often passes for values."""
    forgotten = [name for name, tensor in _floats(module).items() if _local(tensor).isnan().any()]
    assert not forgotten, f"reset_parameters() of {type(module).__name__} leaves without values: {forgotten}"


def _floats(module: nn.Module) -> dict[str, torch.Tensor]:
    """All parameters and buffers of real or complex numbers, without their gradients, by name."""
    tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    return {
        name: tensor.detach()
        for name, tensor in tensors.items()
        if tensor.is_floating_point() or tensor.is_complex()
    }


def _local(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor
