"""Sequences longer than a backbone takes, read in windows whose hidden states stand under one head."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch.nn import functional as F

from genoseq.errors import ConfigError
from genoseq.models.backbone import Backbone
from genoseq.models.heads import Head, SequenceHead, TokenHead


class Windows(NamedTuple):
    """Attributes:
    length: tokens of a window.
    stride: tokens from the start of one to that of the next, at most `length`; where it is less, tokens are
        read more than once, and a pooled prediction counts each time.
    """

    length: int
    stride: int


def windows_of(preprocessing: dict[str, Any], head: Head, *, passes: int) -> Windows | None:
    """The windows that a model was trained with; None where it reads sequences whole.

    Raises:
        ConfigError: windows of no token, that leave tokens out, that overlap under a head of tokens, under a
            head of another kind, or with sequences that are given twice.
    """
    length = preprocessing.get("window")
    if length is None:
        return None
    stride = preprocessing.get("window_stride") or length
    given = f"window={length}, window_stride={stride}"
    if not 1 <= stride <= length:
        raise ConfigError(f"{given}: give a window of 1 token or more, and a stride of 1 to the window.")
    if not isinstance(head, SequenceHead | TokenHead):
        raise ConfigError(f"{given}: windows are for predictions of labels, not for {type(head).__name__}.")
    if isinstance(head, TokenHead) and stride != length:
        raise ConfigError(f"{given}: a head of tokens predicts each once: give no window_stride.")
    if passes > 1:
        raise ConfigError(f"{given}: sequences that are given twice are read whole. Give strands=average.")
    return Windows(length, stride)


def read_in_windows(
    backbone: Backbone, input_ids: torch.Tensor, mask: torch.Tensor | None, windows: Windows
) -> tuple[torch.Tensor, torch.Tensor]:
    """Hidden states of all windows of a batch, each read by itself.

    Args:
        backbone: takes `windows.length` tokens.
        input_ids: (B, L) integers, L above `windows.length`.
        mask: (B, L) bool, False at padding; None where there is none.
        windows: how they are cut.

    Returns:
        (B, W * length, D) hidden states, those of windows that hold no token being zeros, and (B, W * length)
        bool which of them are of tokens. With no overlap the first L are those of the tokens in their order.
    """
    batch, total = input_ids.shape
    length, stride = windows
    count = -(-max(total - length, 0) // stride) + 1
    missing = (count - 1) * stride + length - total
    real = torch.ones_like(input_ids, dtype=torch.bool) if mask is None else mask
    ids = F.pad(input_ids, (0, missing)).unfold(1, length, stride).reshape(batch * count, length)
    real = F.pad(real, (0, missing)).unfold(1, length, stride).reshape(batch * count, length)
    rows = real.any(dim=1)
    part = backbone(ids[rows], real[rows]).last_hidden_state
    hidden = part.new_zeros(batch * count, length, part.shape[-1])
    hidden = hidden.index_copy(0, rows.nonzero()[:, 0], part)
    return hidden.view(batch, count * length, -1), real.reshape(batch, count * length)
