"""`genoseq inspect`: what is in a file, and what a run would do with it."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from genoseq.cli.recording_plots import require_channels, save_recording_plots
from genoseq.cli.tables import print_sections
from genoseq.data.inspection import Findings, Options, inspect
from genoseq.inference.outputs import atomic_file


def run(config: DictConfig) -> None:
    """Print what `input` holds, and write it to `out` as JSON where that is given."""
    recordings = OmegaConf.to_container(config.recordings)
    assert isinstance(recordings, dict)
    options = Options(
        fasta=config.fasta,
        sequence_column=config.sequence_column,
        label_column=config.label_column,
        recordings={str(name): value for name, value in recordings.items()},
    )
    if config.plots is not None:
        require_channels(options.recordings)
    findings = inspect(config.input, options)
    _print(findings)
    if config.plots is not None:
        save_recording_plots(config.input, options.recordings, config.plots)
    if config.out is not None:
        with atomic_file(config.out) as path:
            written = {name: value for name, value in asdict(findings).items() if name != "names"}
            path.write_text(json.dumps(written, indent=2) + "\n")


def _print(findings: Findings) -> None:
    if findings.table:
        _print_rows(findings)
    sections = {f"{findings.kind}: {title}": facts for title, facts in findings.sections.items()}
    if findings.remarks:
        sections["to look at"] = dict.fromkeys(findings.remarks, "")
    if findings.uses:
        sections["what it is for"] = dict(findings.uses)
    print_sections(sections)


def _print_rows(findings: Findings) -> None:
    table = Table(box=None, padding=(0, 1))
    table.add_column("file", overflow="fold")
    for name in findings.table[0]:
        table.add_column(name, overflow="fold")
    for name, row in zip(findings.names, findings.table, strict=True):
        cells = (f"{value:g}" if isinstance(value, float) else str(value) for value in row.values())
        table.add_row(escape(name), *map(escape, cells))
    Console(highlight=False, soft_wrap=False, width=_width()).print(table)


def _width() -> int | None:
    """Of the screen; a file or a pipe gets lines as long as they are."""
    return None if sys.stdout.isatty() else 240
