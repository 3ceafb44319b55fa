"""The libraries of the extra `eeg`, imported when a recording is first wanted."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from genoseq.errors import ConfigError


def mne() -> ModuleType:
    """MNE.

    Raises:
        ConfigError: it is not installed.
    """
    return _import("mne", "recordings (EDF, BDF, FIF, EEGLAB)")


def rdata() -> ModuleType:
    """rdata, which reads R's files without R.

    Raises:
        ConfigError: it is not installed.
    """
    return _import("rdata", "R data (.rda)")


def _import(name: str, what: str) -> ModuleType:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"{what} are read with {name}, which is not here: pip install 'genoseq[eeg]'."
        ) from error
