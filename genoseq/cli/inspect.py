"""`genoseq inspect`: what is in a file, and what a run would do with it."""

from __future__ import annotations

import json
from dataclasses import asdict

from omegaconf import DictConfig

from genoseq.cli.tables import print_sections
from genoseq.data.inspection import Findings, Options, inspect
from genoseq.inference.outputs import atomic_file


def run(config: DictConfig) -> None:
    """Print what `input` holds, and write it to `out` as JSON where that is given."""
    options = Options(
        fasta=config.fasta, sequence_column=config.sequence_column, label_column=config.label_column
    )
    findings = inspect(config.input, options)
    _print(findings)
    if config.out is not None:
        with atomic_file(config.out) as path:
            path.write_text(json.dumps(asdict(findings), indent=2) + "\n")


def _print(findings: Findings) -> None:
    sections = {f"{findings.kind}: {title}": facts for title, facts in findings.sections.items()}
    if findings.remarks:
        sections["to look at"] = dict.fromkeys(findings.remarks, "")
    if findings.uses:
        sections["what it is for"] = dict(findings.uses)
    print_sections(sections)
