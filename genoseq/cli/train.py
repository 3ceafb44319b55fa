"""`genoseq train`: a run, and its report."""

from __future__ import annotations

import logging

from lightning.pytorch.utilities import rank_zero_only
from omegaconf import DictConfig

from genoseq.report import write_report
from genoseq.training.run import train

log = logging.getLogger(__name__)


def run(config: DictConfig) -> None:
    """Make the run folder as `configs/train.yaml` describes it."""
    result = train(config)
    if config.report and rank_zero_only.rank == 0:  # type: ignore[attr-defined]
        log.info("report in %s", write_report(result.folder))
