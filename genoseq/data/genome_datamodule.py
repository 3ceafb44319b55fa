"""Genomes for language models."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
import pandas as pd

from genoseq.data.annotation import Phases
from genoseq.data.datamodule import SequenceDataModule
from genoseq.data.genome import GenomeTiles, GenomeWindows
from genoseq.data.genome_coding import GenomeCoding
from genoseq.data.genomes import Genomes
from genoseq.data.length_schedule import lengths_by_step
from genoseq.data.splits import GenomeSplit, Split
from genoseq.data.stages import Stages
from genoseq.errors import ConfigError, require_choice
from genoseq.sequence import Interval, OnError, Strands
from genoseq.tokenizers import CodingTokenizer, Tokenizer

_log = logging.getLogger(__name__)

PathLike = str | os.PathLike[str]

_STRANDS = ("none", "augment", "equivariant")


class GenomeDataModule(SequenceDataModule):
    """Random windows of genomes to train on; validation and test in tiles that score every base once.

    Args:
        tokenizer: makes ids of bases.
        fasta: a FASTA (plain, bgzip or gzip), or several.
        annotation: where codons are, for a tokenizer that reads them (`codon`, `frame`): a GFF3 or GTF, or
            one for each FASTA; None for other tokenizers, and to evaluate a model of codons on plain DNA,
            which the log tells.
        on_error, phases: of the annotation, see `GenomeCoding`.
        weights: how often each of several genomes is drawn; None is by size.
        split: which parts are for train, validation and test.
        length: bases of a window.
        length_schedule: stages of a run, as pairs of an optimiser step and the bases of a window from there
            on, such as [[0, 256], [1000, 1024]]; the last is `length`. A stage begins an epoch. None is
            `length` throughout.
        constant_tokens: as windows become longer, batches have as many times fewer of them, so that a step
            and a micro-batch have as many bases in every stage; `global_batch_size` and `micro_batch_size`
            are those of the first. Otherwise a batch has as many windows in every stage.
        examples_per_epoch: training windows of an epoch, drawn at random; None for one pass side by side.
        jitter: bases that the windows of a pass are moved by, at random.
        strands: what becomes of the two strands, see `StrandPolicy`: "none", "augment" or "equivariant", for
            there is no prediction of a whole window to average, nor to pool.
        planted_repeats: share of the training windows that get copies of their own stretches, with mutations
            and on either strand: it teaches to look back. 0 leaves them as the genome has them.
        max_n_fraction: training windows with a larger share of N are passed over.
        evaluation_length: bases of a tile; None is `length`.
        stride: bases that a tile scores, the others being context; None is all but the longest token.
        global_batch_size, micro_batch_size, num_workers, pin_memory, seed: as for every data module.

    Raises:
        ConfigError: settings contradict each other.
        DataError: a FASTA or an annotation is missing or broken, or a split has no room for a window.
        RecordError: a transcript contradicts itself or its genome, under on_error="raise".
    """

    strand = "unstranded"

    def __init__(
        self,
        *,
        tokenizer: Tokenizer,
        fasta: PathLike | Sequence[PathLike],
        annotation: PathLike | Sequence[PathLike] | None = None,
        on_error: OnError = "raise",
        phases: Phases = "check",
        weights: Sequence[float] | None,
        split: GenomeSplit,
        length: int,
        length_schedule: Sequence[Sequence[int]] | None,
        constant_tokens: bool,
        examples_per_epoch: int | None,
        jitter: int,
        strands: Strands,
        planted_repeats: float,
        max_n_fraction: float,
        evaluation_length: int | None,
        stride: int | None,
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
        require_choice("strands", strands, _STRANDS)
        self._annotations = None if annotation is None else _listed(annotation)
        self._on_error: OnError = on_error
        self._phases: Phases = phases
        self.genomes = Genomes(
            _listed(fasta),
            weights=None if weights is None else list(weights),
            lowercase=getattr(tokenizer, "lowercase", "base"),
        )
        self.split = split
        self.length = length
        self.length_schedule = None if length_schedule is None else lengths_by_step(length_schedule)
        if self.length_schedule is not None:
            if examples_per_epoch is None:
                raise ConfigError(
                    "length_schedule needs random windows: give a number of examples_per_epoch, or "
                    "length_schedule=null."
                )
            self.divisors = _divisors(self.length_schedule, constant_tokens=constant_tokens)
        self.examples_per_epoch = examples_per_epoch
        self.jitter = jitter
        self.strands = strands
        self.planted_repeats = planted_repeats
        self.max_n_fraction = max_n_fraction
        self.evaluation_length = length if evaluation_length is None else evaluation_length
        self.stride = stride

    def build(self, split: Split) -> GenomeWindows | GenomeTiles:
        """Windows of the training split, tiles of the others."""
        # Not before: evaluation brings the tokenizer of its model.
        self._require_codons(split)
        regions = self.split.regions(self.genomes.lengths, split)
        if split != "train":
            return GenomeTiles(
                self.genomes,
                regions,
                self.tokenizer,
                length=self.evaluation_length,
                stride=self.stride,
                coding=self._coding,
            )
        return GenomeWindows(
            self.genomes,
            regions,
            self.tokenizer,
            length=self.length,
            length_schedule=self._lengths_by_epoch(),
            examples_per_epoch=self.examples_per_epoch,
            jitter=self.jitter,
            strands=self.strands,
            planted_repeats=self.planted_repeats,
            max_n_fraction=self.max_n_fraction,
            coding=self._coding,
            seed=self.seed,
        )

    def sequences(self, split: Split) -> list[tuple[Interval, np.ndarray]]:
        """The regions of a split with their base codes, (L,) uint8 each."""
        regions = self.split.regions(self.genomes.lengths, split)
        return [
            (region, self.genomes.codes(region.chromosome, region.start, region.end)) for region in regions
        ]

    def tiles(self, split: Split) -> pd.DataFrame:
        """What each example of validation or test scores, in their order: see `GenomeTiles.table`."""
        dataset = self.dataset(split)
        assert isinstance(dataset, GenomeTiles), "training windows are drawn anew in each epoch"
        return dataset.table

    @cached_property
    def _coding(self) -> GenomeCoding | None:
        if self._annotations is None:
            return None
        return GenomeCoding(self.genomes, self._annotations, on_error=self._on_error, phases=self._phases)

    def _require_codons(self, split: Split) -> None:
        tokenizer, files = self.tokenizer, self._annotations
        reads_codons = isinstance(tokenizer, CodingTokenizer)
        if files is not None and not reads_codons:
            raise ConfigError(
                f"annotation={', '.join(map(str, files))}: {tokenizer!r} has no codons. Take tokenizer=codon "
                "or tokenizer=frame, or leave the annotation out."
            )
        if files is not None and self.planted_repeats:
            raise ConfigError(
                f"planted_repeats={self.planted_repeats} writes copies over genes, which are then none: give "
                "planted_repeats=0 with an annotation."
            )
        if files is not None or not reads_codons:
            return
        if split == "train":
            raise ConfigError(
                f"{tokenizer!r} has to be told where codons are: give annotation=FILE (GFF3 or GTF), or "
                "tokenizer=character."
            )
        _log.warning(
            "%s: the model reads codons, and no annotation says where they are: it is given plain DNA", split
        )

    def _lengths_by_epoch(self) -> dict[int, int] | None:
        if self.length_schedule is None:
            return None
        assert self.examples_per_epoch is not None, "a schedule was refused without it"
        stages = Stages(self.examples_per_epoch, self.global_batch_size, self.divisors)
        return stages.by_epoch(self.length_schedule)


def _listed(files: PathLike | Sequence[PathLike]) -> list[PathLike]:
    return [files] if isinstance(files, str | os.PathLike) else list(files)


def _divisors(lengths: Mapping[int, int], *, constant_tokens: bool) -> dict[int, int]:
    if not constant_tokens:
        return dict.fromkeys(lengths, 1)
    first = lengths[0]
    if any(length % first for length in lengths.values()):
        raise ConfigError(
            f"length_schedule has lengths {', '.join(map(str, lengths.values()))}: with constant_tokens=true "
            f"each is a whole multiple of the first, {first}, so that as many times fewer windows have as "
            "many bases."
        )
    return {step: length // first for step, length in lengths.items()}
