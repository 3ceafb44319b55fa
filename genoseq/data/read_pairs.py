"""Simulated reads and the windows of the genome that they come from."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from genoseq.data.datamodule import SequenceDataModule
from genoseq.data.genome import GenomeWindows
from genoseq.data.genomes import Genomes
from genoseq.data.loading import ExampleKey
from genoseq.data.splits import GenomeSplit, Split
from genoseq.errors import ConfigError
from genoseq.sequence import Interval
from genoseq.sequence.errors_of_reads import sequence_with_errors
from genoseq.tokenizers import Tokenizer


class ReadPairs(GenomeWindows):
    """Windows drawn anew in each epoch, of either strand, and a read of each with errors.

    Args:
        genomes, regions, tokenizer, max_n_fraction, seed: as for `GenomeWindows`.
        window_length: bases of a window.
        read_length: bases of the genome that a read is of; it lies anywhere in its window.
        error_rates: least and most errors a base; the rate of each read lies evenly between.
        examples_per_epoch: pairs.
    """

    def __init__(
        self,
        genomes: Genomes,
        regions: Sequence[Interval],
        tokenizer: Tokenizer,
        *,
        window_length: int,
        read_length: int,
        error_rates: tuple[float, float],
        examples_per_epoch: int,
        max_n_fraction: float,
        seed: int,
    ) -> None:
        super().__init__(
            genomes,
            regions,
            tokenizer,
            length=window_length,
            examples_per_epoch=examples_per_epoch,
            strands="augment",
            max_n_fraction=max_n_fraction,
            seed=seed,
        )
        self._read_length = read_length
        self._error_rates = error_rates

    def __getitem__(self, key: ExampleKey) -> dict[str, Any]:
        codes = self.window(key)
        # A stream of its own beside that of the windows.
        generator = np.random.default_rng([self._seed, key.epoch, key.index, 1])
        start = int(generator.integers(len(codes) - self._read_length + 1))
        rate = float(generator.uniform(*self._error_rates))
        read = sequence_with_errors(codes[start : start + self._read_length], rate, generator)
        return {
            "input_ids": self._tokenizer.encode_codes(read),
            "window_ids": self._tokenizer.encode_codes(codes),
            "index": key.index,
            "counted": key.counted,
        }


class ReadPairsDataModule(SequenceDataModule):
    """Reads and their windows, for encoders that put the two side by side.

    Args:
        tokenizer: of single nucleotides.
        fasta: a FASTA (plain, bgzip or gzip), or several.
        split: which parts are for train and validation.
        window_length, read_length, error_rates: see `ReadPairs`.
        examples_per_epoch: pairs of an epoch.
        evaluation_examples: pairs of validation, the same ones each time.
        max_n_fraction: windows with a larger share of N are passed over.
        global_batch_size, micro_batch_size, num_workers, pin_memory, seed: as for every data module.

    Raises:
        ConfigError: settings contradict each other. DataError: as for genomes.
    """

    strand = "unstranded"

    def __init__(
        self,
        *,
        tokenizer: Tokenizer,
        fasta: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
        split: GenomeSplit,
        window_length: int,
        read_length: int,
        error_rates: Sequence[float],
        examples_per_epoch: int,
        evaluation_examples: int,
        max_n_fraction: float,
        global_batch_size: int,
        micro_batch_size: int | None,
        num_workers: int,
        pin_memory: bool,
        seed: int,
    ) -> None:
        super().__init__(
            tokenizer=tokenizer,
            global_batch_size=global_batch_size,
            micro_batch_size=micro_batch_size,
            num_workers=num_workers,
            pin_memory=pin_memory,
            seed=seed,
        )
        if not 1 <= read_length <= window_length:
            raise ConfigError(
                f"read_length={read_length}: a read lies in its window, of window_length={window_length}."
            )
        rates = tuple(float(rate) for rate in error_rates)
        if len(rates) != 2 or not 0 <= rates[0] <= rates[1] <= 1:
            raise ConfigError(f"error_rates={list(error_rates)}: give least and most, as [0.01,0.05].")
        # Tokens of single nucleotides have ids for them; others say so.
        assert len(tokenizer.base_ids)
        self.genomes = Genomes([fasta] if isinstance(fasta, str | os.PathLike) else list(fasta), weights=None)
        self.split = split
        self.window_length = window_length
        self.read_length = read_length
        self.error_rates = (rates[0], rates[1])
        self.examples_per_epoch = examples_per_epoch
        self.evaluation_examples = evaluation_examples
        self.max_n_fraction = max_n_fraction

    def build(self, split: Split) -> ReadPairs:
        """Pairs of a split."""
        training = split == "train"
        return ReadPairs(
            self.genomes,
            self.split.regions(self.genomes.lengths, split),
            self.tokenizer,
            window_length=self.window_length,
            read_length=self.read_length,
            error_rates=self.error_rates,
            examples_per_epoch=self.examples_per_epoch if training else self.evaluation_examples,
            max_n_fraction=self.max_n_fraction,
            seed=self.seed,
        )
