"""The folder of a run: what is in it, whether it may be used, and whether it goes with a config."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lightning.pytorch.utilities import rank_zero_only
from omegaconf import DictConfig, OmegaConf

from genoseq.errors import ConfigError, TrainingError
from genoseq.training.checkpoint import last_checkpoint
from genoseq.training.environment import data_hashes

# What makes another run of it. Of the data, how it is prepared does not: only what it is.
_AGREEING = ("model", "head", "data", "seed", "pretrain")
_LOADING = {"num_workers", "pin_memory", "micro_batch_size"}
_FREE = {
    "data": _LOADING,
    # Data that are made of labelled ones.
    "data.labelled": _LOADING,
    "model": {"activation_checkpointing"},
    # What the first run reads is the run's own; how it is watched is as free as there.
    "pretrain": {"data", "callbacks", "logger"},
}

PRETRAINING = "pretraining"
"""The folder in a run's own of the run that comes first, where there is one (`pretrain=`)."""


class RunFolder:
    """Paths of a run folder, and what they mean."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.config = self.path / "config.yaml"
        self.environment = self.path / "environment.json"
        self.performance = self.path / "performance.json"
        self.validation = self.path / "validation.json"
        self.predictions = self.path / "predictions.parquet"
        self.results = self.path / "results.json"
        self.log = self.path / "train.log"
        self.split = self.path / "split.tsv"
        self.checkpoints = self.path / "checkpoints"
        self.model = self.path / "model"
        self.pretraining = self.path / PRETRAINING

    @classmethod
    def open(cls, config: DictConfig) -> RunFolder:
        """Take the folder that `resume` and `run_dir` of a config name, and make it where it is to be made.

        Only the first process looks and writes; the others of a distributed run follow it.

        Raises:
            ConfigError: the folder exists and `resume=never`; there is nothing in it to resume; what it holds
                was made with another model, other data or another seed; or a file of the data was replaced.
            TrainingError: the folder cannot be written.
        """
        explicit = config.resume not in ("never", "auto")
        folder = cls(config.resume if explicit else config.run_dir)
        if rank_zero_only.rank:  # type: ignore[attr-defined]
            return folder
        if explicit and not folder.config.is_file():
            raise ConfigError(
                f"resume={config.resume}: there is no run in this folder (it has no config.yaml). Give the "
                "folder of a run, or resume=auto with run_dir=... to begin one."
            )
        used = folder._is_used()
        if used and config.resume == "never":
            raise ConfigError(
                f"the run folder {folder.path} exists and resume=never. Give another name=... (or "
                "run_dir=...), or resume=auto to go on with the run in it."
            )
        if used and folder.config.is_file():
            folder._require_agreement(config)
            folder._require_same_data(config)
        folder._make(config)
        return folder

    def checkpoint(self, config: DictConfig) -> Path | None:
        """The checkpoint to go on from."""
        return None if config.resume == "never" else last_checkpoint(self.checkpoints)

    @property
    def finished(self) -> bool:
        """Whether the best model was written, which is done once training has ended."""
        return (self.model / "config.json").is_file()

    def write_json(self, path: Path, content: Mapping[str, Any]) -> None:
        """Write one of the folder's JSON files, whole or not at all.

        Raises:
            TrainingError: the folder cannot be written.
        """
        self._write(path, json.dumps(content, indent=2) + "\n")

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Turn what a disk refuses into advice.

        Raises:
            TrainingError: the folder cannot be written.
        """
        try:
            yield
        except OSError as error:
            raise TrainingError(
                f"the run folder {self.path} cannot be written: {error.strerror or error}. Make room, or "
                "give a run_dir=... on a disk that has it and that you may write to. What is in the folder "
                "stays good: the same command with resume=auto goes on from it."
            ) from error

    def _is_used(self) -> bool:
        return self.path.is_dir() and any(map(self._is_kept, self.path.iterdir()))

    def _is_kept(self, entry: Path) -> bool:
        # Hydra makes a folder with a log and hidden files before we are asked; a run that failed before its
        # first step leaves what describes it. Neither is in the way of the corrected command.
        if entry == self.checkpoints:
            return any(entry.iterdir())
        if entry == self.pretraining:
            return RunFolder(entry)._is_used()
        described = entry in (self.config, self.environment, self.split) or entry.suffix == ".log"
        return not (described or entry.name.startswith("."))

    def _require_agreement(self, config: DictConfig) -> None:
        saved = OmegaConf.to_container(OmegaConf.load(self.config))
        asked = OmegaConf.to_container(config, resolve=True)
        assert isinstance(saved, dict)
        assert isinstance(asked, dict)
        differences = [
            line
            for section in _AGREEING
            for line in _differences(section, saved.get(section, {}), asked.get(section, {}))
        ]
        if differences:
            raise ConfigError(
                f"the run in {self.path} was made with other settings, so it cannot be resumed with these:\n "
                " "
                + "\n  ".join(differences)
                + "\nGive the settings it was made with, or another name=... for a new run."
            )

    def _require_same_data(self, config: DictConfig) -> None:
        if not self.environment.is_file():
            return
        saved = json.loads(self.environment.read_text(encoding="utf-8"))["data"]
        now = data_hashes(config)
        replaced = sorted(name for name in saved.keys() & now.keys() if saved[name] != now[name])
        if replaced:
            raise ConfigError(
                f"the run in {self.path} cannot be resumed: {', '.join(replaced)} changed since it was begun "
                "(the SHA-256 is not that in environment.json). Put the files of then back, or give another "
                "name=... for a new run."
            )

    def _make(self, config: DictConfig) -> None:
        with self.writing():
            self.checkpoints.mkdir(parents=True, exist_ok=True)
        self._write(self.config, OmegaConf.to_yaml(config, resolve=True))

    def _write(self, path: Path, text: str) -> None:
        beside = path.with_name(f".{path.name}.part")
        with self.writing():
            try:
                beside.write_text(text, encoding="utf-8")
                beside.replace(path)
            finally:
                beside.unlink(missing_ok=True)


def _differences(name: str, saved: Any, asked: Any) -> list[str]:
    if isinstance(saved, dict) and isinstance(asked, dict):
        free = _FREE.get(name, set())
        keys = [key for key in dict.fromkeys([*saved, *asked]) if key not in free]
        return [
            line for key in keys for line in _differences(f"{name}.{key}", saved.get(key), asked.get(key))
        ]
    return [] if saved == asked else [f"{name}: {saved} then, {asked} now"]
