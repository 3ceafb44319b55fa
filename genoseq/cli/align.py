"""`genoseq align`: reads to their places in a genome, by an encoder and a vector store."""

from __future__ import annotations

import logging
from functools import partial

from omegaconf import DictConfig

from genoseq.cli.models import open_model
from genoseq.cli.progress import counted
from genoseq.data import read_reads
from genoseq.data.fasta import Fasta
from genoseq.errors import ConfigError
from genoseq.inference.align import (
    AlignSettings,
    GenomeIndex,
    KmerEncoder,
    ModelEncoder,
    ReadEncoder,
    align,
    build_index,
    load_index,
    make_store,
    open_alignments,
    save_index,
)
from genoseq.inference.outputs import atomic_file
from genoseq.paths import locate

_KMERS = "kmers"
log = logging.getLogger(__name__)


def run(config: DictConfig) -> None:
    """Write `out`, and `index` where it is not there yet, as `configs/align.yaml` describes them."""
    settings = AlignSettings(config.candidates, config.max_error, config.batch_size)
    fasta = Fasta(config.fasta)
    total = mapped = 0
    with open_alignments(config.out, fasta.lengths) as writer:
        encoder = _encoder(config)
        index = _index(config, encoder, fasta)
        store = make_store(config.store, index.vectors, encoder.device)
        found = align(encoder, index, store, fasta, read_reads(config.input), settings)
        for read, aligned in counted(found, what="reads"):
            writer.write(read, aligned)
            total, mapped = total + 1, mapped + (aligned is not None)
    log.info("%s of %s reads have a place, in %s", f"{mapped:,}", f"{total:,}", config.out)


def _encoder(config: DictConfig) -> ReadEncoder:
    if config.checkpoint == _KMERS:
        return KmerEncoder()
    return ModelEncoder(open_model(config), batch_size=config.batch_size)


def _index(config: DictConfig, encoder: ReadEncoder, fasta: Fasta) -> GenomeIndex:
    if config.index is not None and locate(config.index).exists():
        index = load_index(config.index, encoder, fasta)
        if (index.window_length, index.stride) != (config.window_length, config.stride):
            raise ConfigError(
                f"index={config.index} has windows of {index.window_length} bases every {index.stride}: give "
                "these as window_length and stride, or another index."
            )
        return index
    index = build_index(
        encoder,
        fasta,
        window_length=config.window_length,
        stride=config.stride,
        batch_size=config.batch_size,
        progress=partial(counted, what="windows"),
    )
    if config.index is not None:
        with atomic_file(config.index) as path:
            save_index(index, path)
    return index
