"""A user's mistake as one message: what was given, what was wanted, how to mend it. A bug has none."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from genoseq.cli.suggestions import did_you_mean
from genoseq.cli.verbs import Verb
from genoseq.errors import GenoseqError

if TYPE_CHECKING:
    from hydra._internal.hydra import Hydra
    from omegaconf import DictConfig

_NOT_A_SETTING = re.compile(r"Could not (?:override|delete from config\.) '(?P<key>[^']+)'")
_NO_SUCH_GROUP = re.compile(r"config group '(?P<key>[^']+)' does not")
_EXTRAS = {
    "hydra/sweeper=optuna": "sweep",
    "hydra/launcher=joblib": "parallel",
    "hydra/launcher=submitit_slurm": "slurm",
}
_UNEXPECTED_ARGUMENT = re.compile(r"unexpected keyword argument '(?P<name>[^']+)'")


def explain(error: Exception, verb: Verb, hydra: Hydra) -> str | None:
    """The message for what a verb raised, or None where it is no mistake of the user but one of ours."""
    from hydra.errors import (
        CompactHydraException,
        InstantiationException,
        MissingConfigException,
        OverrideParseException,
    )
    from omegaconf.errors import OmegaConfBaseException

    ours = _genoseq_error(error)
    if ours is not None:
        return str(ours)
    match error:
        case MissingConfigException():
            return _missing_choice(error, verb)
        case OverrideParseException():
            return _unreadable(error, verb)
        case InstantiationException():
            return _rejected_argument(error)
        case CompactHydraException():
            return _composition(error, verb, hydra)
        case OmegaConfBaseException():
            return _value(error, verb)
    return None


def _genoseq_error(error: BaseException) -> GenoseqError | None:
    """The user's mistake behind an error: Hydra wraps what a constructor raises in its own."""
    chain = _causes(error)
    return next((link for link in chain if isinstance(link, GenoseqError)), None)


def _causes(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__


def _missing_choice(error: BaseException, verb: Verb) -> str:
    group, _, choice = (getattr(error, "missing_cfg_file", None) or "").rpartition("/")
    options = list(getattr(error, "options", None) or [])
    extra = _EXTRAS.get(f"{group}={choice}")
    if extra is not None:
        return f"{group}={choice} has to be installed: pip install 'genoseq[{extra}]'."
    if not group:
        return f"{str(error).splitlines()[0]}. `genoseq {verb.name} --help` lists the choices."
    return _sentences(
        f"{group}={choice}: no such choice.",
        did_you_mean(choice, options),
        f"There are: {', '.join(sorted(options))}.",
    )


def _unreadable(error: BaseException, verb: Verb) -> str:
    override = getattr(error, "override", "")
    reason = str(error).splitlines()[0]
    return (
        f"{override}: this value cannot be read ({reason}). "
        f"Put a text that holds spaces or any of =,(){{}}[] in quotes: \"key='text'\"."
    )


def _rejected_argument(error: BaseException) -> str | None:
    unexpected = _UNEXPECTED_ARGUMENT.search(str(error))
    if unexpected is None:
        return None
    component = re.search(r"full_key: (\S+)", str(error))
    where = component[1] if component else "its component"
    return f"{where} has no setting {unexpected['name']}. `--cfg job` prints those it has."


def _composition(error: BaseException, verb: Verb, hydra: Hydra) -> str:
    message = str(error) or str(error.__cause__)
    mistyped = _NOT_A_SETTING.search(message) or _NO_SUCH_GROUP.search(message)
    if mistyped is None:
        return " ".join(line.strip() for line in message.splitlines() if line.strip())
    key = mistyped["key"]
    suggestion = did_you_mean(key, _known_settings(verb, hydra))
    advice = f"`genoseq {verb.name} --help` lists the settings, `--cfg job` prints all of them."
    return _sentences(f"{key}: `genoseq {verb.name}` has no such setting.", suggestion, advice)


def _value(error: BaseException, verb: Verb) -> str:
    key = getattr(error, "full_key", None)
    lines = [line.strip() for line in str(error).splitlines()]
    where = f"{key}: " if key else ""
    return f"{where}{lines[0]}. `genoseq {verb.name} --help` describes the settings."


def _sentences(*sentences: str) -> str:
    return " ".join(filter(None, sentences))


def _known_settings(verb: Verb, hydra: Hydra) -> list[str]:
    """Dotted keys of the verb's settings as they are by default, and the config groups."""
    from hydra.types import RunMode

    config = hydra.compose_config(verb.name, [], RunMode.RUN, with_log_configuration=False)
    groups = [name for name in hydra.list_all_config_groups() if not name.startswith("hydra")]
    return [*_dotted_keys(config), *groups]


def _dotted_keys(config: DictConfig, prefix: str = "") -> Iterator[str]:
    from omegaconf import DictConfig

    for name, node in config.items_ex(resolve=False):
        key = f"{prefix}{name!s}"
        if key == "hydra":
            continue
        yield key
        if isinstance(node, DictConfig) and not node._is_none() and not node._is_missing():
            yield from _dotted_keys(node, f"{key}.")
