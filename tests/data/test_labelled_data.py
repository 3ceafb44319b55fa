"""Labelled sequences: strands, splits by group, leaks, and the shipped set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from genoseq.data import LabelledDataModule, LabelledSequences, find_leaks
from genoseq.data.loading import ExampleKey, collate
from genoseq.errors import ConfigError, DataError, LeakError, SequenceError
from genoseq.sequence import reverse_complement
from genoseq.tokenizers import CharacterTokenizer, CodonTokenizer, FrameTokenizer, Tokenizer

TOKENIZER = CharacterTokenizer(special_tokens="cls_sep")
UMAYDIS = "genoseq:labelled/umaydis_coding_vs_intergenic/"


def random_sequences(count: int, length: int = 60, seed: int = 0) -> list[str]:
    rows = np.random.default_rng(seed).choice(list("ACGT"), size=(count, length))
    return ["".join(row) for row in rows]


def write(path: Path, sequences: list[str], **columns: Any) -> Path:
    labels = [i % 2 for i in range(len(sequences))]
    pd.DataFrame({"sequence": sequences, "label": labels, **columns}).to_csv(path, index=False, sep="\t")
    return path


def datamodule(train: Path | str, **settings: Any) -> LabelledDataModule:
    arguments = {
        "tokenizer": TOKENIZER, "train": train, "validation": None, "test": None,
        "sequence_column": "sequence", "label_column": "label", "classes": None, "problem": "single_label",
        "level": "sequence", "validation_fraction": 0.1, "test_fraction": 0.2, "group_column": None,
        "split_seed": 0, "strand": "unstranded", "strands": "none", "max_length": None,
        "truncation": False, "leaks": "error", "leak_k": 32, "global_batch_size": 8,
        "micro_batch_size": None, "num_workers": 0, "pin_memory": False, "seed": 0,
    }  # fmt: skip
    return LabelledDataModule(**{**arguments, **settings})  # type: ignore[arg-type]


def dataset(sequences: list[str], labels: list[Any], **settings: Any) -> LabelledSequences:
    return LabelledSequences(sequences, [np.asarray(label) for label in labels], TOKENIZER, **settings)


def test_a_sequence_has_its_special_tokens_and_label() -> None:
    item = dataset(["ACGT"], [1])[ExampleKey(5, 0, False)]
    np.testing.assert_array_equal(item["input_ids"], TOKENIZER.encode("ACGT"))
    assert (item["labels"], item["index"], item["counted"]) == (1, 0, False)


def test_labels_of_bases_turn_with_the_sequence() -> None:
    sequence, labels = "AACGN", [0, 1, 2, 3, -100]
    data = dataset(
        [sequence], [labels], level="token", strand="unstranded", strands="augment", training=True, seed=1
    )
    seen = set()
    for epoch in range(20):
        item = data[ExampleKey(epoch, 0)]
        text = TOKENIZER.decode(item["input_ids"])
        seen.add(text)
        expected = labels if text == sequence else labels[::-1]
        assert item["labels"].tolist() == [-100, *expected, -100]
        assert item["labels"].dtype == np.int64
    assert seen == {sequence, reverse_complement(sequence)}


@pytest.mark.parametrize(("strands", "again"), [("repeat", str), ("echo", reverse_complement)])
def test_sequences_given_twice(strands: str, again: Any) -> None:
    sequence, labels = "AACGN", [0, 1, 2, 3, -100]
    settings: dict[str, Any] = {"strands": strands, "training": True, "level": "token"}
    item = dataset([sequence], [labels], **settings)[ExampleKey(0, 0)]
    np.testing.assert_array_equal(item["input_ids"], TOKENIZER.encode(sequence + again(sequence)))
    np.testing.assert_array_equal(item["second_pass"], np.arange(12) >= 6)
    turned = labels[::-1] if strands == "echo" else labels
    assert item["labels"].tolist() == [-100] * 6 + turned + [-100]

    with pytest.raises(SequenceError, match=rf"5 tokens, given twice \(strands={strands}\); .* room for 4"):
        dataset([sequence], [labels], max_length=11, **settings)
    cut = dataset([sequence], [labels], max_length=11, truncation=True, **settings)[ExampleKey(0, 0)]
    assert TOKENIZER.decode(cut["input_ids"]) == "AACG" + again("AACG")
    assert cut["labels"].tolist()[5:9] == ([3, 2, 1, 0] if strands == "echo" else [0, 1, 2, 3])


@pytest.mark.parametrize("side", ["left", "right"])
def test_batches_pad_what_is_said_of_tokens(side: Any) -> None:
    tokenizer = CharacterTokenizer(padding_side=side)
    data = LabelledSequences(["ACG", "A"], [np.array(0), np.array(1)], tokenizer, strands="echo")
    batch = collate(tokenizer)([data[ExampleKey(0, row)] for row in range(2)])
    counted = [
        tokenizer.decode(ids[mine])
        for ids, mine in zip(*(batch[name] for name in ("input_ids", "second_pass")), strict=True)
    ]
    assert counted == ["CGT", "T"]
    assert batch["second_pass"].dtype == torch.bool
    assert batch["labels"].tolist() == [0, 1]


def test_several_labels_of_bases_keep_their_shape() -> None:
    item = dataset(["ACG"], [np.ones((3, 2), np.float32)], level="token")[ExampleKey(0, 0)]
    expected = [[np.nan, np.nan], [1, 1], [1, 1], [1, 1], [np.nan, np.nan]]
    np.testing.assert_array_equal(item["labels"], expected)


def test_stranded_labels_are_not_turned() -> None:
    with pytest.raises(ConfigError, match="strand=unstranded"):
        dataset(["ACGT"], [1], strand="stranded", strands="augment")
    with pytest.raises(ConfigError, match="strand='both'"):
        dataset(["ACGT"], [1], strand="both")
    with pytest.raises(ConfigError, match="strand=unstranded"):
        datamodule("not read yet", strand="stranded", strands="augment")


def test_long_sequences_are_refused_or_cut() -> None:
    with pytest.raises(SequenceError, match=r"row 1 .*6 tokens; max_length=6 has room for 4"):
        dataset(["ACGT", "ACGTAC"], [0, 0], max_length=6)
    cut = dataset(["ACGTAC"], [[0, 1, 2, 3, 4, 5]], max_length=6, truncation=True, level="token")
    item = cut[ExampleKey(0, 0)]
    assert TOKENIZER.decode(item["input_ids"]) == "ACGT"
    assert item["labels"].tolist() == [-100, 0, 1, 2, 3, -100]
    assert len(item["input_ids"]) == 6


def test_batches_pad_labels_with_their_sequences(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    rows = random_sequences(40)
    sequences = [row[: 40 + i % 7] for i, row in enumerate(rows)]
    table = pd.DataFrame({"sequence": sequences, "label": ["EI" * 20 + "N" * (i % 7) for i in range(40)]})
    table.to_csv(path, index=False)
    data = datamodule(path, level="token")
    assert (data.classes, data.num_outputs) == (("E", "I", "N"), 3)
    for batch in data.evaluation_loader("test"):
        assert batch["labels"].shape == batch["input_ids"].shape
        letters = torch.isin(batch["input_ids"], torch.from_numpy(TOKENIZER.encode("ACGTN")[1:-1]))
        torch.testing.assert_close(batch["labels"] >= 0, letters)


def test_parts_are_cut_by_group(tmp_path: Path) -> None:
    chromosomes = [f"chr{i % 10}" for i in range(100)]
    data = datamodule(
        write(tmp_path / "t.tsv", random_sequences(100), chromosome=chromosomes), group_column="chromosome"
    )
    parts = {split: set(data.examples(split)["group"]) for split in ("train", "validation", "test")}
    assert [len(parts[split]) for split in ("train", "validation", "test")] == [7, 1, 2]
    assert len(set.union(*parts.values())) == 10
    groups = data.dataset("test").groups  # type: ignore[attr-defined]
    assert set(groups) == parts["test"]


def test_without_groups_sequences_that_share_words_stay_together(tmp_path: Path) -> None:
    first = random_sequences(50)
    family = [
        reverse_complement(row[:40]) + other
        for row, other in zip(first, random_sequences(50, 20, 1), strict=True)
    ]
    path = write(tmp_path / "t.tsv", first + family)
    data = datamodule(path)
    data.setup("fit")
    data.setup("test")
    train = data.examples("train")["sequence"].tolist()
    assert len(train) == 70
    assert not find_leaks(train, data.examples("test")["sequence"].tolist()).any()


def test_the_cut_does_not_depend_on_the_seed_of_the_run(tmp_path: Path) -> None:
    path = write(tmp_path / "t.tsv", random_sequences(100))
    first, second, third = (
        datamodule(path, seed=seed, split_seed=cut) for seed, cut in ((0, 0), (1, 0), (0, 1))
    )
    assert first.examples("test").equals(second.examples("test"))
    assert not first.examples("test").equals(third.examples("test"))


@pytest.fixture
def leaky(tmp_path: Path) -> dict[str, Any]:
    """Files in which row 2 of test stands in train on the other strand, and row 0 of validation in train."""
    train = random_sequences(30)
    validation = [train[1], *random_sequences(5, seed=1)]
    test = [*random_sequences(2, seed=2), reverse_complement(train[0]), *random_sequences(3, seed=3)]
    parts = {"train": train, "validation": validation, "test": test}
    return {name: write(tmp_path / f"{name}.tsv", rows) for name, rows in parts.items()}


def test_leaks_are_refused_before_training(leaky: dict[str, Any]) -> None:
    with pytest.raises(LeakError, match=r"1 of 6 rows of .*test\.tsv .*row 2"):
        datamodule(**leaky).setup("fit")
    with pytest.raises(LeakError, match=r"1 of 6 rows of .*validation\.tsv .*row 0"):
        datamodule(**leaky).dataset("validation")


def test_leaks_are_reported(leaky: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    data = datamodule(**leaky, leaks="report")
    data.setup("fit")
    assert data.leaked("test").tolist() == [False, False, True, False, False, False]
    assert len(data.dataset("test")) == 6  # type: ignore[arg-type]
    assert "1 of 6 rows" in caplog.text


def test_leaks_are_dropped_from_what_is_evaluated(leaky: dict[str, Any]) -> None:
    data = datamodule(**leaky, leaks="drop")
    assert [data.num_examples(split) for split in ("train", "validation", "test")] == [30, 5, 5]
    assert not data.leaked("test").any()
    with pytest.raises(DataError, match="every row"):
        datamodule(leaky["train"], validation=leaky["train"], test=leaky["test"], leaks="drop").dataset(
            "validation"
        )


def test_the_test_file_is_not_opened_before_it_is_asked_for(leaky: dict[str, Any], tmp_path: Path) -> None:
    data = datamodule(**{**leaky, "test": tmp_path / "later.tsv"}, leaks="report")
    data.setup("fit")
    with pytest.raises(DataError, match=r"later\.tsv does not exist"):
        data.setup("test")


def test_bad_rows_are_named(tmp_path: Path) -> None:
    good = random_sequences(30)
    with pytest.raises(DataError, match="no column 'kind'; it has sequence, label"):
        datamodule(write(tmp_path / "a.tsv", good), label_column="kind").setup("fit")
    with pytest.raises(DataError, match="no column 'family'"):
        datamodule(write(tmp_path / "a.tsv", good), group_column="family").setup("fit")
    with pytest.raises(DataError, match=r"b\.tsv, row 3 .*empty"):
        datamodule(write(tmp_path / "b.tsv", [*good[:3], "", *good])).setup("fit")
    with pytest.raises(SequenceError, match=r"c\.tsv, row 1 .*'J'"):
        datamodule(write(tmp_path / "c.tsv", [good[0], "AJ", *good])).setup("fit")
    with pytest.raises(DataError, match="'1' is none of the classes 0, 2"):
        datamodule(write(tmp_path / "a.tsv", good), classes=[0, 2]).setup("fit")
    with pytest.raises(ConfigError, match="validation_fraction=0"):
        datamodule(tmp_path / "a.tsv", validation_fraction=0.0)


def test_examples_have_the_same_columns_whatever_the_file_calls_them(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {"dna": random_sequences(40), "y": [0.0, 1.0] * 20, "clade": range(40), "name": "n", "patient": "p"}
    )
    table.to_parquet(tmp_path / "t.parquet")
    data = datamodule(
        tmp_path / "t.parquet", sequence_column="dna", label_column="y", group_column="clade", leak_k=20
    )
    examples = data.examples("test")
    assert list(examples) == ["sequence", "label", "name", "group"]
    assert set(examples["label"]) == {"0", "1"} == set(data.classes or ())


def test_classes_are_known_before_setup(tmp_path: Path) -> None:
    data = datamodule(write(tmp_path / "a.tsv", random_sequences(30)))
    assert (data.problem, data.num_outputs, data.classes) == ("single_label", 2, ("0", "1"))
    numbers = datamodule(write(tmp_path / "a.tsv", random_sequences(30)), problem="regression")
    assert (numbers.num_outputs, numbers.classes) == (1, None)
    assert next(iter(numbers.evaluation_loader("test")))["labels"].dtype.is_floating_point


def test_the_shipped_set_is_as_described() -> None:
    data = datamodule(f"{UMAYDIS}train.tsv.gz", test=f"{UMAYDIS}test.tsv.gz", leaks="report", leak_k=20)
    assert data.num_examples("train") + data.num_examples("validation") == 10_738
    assert data.num_examples("validation") == pytest.approx(1_074, abs=5)
    assert data.num_examples("test") == 2_876
    assert data.leaked("test").mean() == pytest.approx(0.20, abs=0.01)
    assert not data.leaked("validation").any()


@pytest.mark.parametrize("tokenizer", [CodonTokenizer(), FrameTokenizer()])
def test_sequences_of_codons_are_read_in_them_on_either_strand(tmp_path: Path, tokenizer: Tokenizer) -> None:
    path = write(tmp_path / "cds.tsv", random_sequences(60))
    data = datamodule(path, tokenizer=tokenizer, coding="whole", strands="augment").dataset("train")
    plain = datamodule(path, tokenizer=tokenizer, strands="augment").dataset("train")
    turned = 0
    for index in range(len(data)):
        ids = data[ExampleKey(0, index)]["input_ids"]
        letters = tokenizer.decode(ids)
        assert letters == tokenizer.decode(plain[ExampleKey(0, index)]["input_ids"])
        forward = tokenizer.encode(letters, coding=[(0, 60)])  # type: ignore[call-arg]
        backward = tokenizer.encode(letters, coding=[(0, 60, "-")])  # type: ignore[call-arg]
        assert ids.tolist() in (forward.tolist(), backward.tolist())
        if isinstance(tokenizer, FrameTokenizer):
            turned += ids.tolist() == backward.tolist()
    if isinstance(tokenizer, FrameTokenizer):
        assert 5 < turned < len(data) - 5


def test_sequences_that_are_no_codons_are_refused_by_row(tmp_path: Path) -> None:
    table = write(tmp_path / "cds.tsv", ["ACGACG" * 7, "ACGACGA"])
    test = write(tmp_path / "test.tsv", random_sequences(2))
    files = {"validation": test, "test": test, "leaks": "report"}
    given = datamodule(table, tokenizer=CodonTokenizer(), coding="whole", **files)
    with pytest.raises(SequenceError, match=r"row 1 .*: 7 bases are no whole number of codons"):
        given.dataset("train")
    with pytest.raises(ConfigError, match=r"CharacterTokenizer.* has no codons"):
        datamodule(test, coding="whole", **files).dataset("train")
    with pytest.raises(ConfigError, match="coding='genes'"):
        datamodule(table, tokenizer=CodonTokenizer(), coding="genes")
