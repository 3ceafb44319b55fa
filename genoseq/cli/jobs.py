"""A verb run through Hydra: composition, multirun, launchers, and what Lightning finds in `sys.argv`."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from genoseq.cli.explanations import explain
from genoseq.cli.flags import parse_flags
from genoseq.cli.help_pages import print_verb_help
from genoseq.cli.resumption import SAVED_CONFIG, refuse_new_components, resumed_run
from genoseq.cli.text_values import protect_text, quote
from genoseq.cli.verbs import Verb
from genoseq.errors import ConfigError, GenoseqError
from genoseq.paths import configs_dir, locate

if TYPE_CHECKING:
    import argparse

    from hydra._internal.hydra import Hydra
    from omegaconf import DictConfig

# Hydra itself writes no folder, no copy of the config and no log file: a run folder is the verb's own affair.
_WRITE_NOTHING = ("hydra.run.dir=.", "hydra.output_subdir=null")
_LOGGING = "hydra/job_logging=console"


@dataclass(frozen=True)
class Request:
    """A command line, read.

    Args:
        verb: what to do.
        flags: the options.
        overrides: the settings, in Hydra's grammar.
        config_name: the config they are composed with.
        config_dir: a folder of configs beside the packaged one.
    """

    verb: Verb
    flags: argparse.Namespace
    overrides: list[str]
    config_name: str
    config_dir: str | None


def run_verb(verb: Verb, arguments: Sequence[str]) -> None:
    """Compose the verb's settings with `arguments` (`key=value` and options) and do what they ask for.

    Raises:
        GenoseqError: whatever the user got wrong.
    """
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    request = _read(verb, arguments)
    with _hydra_session(request) as hydra:
        try:
            _answer(hydra, request)
        except (HydraException, OmegaConfBaseException) as error:
            message = explain(error, verb, hydra)
            if message is None:
                raise
            raise ConfigError(message) from error


def _read(verb: Verb, arguments: Sequence[str]) -> Request:
    flags = parse_flags(verb.name, arguments)
    overrides = [protect_text(text, multirun=flags.multirun) for text in flags.overrides]
    for text in overrides:
        if "=" not in text and not text.startswith("~"):
            raise ConfigError(f"{text}: write key=value. `genoseq {verb.name} --help` lists the settings.")
    resumed = resumed_run(overrides) if verb.run_folder is not None else None
    if resumed is not None:
        return Request(verb, flags, overrides, SAVED_CONFIG, str(resumed))
    config_dir = None if flags.config_dir is None else _absolute_folder(flags.config_dir)
    return Request(verb, flags, overrides, verb.name, config_dir)


@contextmanager
def _hydra_session(request: Request) -> Iterator[Hydra]:
    """Hydra set up on the packaged configs and those of `config_dir`, while the verb runs."""
    from hydra import version
    from hydra._internal.hydra import Hydra
    from hydra._internal.utils import create_config_search_path
    from hydra.core.global_hydra import GlobalHydra

    version.setbase("1.3")
    search_path = create_config_search_path(str(configs_dir()))
    if request.config_dir is not None:
        search_path.prepend(provider="command-line", path=f"file://{request.config_dir}")
    GlobalHydra.instance().clear()
    hydra = Hydra.create_main_hydra2(task_name=request.verb.name, config_search_path=search_path)
    try:
        yield hydra
    finally:
        GlobalHydra.instance().clear()


@dataclass(frozen=True)
class Job:
    """One run of a verb: what Hydra calls, also for each job of a multirun and on a cluster's node."""

    verb: Verb
    config_dir: str | None

    def __call__(self, config: DictConfig) -> Any:
        from hydra.core.hydra_config import HydraConfig
        from hydra.errors import HydraException
        from hydra.types import RunMode
        from omegaconf import OmegaConf
        from omegaconf.errors import OmegaConfBaseException

        hydra = HydraConfig.get()
        settings = OmegaConf.to_container(hydra.overrides.task)
        assert isinstance(settings, list)
        if hydra.mode == RunMode.MULTIRUN and self.verb.run_folder is not None:
            folder = f"{config[self.verb.run_folder]}/{hydra.job.num}"
            config[self.verb.run_folder] = folder
            settings.append(f"{self.verb.run_folder}={quote(folder)}")
        with _relaunchable([self.verb.name, *settings, *self._config_dir_option()]):
            try:
                _require_all(config)
                return self.verb.run(config)
            except (GenoseqError, HydraException, OmegaConfBaseException) as error:
                if hydra.mode == RunMode.MULTIRUN:
                    raise
                # Handed back, not raised: Hydra would print a line of its own above the one message.
                return error

    def _config_dir_option(self) -> list[str]:
        return [] if self.config_dir is None else ["--config-dir", self.config_dir]


def _answer(hydra: Hydra, request: Request) -> None:
    flags, name = request.flags, request.config_name
    overrides = [*_WRITE_NOTHING, *request.overrides]
    if not any(text.startswith("hydra/job_logging=") for text in overrides):
        overrides.append(_LOGGING)
    if request.config_name == SAVED_CONFIG:
        refuse_new_components(hydra, request.overrides)
    if flags.help:
        print_verb_help(request.verb, hydra)
    elif flags.cfg:
        hydra.show_cfg(name, overrides, flags.cfg, flags.package, flags.resolve)
    elif flags.info:
        hydra.show_info(flags.info, name, overrides)
    elif flags.multirun:
        _sweep(hydra, request, overrides)
    else:
        outcome = hydra.run(name, Job(request.verb, flags.config_dir), overrides).return_value
        if isinstance(outcome, BaseException):
            raise outcome


def _sweep(hydra: Hydra, request: Request, overrides: list[str]) -> None:
    verb = request.verb
    # Hydra writes the record of a sweep somewhere: beside the runs it makes, or nowhere that stays.
    with tempfile.TemporaryDirectory(prefix="genoseq-sweep-") as temporary:
        folder = temporary if verb.run_folder is None else f"${{{verb.run_folder}}}"
        sweep = ["hydra.mode=MULTIRUN", f"hydra.sweep.dir={folder}", "hydra.sweep.subdir=${hydra.job.num}"]
        hydra.multirun(request.config_name, Job(verb, request.flags.config_dir), [*sweep, *overrides])


@contextmanager
def _relaunchable(arguments: list[str]) -> Iterator[None]:
    """`sys.argv` as the command line of this one job, verb included.

    Lightning starts the other processes of a run by calling `sys.argv` again: that must be this verb with
    this job's settings, not the whole sweep it is a part of.
    """
    before = sys.argv
    sys.argv = [before[0], *arguments]
    try:
        yield
    finally:
        sys.argv = before


def _require_all(config: DictConfig) -> None:
    from omegaconf import OmegaConf

    missing = sorted(OmegaConf.missing_keys(config))
    if missing:
        wanted = ", ".join(f"{key}=" for key in missing)
        raise ConfigError(f"{wanted} has to be given. `--help` describes the settings.")


def _absolute_folder(folder: str) -> str:
    located = locate(folder).absolute()
    if not located.is_dir():
        raise ConfigError(f"--config-dir {folder}: there is no such folder.")
    return str(located)
