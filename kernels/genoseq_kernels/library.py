"""Operators of torch in our namespace, as `torch.library.custom_op` makes them at a fraction of its Python.

What that costs at every call, and more of it in autograd, is as much as two launches.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

_LIBRARY = torch.library.Library("genoseq", "FRAGMENT")


def operator(function: Callable[..., Any], fake: Callable[..., Any]) -> torch._ops.OpOverload:
    """Defines `genoseq::` and the function's name; its results may not be its arguments.

    Args:
        function: of annotated arguments, for tensors on any device.
        fake: its results' shapes, of the same arguments.
    """
    name = function.__name__
    schema = torch.library.infer_schema(function, mutates_args=())
    _LIBRARY.define(name + schema, tags=(torch.Tag.pt2_compliant_tag,))
    # What is called by a graph that was compiled is not to be compiled again.
    _LIBRARY.impl(name, torch._disable_dynamo(function), "CompositeExplicitAutograd")
    torch.library.register_fake(f"genoseq::{name}", fake, lib=_LIBRARY)
    return getattr(torch.ops.genoseq, name).default


def differentiable(overload: torch._ops.OpOverload, apply: Callable[..., Any]) -> None:
    """Has autograd call this, which gets the operator's arguments, and calls it by `below_autograd`."""
    _LIBRARY.impl(overload, apply, "Autograd")


def below_autograd(overload: torch._ops.OpOverload, *args: Any) -> Any:
    """What an operator gives without a graph."""
    with torch._C._AutoDispatchBelowAutograd():
        return overload(*args)
