"""Labelled sequences behind control tokens: what is learnt of them, bins, and that nothing else changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genoseq.data import ConditionalDataModule, LabelledDataModule
from genoseq.data.controls import ControlScheme
from genoseq.data.loading import ExampleKey, collate
from genoseq.errors import ConfigError, LeakError, SequenceError
from genoseq.sequence import reverse_complement
from genoseq.tokenizers import CharacterTokenizer, ControlTokenizer

SEP, IGNORED = 1, -100


def random_sequences(count: int, length: int = 60, seed: int = 0) -> list[str]:
    rows = np.random.default_rng(seed).choice(list("ACGT"), size=(count, length))
    return ["".join(row) for row in rows]


def write(path: Path, sequences: list[str], labels: list[Any]) -> Path:
    pd.DataFrame({"sequence": sequences, "label": labels}).to_csv(path, index=False)
    return path


def labelled(train: Path, **settings: Any) -> LabelledDataModule:
    arguments = {
        "tokenizer": CharacterTokenizer(), "train": train, "validation": None, "test": None,
        "sequence_column": "sequence", "label_column": "label", "classes": None, "problem": "single_label",
        "level": "sequence", "validation_fraction": 0.1, "test_fraction": 0.2, "group_column": None,
        "split_seed": 0, "strand": "unstranded", "strands": "none", "max_length": None,
        "truncation": False, "leaks": "error", "leak_k": 32, "global_batch_size": 8,
        "micro_batch_size": None, "num_workers": 0, "pin_memory": False, "seed": 0,
    }  # fmt: skip
    return LabelledDataModule(**{**arguments, **settings})  # type: ignore[arg-type]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """50 sequences of 40 to 60 bases with the classes `no` and `yes`."""
    sequences = [row[: 40 + i % 21] for i, row in enumerate(random_sequences(50))]
    return write(tmp_path / "classes.csv", sequences, ["yes", "no"] * 25)


@pytest.fixture
def numbers(tmp_path: Path) -> Path:
    """60 sequences with the numbers 0 to 59 in some order."""
    values = np.random.default_rng(1).permutation(60)
    return write(tmp_path / "numbers.csv", random_sequences(60), values.tolist())


def test_an_example_is_control_sequence_end(table: Path) -> None:
    data = ConditionalDataModule(labelled=labelled(table), bins=None)
    assert data.tokenizer == ControlTokenizer(controls=["no", "yes"])
    assert data.controls == {"labels": ["no", "yes"], "edges": None}
    assert json.loads(json.dumps(data.controls)) == data.controls
    assert data.strand == "unstranded"
    rows = data.examples("train")
    for index in (0, 7):
        item = data.dataset("train")[ExampleKey(0, index)]
        sequence, label, control = rows.loc[index, ["sequence", "label", "control"]]
        letters = data.tokenizer.encode(sequence)
        assert label == control
        assert item["input_ids"].tolist() == [12 + (control == "yes"), *letters]
        assert item["labels"].tolist() == [IGNORED, *letters]
        assert letters[-1] == SEP
        assert (item["input_ids"].dtype, item["labels"].dtype) == (np.int64, np.int64)


def test_nothing_counts_at_the_control_nor_in_the_padding(table: Path) -> None:
    data = ConditionalDataModule(labelled=labelled(table), bins=None)
    dataset = data.dataset("train")
    batch = collate(data.tokenizer)([dataset[ExampleKey(0, index)] for index in range(8)])
    counted = batch["labels"] != IGNORED
    assert not (counted & ~batch["attention_mask"]).any()
    assert (batch["input_ids"][~counted & batch["attention_mask"]] >= 12).all()
    assert (~counted & batch["attention_mask"]).sum() == 8
    assert (batch["labels"][counted] == batch["input_ids"][counted]).all()


def test_an_example_is_of_seed_epoch_and_index_alone(table: Path) -> None:
    settings = {"strands": "augment", "seed": 5}
    first, second = (ConditionalDataModule(labelled=labelled(table, **settings), bins=None) for _ in range(2))
    keys = [ExampleKey(epoch, index) for epoch in range(4) for index in range(6)]
    expected = [first.dataset("train")[key]["input_ids"].tolist() for key in keys]
    for key, ids in reversed(list(zip(keys, expected, strict=True))):
        assert second.dataset("train")[key]["input_ids"].tolist() == ids
    rows = first.examples("train")["sequence"]
    turned = {first.tokenizer.decode(ids) != rows[key.index] for key, ids in zip(keys, expected, strict=True)}
    assert turned == {True, False}
    for key, ids in zip(keys, expected, strict=True):
        assert first.tokenizer.decode(ids) in (rows[key.index], reverse_complement(rows[key.index]))


def test_the_splits_are_those_of_the_labelled_data(table: Path, tmp_path: Path) -> None:
    plain, data = labelled(table), ConditionalDataModule(labelled=labelled(table), bins=None)
    for split in ("train", "validation", "test"):
        pd.testing.assert_frame_equal(
            data.examples(split)[["sequence", "label"]],
            plain.examples(split)[["sequence", "label"]],
        )
        assert not data.leaked(split).any()
    sequences = random_sequences(30)
    train = write(tmp_path / "a.csv", sequences, [0, 1] * 15)
    test = write(tmp_path / "b.csv", sequences[:2], [0, 1])
    with pytest.raises(LeakError, match="2 of 2 rows"):
        ConditionalDataModule(labelled=labelled(train, test=test), bins=None).setup("fit")
    assert len(next(iter(data.evaluation_loader("test")))["input_ids"]) == 8


def test_the_control_has_its_place_in_the_longest_sequence(table: Path) -> None:
    data = ConditionalDataModule(labelled=labelled(table, max_length=62), bins=None)
    lengths = [len(data.dataset("train")[ExampleKey(0, i)]["input_ids"]) for i in range(30)]
    assert max(lengths) == 62
    with pytest.raises(SequenceError, match=r"60 tokens; max_length=61 has room for 59"):
        ConditionalDataModule(labelled=labelled(table, max_length=61), bins=None).dataset("train")


def test_what_was_cut_has_no_end_to_learn(table: Path) -> None:
    data = ConditionalDataModule(labelled=labelled(table, max_length=50, truncation=True), bins=None)
    ends = set()
    for index, sequence in enumerate(data.examples("train")["sequence"]):
        item = data.dataset("train")[ExampleKey(0, index)]
        assert item["input_ids"][-1] == SEP
        assert len(item["input_ids"]) == min(50, len(sequence) + 2)
        assert item["labels"][-1] == (IGNORED if len(sequence) > 48 else SEP)
        ends.add(item["labels"][-1])
    assert ends == {IGNORED, SEP}


def test_bins_are_fitted_on_train_alone(numbers: Path, tmp_path: Path) -> None:
    data = ConditionalDataModule(labelled=labelled(numbers, problem="regression"), bins=3)
    train = data.examples("train")
    assert data.controls["labels"] == ["bin_1", "bin_2", "bin_3"] == list(data.tokenizer.controls)
    values = train["label"].astype(float)
    assert data.controls["edges"] == np.quantile(values, [1 / 3, 2 / 3]).tolist()
    assert train["control"].value_counts().tolist() == [14, 14, 14]
    assert values.groupby(train["control"]).agg(["min", "max"]).to_numpy().ravel().tolist() == sorted(
        values.groupby(train["control"]).agg(["min", "max"]).to_numpy().ravel()
    )
    # Other numbers elsewhere move no edge, and beyond the edges there are the outer bins.
    apart = write(tmp_path / "test.csv", random_sequences(4, seed=9), [-1e6, 30.2, 1e6, 59])
    other = ConditionalDataModule(labelled=labelled(numbers, problem="regression", test=apart), bins=3)
    edges = other.controls["edges"]
    other.setup("test")
    assert other.controls["edges"] == edges
    assert other.examples("test")["control"].tolist() == ["bin_1", "bin_2", "bin_3", "bin_3"]


@given(
    values=st.lists(st.floats(-1e6, 1e6, width=32), min_size=2, max_size=60, unique=True),
    bins=st.integers(2, 12),
)
def test_bins_are_in_order_and_hold_equally_many(values: list[float], bins: int) -> None:
    arrays = [np.float32(value) for value in values]
    if bins > len(values):
        with pytest.raises(ConfigError, match="Give fewer bins"):
            ControlScheme.of_quantiles(arrays, bins)  # type: ignore[arg-type]
        return
    scheme = ControlScheme.of_quantiles(arrays, bins)  # type: ignore[arg-type]
    found = [scheme.labels.index(scheme.label_of(value)) for value in sorted(arrays)]  # type: ignore[arg-type]
    assert found == sorted(found)
    counts = np.bincount(found, minlength=bins)
    assert counts.max() - counts.min() <= 1


@pytest.mark.parametrize("bins", [1, 0, 2.5, "many"])
def test_a_bin_alone_is_none(numbers: Path, bins: Any) -> None:
    with pytest.raises(ConfigError, match=f"bins={bins}: give a whole number, 2 or more"):
        ConditionalDataModule(labelled=labelled(numbers, problem="regression"), bins=bins)


def test_too_many_bins(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", random_sequences(60), [0.0] * 40 + [1.0, 2.0] * 10)
    with pytest.raises(
        ConfigError, match=r"bins=4: [12] of them would hold none of the 42 .* 3 are different"
    ):
        ConditionalDataModule(labelled=labelled(path, problem="regression"), bins=4)


def test_labels_that_are_no_control(table: Path, numbers: Path, tmp_path: Path) -> None:
    def refused(match: str, path: Path, bins: int | None = None, **settings: Any) -> None:
        with pytest.raises(ConfigError, match=match):
            ConditionalDataModule(labelled=labelled(path, **settings), bins=bins)

    refused("bins=3 cuts numbers, the labels are classes", table, 3)
    refused("say how many bins", numbers, problem="regression")
    refused("problem=multi_label", table, problem="multi_label")
    refused("level=token", table, level="token")
    refused("strands='average': choose one of none, augment", table, strands="average")
    refused("ends no sequence", table, tokenizer=CharacterTokenizer(special_tokens="none"))
    spaced = write(tmp_path / "s.csv", random_sequences(30), ["a b", "c"] * 15)
    refused("the label 'a b' cannot be a control", spaced)
