"""Linear systems of one input and one output a channel: their kernels, and what a state does to them.

x[t] = A x[t-1] + B u[t], y[t] = C x[t], one system of N states for each of H channels. A kernel of L taps is
a product of sqrt(L) rows C A^(iT) and sqrt(L) columns A^j B: memory never holds a state for every position.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch


class System(ABC):
    """A system a channel, in discrete time.

    Attributes:
        B: (H, N).
        C: (H, N).
    """

    B: torch.Tensor
    C: torch.Tensor

    @abstractmethod
    def columns(self, x: torch.Tensor, count: int) -> torch.Tensor:
        """A^j x for j < count: (..., H, N) to (..., H, N, count)."""

    @abstractmethod
    def rows(self, count: int, stride: int) -> torch.Tensor:
        """C A^(i stride) for i < count: (H, count, N)."""

    @abstractmethod
    def apply(self, x: torch.Tensor) -> torch.Tensor:
        """A x: (..., H, N) to the same."""

    @abstractmethod
    def strided(self, stride: int) -> System:
        """The system of A^stride."""

    @abstractmethod
    def leap(self, x: torch.Tensor, steps: torch.Tensor) -> torch.Tensor:
        """A^steps x: x (B, H, N), a number of steps (B,) for each row."""

    @abstractmethod
    def read(self, z: torch.Tensor) -> torch.Tensor:
        """The output that a product of C and a state stands for."""

    def advance(self, x: torch.Tensor, u: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """One position: state (B, H, N) and input (B, H) to output (B, H) and the next state."""
        x = self.apply(x) + self.B * u.unsqueeze(-1)
        return self.read((self.C * x).sum(-1)), x

    def kernel(self, length: int) -> torch.Tensor:
        """C A^t B for t < length: (H, length)."""
        return self._taps(self.B, length)

    def response(self, x: torch.Tensor, length: int) -> torch.Tensor:
        """What a state (B, H, N) adds to the next outputs, C A^(t+1) x: (B, H, length)."""
        return self._taps(self.apply(x), length)

    def gathered(self, u: torch.Tensor) -> torch.Tensor:
        """The state (B, H, N) that inputs u (B, H, L) leave behind where there was none."""
        tile = _tile(u.shape[-1])
        count = math.ceil(u.shape[-1] / tile)
        u = torch.nn.functional.pad(u, (count * tile - u.shape[-1], 0)).unflatten(-1, (count, tile))
        # Column T - 1 - j is what the input at place j of a tile is at its end.
        columns = self.columns(self.B, tile).flip(-1)
        parts = torch.einsum("bhij,hnj->ibhn", u.to(columns.dtype), columns)
        over_a_tile = self.strided(tile)
        x = parts[0]
        for part in parts[1:]:
            x = over_a_tile.apply(x) + part
        return x

    def _taps(self, x: torch.Tensor, length: int) -> torch.Tensor:
        tile = _tile(length)
        rows = self.rows(math.ceil(length / tile), tile)
        return self.read(rows @ self.columns(x, tile)).flatten(-2)[..., :length]


@dataclass
class DiagonalSystem(System):
    """Attributes:
    rates: (H, N) complex, logarithms of A's diagonal; every mode stands for its conjugate, too.
    B, C: (H, N) complex.
    """

    rates: torch.Tensor
    B: torch.Tensor
    C: torch.Tensor

    def columns(self, x: torch.Tensor, count: int) -> torch.Tensor:
        return x.unsqueeze(-1) * torch.exp(self.rates.unsqueeze(-1) * self._places(count))

    def rows(self, count: int, stride: int) -> torch.Tensor:
        places = self._places(count) * stride
        return self.C.unsqueeze(1) * torch.exp(self.rates.unsqueeze(1) * places.unsqueeze(-1))

    def apply(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.exp(self.rates)

    def strided(self, stride: int) -> DiagonalSystem:
        return DiagonalSystem(self.rates * stride, self.B, self.C)

    def leap(self, x: torch.Tensor, steps: torch.Tensor) -> torch.Tensor:
        return x * torch.exp(self.rates * steps.view(-1, 1, 1))

    def read(self, z: torch.Tensor) -> torch.Tensor:
        return 2 * z.real

    def _places(self, count: int) -> torch.Tensor:
        return torch.arange(count, device=self.rates.device)


@dataclass
class DenseSystem(System):
    """Attributes:
    A: (H, N, N) real.
    B, C: (H, N) real.
    """

    A: torch.Tensor
    B: torch.Tensor
    C: torch.Tensor

    def columns(self, x: torch.Tensor, count: int) -> torch.Tensor:
        return _powers(self.A, x, count)

    def rows(self, count: int, stride: int) -> torch.Tensor:
        return _powers(self.strided(stride).A.mT, self.C, count).mT

    def apply(self, x: torch.Tensor) -> torch.Tensor:
        return (self.A @ x.unsqueeze(-1)).squeeze(-1)

    def strided(self, stride: int) -> DenseSystem:
        return DenseSystem(torch.linalg.matrix_power(self.A, stride), self.B, self.C)

    def leap(self, x: torch.Tensor, steps: torch.Tensor) -> torch.Tensor:
        power, x = self.A, x.unsqueeze(-1)
        for bit in range(int(steps.max()).bit_length()):
            odd = (steps >> bit) & 1 == 1
            x = torch.where(odd.view(-1, 1, 1, 1), power @ x, x)
            power = power @ power
        return x.squeeze(-1)

    def read(self, z: torch.Tensor) -> torch.Tensor:
        return z


def _powers(matrix: torch.Tensor, x: torch.Tensor, count: int) -> torch.Tensor:
    """M^j x for j < count, twice as many at a time: (..., H, N, count)."""
    columns = x.unsqueeze(-1)
    while columns.shape[-1] < count:
        columns = torch.cat([columns, matrix @ columns], dim=-1)
        matrix = matrix @ matrix
    return columns[..., :count]


def _tile(length: int) -> int:
    """About the square root, a power of two."""
    return 1 << (math.isqrt(max(length - 1, 1)).bit_length())
