"""The outputs of a head by their names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from genoseq.errors import ConfigError
from genoseq.models.base import SequenceModel
from genoseq.models.heads import SequenceHead


def output_names(preprocessing: Mapping[str, Any], count: int) -> list[str]:
    """What the outputs are called: as in training, or by their numbers.

    Args:
        preprocessing: of the model.
        count: of its outputs.
    """
    return [str(name) for name in preprocessing.get("classes") or range(count)]


def chosen_output(model: SequenceModel, head: SequenceHead, target: str | None) -> int:
    """Number of the output that a target names.

    Args:
        model: it knows their names.
        head: its own.
        target: a name; None for the second of two classes, or the only output.

    Raises:
        ConfigError: there is no such output, or there are several and none is named.
    """
    names = output_names(model.preprocessing, head.num_outputs)
    if target is not None:
        if str(target) not in names:
            raise ConfigError(f"target={target}: this model predicts {', '.join(names)}. Give one of these.")
        return names.index(str(target))
    if len(names) == 1 or (head.problem == "single_label" and len(names) == 2):
        return len(names) - 1
    raise ConfigError(f"this model predicts {', '.join(names)}: say which as target=.")
