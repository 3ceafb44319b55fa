"""A model to learn from, and what it and a student are shown of a batch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.nn import functional as F

from genoseq.errors import ConfigError
from genoseq.models import SequenceModel
from genoseq.models.hub import load_sequence_model
from genoseq.paths import locate
from genoseq.tokenizers import Tokenizer, choose_hidden_groups, mean_map, touches


class Teacher:
    """A frozen model, in eval mode, that is no part of what is trained, averaged or saved.

    Args:
        path: what `genoseq.load` takes.

    Attributes:
        model: it.
        name: the path, for messages.
        tokenizer: its own.
        width: of its features.
        l_max: the most tokens that it takes; None without a limit.

    Raises:
        CheckpointError: it cannot be read.
        ConfigError: it has no tokenizer.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        model = load_sequence_model(locate(path)).requires_grad_(False)
        if model.tokenizer is None:
            raise ConfigError(
                f"task.teacher={path} is a {type(model.backbone).__name__}, which reads no nucleotides "
                "(it has no tokenizer): give a teacher of DNA."
            )
        self.name = str(path)
        self.tokenizer: Tokenizer = model.tokenizer
        self.width = model.backbone.d_model
        self.l_max = model.backbone.l_max
        self.model: SequenceModel = model

    @torch.no_grad()
    def features(self, input_ids: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """(B, T, D) float32 states of its last layer, normalised at each token, where `input_ids` are."""
        if self.model.device != input_ids.device:
            self.model.to(input_ids.device)
        states = self.model.backbone(input_ids, mask).last_hidden_state
        return F.layer_norm(states.float(), states.shape[-1:])

    def rehearse(self, input_ids: torch.Tensor) -> torch.Tensor:
        """Features of the most tokens that so many bases (B, L) may be: to count their memory."""
        known = self.tokenizer.known_ids
        length = -(-input_ids.shape[1] // int(self.tokenizer.num_bases[known].min()))
        return self.features(input_ids.new_zeros(len(input_ids), length), None)

    def __deepcopy__(self, memo: dict[int, Any]) -> Teacher:
        """Itself: an average of the student's weights needs no second one."""
        return self


class View(NamedTuple):
    """What teacher and student are shown of a batch, and which of their tokens belong together.

    Tokens of a batch are counted row after row, padding included.

    Attributes:
        hidden: (B, L) bool, what the student does not see.
        places: (B, Q) positions of these tokens in their rows, filled up with 0.
        asked: (B, Q) bool, False where they were filled up.
        teacher_ids: (B, T) the teacher's tokens, hidden ones included.
        teacher_hidden: (B, T) bool, what the teacher does not see.
        teacher_mask: (B, T) bool, False at padding; None where there is none.
        compared: (N,) numbers of the visible tokens of the teacher.
        rows, columns, weights: (E,) the student's features at the compared tokens: number `rows` of them
            takes `weights` of the student's token number `columns`.
    """

    hidden: torch.Tensor
    places: torch.Tensor
    asked: torch.Tensor
    teacher_ids: torch.Tensor
    teacher_hidden: torch.Tensor
    teacher_mask: torch.Tensor | None
    compared: torch.Tensor
    rows: torch.Tensor
    columns: torch.Tensor
    weights: torch.Tensor

    def to(self, device: torch.device) -> View:
        """The same on a device."""
        return View._make(x if x is None else x.to(device) for x in self)


def view(
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor | None,
    student: Tokenizer,
    teacher: Tokenizer,
    *,
    group_size: int,
    fraction: float,
    generators: Sequence[np.random.Generator],
) -> View:
    """Hide groups of the teacher's tokens from both, and find which tokens have the same bases.

    Args:
        input_ids: (B, L) on the CPU, of the student's tokenizer.
        attention_mask: (B, L) bool, or None.
        student, teacher: the tokenizers; the teacher reads what the student's tokens stand for, without
            special tokens.
        group_size, fraction: of the groups, see `choose_hidden_groups`.
        generators: one a row, the source of its choice.
    """
    mask = torch.ones_like(input_ids, dtype=torch.bool) if attention_mask is None else attention_mask
    tokens, own, its, hidden, length = [], [], [], [], 0
    for row, real, generator in zip(input_ids, mask, generators, strict=True):
        ids = row[real].numpy()
        letters = student.decode(ids)
        tokens.append(teacher.encode(letters, add_special_tokens=False))
        of, to = student.offsets(ids, len(letters)), teacher.offsets(tokens[-1], len(letters))
        bases = choose_hidden_groups(
            to, of, len(letters), group_size=group_size, fraction=fraction, generator=generator
        )
        # From here on, the rows are one sequence.
        own.append(of + length)
        its.append(to + length)
        hidden.append(bases)
        length += len(letters)
    padded = teacher.pad(tokens)
    of, to, bases = np.concatenate(own), np.concatenate(its), np.concatenate(hidden)
    own_hidden = _spread(touches(of, bases), mask)
    visible = np.flatnonzero(~touches(to, bases) & (to[:, 1] > to[:, 0]))
    table = mean_map(to[visible], of, length).tocoo()
    compared, rows = np.unique(table.row, return_inverse=True)
    places, asked = _places(own_hidden)
    return View(
        hidden=own_hidden,
        places=places,
        asked=asked,
        teacher_ids=padded.input_ids,
        teacher_hidden=_spread(touches(to, bases), padded.attention_mask),
        teacher_mask=None if bool(padded.attention_mask.all()) else padded.attention_mask,
        compared=_numbers(padded.attention_mask)[visible[compared]],
        rows=torch.from_numpy(rows),
        columns=_numbers(mask)[table.col],
        weights=torch.from_numpy(table.data).float(),
    )


def _spread(values: np.ndarray, mask: torch.Tensor) -> torch.Tensor:
    """(B, L) bool: values of real tokens, row after row, at their places; False at padding."""
    return torch.zeros_like(mask).masked_scatter(mask, torch.from_numpy(values))


def _numbers(mask: torch.Tensor) -> torch.Tensor:
    """The numbers of real tokens among all, padding included."""
    return torch.nonzero(mask.flatten()).squeeze(1)


def _places(hidden: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(B, Q) positions of hidden tokens (B, L) in each row, filled up with 0, and where they are not."""
    counts = hidden.sum(1, keepdim=True)
    asked = torch.arange(int(counts.max())) < counts
    places = torch.zeros_like(asked, dtype=torch.int64)
    return places.masked_scatter(asked, torch.nonzero(hidden)[:, 1]), asked
