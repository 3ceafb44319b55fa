"""`genoseq generate`: new sequences from a language model."""

from __future__ import annotations

import logging

from omegaconf import DictConfig

from genoseq.cli.models import open_model
from genoseq.cli.progress import advancing
from genoseq.inference import describe, generate
from genoseq.inference.outputs import open_fasta, write_fasta
from genoseq.models.sampling import Sampling

log = logging.getLogger(__name__)


def run(config: DictConfig) -> None:
    """Write `out` as `configs/generate.yaml` describes it, each sequence as soon as it is done."""
    total = config.num_sequences * config.length
    with open_fasta(config.out) as file, advancing(what="bases", total=total) as advance:
        results = generate(
            open_model(config),
            prompt=config.prompt,
            control=config.control,
            num_sequences=config.num_sequences,
            length=config.length,
            sampling=_sampling(config),
            seed=config.seed,
            batch_size=config.batch_size,
            drawn=advance,
        )
        write_fasta(file, (describe(index, result, code=config.code) for index, result in enumerate(results)))
    log.info("%s sequences in %s", config.num_sequences, config.out)


def _sampling(config: DictConfig) -> Sampling:
    return Sampling(
        temperature=config.temperature,
        top_k=config.top_k,
        top_p=config.top_p,
        min_p=config.min_p,
        no_repeat_ngram_size=config.no_repeat_ngram_size,
        repetition_penalty=config.repetition_penalty,
        repetition_ngram_size=config.repetition_ngram_size,
        repetition_window=config.repetition_window,
        stop_tokens=tuple(config.stop_tokens),
    )
