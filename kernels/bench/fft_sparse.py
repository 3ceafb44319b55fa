"""Time of the convolution against what is missing in its filter: taps (partial), or frequencies (sparse).

    python kernels/bench/fft_sparse.py [--size gpu|cpu|tiny] [--cases partial|sparse] [--out FOLDER]

Cases of the first kind have filters of fewer and fewer taps; those of the second have whole filters, of which
a growing share of the spectrum is zero. Beside ours stands one transform of everything, as torch has it.
"""

from __future__ import annotations

from functools import partial

import torch
from harness import Case, Contestant, DoesNotApply, Inputs, Operator, Work, draw, main

from genoseq_kernels import Backend, FrequencyPattern, fft_conv, sparse_fft_conv
from genoseq_kernels.fft_conv.reference import next_fast_length
from genoseq_kernels.fft_conv.sparse import sparse_points

CLASSES = 32
SHAPES = {"gpu": (256, 2**20), "cpu": (8, 2**17), "tiny": (2, 2**13)}


def make_inputs(
    device: str, *, channels: int, length: int, taps: int, pattern: FrequencyPattern | None
) -> Inputs:
    """One float32 sequence and its filters."""
    return {
        "u": draw(1, channels, length, device=device, grad=True),
        "k": draw(channels, taps, seed=1, device=device, grad=True),
        "pattern": pattern,
    }


def make_case(name: str, channels: int, length: int, taps: int, pattern: FrequencyPattern | None) -> Case:
    """Forward reads u and k and writes y; backward reads u, k and dy and writes du and dk."""
    wide, narrow = 4 * channels * length, 4 * channels * taps
    inputs = partial(make_inputs, channels=channels, length=length, taps=taps, pattern=pattern)
    return Case(
        f"{name} D={channels} L={length}",
        inputs,
        Work((2 * wide + narrow, 5 * wide + 3 * narrow)),
        options={"pattern": pattern},
    )


def cases(size: str) -> list[Case]:
    """By the machine."""
    channels, length = SHAPES[size]
    some = [1, 4] if size == "tiny" else [1, 2, 4, 8, 16, 32, 64, 512, 4096]
    made = [make_case(f"partial K=L/{n}", channels, length, length // n, None) for n in some]
    for share in (0.0, 0.5) if size == "tiny" else (0.0, 0.25, 0.5, 0.75, 0.9):
        pattern = FrequencyPattern.lowest(CLASSES, sparsity=share)
        name = f"sparse {pattern.sparsity:.2f}"
        made.append(make_case(name, channels, length, length, pattern))
    return made


def whole_spectrum(backend: Backend, case: Case) -> Operator:
    """`fft_conv`; in plain torch it cuts the sequence into blocks where the filter is short."""
    if case.options and case.options["pattern"]:
        raise DoesNotApply("the spectrum is sparse")
    return lambda u, k, pattern: fft_conv(u, k, backend=backend)


def in_classes(case: Case) -> Operator:
    """`sparse_fft_conv`."""
    if not (case.options and case.options["pattern"]):
        raise DoesNotApply("the spectrum is whole")
    return sparse_fft_conv


def in_one_transform(u: torch.Tensor, k: torch.Tensor, pattern: FrequencyPattern | None) -> torch.Tensor:
    """Everything at once, and zeros where the pattern keeps nothing."""
    length, taps = u.shape[-1], k.shape[-1]
    if pattern is None:
        points = next_fast_length(length + taps - 1)
        filters = torch.fft.rfft(k, n=points)
    else:
        points = sparse_points(length, taps, pattern)
        remainder = torch.arange(points // 2 + 1, device=u.device) % pattern.classes
        folded = torch.minimum(remainder, pattern.classes - remainder)
        filters = torch.fft.rfft(k, n=points) * torch.isin(
            folded, torch.tensor(pattern.kept, device=u.device)
        )
    return torch.fft.irfft(torch.fft.rfft(u, n=points) * filters, n=points)[..., :length]


CONTESTANTS = [
    Contestant("fft_conv, triton", partial(whole_spectrum, "triton")),
    Contestant("fft_conv, reference", partial(whole_spectrum, "reference")),
    Contestant("sparse_fft_conv", in_classes),
    Contestant("one transform", lambda case: in_one_transform),
]

if __name__ == "__main__":
    main("fft_sparse", cases, CONTESTANTS, in_one_transform)
