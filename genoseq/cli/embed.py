"""`genoseq embed`: a vector for each sequence."""

from __future__ import annotations

import logging

from omegaconf import DictConfig

from genoseq.cli.models import open_model, open_records
from genoseq.cli.progress import counted
from genoseq.inference import embed
from genoseq.inference.outputs import open_table

log = logging.getLogger(__name__)


def run(config: DictConfig) -> None:
    """Write `out` as `configs/embed.yaml` describes it."""
    with open_table(config.out, formats=(".parquet", ".npz")) as table:
        records = counted(open_records(config), what="sequences")
        model = open_model(config)
        batches = embed(
            model,
            records,
            layer=config.layer,
            pooling=config.pooling,
            strands=config.strands,
            batch_size=config.batch_size,
        )
        for rows in batches:
            table.write(rows)
    log.info("embeddings in %s", config.out)
