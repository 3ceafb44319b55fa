"""The opposite strand of token ids, for vocabularies in which each token's reverse complement is a token."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from genoseq.sequence import reverse_complement
from genoseq.tokenizers.base import Ids


def complement_table(vocabulary: Sequence[str], has_no_letters: np.ndarray) -> np.ndarray:
    """(V,) int64: the reverse complement of each token; itself where it has no letters, (V,) bool."""
    id_of = {token: index for index, token in enumerate(vocabulary)}
    return np.array(
        [
            index if without else id_of[reverse_complement(token)]
            for index, (token, without) in enumerate(zip(vocabulary, has_no_letters, strict=True))
        ]
    )


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
    source = turned_places(~torch.as_tensor(is_frame, device=ids.device)[rows])
    table = torch.as_tensor(complement, device=ids.device)
    return table[rows.gather(-1, source)].to(ids.dtype)


def turned_places(is_content: torch.Tensor) -> torch.Tensor:
    """For each place of a row, the place whose token comes there when the row is turned.

    Turning twice gives every token its own place again: the same places bring what was computed for the other
    strand into the order of the given one.

    Args:
        is_content: (..., L) bool; what is False at the two ends of a row stays where it is.

    Returns:
        (..., L) int64.
    """
    length = is_content.shape[-1]
    places = torch.arange(length, device=is_content.device).expand(is_content.shape)
    if length == 0:
        return places
    content = is_content.to(torch.uint8)
    leading = content.argmax(-1, keepdim=True)
    trailing = content.flip(-1).argmax(-1, keepdim=True)
    inside = (places >= leading) & (places < length - trailing) & is_content.any(-1, keepdim=True)
    return torch.where(inside, leading + length - 1 - trailing - places, places)
