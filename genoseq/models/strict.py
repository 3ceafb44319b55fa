"""Loading that leaves no tensor of either side unnamed."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import nn

from genoseq.errors import CheckpointError
from genoseq.nn.materialize import Rows, Values, set_values, whole_state


def shared_names(module: nn.Module) -> list[list[str]]:
    """Names in the state dict that stand for one tensor, in groups of two or more."""
    groups: dict[int, list[str]] = {}
    for name, tensor in module.state_dict(keep_vars=True).items():
        groups.setdefault(id(tensor), []).append(name)
    return [names for names in groups.values() if len(names) > 1]


def unique_state(module: nn.Module) -> dict[str, torch.Tensor]:
    """The state dict with each shared tensor under its first name alone; see also `whole_state`."""
    repeated = {name for names in shared_names(module) for name in names[1:]}
    return {name: tensor for name, tensor in whole_state(module).items() if name not in repeated}


def load_strictly(
    module: nn.Module,
    tensors: Values,
    *,
    source: str,
    derivable: Collection[str] = (),
) -> None:
    """Copy tensors into a module; into one on the meta device once it has memory.

    One name of a shared tensor is enough; several must agree.

    Args:
        module: what to fill.
        tensors: by the names of the module's state dict.
        source: where they come from, for the message.
        derivable: names that may be missing, since the constructor has already made their values.

    Raises:
        CheckpointError: names every tensor that is missing, unexpected, misshapen or in contradiction.
    """
    expected = module.state_dict()
    complete: dict[str, torch.Tensor | Rows] = dict(tensors)
    problems = []
    for names in shared_names(module):
        given = [name for name in names if name in tensors]
        problems += [
            f"contradicting: {name} differs from {given[0]}, which it is tied to"
            for name in given[1:]
            if _differ(tensors[name], tensors[given[0]])
        ]
        complete |= {name: tensors[given[0]] for name in names if given and name not in tensors}
    made = {name: expected[name] for name in derivable if name not in complete}
    complete |= made
    problems += [f"missing: {name} {_shape(expected[name])}" for name in expected if name not in complete]
    problems += [f"unexpected: {name} {_shape(complete[name])}" for name in complete if name not in expected]
    problems += [
        f"misshapen: {name} {_shape(complete[name])}, wanted {_shape(tensor)}"
        for name, tensor in expected.items()
        if name in complete and complete[name].shape != tensor.shape
    ]
    if problems:
        listed = "\n  ".join(problems)
        raise CheckpointError(
            f"{source} does not fit its config, tensor by tensor:\n  {listed}\n"
            "Use the config.json that belongs to these weights, or name the family of the model."
        )
    set_values(module, {name: complete[name] for name in complete if name not in made})


def _differ(a: torch.Tensor | Rows, b: torch.Tensor | Rows) -> bool:
    """Other values; another shape is reported for itself."""
    a, b = (x.joined() if isinstance(x, Rows) else x for x in (a, b))
    return a.shape == b.shape and not torch.equal(a, b)


def _shape(tensor: torch.Tensor | Rows) -> str:
    return str(tuple(tensor.shape))
