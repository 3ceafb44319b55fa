"""How a convolution of some length is cut into tiles, and the tables its transforms use."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import torch

from genoseq_kernels.fft_conv.triton_impl.transform import REST
from genoseq_kernels.rows import ALIGNMENT, have_room

MAX_LENGTH = 32 * 2**19
MAX_MIDDLE_LENGTH = 32 * 2**8
MAX_SHORT_LENGTH = 32 * 2**6

_LONG_RADICES = {
    8: (1, 16, 16),
    9: (1, 16, 32),
    10: (1, 32, 32),
    11: (1, 32, 64),
    12: (16, 16, 16),
    13: (16, 16, 32),
    14: (16, 32, 32),
    15: (32, 32, 32),
    16: (32, 32, 64),
    17: (64, 32, 64),
    18: (64, 64, 64),
    19: (128, 64, 64),
}
"""Radices (B, P, Q) whose product is 2**exponent; the last radix, A, is any number up to 32."""


class Tile(NamedTuple):
    """Size of what one program works on.

    Attributes:
        points: complex numbers.
        warps: of the program; more where a transform does not fit the points.
        registers: the most a thread may take, so that more programs run side by side; None for any number.
    """

    points: int
    warps: int
    registers: int | None = None


class Configuration(NamedTuple):
    """What may be tuned.

    Attributes:
        parts: float16 numbers that a factor of a product is made of: 2 for float32, 1 for 16-bit types.
        columns: tile of the first and last pass.
        rows: tile of the second pass, up to rows of 1,024 points, of one batch entry.
        large: tile of longer rows, of several entries, whose filter stays in registers beside them, and of
            short lengths.
    """

    parts: int
    columns: Tile
    rows: Tile
    large: Tile


FULL = (
    Configuration(2, Tile(4096, 8, 128), Tile(2048, 4), Tile(2048, 4)),
    Configuration(2, Tile(4096, 8), Tile(2048, 4), Tile(2048, 4)),
)
HALF = (
    Configuration(1, Tile(8192, 8, 128), Tile(1024, 1), Tile(2048, 4)),
    Configuration(1, Tile(4096, 8), Tile(1024, 1), Tile(2048, 4)),
)
"""For rows that start at 16 bytes and transforms of 32 x 32 points; and for others, whose many addresses or
large matrices do not fit the first's registers."""
_WHOLE = {1: Tile(512, 1, 128), 2: Tile(512, 1)}
"""By parts, a warp's share of the program that holds a channel of a middle length."""


def configurations(dtype: torch.dtype) -> tuple[Configuration, ...]:
    """All that a dtype may run with."""
    return FULL if dtype == torch.float32 else HALF


def chosen(u: torch.Tensor) -> Configuration:
    """The faster on an H100: a rule and not a timing at the first call, so that a resumed run computes the
    same numbers."""
    aligned = u.shape[-1] % ALIGNMENT == 0 or have_room(u)
    return configurations(u.dtype)[0 if aligned and u.shape[-1] <= 2**21 else 1]


class Cut(NamedTuple):
    """Windows that a long sequence is cut into where the filter is short (overlap-save); else one window.

    Attributes:
        points: of a window, at most.
        windows: their number.
        hop: results that a window gives: neighbours begin so many positions apart.
        lead: positions before these that a window begins at, K - 1.
    """

    points: int
    windows: int
    hop: int
    lead: int

    @classmethod
    def of(cls, length: int, taps: int, mode: str) -> Cut:
        """As small windows as waste little. A causal filter alone is cut."""
        if mode != "causal" or length <= MAX_SHORT_LENGTH or taps > MAX_SHORT_LENGTH // 2:
            return cls(length, windows=1, hop=length, lead=0)
        points = min(MAX_SHORT_LENGTH, max(1024, _power_of_two(4 * taps)))
        hop = points - taps + 1
        return cls(points, -(-length // hop), hop, lead=taps - 1)


class Plan(NamedTuple):
    """A transform of `points` >= L complex numbers, points = radix * inner * columns.

    Position n stands at (n // columns, n % columns). Up to `MAX_SHORT_LENGTH` there is one column, and one
    kernel does everything. Else a first pass transforms columns in tiles (pad, width, inner), where the radix
    is padded by zeros; its frequencies are rows, which a second pass transforms `block` at a time, in tiles
    (P, block, Q). Up to `MAX_MIDDLE_LENGTH` one kernel makes both passes of a channel, which it holds whole.

    Attributes:
        parts: as in `Configuration`.
        radix: A, any number up to `pad`.
        pad: the power of two at or above it, at least 16.
        inner: B.
        width: columns, or for short lengths channels, of a tile of the first pass.
        column_warps, column_registers: of its programs.
        row_radices: (P, Q), columns = P * Q; (1, 1) for short lengths.
        block: rows of a tile of the second pass.
        row_warps, row_registers: of its programs.
        whole: tile of the kernel that makes both passes; None where there is a kernel for each.
    """

    parts: int
    radix: int
    pad: int
    inner: int
    width: int
    column_warps: int
    column_registers: int | None
    row_radices: tuple[int, int]
    block: int
    row_warps: int
    row_registers: int | None
    whole: Tile | None = None

    @property
    def columns(self) -> int:
        return self.row_radices[0] * self.row_radices[1]

    @property
    def points(self) -> int:
        return self.radix * self.inner * self.columns

    @property
    def short(self) -> bool:
        return self.columns == 1

    @property
    def rows(self) -> int:
        return self.radix * self.inner

    @property
    def blocks(self) -> int:
        return -(-self.rows // self.block)

    @property
    def spectrum_size(self) -> int:
        """Numbers in one filter's spectrum: two planes, the same for every configuration."""
        return 2 * self.pad * self.inner if self.short else 2 * self.points

    @property
    def plane(self) -> int:
        """Numbers in a plane of a row of scratch memory."""
        return self.blocks * self.block * self.columns

    @property
    def scratch_dtype(self) -> torch.dtype:
        return torch.float16 if self.parts == 1 else torch.float32

    def column_tables(self, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        return _tables(self.radix, self.pad, self.inner, True, self.parts, device)

    def row_tables(self, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        return _tables(*self.row_radices[:1] * 2, self.row_radices[1], False, self.parts, device)


@lru_cache(maxsize=1024)
def make_plan(
    length: int, configuration: Configuration, *, gradient: bool = False, several: bool = False
) -> Plan:
    """The smallest transform of at least `length` <= `MAX_LENGTH` points, forward or for the gradient, of one
    batch entry or of several."""
    assert 1 <= length <= MAX_LENGTH
    if length > MAX_SHORT_LENGTH:
        plan = long_plan(length, max(8, _exponent(length)), configuration, gradient=gradient, several=several)
        return plan if length > MAX_MIDDLE_LENGTH else plan._replace(whole=_whole(plan))
    tile = configuration.large
    exponent = max(4, _exponent(length))
    radix = -(-length // 2**exponent)
    pad = max(16, _power_of_two(radix))
    width = max(1, tile.points // (pad * 2**exponent))
    return Plan(
        parts=configuration.parts,
        radix=radix,
        pad=pad,
        inner=2**exponent,
        width=width,
        column_warps=_warps(tile, width * pad * 2**exponent),
        column_registers=None,
        row_radices=(1, 1),
        block=1,
        row_warps=tile.warps,
        row_registers=tile.registers,
    )


def long_plan(
    length: int, exponent: int, configuration: Configuration, *, gradient: bool = False, several: bool = False
) -> Plan:
    """Three passes over radix * 2**exponent points, for any length up to 32 * 2**exponent."""
    inner, p, q = _LONG_RADICES[exponent]
    radix = -(-length // 2**exponent)
    pad = max(16, _power_of_two(radix))
    columns = configuration.columns
    rows = configuration.large if several or p * q > 1024 else configuration.rows
    width = max(1, columns.points // (pad * inner))
    # A row of less than 32 bytes a tile of columns, or of more than one warp's registers in the backward, is
    # read faster with its neighbour.
    least = 2 if p * q <= 1024 and (width < 16 or gradient) else 1
    block = min(max(rows.points // (p * q), least), max(16, inner))
    return Plan(
        parts=configuration.parts,
        radix=radix,
        pad=pad,
        inner=inner,
        width=min(p * q, width),
        column_warps=_warps(columns, pad * inner * width),
        column_registers=columns.registers,
        row_radices=(p, q),
        block=block,
        row_warps=_warps(rows, block * p * q),
        row_registers=rows.registers,
    )


def _whole(plan: Plan) -> Tile:
    points, share = plan.pad * plan.columns, _WHOLE[plan.parts]
    return Tile(points, _warps(share, points), share.registers)


def _warps(tile: Tile, points: int) -> int:
    return min(16, tile.warps * max(1, points // tile.points))


@lru_cache(maxsize=256)
def _tables(
    radix: int, pad: int, inner: int, weighted: bool, parts: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Left matrix (parts, 2, pad, pad) and right matrix (parts, 2, inner, inner) of `transform`.

    The matrices are unitary, so that no product overflows in float16. `weighted` adds to the left one its
    share of the right angle's weight; beyond the radix it has zeros.
    """
    rows, columns = torch.arange(radix), torch.arange(inner)
    left = torch.zeros(2, pad, pad, dtype=torch.float64)
    left[:, :radix, :radix] = _roots((4 * rows[:, None] - (1 if weighted else 0)) * rows, radix) / radix**0.5
    right = _roots(4 * columns[:, None] * columns, inner) / inner**0.5
    return _parts(left, parts, device), _parts(right, parts, device)


def _parts(matrices: torch.Tensor, parts: int, device: torch.device) -> torch.Tensor:
    """(parts, ...) of float16, the second what the first left out, `REST` times."""
    high = matrices.to(torch.float16)
    low = ((matrices - high) * REST.value).to(torch.float16)
    return torch.stack([high, low][:parts]).to(device)


def _roots(numerator: torch.Tensor, points: int) -> torch.Tensor:
    """exp(-2 pi i numerator / (4 * points)) as two planes, float64."""
    angle = (numerator % (4 * points)).double() * (torch.pi / 2 / points)
    return torch.stack([angle.cos(), -angle.sin()])


def _exponent(length: int) -> int:
    """The least e with 32 * 2**e >= length."""
    return (-(-length // 32) - 1).bit_length()


def _power_of_two(number: int) -> int:
    return 1 << (number - 1).bit_length()
