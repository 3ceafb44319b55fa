"""`genoseq generate`: new sequences from a language model."""

from __future__ import annotations

import logging

from omegaconf import DictConfig

from genoseq.cli.models import open_model
from genoseq.cli.progress import counted
from genoseq.inference import generate
from genoseq.inference.outputs import atomic_file, write_fasta

log = logging.getLogger(__name__)


def run(config: DictConfig) -> None:
    """Write `out` as `configs/generate.yaml` describes it."""
    with atomic_file(config.out) as path:
        records = generate(
            open_model(config),
            prompt=config.prompt,
            num_sequences=config.num_sequences,
            length=config.length,
            temperature=config.temperature,
            top_k=config.top_k,
            top_p=config.top_p,
            seed=config.seed,
            batch_size=config.batch_size,
        )
        write_fasta(path, counted(records, what="sequences", total=config.num_sequences))
    log.info("%s sequences in %s", config.num_sequences, config.out)
