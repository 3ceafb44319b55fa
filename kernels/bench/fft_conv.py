"""`fft_conv` beside torch's FFT, eager and compiled, and the convolutions of others.

    python kernels/bench/fft_conv.py [--size gpu|cpu|tiny] [--cases WORD] [--contestants WORD]

One sequence, a causal filter as long as it, skip term and both gates. Contestants without gates or skip term
get them in torch. Filters are float32 throughout, as implicit filters come.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from harness import Case, Contestant, DoesNotApply, Inputs, Operator, Work, draw, main
from torch.utils.weak import WeakIdKeyDictionary

from genoseq_kernels import fft_conv, filter_spectrum

MEBI = 2**20


def make_inputs(device: str, *, channels: int, length: int, dtype: torch.dtype) -> Inputs:
    """Normal numbers; filters of unit norm."""
    normal = partial(draw, device=device)
    wide = (1, channels, length)
    inputs = {
        "u": normal(*wide, seed=0, dtype=dtype),
        "k": normal(channels, length, seed=1) / length**0.5,
        "skip": normal(channels, seed=2),
        "gate_in": normal(*wide, seed=3, dtype=dtype),
        "gate_out": normal(*wide, seed=4, dtype=dtype),
    }
    return {name: x.requires_grad_() for name, x in inputs.items()}


def make_case(channels: int, length: int, dtype: torch.dtype) -> Case:
    """Forward reads u, k and two gates and writes y; backward reads them and dy and writes four gradients."""
    inputs = partial(make_inputs, length=length, dtype=dtype)
    wide, filters = channels * length * dtype.itemsize, channels * length * torch.float32.itemsize
    return Case(
        f"D={channels} L={length} {str(dtype).removeprefix('torch.')}",
        partial(inputs, channels=channels),
        Work((4 * wide + filters, 11 * wide + 3 * filters)),
        checked=partial(inputs, channels=min(channels, 8)),
        options={"length": length, "dtype": dtype},
    )


def cases(size: str) -> list[Case]:
    """By the machine: `gpu`, `cpu` or `tiny`."""
    if size == "gpu":
        lengths = (MEBI, 131_072, 8_192, 1_000_002, 160_002)
        return [
            *(make_case(256, length, torch.bfloat16) for length in lengths),
            *(make_case(256, length, torch.float32) for length in (MEBI, 131_072)),
        ]
    shapes = [(2, 100)] if size == "tiny" else [(64, 1000), (64, 16_384), (8, 160_002)]
    return [make_case(channels, length, torch.float32) for channels, length in shapes]


def ours(backend: str, case: Case) -> Operator:
    """One backend."""
    del case
    return partial(fft_conv, backend=backend)


def with_spectrum(case: Case) -> Operator:
    """Ours with the filters' spectrum made before, as in inference."""
    assert case.options is not None
    length = case.options["length"]
    made = WeakIdKeyDictionary()

    def run(u: torch.Tensor, k: torch.Tensor, skip: torch.Tensor, **gates: torch.Tensor) -> torch.Tensor:
        if k not in made:
            made[k] = filter_spectrum(k, length)
        return fft_conv(u, k, skip, spectrum=made[k], **gates)

    return run


def eager(case: Case) -> Operator:
    """Transforms of twice the length, as the released HyenaDNA has them."""
    del case
    return in_torch


def compiled(case: Case) -> Operator:
    """The same under torch.compile."""
    del case
    return torch.compile(in_torch)


def in_torch(
    u: torch.Tensor, k: torch.Tensor, skip: torch.Tensor, gate_in: torch.Tensor, gate_out: torch.Tensor
) -> torch.Tensor:
    """The operator in a few lines of torch."""
    length = u.shape[-1]
    v = (u * gate_in).to(k.dtype)
    product = torch.fft.rfft(v, n=2 * length) * torch.fft.rfft(k, n=2 * length)
    y = torch.fft.irfft(product, n=2 * length)[..., :length] + skip[:, None] * v
    return gate_out * y.to(u.dtype)


def flash_fft_conv(case: Case) -> Operator:
    """Fu et al. 2023; powers of two, 16-bit types."""
    from flashfftconv import FlashFFTConv

    assert case.options is not None
    length, dtype = case.options["length"], case.options["dtype"]
    if dtype == torch.float32 or length & (length - 1):
        raise DoesNotApply("powers of two in 16 bits only")
    convolve = FlashFFTConv(2 * length, dtype=dtype).cuda()

    def run(
        u: torch.Tensor, k: torch.Tensor, skip: torch.Tensor, gate_in: torch.Tensor, gate_out: torch.Tensor
    ) -> torch.Tensor:
        return convolve(u, k, gate_in, gate_out) + gate_out * (skip[:, None] * (u * gate_in)).to(u.dtype)

    return run


def subquadratic_ops(case: Case) -> Operator:
    """NVIDIA's closed kernels."""
    from subquadratic_ops_torch.fft_causal_conv1d import fft_causal_conv1d

    del case
    return partial(_gated, fft_causal_conv1d)


def cudnn_frontend(case: Case) -> Operator:
    """cuDNN, from 9.26 on."""
    import cudnn

    del case
    return partial(_gated, cudnn.ops.fft_causal_conv1d)


def _gated(
    convolve: Operator,
    u: torch.Tensor,
    k: torch.Tensor,
    skip: torch.Tensor,
    gate_in: torch.Tensor,
    gate_out: torch.Tensor,
) -> torch.Tensor:
    """Gates around a convolution without them, the skip term as one more of the filter's first tap."""
    first = torch.nn.functional.pad(skip[:, None], (0, k.shape[-1] - 1))
    return gate_out * convolve(u * gate_in, (k + first).to(u.dtype))


CONTESTANTS: Sequence[Contestant] = (
    Contestant("genoseq", partial(ours, "auto")),
    Contestant("genoseq triton", partial(ours, "triton")),
    Contestant("genoseq, spectrum cached", with_spectrum),
    Contestant("torch eager", eager),
    Contestant("torch compiled", compiled),
    Contestant("flash-fft-conv", flash_fft_conv),
    Contestant("subquadratic_ops", subquadratic_ops),
    Contestant("cuDNN", cudnn_frontend),
)


if __name__ == "__main__":
    main("fft_conv", cases, CONTESTANTS, partial(fft_conv, backend="reference"))
