"""First values of state-space layers: HiPPO's matrices, what is diagonal of them, and what is near.

All are float64 on the CPU. Eigenvalues that come in conjugate pairs are halved: one of each pair stands for
both, and a layer reads 2 Re of what it finds.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Literal, NamedTuple, get_args

import torch

from genoseq.errors import require_choice

DiagonalInit = Literal["lin", "inv", "legs", "ptd"]
_STEPS = 200


class Hippo(NamedTuple):
    """HiPPO-LegS, x' = A x + B u, with A = normal - P P^T.

    Attributes:
        A: (N, N) lower triangular.
        B: (N,).
        P: (N,) the low-rank part.
    """

    A: torch.Tensor
    B: torch.Tensor
    P: torch.Tensor

    @property
    def normal(self) -> torch.Tensor:
        """(N, N): -1/2 and a skew-symmetric part."""
        return self.A + torch.outer(self.P, self.P)


class Modes(NamedTuple):
    """A matrix in its eigenvectors, M = V diag(eigenvalues) V^-1.

    Attributes:
        eigenvalues: (N,) complex128.
        vectors: (N', N) complex128, columns of V.
        inverse: (N, N') complex128, rows of V^-1.
    """

    eigenvalues: torch.Tensor
    vectors: torch.Tensor
    inverse: torch.Tensor


def hippo_legs(size: int) -> Hippo:
    """Source: Gu et al. 2020, "HiPPO", appendix D.3; the low-rank part: Gu et al. 2022, "S4", appendix C."""
    order = torch.arange(size, dtype=torch.float64, device="cpu")
    weight = torch.sqrt(2 * order + 1)
    below = torch.tril(torch.outer(weight, weight), -1)
    return Hippo(-below - torch.diag(order + 1), weight, torch.sqrt(order + 0.5))


def normal_modes(size: int) -> Modes:
    """The normal part of HiPPO-LegS in its eigenvectors, by ascending imaginary part.

    Source: Smith et al. 2023, "S5", section 4.3; Gupta et al. 2022, "DSS".
    """
    normal = hippo_legs(size).normal
    skew = normal - torch.diag(torch.diagonal(normal))
    # -i times a skew-symmetric matrix is Hermitian.
    imaginary, vectors = torch.linalg.eigh(-1j * skew.to(torch.complex128))
    eigenvalues = torch.complex(torch.diagonal(normal).mean().expand(size), imaginary)
    return Modes(eigenvalues, vectors, vectors.mH)


def diagonalised(matrix: torch.Tensor) -> Modes:
    """A matrix (N, N) in its eigenvectors."""
    eigenvalues, vectors = torch.linalg.eig(matrix.to(torch.complex128))
    return Modes(eigenvalues, vectors, torch.linalg.inv(vectors))


@lru_cache(maxsize=32)
def perturbed_modes(size: int, *, bound: float = 0.1) -> Modes:
    """HiPPO-LegS, perturbed so that its eigenvectors are well conditioned, and then diagonalised.

    LegS itself has eigenvectors that no precision can hold; its normal part has good ones, but is another
    system. A perturbation of a few per cent stays near the system and conditions its eigenvectors: here, one
    that descends on their condition number from a part of the way to the normal matrix.

    Args:
        size: N.
        bound: the spectral norm of the perturbation, as a part of that of the matrix.

    Returns:
        All N eigenvalues, none of which is half of a pair; real parts that the perturbation has made positive
        change their sign.

    Source: Yu et al. 2024, "Robustifying State-space Models for Long Sequences via Approximate
    Diagonalization", sections 3 and 4.
    """
    hippo = hippo_legs(size)
    norm = torch.linalg.matrix_norm(hippo.A, 2)
    low_rank = torch.outer(hippo.P, hippo.P)
    start = low_rank * (bound * norm / torch.linalg.matrix_norm(low_rank, 2))
    perturbation = start.clone().requires_grad_()
    optimizer = torch.optim.Adam([perturbation], lr=0.05 * float(norm) / size)
    # The optimiser has a count of its own, which a default device must not take away.
    with torch.enable_grad(), torch.device("cpu"):
        for _ in range(_STEPS):
            vectors = torch.linalg.eig(hippo.A + perturbation)[1]
            singular = torch.linalg.svdvals(vectors)
            optimizer.zero_grad()
            torch.log(singular[0] / singular[-1]).backward()
            optimizer.step()
            with torch.no_grad():
                perturbation *= (bound * norm / torch.linalg.matrix_norm(perturbation, 2)).clamp(max=1)
    modes = diagonalised(hippo.A + perturbation.detach())
    eigenvalues = torch.complex(-modes.eigenvalues.real.abs(), modes.eigenvalues.imag)
    return Modes(eigenvalues, modes.vectors, modes.inverse)


def diagonal_modes(kind: DiagonalInit, size: int) -> Modes | torch.Tensor:
    """What a diagonal layer with `size` complex modes begins with.

    Args:
        kind: `lin`: -1/2 + i pi n; `inv`: -1/2 + i (2N / pi) (2N / (2n + 1) - 1), for N pairs of modes;
            `legs`: half the spectrum of the normal part of HiPPO-LegS; `ptd`: `perturbed_modes`.
        size: number of modes.

    Returns:
        The eigenvalues (size,), with their eigenvectors where they are those of a matrix.

    Raises:
        ConfigError: no such kind.

    Source: Gu et al. 2022, "On the Parameterization and Initialization of Diagonal State Space Models",
    section 4.
    """
    require_choice("init", kind, get_args(DiagonalInit))
    index = torch.arange(size, dtype=torch.float64, device="cpu")
    half = torch.full_like(index, -0.5)
    if kind == "lin":
        return torch.complex(half, math.pi * index)
    if kind == "inv":
        return torch.complex(half, 2 * size / math.pi * (2 * size / (2 * index + 1) - 1))
    if kind == "ptd":
        return perturbed_modes(size)
    modes = normal_modes(2 * size)
    # The upper half of ascending imaginary parts is the positive one.
    return Modes(modes.eigenvalues[size:], modes.vectors[:, size:], modes.inverse[size:])
