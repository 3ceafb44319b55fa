"""`genoseq convert`: an official checkpoint to a genoseq folder, and back."""

from __future__ import annotations

import logging

from omegaconf import DictConfig

from genoseq.inference.outputs import atomic_folder
from genoseq.models.hub import load
from genoseq.models.writing import export
from genoseq.paths import locate

log = logging.getLogger(__name__)


def run(config: DictConfig) -> None:
    """Make the folder `out` as `configs/convert.yaml` describes it."""
    with atomic_folder(config.out) as folder:
        export(load(locate(config.checkpoint), family=config.family), folder, layout=config.layout)
    log.info("%s layout in %s", config.layout, config.out)
