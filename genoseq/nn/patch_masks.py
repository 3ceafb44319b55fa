"""Which patches of a recording are hidden from a model that has to fill them in."""

from __future__ import annotations

import math

import torch

from genoseq.errors import ConfigError


def patch_mask(
    batch_size: int,
    num_channels: int,
    length: int,
    *,
    patch_size: tuple[int, int],
    ratio: float,
    seeds: torch.Tensor,
) -> torch.Tensor:
    """Masks of whole patches, another for each item of a batch.

    Args:
        batch_size: B.
        num_channels: C, at least the channels of a patch.
        length: T samples, at least those of a patch.
        patch_size: channels and samples of a patch; what is left over at the ends is never hidden.
        ratio: part of the patches that are hidden, rounded; at least one is, and at least one is not.
        seeds: (B,) integers: an item's mask follows from its own alone.

    Returns:
        (B, C, T) bool, True where hidden.

    Raises:
        ConfigError: a ratio outside (0, 1), or fewer than two patches.
    """
    rows, columns = num_channels // patch_size[0], length // patch_size[1]
    if not 0 < ratio < 1 or rows * columns < 2:
        raise ConfigError(
            f"mask ratio {ratio} of {rows} x {columns} patches: give a ratio between 0 and 1, and windows of "
            "two patches or more."
        )
    count = min(max(1, round(ratio * rows * columns)), rows * columns - 1)
    hidden = torch.zeros(batch_size, rows * columns, dtype=torch.bool)
    for row, seed in zip(hidden, seeds.tolist(), strict=True):
        order = torch.randperm(len(row), generator=torch.Generator().manual_seed(seed))
        row[order[:count]] = True
    patches = hidden.view(batch_size, rows, columns)
    spread = patches.repeat_interleave(patch_size[0], 1).repeat_interleave(patch_size[1], 2)
    ends = (0, length - columns * patch_size[1], 0, num_channels - rows * patch_size[0])
    assert math.prod(spread.shape[1:]) == rows * columns * math.prod(patch_size)
    return torch.nn.functional.pad(spread, ends)
