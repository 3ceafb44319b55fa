"""`genoseq score`: variants of a VCF, scored by a model."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator

from omegaconf import DictConfig

from genoseq.cli.models import open_model, score_settings
from genoseq.cli.progress import counted
from genoseq.data import AllelePair
from genoseq.inference import VariantScorer, VcfScoring, annotate_vcf
from genoseq.inference.variant_files import require_vcf_name

log = logging.getLogger(__name__)


def run(config: DictConfig) -> None:
    """Write `out` as `configs/score.yaml` describes it."""
    require_vcf_name(config.out)
    scorer = VariantScorer(open_model(config), score_settings(config, window=config.window))
    scoring = VcfScoring(
        config.vcf,
        config.fasta,
        window=scorer.window,
        on_error=config.on_error,
        contig_lengths=config.contig_lengths,
        aliases=config.aliases,
    )
    log.info("%s", scoring.counts)
    if scoring.counts.first_skipped is not None:
        log.warning(
            "skipped records are passed through without a score; the first: %s", scoring.counts.first_skipped
        )

    def watch(pairs: Iterable[list[AllelePair]]) -> Iterator[list[AllelePair]]:
        total = -(-scoring.counts.scored // config.batch_size)
        return counted(pairs, what=f"batches of {config.batch_size}", total=total)

    annotate_vcf(scorer, scoring, config.out, samples=config.samples, prefix=config.prefix, watch=watch)
    log.info("scores in %s", config.out)
