"""Training on short sequences first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from genoseq.data.stages import by_step
from genoseq.errors import ConfigError


class LengthSchedule:
    """How long the sequences of an epoch are.

    Args:
        length: bases of a sequence, in the end.
        schedule: epoch from which on -> bases of a sequence; the first is 0, the last is `length`. None is
            `length` throughout.

    Attributes:
        lengths: all that there are, in their order.

    Raises:
        ConfigError: the schedule begins later, or ends with another length.
    """

    def __init__(self, length: int, schedule: Mapping[int, int] | None) -> None:
        if schedule and schedule[max(schedule)] != length:
            raise ConfigError(
                f"the length schedule ends with {schedule[max(schedule)]} bases and length={length}: let the "
                "last be the length."
            )
        if schedule and min(schedule) != 0:
            raise ConfigError(f"the length schedule {dict(schedule)} has to begin with epoch 0.")
        self._steps = sorted((schedule or {0: length}).items())
        self.lengths = [size for _, size in self._steps]

    def at(self, epoch: int) -> int:
        """Bases of a sequence in an epoch."""
        return [size for begin, size in self._steps if begin <= epoch][-1]


def lengths_by_step(schedule: Sequence[Sequence[int]]) -> dict[int, int]:
    """The setting `length_schedule`, pairs of an optimiser step and the length from there on, by step.

    Raises:
        ConfigError: it is something else, or does not begin with step 0.
    """
    pairs = by_step("length_schedule", schedule, what="a length", example="[[0, 256], [1000, 1024]]")
    return {step: int(length) for step, length in pairs.items()}
