"""The sequences of labelled data, for the language model that comes before their labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from genoseq.data.loading import ExampleKey
from genoseq.data.own_sequences import OwnSequencesDataModule
from genoseq.errors import ConfigError
from genoseq.sequence import reverse_complement
from tests.data.test_labelled_data import datamodule, random_sequences, write


@pytest.mark.parametrize("strand", ["stranded", "unstranded"])
def test_the_tasks_sequences_without_labels_turned_where_labels_allow(tmp_path: Path, strand: str) -> None:
    sequences = random_sequences(40)
    table = write(tmp_path / "train.tsv", sequences)
    labelled = datamodule(table, strand=strand)
    own = OwnSequencesDataModule(labelled=labelled)
    shown = {"as given": 0, "turned": 0}
    train = own.dataset("train")
    kept = labelled.examples("train")["sequence"].tolist()
    for row, sequence in enumerate(kept):
        example = train[ExampleKey(0, row)]
        assert "labels" not in example
        for name, letters in (("as given", sequence), ("turned", reverse_complement(sequence))):
            shown[name] += np.array_equal(example["input_ids"], own.tokenizer.encode(letters))
    assert sum(shown.values()) == len(kept)
    assert (shown["turned"] > 0) == (strand == "unstranded")
    held_out = {*labelled.examples("validation")["sequence"], *labelled.examples("test")["sequence"]}
    assert held_out
    assert not held_out & set(kept)


def test_other_data_have_no_sequences_of_their_own(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="pretrain=none"):
        OwnSequencesDataModule(labelled="reads.fa")  # type: ignore[arg-type]
