"""The mistakes a user can make and mend. Each message says what was given, what was wanted, and a way out."""

from collections.abc import Sequence
from numbers import Integral


class GenoseqError(ValueError):
    """Base of every error that the user can mend; the command line prints it without a stack trace."""


class SequenceError(GenoseqError):
    """Letters, lengths or tokens that are no valid sequence."""


class IntervalError(GenoseqError):
    """An interval that is empty, reversed, or lies outside its chromosome."""


class DataError(GenoseqError):
    """A file or table that is missing, unreadable, empty or not in the form it was declared to have."""


class RecordError(DataError):
    """A record that is not what it is said to be: a coding sequence, a transcript, a protein.

    Args:
        record: its name.
        problem: the kind of mistake in a word or two; those who skip such records count them by it.
        message: what is wrong and how to mend it.
    """

    def __init__(self, record: str, problem: str, message: str) -> None:
        # All three to the base, so that the error survives the way out of a worker process.
        super().__init__(record, problem, message)
        self.record = record
        self.problem = problem
        self.message = message

    def __str__(self) -> str:
        return f"{self.record}: {self.message}"


class LeakError(DataError):
    """Rows of one split that stand, or nearly stand, in another."""


class CheckpointError(GenoseqError):
    """A checkpoint that is truncated, or whose tensors are missing, unexpected or misshapen."""


class ConfigError(GenoseqError):
    """Settings that do not exist, contradict each other, or do not fit the run that is there."""


class DeviceError(GenoseqError):
    """A device that is not there, or a batch that does not fit on it."""


class TrainingError(GenoseqError):
    """A run that cannot go on: a loss that is not finite, a folder that cannot be written."""


def require_choice(name: str, value: object, choices: Sequence[str]) -> None:
    """Refuse a setting that is none of its choices.

    Raises:
        ConfigError: it is none of them.
    """
    if value not in choices:
        raise ConfigError(f"{name}={value!r}: choose one of {', '.join(choices)}.")


def require_whole(**settings: object) -> None:
    """Refuse settings that are no whole numbers; None is none that was given.

    Raises:
        ConfigError: one is another thing.
    """
    for name, value in settings.items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, Integral)):
            raise ConfigError(f"{name}={value!r}: give a whole number.")
