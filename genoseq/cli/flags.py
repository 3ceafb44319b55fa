"""The options that start with a dash: Hydra's own, for every verb."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import NoReturn

from genoseq.cli.suggestions import did_you_mean
from genoseq.errors import ConfigError


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}. `genoseq VERB --help` lists the options.")


def parse_flags(verb: str, arguments: Sequence[str]) -> argparse.Namespace:
    """Split what stands after the verb into options and `overrides`, the `key=value` settings in order.

    Raises:
        ConfigError: an option that does not exist, or options that exclude each other.
    """
    parser = flag_parser(verb)
    flags, unknown = parser.parse_known_intermixed_args(arguments)
    options = [option for action in parser._actions for option in action.option_strings]
    for option in unknown:
        raise ConfigError(f"there is no option {option}. {did_you_mean(option, options)}".rstrip())
    return flags


def flag_parser(verb: str) -> argparse.ArgumentParser:
    """The options, with the help that `genoseq VERB --help` shows."""
    parser = _Parser(prog=f"genoseq {verb}", add_help=False, allow_abbrev=False)
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--help", "-h", action="store_true", help="this page")
    what.add_argument(
        "--cfg",
        "-c",
        metavar="WHAT",
        choices=("job", "hydra", "all"),
        help="print the composed settings (job, hydra or all) and do nothing else",
    )
    what.add_argument(
        "--multirun",
        "-m",
        action="store_true",
        help="run each combination of comma-separated values",
    )
    what.add_argument(
        "--info",
        metavar="WHAT",
        choices=("all", "config", "defaults", "defaults-tree", "plugins", "searchpath"),
        help="print how the settings are composed (all, defaults, searchpath, ...) and do nothing else",
    )
    parser.add_argument("--resolve", action="store_true", help="with --cfg: interpolations resolved")
    parser.add_argument("--package", "-p", metavar="KEY", help="with --cfg: only the settings under KEY")
    parser.add_argument("--config-dir", "-cd", metavar="DIR", help="a folder with more configs, of your own")
    return parser
