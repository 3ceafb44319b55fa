"""What the hub asks of an official layout: whether a folder has it, how it is read, how it is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import torch

from genoseq.errors import CheckpointError
from genoseq.models.heads import LanguageModelHead
from genoseq.nn.materialize import Values

if TYPE_CHECKING:
    from genoseq.models.base import SequenceModel

HeadChoice = Literal["language_model", "sequence"]
Tensors = Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class OfficialModel:
    """An official checkpoint in our words.

    Attributes:
        arguments: of the backbone's constructor.
        head_type: key of the table of heads.
        head_arguments: of the head's constructor, the backbone aside.
        tensors: by the names of our modules; what the checkpoint has beyond them stays, to be reported.
        preprocessing: see `SequenceModel`.
    """

    arguments: dict[str, Any]
    head_type: str
    head_arguments: dict[str, Any]
    tensors: Values
    preprocessing: dict[str, Any] = field(default_factory=dict)


class OfficialFiles(NamedTuple):
    """Attributes:
    config: what config.json shall hold.
    tensors: by their official names.
    """

    config: dict[str, Any]
    tensors: dict[str, torch.Tensor]


@dataclass(frozen=True)
class OfficialLayout:
    """One way in which a family was released.

    Attributes:
        name: what `export` calls it: `original` for the authors' own release, `hf` for that of transformers.
        recognises: whether a config.json is of this layout.
        read: config, tensors by their official names, and the wanted head (None for the one that is there)
            to our words. Raises CheckpointError for what the family has no place for.
        write: a model to what the files shall hold. Raises CheckpointError where the layout has no place for
            it.
        pickled: weights go to `weights.ckpt`, as Lightning writes them, instead of `model.safetensors`.
    """

    name: str
    recognises: Callable[[Mapping[str, Any]], bool]
    read: Callable[[Mapping[str, Any], Tensors, HeadChoice | None], OfficialModel]
    write: Callable[[SequenceModel], OfficialFiles]
    pickled: bool = False


def translate(
    config: Mapping[str, Any],
    names: Mapping[str, str],
    *,
    fixed: Mapping[str, Any],
    silent: frozenset[str],
    where: str = "config.json",
) -> dict[str, Any]:
    """Settings of an official config by our names.

    Args:
        config: the official settings.
        names: ours of theirs.
        fixed: settings that would change the function if they had another value than this.
        silent: settings that change nothing.
        where: for the message.

    Raises:
        CheckpointError: a setting that is none of these, or a fixed one of another value.
    """
    unknown = [key for key in config if key not in names and key not in fixed and key not in silent]
    unknown += [key for key, value in fixed.items() if config.get(key, value) != value]
    if unknown:
        listed = ", ".join(f"{key}={config[key]!r}" for key in sorted(unknown))
        raise CheckpointError(
            f"{where}: this genoseq has no place for {listed}: the model would be another function."
        )
    return {ours: config[theirs] for theirs, ours in names.items() if theirs in config}


def require_language_model(model: SequenceModel, layout: str) -> LanguageModelHead:
    """The head of a language model.

    Raises:
        CheckpointError: the model has another one.
    """
    if not isinstance(model.head, LanguageModelHead):
        raise CheckpointError(
            f"the {layout} layout has no place for a {type(model.head).__name__}; it takes a language model."
        )
    return model.head
