"""Learning rates over a run, as factors of each group's own rate; every one begins with a linear warm-up.

All are closed forms of the step, so that nothing but the step's number has to be restored on resumption.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from genoseq.data.stages import by_step
from genoseq.errors import ConfigError


def cosine_warmup(
    optimizer: Optimizer, *, total_steps: int, warmup_fraction: float, final_fraction: float
) -> LambdaLR:
    """Rise linearly over `warmup_fraction` of the run, then fall along half a cosine to `final_fraction`."""
    return LambdaLR(optimizer, _factor(total_steps, warmup_fraction, _cosine(final_fraction)))


def linear_warmup(
    optimizer: Optimizer, *, total_steps: int, warmup_fraction: float, final_fraction: float
) -> LambdaLR:
    """Rise linearly over `warmup_fraction` of the run, then fall linearly to `final_fraction`."""
    return LambdaLR(
        optimizer, _factor(total_steps, warmup_fraction, lambda done: 1 - (1 - final_fraction) * done)
    )


def constant_warmup(optimizer: Optimizer, *, total_steps: int, warmup_fraction: float) -> LambdaLR:
    """Rise linearly over `warmup_fraction` of the run, then stay."""
    return LambdaLR(optimizer, _factor(total_steps, warmup_fraction, lambda done: 1.0))


def halving(optimizer: Optimizer, *, total_steps: int, warmup_fraction: float, parts: int) -> LambdaLR:
    """Rise linearly over `warmup_fraction` of the run, then halve the rate after each part but the first.

    Args:
        optimizer: whose rates are scheduled.
        total_steps: of the run.
        warmup_fraction: of the run.
        parts: equal ones of what follows; with as many as there are epochs, the `type1` of the forecasting
            libraries, which keeps the full rate for two epochs.

    Raises:
        ConfigError: there is no part, or the fraction is out of range.
    """
    if parts < 1:
        raise ConfigError(f"schedule.parts={parts}: give 1 or more.")
    return LambdaLR(
        optimizer,
        _factor(
            total_steps, warmup_fraction, lambda done: 0.5 ** max(0, min(int(done * parts), parts - 1) - 1)
        ),
    )


def staged_cosine(
    optimizer: Optimizer,
    *,
    total_steps: int,
    stages: Sequence[Sequence[float]],
    warmup_fraction: float,
    final_fraction: float,
) -> LambdaLR:
    """`cosine_warmup` in each of several stages, each to its own part of the full rate.

    Args:
        optimizer: whose rates are scheduled.
        total_steps: of the run; the last stage ends with it.
        stages: pairs of the step that a stage begins with and the most of the full rate in it, such as
            [[0, 1.0], [900, 0.1]].
        warmup_fraction: of each stage.
        final_fraction: of a stage's own most, at its end.

    Raises:
        ConfigError: no stage begins with step 0, or a fraction is out of range.
    """
    mosts = by_step(
        "schedule.stages", stages, what="a part of the full rate", example="[[0, 1.0], [900, 0.1]]"
    )
    starts = sorted(mosts)
    ends = [min(end, total_steps) for end in (*starts[1:], total_steps)]
    factors = [
        _factor(max(1, end - start), warmup_fraction, _cosine(final_fraction))
        for start, end in zip(starts, ends, strict=True)
    ]

    def factor(step: int) -> float:
        number = bisect_right(starts, step) - 1
        return mosts[starts[number]] * factors[number](step - starts[number])

    return LambdaLR(optimizer, factor)


def _cosine(final_fraction: float) -> Callable[[float], float]:
    return lambda done: final_fraction + (1 - final_fraction) * 0.5 * (1 + math.cos(math.pi * done))


def _factor(
    total_steps: int, warmup_fraction: float, after: Callable[[float], float]
) -> Callable[[int], float]:
    """Of the full rate at a step: a linear rise, then `after` of the part that is done of the rest."""
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

    return factor
