"""The opposite strand of token ids, for vocabularies in which each token's reverse complement is a token."""

from __future__ import annotations

import numpy as np
import torch

from genoseq.tokenizers.base import Ids


def reverse_complement_by_table(ids: Ids, complement: np.ndarray, is_frame: np.ndarray) -> Ids:
    """Turn every row and complement its tokens; what frames a row stays at its ends.

    Args:
        ids: (..., L) integers, each a valid id.
        complement: (V,) integers, the id of the reverse complement of each token.
        is_frame: (V,) bool, the tokens that keep their places where they lead or end a row, as padding does.

    Returns:
        The same type, shape, dtype and device.
    """
    if isinstance(ids, np.ndarray):
        turned = reverse_complement_by_table(torch.from_numpy(ids.astype(np.int64)), complement, is_frame)
        return turned.numpy().astype(ids.dtype, copy=False)
    rows = ids.long()
    source = _turned_positions(~torch.as_tensor(is_frame, device=ids.device)[rows])
    table = torch.as_tensor(complement, device=ids.device)
    return table[rows.gather(-1, source)].to(ids.dtype)


def _turned_positions(is_content: torch.Tensor) -> torch.Tensor:
    """(..., L) int64: for each place, the place whose token comes there; frames at the ends stay."""
    length = is_content.shape[-1]
    places = torch.arange(length, device=is_content.device).expand(is_content.shape)
    if length == 0:
        return places
    content = is_content.to(torch.uint8)
    leading = content.argmax(-1, keepdim=True)
    trailing = content.flip(-1).argmax(-1, keepdim=True)
    inside = (places >= leading) & (places < length - trailing) & is_content.any(-1, keepdim=True)
    return torch.where(inside, leading + length - 1 - trailing - places, places)
