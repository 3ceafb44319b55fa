"""`genoseq predict`: a prediction for each sequence."""

from __future__ import annotations

import logging

from omegaconf import DictConfig

from genoseq.cli.models import open_models, open_records
from genoseq.cli.progress import counted
from genoseq.inference import predict
from genoseq.inference.outputs import open_table

log = logging.getLogger(__name__)


def run(config: DictConfig) -> None:
    """Write `out` as `configs/predict.yaml` describes it."""
    with open_table(config.out, formats=(".parquet", ".tsv", ".csv")) as table:
        records = counted(open_records(config), what="sequences")
        model = open_models(config)
        for rows in predict(model, records, batch_size=config.batch_size):
            table.write(rows)
    log.info("predictions in %s", config.out)
