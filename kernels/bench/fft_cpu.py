"""Which library transforms fastest on a CPU: the causal convolution of `fft_conv`, forward, by each in turn.

    OMP_NUM_THREADS=1 python kernels/bench/fft_cpu.py --size cpu --out FOLDER

The transforms are real, float32 and of the same length for all; filters are transformed anew in every call.
There is no gradient: both columns of times are the same call.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from harness import Case, Contestant, Inputs, Operator, Work, draw, main

from genoseq_kernels import fft_conv
from genoseq_kernels.fft_conv.reference import transform_length

SHAPES = {
    "gpu": [],
    "cpu": [(8, 128, 1024), (1, 128, 8192), (1, 16, 131_072), (1, 4, 1_048_576)],
    "tiny": [(2, 3, 50)],
}
CACHE_BYTES = 512 * 1024


def make_inputs(device: str, *, shape: tuple[int, int, int]) -> Inputs:
    return {"u": draw(*shape, device=device), "k": draw(*shape[1:], seed=1, device=device)}


def cases(size: str) -> list[Case]:
    """Batch, channels, length. The floor: u and y once, and the filter."""
    return [
        Case(
            name=f"{batch} x {channels} x {length:,}",
            inputs=partial(make_inputs, shape=(batch, channels, length)),
            work=Work(moved=((2 * batch + 1) * channels * length * 4,) * 2),
        )
        for batch, channels, length in SHAPES[size]
    ]


def torch_in_blocks(u: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
    """As many channels at a time as leave a spectrum in the second-level cache."""
    size = transform_length(u.shape[-1], k.shape[-1], "causal")
    count = max(1, CACHE_BYTES // (4 * size))
    y = torch.empty_like(u)
    for first in range(0, k.shape[0], count):
        channels = slice(first, first + count)
        filters = torch.fft.rfft(k[channels], n=size)
        for row in range(u.shape[0]):
            product = torch.fft.rfft(u[row, channels], n=size)
            product *= filters
            y[row, channels] = torch.fft.irfft(product, n=size)[..., : u.shape[-1]]
    return y


def through_numpy(
    forward: Callable[[Any, int], Any], back: Callable[[Any, int], Any]
) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """A convolution from a pair of transforms of numpy arrays along the last axis."""

    def run(u: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
        size = transform_length(u.shape[-1], k.shape[-1], "causal")
        filters = forward(k.numpy(), size)
        y = np.empty(u.shape, dtype=np.float32 if u.dtype == torch.float32 else np.float64)
        for row in range(u.shape[0]):
            product = forward(u[row].numpy(), size)
            product *= filters
            y[row] = back(product, size)[..., : u.shape[-1]]
        return torch.from_numpy(y)

    return run


def torch_reference(case: Case) -> Operator:
    return partial(fft_conv, backend="reference")


def torch_blocked(case: Case) -> Operator:
    return torch_in_blocks


def scipy_pocketfft(case: Case, *, workers: int) -> Operator:
    from scipy import fft

    return through_numpy(
        lambda x, size: fft.rfft(x, n=size, workers=workers),
        lambda x, size: fft.irfft(x, n=size, workers=workers, overwrite_x=True),
    )


def mkl(case: Case) -> Operator:
    import mkl_fft  # type: ignore[import-not-found]

    return through_numpy(lambda x, size: mkl_fft.rfft(x, n=size), lambda x, size: mkl_fft.irfft(x, n=size))


def ducc(case: Case) -> Operator:
    import ducc0  # type: ignore[import-not-found]

    def forward(x: Any, size: int) -> Any:
        padded = np.zeros((*x.shape[:-1], size), dtype=x.dtype)
        padded[..., : x.shape[-1]] = x
        return ducc0.fft.r2c(padded, axes=(-1,), nthreads=torch.get_num_threads())

    def back(x: Any, size: int) -> Any:
        return ducc0.fft.c2r(
            x, axes=(-1,), lastsize=size, forward=False, inorm=2, nthreads=torch.get_num_threads()
        )

    return through_numpy(forward, back)


CONTESTANTS = [
    Contestant("torch.fft: fft_conv's reference", torch_reference),
    Contestant("torch.fft, channels in blocks", torch_blocked),
    Contestant("scipy.fft, 1 worker", partial(scipy_pocketfft, workers=1)),
    Contestant("scipy.fft, 2 workers", partial(scipy_pocketfft, workers=2)),
    Contestant("mkl_fft", mkl),
    Contestant("ducc0", ducc),
]

if __name__ == "__main__":
    main("fft_cpu", cases, CONTESTANTS, fft_conv)
