"""`gated_delta_rule` by the Triton kernels of flash-linear-attention (`pip install fla-core`).

They bring their own gradient, and take packed sequences as one long row, with a state of every sequence.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch

from genoseq_kernels.dispatch import on_device_of
from genoseq_kernels.gated_delta_rule.reference import Inputs, first_state
from genoseq_kernels.ssd.reference import runs

_DTYPES = (torch.bfloat16, torch.float16)
_WIDEST_KEY = 256


def supports(inputs: Inputs, *, with_gradient: bool) -> bool:
    """Whether the kernels are installed, take these tensors, and are right where they run.

    Not float32: their products of it are of tf32. On Hopper, Triton from 3.4 to 3.7.0 miscompiles a kernel of
    their gradient, which they then refuse to run (fla #640).
    """
    q, k, v = inputs[:3]
    widths = (k.shape[-1], v.shape[-1])
    fits = q.dtype == k.dtype == v.dtype and v.dtype in _DTYPES
    # Odd widths: their gradient refuses them in 16 bits.
    fits = fits and widths[0] <= _WIDEST_KEY and not any(width % 2 for width in widths)
    if not v.is_cuda or not fits or _chunk_gated_delta_rule() is None:
        return False
    capability = torch.cuda.get_device_capability(v.device)
    return capability >= (8, 0) and not (with_gradient and capability[0] == 9 and _triton_miscompiles())


def forward(inputs: Inputs) -> tuple[torch.Tensor, torch.Tensor]:
    """o (B, L, H, V) and the last state (B, H, K, V)."""
    given = {"q": inputs.q, "k": inputs.k, "v": inputs.v, "g": inputs.g.float(), "beta": inputs.beta}
    options: dict[str, Any] = {
        "scale": inputs.scale,
        "initial_state": inputs.initial_state,
        "output_final_state": True,
        "use_qk_l2norm_in_kernel": inputs.normalised,
    }
    kernels = _chunk_gated_delta_rule()
    with on_device_of(inputs.v):
        if inputs.seq_idx is None:
            return kernels(**given, **options)
        batch, length = inputs.seq_idx.shape
        starts, first, last = _sequences(inputs.seq_idx)
        if inputs.initial_state is not None:
            row = first_state(inputs)
            states = row.new_zeros(len(starts) - 1, *row.shape[1:])
            options["initial_state"] = states.index_copy(0, first, row)
        joined = {name: x.flatten(0, 1).unsqueeze(0) for name, x in given.items()}
        o, state = kernels(**joined, **options, cu_seqlens=starts)
        return o.unflatten(1, (batch, length)).squeeze(0), state[last]


def _sequences(seq_idx: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Where in the joined rows each sequence begins, and their end; numbers of each row's first and last."""
    run = runs(seq_idx)
    begins = torch.diff(run, dim=1, prepend=run[:, :1] - 1) != 0
    number = (begins.flatten().cumsum(0) - 1).view(seq_idx.shape)
    starts = begins.flatten().nonzero()[:, 0]
    return torch.cat([starts, starts.new_tensor([seq_idx.numel()])]), number[:, 0], number[:, -1]


@cache
def _chunk_gated_delta_rule() -> Any:
    try:
        from fla.ops.gated_delta_rule import chunk_gated_delta_rule  # type: ignore[import-not-found]
    except ImportError:
        return None
    return chunk_gated_delta_rule


@cache
def _triton_miscompiles() -> bool:
    import triton

    version = tuple(int(part) for part in triton.__version__.split("+")[0].split(".")[:3])
    return (3, 4) <= version < (3, 7, 1)
