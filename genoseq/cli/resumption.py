"""`resume=DIR` composes the settings that the run was made with first, then the overrides."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from genoseq.errors import ConfigError
from genoseq.paths import locate

if TYPE_CHECKING:
    from hydra._internal.hydra import Hydra

SAVED_CONFIG = "config"
_RESUME = "resume="
_NO_FOLDER = ("never", "auto", "null")


def resumed_run(overrides: Sequence[str]) -> Path | None:
    """The run folder that `resume=` names, where it holds the settings of a run."""
    given = [text.removeprefix(_RESUME).strip("'\"") for text in overrides if text.startswith(_RESUME)]
    if not given or given[-1] in _NO_FOLDER:
        return None
    folder = locate(given[-1]).absolute()
    return folder if (folder / f"{SAVED_CONFIG}.yaml").is_file() else None


def refuse_new_components(hydra: Hydra, overrides: Sequence[str]) -> None:
    """What a run is made of was chosen when it was begun.

    Raises:
        ConfigError: an override chooses a component (`optimizer=adamw`) instead of a setting of one.
    """
    groups = hydra.list_all_config_groups()
    for text in overrides:
        key = text.lstrip("+~").partition("=")[0].partition("@")[0]
        if key in groups:
            raise ConfigError(
                f"{text}: a resumed run keeps the {key} it was begun with. Change single settings of it "
                f"({key}.SETTING=...), or begin a new run."
            )
