"""How each kernel of `ssd` is compiled and launched, by dtype and size of a state."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl

OPERANDS = {torch.float32: tl.float32, torch.bfloat16: tl.bfloat16, torch.float16: tl.float16}
_PIPELINED_STATE = 64 * 128
_USUAL_SIDE = 128


class Launch(NamedTuple):
    """How a kernel is launched.

    Attributes:
        warps: of a program.
        stages: tiles of each matrix in shared memory, the one in use and those loaded ahead.
        registers: a thread may have, where the compiler would take more than so many programs can.
    """

    warps: int
    stages: int = 2
    registers: int | None = None

    def options(self, width: int, size: int) -> dict[str, Any]:
        """For states (size, width): one tile where they are large, and two where they are long, as shared
        memory does not hold more; and no fewer registers there than the compiler takes."""
        width, size = padded_side(width), padded_side(size)
        if width > _USUAL_SIDE or width * size > _PIPELINED_STATE:
            return {"num_warps": self.warps, "num_stages": 1}
        stages = self.stages if size <= _USUAL_SIDE else min(self.stages, 2)
        registers = {} if self.registers is None else {"maxnreg": self.registers}
        return {"num_warps": self.warps, "num_stages": stages, **registers}


class Config(NamedTuple):
    """The sizes of tiles, and how each kernel is launched.

    Attributes:
        chunk: positions of a chunk of the forward pass.
        gradient_chunk: positions of a chunk of the backward pass.
        tile: positions of a tile of pairs: a gradient chunk's or half of it.
        walk: over chunks of the forward pass.
        walk_back: over those of the backward pass, in either direction.
        similarities, scan, pair_gradients, value_gradients, weight_gradients: the kernels of these names.
        weight_gradients_back: in reverse, which reads the states of both directions.
    """

    chunk: int
    gradient_chunk: int
    tile: int
    walk: Launch
    walk_back: Launch
    similarities: Launch
    scan: Launch
    pair_gradients: Launch
    value_gradients: Launch
    weight_gradients: Launch
    weight_gradients_back: Launch


_HALF = Config(
    # A warp has 16 rows: on 64 rows Triton gives eight warps of two products in a row the same rows twice.
    chunk=64, gradient_chunk=128, tile=64, walk=Launch(4, 3, 128), walk_back=Launch(4),
    similarities=Launch(4), scan=Launch(4, 3), pair_gradients=Launch(4, 3), value_gradients=Launch(8, 3),
    weight_gradients=Launch(8, 3), weight_gradients_back=Launch(8, 3),
)  # fmt: skip
CONFIGS = {
    torch.bfloat16: _HALF,
    torch.float16: _HALF,
    # Triton 3.6 gave wrong float32 results and illegal addresses on an H100 where warp-group instructions
    # (wgmma) had 64 rows, eight warps and eight columns. With chunks of 32 they are only made for states, of
    # N rows, and then by four warps.
    torch.float32: Config(
        chunk=32, gradient_chunk=32, tile=32, walk=Launch(4), walk_back=Launch(4), similarities=Launch(4),
        scan=Launch(4), pair_gradients=Launch(8), value_gradients=Launch(8), weight_gradients=Launch(8),
        weight_gradients_back=Launch(8),
    ),
}  # fmt: skip


def constants(dtype: torch.dtype, width: int, size: int, chunk: int, packed: bool) -> dict[str, Any]:
    """What the kernels that walk or make gradients are compiled for."""
    return {
        "P": width,
        "N": size,
        "BLOCK_P": padded_side(width),
        "BLOCK_N": padded_side(size),
        "Q": chunk,
        "PACKED": packed,
        "OPERAND": OPERANDS[dtype],
        "DOT": "tf32x3" if dtype == torch.float32 else "tf32",
    }


def padded_side(size: int) -> int:
    """The smallest side of a tile that holds it."""
    return max(16, triton.next_power_of_2(size))
