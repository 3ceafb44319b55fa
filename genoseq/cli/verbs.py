"""The table of verbs, one line each: a verb is a config of its own name and a function that takes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omegaconf import DictConfig


@dataclass(frozen=True)
class Verb:
    """One word of the command line.

    Args:
        name: what the user types; `configs/NAME.yaml` holds its settings.
        summary: one line for `genoseq --help`.
        module: where its `run(config)` is, imported only when it is asked for (torch takes seconds).
        run_folder: the setting that names the folder it makes; None for a verb that writes nothing but `out`.
    """

    name: str
    summary: str
    module: str
    run_folder: str | None = None

    def run(self, config: DictConfig) -> Any:
        """Do what the verb does with its composed settings."""
        function: Callable[[DictConfig], Any] = import_module(self.module).run
        return function(config)


_TABLE = (
    Verb("demo", "the whole path on the shipped data in eight minutes", "genoseq.cli.demo", run_folder="out"),
    Verb("train", "pretrain or fine-tune a model", "genoseq.cli.train", run_folder="run_dir"),
    Verb("evaluate", "metrics of a checkpoint on one split of a data set", "genoseq.cli.evaluate"),
    Verb("predict", "predictions for sequences or bases of a FASTA, table or BED", "genoseq.cli.predict"),
    Verb("embed", "vectors of sequences or windows of a FASTA, table or BED", "genoseq.cli.embed"),
    Verb("generate", "new sequences from a language model, as FASTA", "genoseq.cli.generate"),
    Verb("stream", "predictions of a signal as its samples come", "genoseq.cli.stream"),
    Verb("tokenizer", "words of a genome for models to read it in", "genoseq.cli.tokenizer"),
    Verb("convert", "an official checkpoint to a genoseq folder, and back", "genoseq.cli.convert"),
    Verb("inspect", "what is in a file, and what a run would do with it", "genoseq.cli.inspect"),
    Verb("info", "versions, devices, and the backend each operator takes here", "genoseq.cli.info"),
)
VERBS: dict[str, Verb] = {verb.name: verb for verb in _TABLE}
