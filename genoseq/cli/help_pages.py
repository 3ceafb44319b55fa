"""`genoseq --help` and `genoseq VERB --help`: the configs are the documentation, so they are shown."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from genoseq.cli.flags import flag_parser
from genoseq.cli.verbs import VERBS, Verb

if TYPE_CHECKING:
    from hydra._internal.hydra import Hydra
    from rich.console import Console
    from rich.table import Table

_EXPERIMENTS = "experiment"
_PAGE_WIDTH = 110


def print_overview() -> None:
    """The verbs, one line each."""
    console = _console()
    console.print("Long-range sequence models on genomes: train them, fine-tune them, use them.\n")
    console.print("usage: [bold]genoseq VERB key=value ...[/bold]\n")
    console.print(_two_columns((verb.name, verb.summary) for verb in VERBS.values()))
    console.print("\n`genoseq VERB --help` shows the settings of a verb; `genoseq --version` the version.")


def print_verb_help(verb: Verb, hydra: Hydra) -> None:
    """What the verb does, its settings as its config has them, and the choices there are."""
    from rich.syntax import Syntax
    from rich.text import Text

    console = _console()
    about, settings = _split_header(_find_config(verb.name, hydra).read_text())
    console.print(f"usage: [bold]genoseq {verb.name} key=value ...[/bold]\n")
    console.print(Text("\n".join(about)), style="default")
    console.print("\n[bold]settings[/bold] (the value shown is the default; ??? has to be given)\n")
    console.print(Syntax(settings, "yaml", background_color="default", word_wrap=True))
    groups = _groups_of(settings, hydra)
    has_experiments = groups.pop(_EXPERIMENTS, None) is not None
    if groups:
        console.print("[bold]choices[/bold] (genoseq " + verb.name + " group=choice)\n")
        console.print(_two_columns((name, ", ".join(choices)) for name, choices in groups.items()))
    if has_experiments:
        console.print("\n[bold]experiments[/bold] (genoseq train experiment=NAME)\n")
        console.print(_two_columns(_experiments(hydra)))
    console.print("\n[bold]options[/bold]\n")
    console.print(_two_columns(_options(verb)))


def _config_folders(hydra: Hydra) -> list[Path]:
    """Folders that Hydra composes from, the user's own before the packaged one."""
    return [Path(source.path) for source in hydra.config_loader.get_sources() if source.scheme() == "file"]


def _find_config(name: str, hydra: Hydra) -> Path:
    return next(path for folder in _config_folders(hydra) if (path := folder / f"{name}.yaml").is_file())


def _experiments(hydra: Hydra) -> list[tuple[str, str]]:
    """Name and first comment line of every experiment."""
    names = sorted(hydra.config_loader.get_group_options(_EXPERIMENTS))
    return [(name, _first_comment(_find_config(f"{_EXPERIMENTS}/{name}", hydra))) for name in names]


def _first_comment(path: Path) -> str:
    comments = [line.lstrip("# ") for line in path.read_text().splitlines() if line.startswith("#")]
    return next((line for line in comments if line and not line.startswith("@package")), "")


def _split_header(text: str) -> tuple[list[str], str]:
    """The leading comment block without its marks, and the rest."""
    lines = text.splitlines()
    end = next((number for number, line in enumerate(lines) if not line.startswith("#")), len(lines))
    about = [line.removeprefix("#").removeprefix(" ") for line in lines[:end]]
    return about, "\n".join(lines[end:]).strip() + "\n"


def _groups_of(settings: str, hydra: Hydra) -> dict[str, list[str]]:
    """The config groups of the verb's defaults list with their choices, the user's own too."""
    from omegaconf import OmegaConf

    document = OmegaConf.to_container(OmegaConf.create(settings))
    assert isinstance(document, dict)
    keys = [key for entry in document.get("defaults", []) if isinstance(entry, dict) for key in entry]
    names = [key.removeprefix("optional ") for key in keys if "@" not in key]
    return {name: sorted(hydra.config_loader.get_group_options(name)) for name in names}


def _options(verb: Verb) -> list[tuple[str, str]]:
    actions = [action for action in flag_parser(verb.name)._actions if action.option_strings]
    return [
        (f"{', '.join(action.option_strings)} {action.metavar or ''}", action.help or "")
        for action in actions
    ]


def _two_columns(rows: Iterable[tuple[str, str]]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, padding=(0, 2))
    table.add_column(style="cyan", no_wrap=True)
    table.add_column()
    for name, text in rows:
        table.add_row(Text(name), Text(text))
    return table


def _console() -> Console:
    from rich.console import Console

    # Written to a file or a pipe there is no width to fit.
    return Console(highlight=False, width=None if sys.stdout.isatty() else _PAGE_WIDTH)
