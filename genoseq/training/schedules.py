"""Learning rates over a run, as factors of each group's own rate; every one begins with a linear warm-up.

All are closed forms of the step, so that nothing but the step's number has to be restored on resumption.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from genoseq.errors import ConfigError


def cosine_warmup(
    optimizer: Optimizer, *, total_steps: int, warmup_fraction: float, final_fraction: float
) -> LambdaLR:
    """Rise linearly over `warmup_fraction` of the run, then fall along half a cosine to `final_fraction`."""
    return _warmed_up(
        optimizer,
        total_steps,
        warmup_fraction,
        lambda done: final_fraction + (1 - final_fraction) * 0.5 * (1 + math.cos(math.pi * done)),
    )


def linear_warmup(
    optimizer: Optimizer, *, total_steps: int, warmup_fraction: float, final_fraction: float
) -> LambdaLR:
    """Rise linearly over `warmup_fraction` of the run, then fall linearly to `final_fraction`."""
    return _warmed_up(optimizer, total_steps, warmup_fraction, lambda done: 1 - (1 - final_fraction) * done)


def constant_warmup(optimizer: Optimizer, *, total_steps: int, warmup_fraction: float) -> LambdaLR:
    """Rise linearly over `warmup_fraction` of the run, then stay."""
    return _warmed_up(optimizer, total_steps, warmup_fraction, lambda done: 1.0)


def _warmed_up(
    optimizer: Optimizer, total_steps: int, warmup_fraction: float, after: Callable[[float], float]
) -> LambdaLR:
    if not 0 <= warmup_fraction < 1:
        raise ConfigError(
            f"schedule.warmup_fraction={warmup_fraction}: give a part of the run, from 0 up to 1 (1 not "
            "included)."
        )
    warmup = math.ceil(warmup_fraction * total_steps)

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        return after(min(1.0, (step - warmup) / max(1, total_steps - warmup)))

    return LambdaLR(optimizer, factor)
