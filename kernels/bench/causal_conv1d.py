"""The table of `causal_conv1d`: width 4, bias and silu, both layouts.

    python kernels/bench/causal_conv1d.py --out FOLDER [--contestants configuration]

The configurations are those of `triton_impl`, run without the operator around them.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from harness import Case, Contestant, DoesNotApply, Inputs, Operator, Work, draw, main
from torch.nn import functional as F

from genoseq_kernels import causal_conv1d
from genoseq_kernels.causal_conv1d import triton_impl

WIDTH = 4
SIZES = {
    "gpu": [(1, 2048, 2**20), (1, 768, 2**20), (1, 768, 450_002), (1, 2048, 2**17), (8, 2048, 2**13)],
    "cpu": [(8, 384, 2**10), (1, 384, 2**13), (1, 384, 2**17)],
    "tiny": [(1, 3, 50)],
}


def make_inputs(device: str, *, shape: tuple[int, int, int], dtype: torch.dtype, layout: str) -> Inputs:
    batch, channels, length = shape
    if layout == "last":
        x = torch.randn(batch, length, channels, device=device, dtype=dtype).transpose(1, 2)
    else:
        x = torch.randn(batch, channels, length, device=device, dtype=dtype)
    weight = draw(channels, WIDTH, seed=1, device=device)
    bias = draw(channels, seed=2, device=device)
    return {name: value.requires_grad_() for name, value in (("x", x), ("weight", weight), ("bias", bias))}


def cases(size: str) -> list[Case]:
    """Shapes times layouts; bfloat16 on a GPU, float32 too for the first shape."""
    made = []
    for index, shape in enumerate(SIZES[size]):
        dtypes = [torch.float32] if size != "gpu" else [torch.bfloat16, torch.float32][: 1 + (index == 0)]
        for dtype in dtypes:
            for layout in ("first", "last"):
                options = {"shape": shape, "dtype": dtype, "layout": layout}
                tensor = shape[0] * shape[1] * shape[2] * dtype.itemsize
                small = options | {"shape": (1, min(64, shape[1]), min(2**16, shape[2]))}
                made.append(
                    Case(
                        name=f"{shape[0]} x {shape[1]} x {shape[2]:,} {str(dtype)[6:]} channel-{layout}",
                        inputs=partial(make_inputs, **options),
                        work=Work(moved=(2 * tensor, 5 * tensor)),
                        checked=partial(make_inputs, **small),
                        options=options,
                    )
                )
    return made


def ours(backend: Any) -> Contestant:
    def make(case: Case) -> Operator:
        return partial(causal_conv1d, activation="silu", backend=backend)

    return Contestant(f"genoseq {backend}", make)


def configured(index: int) -> Contestant:
    """One configuration of the kernels, of the table for the case's layout."""

    def make(case: Case) -> Operator:
        if not torch.cuda.is_available():
            raise DoesNotApply("for CUDA devices")
        channel_first = case.options["layout"] == "first"
        chosen = (triton_impl.CHANNEL_FIRST if channel_first else triton_impl.CHANNEL_LAST)[index]

        class Configured(torch.autograd.Function):
            @staticmethod
            def forward(ctx: Any, *inputs: torch.Tensor) -> torch.Tensor:
                ctx.save_for_backward(*inputs)
                return triton_impl.forward(*inputs, None, None, True, chosen)

            @staticmethod
            def backward(ctx: Any, *grads: torch.Tensor) -> Any:
                return triton_impl.backward(grads[0], *ctx.saved_tensors, None, None, True, chosen)[:3]

        return lambda x, weight, bias: Configured.apply(x, weight, bias)

    return Contestant(f"configuration {index}", make)


def torch_conv1d(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    weight, bias = weight.to(x.dtype), bias.to(x.dtype)
    y = F.conv1d(x, weight.unsqueeze(1), bias, padding=WIDTH - 1, groups=x.shape[1])
    return F.silu(y[..., : x.shape[-1]])


def eager(case: Case) -> Operator:
    return torch_conv1d


def compiled(case: Case) -> Operator:
    return torch.compile(torch_conv1d)


def cuda_peer(case: Case) -> Operator:
    from causal_conv1d import causal_conv1d_fn  # type: ignore[import-not-found]

    return partial(causal_conv1d_fn, activation="silu")


def fla_peer(case: Case) -> Operator:
    from fla.modules.causal_conv1d import causal_conv1d as peer  # type: ignore[import-not-found]

    if case.options["layout"] == "first":
        raise DoesNotApply("for channel-last input")

    def run(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        y, _ = peer(x.transpose(1, 2), weight, bias, activation="silu", backend="triton")
        return y.transpose(1, 2)

    return run


CONTESTANTS = [
    Contestant("causal-conv1d", cuda_peer),
    Contestant("fla", fla_peer),
    Contestant("torch eager", eager),
    Contestant("torch.compile", compiled),
    ours("reference"),
    ours("triton"),
    *map(configured, range(4)),
]

if __name__ == "__main__":
    main("causal_conv1d", cases, CONTESTANTS, partial(causal_conv1d, activation="silu"))
