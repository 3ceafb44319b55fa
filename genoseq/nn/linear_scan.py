"""h[t] = decay[t] h[t-1] + value[t], element by element, as an associative scan.

A chunk of positions is scanned at once, and the chunks follow each other. The gradient is the same scan run
backwards over the states: memory is that of the states, whatever the length.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.autograd.function import once_differentiable

from genoseq_kernels.selective_scan.reference import CHUNK, scan


def linear_scan(
    decay: torch.Tensor, value: torch.Tensor, initial: torch.Tensor | None = None
) -> torch.Tensor:
    """The states of a diagonal linear recurrence.

    Args:
        decay: (B or 1, L or 1, S) real or complex, of the dtype of `value`.
        value: (B, L, S).
        initial: (B, S) the state before the first position; zeros if None.

    Returns:
        (B, L, S). Second derivatives are not defined.

    Source: Smith et al. 2023, "S5", section 2.2; Blelloch 1990, "Prefix Sums and Their Applications".
    """
    states: torch.Tensor = _LinearScan.apply(decay, value, initial)
    return states


class _LinearScan(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, decay: torch.Tensor, value: torch.Tensor, initial: torch.Tensor | None
    ) -> torch.Tensor:
        states = _scanned(decay, value, initial)
        ctx.save_for_backward(decay, states, initial)
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        decay, states, initial = ctx.saved_tensors
        (grad,) = grads
        turned = decay.conj().resolve_conj().flip(1)
        if decay.shape[1] > 1:
            # From a state to the one before it leads the decay of the later position.
            turned = turned.roll(1, dims=1)
        grad_value = _scanned(turned, grad.flip(1), None).flip(1)
        grad_decay = grad_initial = None
        if ctx.needs_input_grad[0]:
            first = torch.zeros_like(states[:, :1]) if initial is None else initial.unsqueeze(1)
            before = torch.cat([first.to(states.dtype), states[:, :-1]], dim=1)
            grad_decay = (grad_value * before.conj()).sum_to_size(decay.shape)
        if initial is not None and ctx.needs_input_grad[2]:
            grad_initial = grad_value[:, 0] * decay[:, 0].conj()
        return grad_decay, grad_value, grad_initial


def _scanned(decay: torch.Tensor, value: torch.Tensor, initial: torch.Tensor | None) -> torch.Tensor:
    length = value.shape[1]
    # Positions first, as the scan wants them; a copy, which becomes the states.
    states = value.transpose(0, 1).clone(memory_format=torch.contiguous_format)
    decays = decay.transpose(0, 1)
    state = initial
    for start in range(0, length, CHUNK):
        chunk = states[start : start + CHUNK]
        part = decays[start : start + CHUNK] if decay.shape[1] > 1 else decays.expand(len(chunk), -1, -1)
        if state is not None:
            chunk[0] += part[0] * state
        # The scan uses its decays up.
        state = scan(part.clone(memory_format=torch.contiguous_format), chunk)[-1]
    return states.transpose(0, 1)
