"""The associative scan is the loop, in values and gradients."""

from __future__ import annotations

import pytest
import torch

from genoseq.nn.linear_scan import linear_scan
from genoseq_kernels.live_bytes import LiveBytes


def loop(decay: torch.Tensor, value: torch.Tensor, initial: torch.Tensor | None) -> torch.Tensor:
    state = torch.zeros_like(value[:, 0]) if initial is None else initial
    states = []
    for t in range(value.shape[1]):
        state = decay[:, t if decay.shape[1] > 1 else 0] * state + value[:, t]
        states.append(state)
    return torch.stack(states, dim=1)


def drawn(*shape: int, dtype: torch.dtype, seed: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
@pytest.mark.parametrize("length", [1, 2, 127, 128, 129, 300])
@pytest.mark.parametrize("decays", ["constant", "of positions", "of rows and positions"])
@pytest.mark.parametrize("given", [False, True])
def test_values_and_gradients(dtype: torch.dtype, length: int, decays: str, given: bool) -> None:
    rows = 3 if "rows" in decays else 1
    decay = 0.9 * torch.nn.functional.normalize(
        drawn(rows, length if "positions" in decays else 1, 4, dtype=dtype, seed=1), p=float("inf"), dim=-1
    )
    inputs = [decay, drawn(3, length, 4, dtype=dtype, seed=2)]
    inputs += [drawn(3, 4, dtype=dtype, seed=3)] if given else []
    inputs = [x.clone().requires_grad_() for x in inputs]
    weights = drawn(3, length, 4, dtype=dtype, seed=4)
    results = [
        function(inputs[0], inputs[1], inputs[2] if given else None) for function in (linear_scan, loop)
    ]
    torch.testing.assert_close(*results)
    gradients = [torch.autograd.grad((y * weights).sum().real, inputs) for y in results]
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_memory_is_that_of_the_states() -> None:
    peaks = []
    for length in (1_000, 4_000):
        value = torch.randn(1, length, 8, requires_grad=True)
        decay = torch.full((1, 1, 8), 0.5, requires_grad=True)
        with LiveBytes() as watch:
            linear_scan(decay, value).sum().backward()
        peaks.append(watch.peak["cpu"] / (length * 8 * 4))
    assert max(peaks) < 8
    assert peaks[1] <= peaks[0] * 1.1
