"""Calling a constructor with arguments that came from a file."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from genoseq.errors import CheckpointError, ConfigError


def construct(component: type[Any], *args: Any, **arguments: Any) -> Any:
    """An object of a class with the arguments that a config.json gives.

    Raises:
        CheckpointError: the class takes others.
    """
    try:
        inspect.signature(component).bind(*args, **arguments)
    except TypeError as error:
        raise CheckpointError(
            f"config.json: the arguments of {component.__name__} do not fit: {error}."
        ) from error
    return component(*args, **arguments)


def changed(component: type[Any], given: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a config with those that the caller wants instead.

    Raises:
        ConfigError: the class has no such argument.
    """
    taken = inspect.signature(component).parameters
    unknown = [name for name in wanted if name not in taken]
    if unknown:
        raise ConfigError(
            f"arguments: {component.__name__} has no {', '.join(unknown)}; it takes {', '.join(taken)}."
        )
    return {**given, **wanted}
