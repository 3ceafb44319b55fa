"""Stages of a run: from some optimiser step on, longer sequences, and fewer of them in a batch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from genoseq.errors import ConfigError


class Place(NamedTuple):
    """Where an optimiser step is.

    Attributes:
        epoch: number of the pass over the data; a stage begins a new one.
        step: number of the step in its epoch.
        steps: whole steps of that epoch.
        batch_size: examples of the step, over all devices.
        divisor: how many times fewer that is than in the first stage.
    """

    epoch: int
    step: int
    steps: int
    batch_size: int
    divisor: int


class Stages:
    """Epochs and batch sizes over the optimiser steps of a run.

    Args:
        num_examples: of an epoch.
        global_batch_size: examples of a step of the first stage.
        divisors: step that a stage begins with -> what the batch size is divided by from there on.

    Raises:
        ConfigError: no stage begins with step 0, or an epoch does not hold a batch.
    """

    def __init__(self, num_examples: int, global_batch_size: int, divisors: Mapping[int, int]) -> None:
        if not divisors or min(divisors) != 0:
            raise ConfigError(f"stages begin with steps {sorted(divisors)}: let the first begin with step 0.")
        self._stages: list[tuple[int, int, int, int]] = []
        for start, divisor in sorted(divisors.items()):
            steps = steps_per_epoch(num_examples, global_batch_size // divisor)
            epoch = self._next_epoch(start)
            self._stages.append((start, epoch, steps, divisor))
        self._global_batch_size = global_batch_size

    def by_epoch(self, values: Mapping[int, int]) -> dict[int, int]:
        """What belongs to each stage, given by the step that it begins with, by its first epoch."""
        return {epoch: values[start] for start, epoch, _, _ in self._stages}

    def at(self, step: int) -> Place:
        """Where a step of the run is."""
        start, first_epoch, steps, divisor = next(
            stage for stage in reversed(self._stages) if stage[0] <= step
        )
        epochs, rest = divmod(step - start, steps)
        return Place(first_epoch + epochs, rest, steps, self._global_batch_size // divisor, divisor)

    def epochs_before(self, step: int) -> float:
        """Passes over the data before a step."""
        place = self.at(step)
        return place.epoch + place.step / place.steps

    def _next_epoch(self, start: int) -> int:
        if not self._stages:
            return 0
        before, epoch, steps, _ = self._stages[-1]
        return epoch + math.ceil((start - before) / steps)


def steps_per_epoch(num_examples: int, global_batch_size: int) -> int:
    """Whole global batches in one pass over the data.

    Raises:
        ConfigError: there is not even one.
    """
    if num_examples < global_batch_size:
        raise ConfigError(
            f"global_batch_size={global_batch_size} is more than the {num_examples} examples of the training "
            f"set: give global_batch_size={num_examples} or less."
        )
    return num_examples // global_batch_size


def by_step(name: str, pairs: Sequence[Sequence[float]], *, what: str, example: str) -> dict[int, float]:
    """A setting of stages, pairs of the optimiser step that one begins with and its value, by step.

    Args:
        name: of the setting.
        pairs: its value.
        what: the second of a pair is.
        example: of such pairs.

    Raises:
        ConfigError: it is something else, or does not begin with step 0.
    """
    try:
        values = {int(step): value for step, value in pairs}
    except (TypeError, ValueError):
        values = {}
    if 0 not in values or min(values) < 0:
        raise ConfigError(
            f"{name}={pairs}: give pairs of an optimiser step and {what}, the first of step 0, such as "
            f"{example}."
        )
    return values
