"""Sequences longer than fit: in chunks with the state carried on, or in windows that overlap.

The first equals one pass. The second is an approximation of it, for models that carry no state, or none of
fixed size, or no further than their `l_max`: what a base sees ends with its window.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
import torch

from genoseq.errors import ConfigError, SequenceError
from genoseq.models.backbone import Backbone, StreamingBackbone
from genoseq.sequence import Letters
from genoseq.tokenizers import Tokenizer

if TYPE_CHECKING:
    from genoseq.models.base import SequenceModel

Item = TypeVar("Item")


class Window(NamedTuple):
    """A stretch the model reads at once, [start, end), of which [first, last) are answered for."""

    start: int
    first: int
    last: int
    end: int


@dataclass(frozen=True)
class Reading:
    """How a model reads a sequence in parts; made by `plan_reading`.

    Attributes:
        chunk_length: bases answered for at a time.
        context: bases that each of them sees at least, or all there are; None where a state is carried on,
            and each sees what it sees in one pass.
        both_sides: they are seen before it and behind it; else before it only.
        growing: the state is the larger, the longer the sequence.
    """

    chunk_length: int
    context: int | None = None
    both_sides: bool = False
    growing: bool = False

    def windows(self, num_bases: int) -> Iterator[Window]:
        """Stretches that answer for each base exactly once, in order.

        Where a state is carried they follow each other. Else all are of one length, that of the sequence if
        it is shorter: the first answers for all but the bases behind which it ends too soon, the last is
        moved back to end with the sequence.
        """
        before = self.context or 0
        behind = before if self.both_sides else 0
        width = before + self.chunk_length + behind
        first = 0
        while first < num_bases:
            if self.context is None:
                start, last = first, min(first + self.chunk_length, num_bases)
                end = last
            else:
                end = min(max(width, first + self.chunk_length + behind), num_bases)
                start = max(0, end - width)
                last = end if end == num_bases else end - behind
            yield Window(start, first, last, end)
            first = last

    def describe(self) -> str:
        """In words, for whoever reads the result."""
        chunks = f"chunks of {self.chunk_length:,} bases"
        if self.context is None:
            memory = "which grows with the sequence" if self.growing else "which is of fixed size"
            return f"{chunks}, as one pass: the model's state is carried on, {memory}"
        sides = "before and behind it" if self.both_sides else "before it"
        return (
            f"{chunks}, an approximation of one pass: each base sees {self.context:,} bases {sides} or more, "
            "or all there are"
        )


def plan_reading(model: SequenceModel, *, chunk_length: int | None, context: int | None) -> Reading | None:
    """How a model reads with these settings; None where it reads whole sequences at once.

    Args:
        model: with a tokenizer of single nucleotides.
        chunk_length: bases answered for at a time; None for all at once.
        context: bases read again on each side of a chunk that the model looks to; None to carry its state.

    Raises:
        ConfigError: a setting below 1 or that does not go with the model or the other one.
        SequenceError: tokens are not single nucleotides.
    """
    if chunk_length is None:
        if context is not None:
            raise ConfigError(f"context={context} is read around chunks: give chunk_length= too.")
        return None
    if chunk_length < 1:
        raise ConfigError(f"chunk_length={chunk_length}: give 1 base or more.")
    tokenizer = require_tokens_of_bases(model)
    backbone = model.backbone
    if context is None:
        _require_state(backbone)
        return Reading(chunk_length, growing=not _fixed_memory(backbone))
    if context < 1:
        raise ConfigError(f"context={context}: give 1 base or more.")
    if _fixed_memory(backbone) and backbone.l_max is None:
        raise ConfigError(
            f"context={context}: {type(backbone).__name__} carries its state on in memory of fixed size, as "
            "if it read all at once. Leave context out."
        )
    reading = Reading(chunk_length, context, both_sides=not backbone.causal)
    _require_windows_fit(backbone, tokenizer, reading)
    return reading


def require_tokens_of_bases(model: SequenceModel) -> Tokenizer:
    """The tokenizer of a model that reads single nucleotides.

    Raises:
        ConfigError: the model has none.
        SequenceError: its tokens are others.
    """
    if model.tokenizer is None:
        raise ConfigError("this model has no tokenizer: give it one, or call its backbone with token ids.")
    # A vocabulary without them says so.
    assert len(model.tokenizer.base_ids)
    return model.tokenizer


def encode_part(tokenizer: Tokenizer, letters: Letters, start: int, end: int) -> np.ndarray:
    """Token ids (end - start,) of the letters from `start` to `end`.

    Raises:
        SequenceError: there are characters that are no letters.
    """
    try:
        return tokenizer.encode(letters[start:end], add_special_tokens=False)
    except SequenceError as error:
        raise SequenceError(f"from base {start:,} on: {error}" if start else str(error)) from error


def window_tokens(model: SequenceModel, letters: Letters, windows: Sequence[Window]) -> torch.Tensor:
    """What a model reads of windows of one length, (B, L): letters between special tokens, as in training.

    A causal model has no use for those behind.
    """
    tokenizer = require_tokens_of_bases(model)
    prefix, suffix = _frame(model.backbone, tokenizer)
    rows = [
        np.concatenate([prefix, encode_part(tokenizer, letters, window.start, window.end), suffix])
        for window in windows
    ]
    return torch.from_numpy(np.stack(rows)).to(model.device)


def first_state(model: SequenceModel, backbone: StreamingBackbone, num_bases: int) -> list[Any]:
    """The state before a sequence, with room for it.

    Raises:
        SequenceError: there are no bases, or more than the model takes.
    """
    length = len(require_tokens_of_bases(model).prefix_ids) + num_bases
    if backbone.l_max is not None and length > backbone.l_max:
        raise SequenceError(
            f"{length:,} tokens; this model carries its state over at most {backbone.l_max:,}. Give context= "
            "to read in windows that overlap."
        )
    with torch.inference_mode():
        return backbone.init_state(1, max_length=length)


def require_bases(letters: Letters) -> None:
    """Refuse a sequence without any.

    Raises:
        SequenceError: it is empty.
    """
    if not len(letters):
        raise SequenceError("the sequence is empty: there is no base to read. Remove it.")


def batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Consecutive items, `size` at a time.

    Raises:
        ConfigError: a size below 1.
    """
    if size < 1:
        raise ConfigError(f"batch_size={size} has to be at least 1.")
    stream = iter(items)
    while batch := list(islice(stream, size)):
        yield batch


def _fixed_memory(backbone: Backbone) -> bool:
    return isinstance(backbone, StreamingBackbone) and backbone.fixed_memory


def _require_state(backbone: Backbone) -> None:
    if not isinstance(backbone, StreamingBackbone):
        raise ConfigError(
            f"{type(backbone).__name__} carries no state from chunk to chunk. Give context= too, the bases "
            "that are read again on each side of a chunk."
        )


def _require_windows_fit(backbone: Backbone, tokenizer: Tokenizer, reading: Reading) -> None:
    assert reading.context is not None
    special = sum(len(ids) for ids in _frame(backbone, tokenizer))
    sides = 2 if reading.both_sides else 1
    length = reading.chunk_length + sides * reading.context + special
    if backbone.l_max is not None and length > backbone.l_max:
        raise ConfigError(
            f"chunk_length={reading.chunk_length} with context={reading.context} makes windows of {length:,} "
            f"tokens, special ones included; this model takes at most {backbone.l_max:,}."
        )


def _frame(backbone: Backbone, tokenizer: Tokenizer) -> tuple[np.ndarray, np.ndarray]:
    """Special tokens before and behind a window."""
    behind = tokenizer.suffix_ids
    return tokenizer.prefix_ids, behind[:0] if backbone.causal else behind
