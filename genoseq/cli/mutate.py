"""`genoseq mutate`: what each base of sequences matters to a model."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import get_args

import matplotlib
import pandas as pd
from omegaconf import DictConfig

from genoseq.cli.models import open_model, score_settings
from genoseq.cli.progress import counted
from genoseq.data import GeneModel, read_bed, read_gene_models
from genoseq.errors import ConfigError, require_choice
from genoseq.inference import Region, VariantScorer, attribute_bases, read_regions, saturation_mutagenesis
from genoseq.inference.attribution import GradientMethod
from genoseq.inference.outputs import ColumnArchive, open_table
from genoseq.models.base import SequenceModel
from genoseq.paths import locate
from genoseq.report.plots.attribution import attribution_plot, heat_of, importance_of
from genoseq.report.style import MATPLOTLIB
from genoseq.sequence import Interval

log = logging.getLogger(__name__)

_MUTAGENESIS = "mutagenesis"


def run(config: DictConfig) -> None:
    """Write `out`, and `plots`, as `configs/mutate.yaml` describes them."""
    require_choice("method", config.method, (_MUTAGENESIS, *get_args(GradientMethod)))
    formats = (".tsv", ".csv", ".parquet", ".npz")
    with open_table(config.out, formats=formats, archive=ColumnArchive) as table:
        genes = _genes(config)
        model = open_model(config)
        drawing = None if config.plots is None else _Drawing(config, genes)
        regions = counted(_regions(config), what="sequences")
        for region, rows in _tables(config, model, regions):
            table.write(rows)
            if drawing is not None:
                drawing.draw(region, rows)
    log.info("%s in %s", config.method, config.out)


def _regions(config: DictConfig) -> Iterator[Region]:
    return read_regions(
        config.input,
        fasta=config.fasta,
        bed=config.bed,
        flank=config.flank,
        sequence_column=config.sequence_column,
        name_column=config.name_column,
    )


def _tables(
    config: DictConfig, model: SequenceModel, regions: Iterable[Region]
) -> Iterator[tuple[Region, pd.DataFrame]]:
    """Each region with its table, one at a time."""
    if config.method == _MUTAGENESIS:
        scorer = VariantScorer(model, score_settings(config, window=None))
        for region in regions:
            yield region, next(saturation_mutagenesis(scorer, [region]))
        return
    if config.scores is not None:
        raise ConfigError(f"scores={list(config.scores)}: of method=mutagenesis. Leave it out.")
    for region in regions:
        tables = attribute_bases(
            model,
            [region],
            method=config.method,
            target=config.target,
            strands=config.strands,
            steps=config.steps,
            batch_size=config.batch_size,
        )
        yield region, next(tables)


def _genes(config: DictConfig) -> dict[Interval, list[GeneModel]]:
    if config.annotation is None:
        return {}
    if config.bed is None or config.plots is None:
        raise ConfigError("annotation= is drawn under intervals: give fasta=, bed= and plots= too.")
    return read_gene_models(config.annotation, read_bed(config.bed))


class _Drawing:
    """Plots of regions in a folder."""

    def __init__(self, config: DictConfig, genes: dict[Interval, list[GeneModel]]) -> None:
        self.folder = locate(config.plots)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._config = config
        self._genes = genes
        self._names: set[str] = set()

    def draw(self, region: Region, rows: pd.DataFrame) -> Path:
        """Write the plot of one region."""
        genes = [] if region.interval is None else self._genes.get(region.interval, [])
        name, width = self._file_name(region.name), region.end - region.start
        with matplotlib.rc_context(MATPLOTLIB):
            if "attribution" in rows:
                plot = attribution_plot(
                    name,
                    region.name,
                    region.letters,
                    rows["attribution"].to_numpy(),
                    label=str(self._config.method).replace("_", " "),
                    interval=region.interval,
                    genes=genes,
                )
            else:
                column = self._column(rows)
                heat = heat_of(rows, column, width)
                plot = attribution_plot(
                    name,
                    region.name,
                    region.letters,
                    importance_of(heat, column),
                    label=f"{'mean ' if column == 'distance' else '- mean '}{column}",
                    heat=heat,
                    heat_label=column,
                    interval=region.interval,
                    genes=genes,
                )
        return plot.save_png(self.folder)

    def _column(self, rows: pd.DataFrame) -> str:
        """The score that is drawn: that of the target, or the last one of a table's."""
        if self._config.target is None:
            return str(rows.columns[-1])
        column = f"delta_{self._config.target}"
        if column not in rows:
            known = ", ".join(map(str, rows.columns))
            raise ConfigError(f"target={self._config.target}: there is no {column}, but {known}.")
        return column

    def _file_name(self, name: str) -> str:
        """The name of a region as a file can have it, and no other."""
        plain = re.sub(r"[^\w.+-]+", "_", name)[:100] or "sequence"
        free, number = plain, 1
        while free in self._names:
            number += 1
            free = f"{plain}_{number}"
        self._names.add(free)
        return free
