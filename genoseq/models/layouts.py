"""What the hub asks of an official layout: whether a folder has it, how it is read, how it is written."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import torch

from genoseq.errors import CheckpointError
from genoseq.models.heads import LanguageModelHead
from genoseq.nn.materialize import Values

if TYPE_CHECKING:
    from genoseq.models.base import SequenceModel

_LAYER = re.compile(r".*?\blayers?\.\d+\.")

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


def renamed(name: str, outer: Mapping[str, str], inner: Mapping[str, str]) -> str:
    """A tensor's name in another layout.

    Args:
        name: its name.
        outer: other beginnings of names; that of the layers, too, up to their number.
        inner: other beginnings of what stands behind a layer's number.
    """
    layer = _LAYER.match(name)
    if layer is None:
        return with_start_changed(name, outer)
    return with_start_changed(layer[0], outer) + with_start_changed(name[layer.end() :], inner)


def with_start_changed(name: str, table: Mapping[str, str]) -> str:
    """A name with the first of the beginnings in the table that it has replaced."""
    for old, new in table.items():
        if name.startswith(old):
            return new + name.removeprefix(old)
    return name


def is_classifier(
    config: Mapping[str, Any], tensors: Tensors, head: HeadChoice | None, *, score: str, masked: str
) -> bool:
    """Whether the classifier of an official checkpoint is wanted, or the only head there.

    Args:
        config: its architectures may tell.
        tensors: by their official names.
        head: the wanted one.
        score: a tensor of the classifier.
        masked: what the names of the masked language model's begin with.
    """
    if head is not None:
        return head == "sequence"
    named = " ".join(config.get("architectures") or ())
    alone = score in tensors and not any(name.startswith(masked) for name in tensors)
    return "SequenceClassification" in named or alone


def rotation(config: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of the rotary embedding, of any version of transformers, among those of the config.

    Raises:
        CheckpointError: it is scaled.
    """
    rope = {**config, **(config.get("rope_parameters") or config.get("rope_scaling") or {})}
    if rope.get("rope_type", "default") != "default":
        raise CheckpointError(f"config.json: rope_type={rope['rope_type']!r}; only the default one is read.")
    return rope


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
