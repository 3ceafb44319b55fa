"""Coding sequences, and what lies between genes, with bases hidden: what Life-Code learns from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from genoseq.data.loading import IGNORED_LABEL, ExampleKey
from genoseq.sequence import CODON, STOP, UnifiedSequence, encode_residues
from genoseq.tokenizers import FrameTokenizer, choose_hidden


class CodingExamples(Dataset[dict[str, Any]]):
    """Windows of records, with whole codons and, outside of them, single bases hidden.

    What is hidden is always hidden, never kept or exchanged as in BERT: a model that also translates what is
    visible learns to read tokens that are not hidden.

    An example has `input_ids` (L,); `labels` (L,), the true tokens of what is hidden, -100 elsewhere; and
    `residues` (L,), at the leftmost base of each whole codon the place of its residue in `RESIDUE_LETTERS`,
    the stop among them, -100 elsewhere.

    Args:
        records: of any modality; one longer than a window gives a random one, in frame.
        tokenizer: makes ids.
        length: bases of a window.
        hidden_fraction: share of the codons and of the bases outside that is hidden.
        framed_fraction: share of the windows whose tokens say their places in codons; others are plain DNA.
        seed: example i of epoch e is a function of (seed, e, i).
    """

    strand = "stranded"

    def __init__(
        self,
        records: Sequence[UnifiedSequence],
        tokenizer: FrameTokenizer,
        *,
        length: int,
        hidden_fraction: float,
        framed_fraction: float,
        seed: int,
    ) -> None:
        self._records = records
        self._tokenizer = tokenizer
        self._length = length
        self._hidden_fraction = hidden_fraction
        self._framed_fraction = framed_fraction
        self._seed = seed

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, key: ExampleKey) -> dict[str, Any]:
        record, tokenizer = self._records[key.index], self._tokenizer
        generator = np.random.default_rng([self._seed, key.epoch, key.index])
        start = self._start(record, generator)
        letters = record.letters[start : start + self._length]
        firsts = record.codons[:, 0] - start
        whole = (firsts >= 0) & (firsts + CODON <= len(letters))
        firsts = firsts[whole]
        coding = [(int(firsts[0]), int(firsts[-1]) + CODON)] if len(firsts) else []
        framed = generator.random() < self._framed_fraction
        ids = tokenizer.encode(letters, coding=coding if framed else ())
        hidden = choose_hidden(
            tokenizer.offsets(ids, len(letters)),
            len(letters),
            coding=coding,
            fraction=self._hidden_fraction,
            generator=generator,
        )
        residues = np.full(len(ids), IGNORED_LABEL)
        meanings = encode_residues(record.protein + STOP * record.has_stop)
        residues[len(tokenizer.prefix_ids) + firsts] = meanings[whole]
        known = tokenizer.is_known[ids]
        return {
            "input_ids": np.where(hidden, tokenizer.hidden_ids[ids], ids),
            "labels": np.where(hidden & known, ids, IGNORED_LABEL),
            "residues": residues,
            "index": key.index,
            "counted": key.counted,
        }

    def _start(self, record: UnifiedSequence, generator: np.random.Generator) -> int:
        room = len(record.letters) - self._length
        if room <= 0:
            return 0
        frame = record.frame or 0
        return min(frame + CODON * int(generator.integers(room // CODON + 1)), room)
