"""`genoseq tokenizer`: the words of a genome, learnt from its training split."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from hydra.utils import instantiate
from omegaconf import DictConfig

from genoseq.data import GenomeDataModule
from genoseq.errors import ConfigError
from genoseq.inference.outputs import atomic_folder
from genoseq.sequence import decode_bases, reverse_complement, strand_policy
from genoseq.tokenizers import BpeTokenizer

log = logging.getLogger(__name__)


def run(config: DictConfig) -> None:
    """Make the folder `out` as `configs/tokenizer.yaml` describes it."""
    datamodule = instantiate(config.data)
    if not isinstance(datamodule, GenomeDataModule):
        raise ConfigError("words are learnt from a genome: give data=genome data.fasta=FILE.")
    with atomic_folder(config.out) as folder:
        tokenizer = BpeTokenizer.train(
            _read(datamodule),
            vocab_size=config.vocab_size,
            special_tokens=config.special_tokens,
            padding_side=config.padding_side,
            lowercase=config.lowercase,
        )
        tokenizer.save(folder)
    log.info(
        "%s tokens in %s; to train with them: tokenizer@data.tokenizer=file "
        "data.tokenizer.file=%s/tokenizer.json model.vocab_size=%s",
        *(tokenizer.vocab_size, config.out, config.out, tokenizer.vocab_size),
    )


def _read(datamodule: GenomeDataModule) -> Iterator[str]:
    """The letters of the training split, and of its other strand where a model would read that too."""
    for _, codes in datamodule.sequences("train"):
        yield decode_bases(codes)
        if strand_policy(datamodule.strands).turns:
            yield decode_bases(reverse_complement(codes))
