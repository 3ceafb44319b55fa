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
    Verb(
        "benchmark",
        "models and baselines on the tasks of a suite, over seeds",
        "genoseq.cli.benchmark",
        run_folder="out",
    ),
    Verb("evaluate", "metrics of a checkpoint on one split of a data set", "genoseq.cli.evaluate"),
    Verb("compare", "two checkpoints on the same examples, paired", "genoseq.cli.compare"),
    Verb("predict", "predictions for sequences or bases of a FASTA, table or BED", "genoseq.cli.predict"),
    Verb("embed", "vectors of sequences, of windows of recordings, or of whole series", "genoseq.cli.embed"),
    Verb("generate", "new sequences from a language model, as FASTA", "genoseq.cli.generate"),
    Verb("stream", "predictions of a signal as its samples come", "genoseq.cli.stream"),
    Verb("score", "variants of a VCF, scored in its INFO column", "genoseq.cli.score"),
    Verb("mutate", "what each base matters: all changes or gradients, with logos", "genoseq.cli.mutate"),
    Verb("design", "sequences that a model scores well and that hold constraints", "genoseq.cli.design"),
    Verb("align", "reads to their places in a genome", "genoseq.cli.align"),
    Verb("codec", "any file as DNA that can be made and read, and back", "genoseq.cli.codec"),
    Verb("tokenizer", "words of a genome for models to read it in", "genoseq.cli.tokenizer"),
    Verb("convert", "an official checkpoint to a genoseq folder, and back", "genoseq.cli.convert"),
    Verb("inspect", "what is in a file, and what a run would do with it", "genoseq.cli.inspect"),
    Verb("push", "a model to the Hugging Face hub, with its card", "genoseq.cli.push"),
    Verb("info", "versions, devices, and the backend each operator takes here", "genoseq.cli.info"),
)
VERBS: dict[str, Verb] = {verb.name: verb for verb in _TABLE}
