"""Coding sequences for Life-Code."""

from __future__ import annotations

import logging
import os
from functools import cached_property

import numpy as np
import pandas as pd

from genoseq.data.annotation import Phases
from genoseq.data.coding import read_between_genes, read_coding_pairs, read_coding_sequences
from genoseq.data.coding_examples import CodingExamples
from genoseq.data.datamodule import SequenceDataModule
from genoseq.data.leaks import kmer_groups
from genoseq.data.splits import Split, split_groups
from genoseq.errors import ConfigError, DataError
from genoseq.sequence import CODON, Kept, OnError, UnifiedSequence
from genoseq.tokenizers import FrameTokenizer, Tokenizer

_log = logging.getLogger(__name__)

PathLike = str | os.PathLike[str]


class CodingDataModule(SequenceDataModule):
    """Coding sequences of a genome with its annotation, or of a table with their proteins.

    They are cut into train, validation and test by clusters that share `leak_k` bases on either strand, so
    that transcripts of one gene stay together and no k-mer of a later split is in an earlier one. Proteins
    that are alike while their genes are not may be divided.

    Args:
        tokenizer: a `FrameTokenizer`.
        table: of coding sequences and proteins, see `read_coding_pairs`; None for a genome.
        annotation, fasta: of a genome, see `read_coding_sequences`; None for a table.
        code: NCBI's number or name of the genetic code; None for that of the annotation, else the standard
            one.
        phases: see `read_coding_sequences`.
        on_error: "raise" ends at the first record that cannot be read; "skip" leaves those out, and the log
            counts them.
        between_genes: windows of what lies between the genes of the genome are examples too.
        length: bases of a window; a longer gene gives one window each time, in training a new one.
        min_length: records of fewer bases are left out.
        hidden_fraction: share of the codons and of the bases outside that is hidden.
        framed_fraction: share of the training windows whose tokens say their places in codons. The others are
            plain DNA, as the model will be given it where no annotation is; there it has to find the frame.
            Evaluation has all frames, or none where this is 0.
        validation_fraction, test_fraction: share of the records.
        split_seed: of the cut.
        leak_k: bases of the k-mer.
        global_batch_size, micro_batch_size, num_workers, pin_memory, seed: as for every data module.

    Raises:
        ConfigError: settings contradict each other, or a tokenizer of another kind.
        RecordError, DataError: a record or a file cannot be read, or none is left.
    """

    strand = "stranded"

    def __init__(
        self,
        *,
        tokenizer: Tokenizer,
        table: PathLike | None,
        annotation: PathLike | None,
        fasta: PathLike | None,
        code: int | str | None,
        phases: Phases,
        on_error: OnError,
        between_genes: bool,
        length: int,
        min_length: int,
        hidden_fraction: float,
        framed_fraction: float,
        validation_fraction: float,
        test_fraction: float,
        split_seed: int,
        leak_k: int,
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
        self._table, self._annotation, self._fasta = table, annotation, fasta
        self._require_one_source(between_genes)
        if not CODON <= min_length <= length:
            raise ConfigError(
                f"min_length={min_length}, length={length}: give {CODON} <= min_length <= length."
            )
        if not 0 < hidden_fraction <= 1 or not 0 <= framed_fraction <= 1:
            raise ConfigError(
                f"hidden_fraction={hidden_fraction} is above 0, framed_fraction={framed_fraction} may be 0, "
                "and both are at most 1."
            )
        if min(validation_fraction, test_fraction) <= 0 or validation_fraction + test_fraction >= 1:
            raise ConfigError(
                f"validation_fraction={validation_fraction} and test_fraction={test_fraction} must be above "
                "0 and leave records for training."
            )
        self.length = length
        self._code = code
        self._phases: Phases = phases
        self._on_error: OnError = on_error
        self._between_genes = between_genes
        self._min_length = min_length
        self._hidden_fraction = hidden_fraction
        self._framed_fraction = framed_fraction
        self._fractions: dict[Split, float] = {"validation": validation_fraction, "test": test_fraction}
        self._split_seed = split_seed
        self._leak_k = leak_k

    def build(self, split: Split) -> CodingExamples:
        """The records of a split, with bases hidden."""
        if not isinstance(self.tokenizer, FrameTokenizer):
            raise ConfigError(f"Life-Code reads tokenizer=frame, not {self.tokenizer!r}.")
        framed = self._framed_fraction if split == "train" else float(self._framed_fraction > 0)
        return CodingExamples(
            self.records(split),
            self.tokenizer,
            length=self.length,
            hidden_fraction=self._hidden_fraction,
            framed_fraction=framed,
            seed=self.seed,
        )

    def records(self, split: Split) -> list[UnifiedSequence]:
        """The records of a split, in the order of its dataset."""
        return [self._records[row] for row in np.flatnonzero(self._split_of_record == split)]

    def examples(self, split: Split) -> pd.DataFrame:
        """What the records of a split are: `name`, and `group`, their cluster."""
        names = [record.name for record in self.records(split)]
        return pd.DataFrame({"name": names, "group": self._groups[self._split_of_record == split]})

    def leaked(self, split: Split) -> None:
        """None: clusters are never divided, so that no row leaks."""

    @cached_property
    def _records(self) -> list[UnifiedSequence]:
        kept = self._read()
        if kept.skipped:
            _log.warning("%s", kept)
        records = [record for record in kept.records if record.num_codons]
        if self._between_genes:
            assert self._fasta is not None, "this was refused without a genome"
            records += read_between_genes(
                kept.records, self._fasta, length=self.length, least=self._min_length
            )
        records = [record for record in records if len(record.letters) >= self._min_length]
        if not records:
            raise DataError(f"no record of {self._min_length} bases or more is left: lower min_length.")
        return records

    @cached_property
    def _groups(self) -> np.ndarray:
        return kmer_groups([record.letters for record in self._records], k=self._leak_k)

    @cached_property
    def _split_of_record(self) -> np.ndarray:
        return split_groups(self._groups, self._fractions, seed=self._split_seed)

    def _read(self) -> Kept[UnifiedSequence]:
        if self._table is not None:
            return read_coding_pairs(self._table, code=self._code or 1, on_error=self._on_error)
        assert self._annotation is not None
        assert self._fasta is not None
        return read_coding_sequences(
            self._annotation, self._fasta, code=self._code, on_error=self._on_error, phases=self._phases
        )

    def _require_one_source(self, between_genes: bool) -> None:
        genome = [self._annotation, self._fasta]
        if (self._table is None) == (genome == [None, None]) or (self._table is None and None in genome):
            raise ConfigError(
                f"table={self._table}, annotation={self._annotation}, fasta={self._fasta}: give a table, or "
                "an annotation with its FASTA."
            )
        if between_genes and self._table is not None:
            raise ConfigError("between_genes=true wants a genome: a table has nothing between its genes.")
