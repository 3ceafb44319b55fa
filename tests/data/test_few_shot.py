"""Episodes: what is shown, what is asked, and that nothing but train is shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from genoseq.data import FewShotDataModule, LabelledDataModule
from genoseq.data.loading import ExampleKey, collate
from genoseq.errors import ConfigError, SequenceError
from genoseq.tokenizers import CharacterTokenizer, ControlTokenizer

SEP, IGNORED = 1, -100
PARTS = {"train": 0, "validation": 1, "test": 2}


def table(folder: Path, name: str, rows: int, *, classes: tuple[Any, ...] = ("no", "yes")) -> Path:
    generator = np.random.default_rng(len(name) + rows)
    sequences = ["".join(row) for row in generator.choice(list("ACGT"), size=(rows, 60))]
    sequences = [text[: 40 + number % 21] for number, text in enumerate(sequences)]
    labels = [classes[number % len(classes)] for number in range(rows)]
    path = folder / f"{name}.csv"
    pd.DataFrame({"sequence": sequences, "label": labels}).to_csv(path, index=False)
    return path


def labelled(folder: Path, name: str, **settings: Any) -> LabelledDataModule:
    classes = settings.pop("names", ("no", "yes"))
    files = {
        part: table(folder, f"{name}_{part}", rows, classes=classes)
        for part, rows in {"train": 20, "validation": 12, "test": 8}.items()
    }
    arguments = {
        "tokenizer": CharacterTokenizer(), **files, "sequence_column": "sequence", "label_column": "label",
        "classes": None, "problem": "single_label", "level": "sequence", "validation_fraction": 0.1,
        "test_fraction": 0.2, "group_column": None, "split_seed": 0, "strand": "unstranded",
        "strands": "none", "max_length": None, "truncation": False, "leaks": "error", "leak_k": 32,
        "global_batch_size": 8, "micro_batch_size": None, "num_workers": 0, "pin_memory": False, "seed": 0,
    }  # fmt: skip
    return LabelledDataModule(**{**arguments, **settings})  # type: ignore[arg-type]


def few_shot(tasks: dict[str, LabelledDataModule], **settings: Any) -> FewShotDataModule:
    arguments = {
        "shots": [0, 1, 4], "train_shots": None, "answers": None, "permute_answers": False,
        "validation_questions": None, "global_batch_size": 4, "micro_batch_size": None, "num_workers": 0,
        "pin_memory": False, "seed": 3,
    }  # fmt: skip
    return FewShotDataModule(tasks=tasks, **{**arguments, **settings})  # type: ignore[arg-type]


@pytest.fixture
def tasks(tmp_path: Path) -> dict[str, LabelledDataModule]:
    return {name: labelled(tmp_path, name) for name in ("first", "other")}


def read(item: dict[str, Any]) -> list[tuple[str, int]]:
    """The sequences of an episode, and the token behind each."""
    ids, places = item["input_ids"], np.flatnonzero(item["labels"] != IGNORED)
    assert (item["labels"][places] == ids[places]).all()
    assert (ids[places - 1] == SEP).all()
    parts = np.split(ids, places + 1)[:-1]
    assert places[-1] == len(ids) - 1
    return [(CharacterTokenizer().decode(part[:-2]), int(part[-1])) for part in parts]


@pytest.mark.parametrize("split", ["train", "test"])
def test_an_episode_is_demonstrations_of_train_then_a_question(
    tasks: dict[str, LabelledDataModule], split: Any
) -> None:
    data = few_shot(tasks)
    assert data.tokenizer == ControlTokenizer(controls=["class_0", "class_1"])
    assert data.answers == ["<class_0>", "<class_1>"]
    rows, dataset = data.examples(split), data.dataset(split)
    assert len(rows) == len(dataset) == (40 if split == "train" else 2 * 3 * 8)
    for index, row in rows.iterrows():
        *shown, (asked, answer) = read(dataset[ExampleKey(0, index)])
        assert (asked, answer) == (row["sequence"], 12 + (row["label"] == "yes"))
        known = tasks[row["task"]].examples("train").set_index("sequence")["label"]
        assert asked not in dict(shown)
        assert len(dict(shown)) == len(shown) == 2 * row["shots"]
        assert all(token == 12 + (known[text] == "yes") for text, token in shown)
        assert sum(token == 12 for _, token in shown) == row["shots"]
        assert len(dataset[ExampleKey(0, index)]["input_ids"]) <= dataset.longest


def test_an_episode_is_of_seed_epoch_and_question_alone(tasks: dict[str, LabelledDataModule]) -> None:
    first, again, other = few_shot(tasks), few_shot(tasks), few_shot(tasks, seed=4)
    keys = [ExampleKey(epoch, index) for epoch in (0, 1) for index in range(10)]
    expected = [first.dataset("train")[key]["input_ids"].tolist() for key in keys]
    for key, ids in reversed(list(zip(keys, expected, strict=True))):
        assert again.dataset("train")[key]["input_ids"].tolist() == ids
        assert other.dataset("train")[key]["input_ids"].tolist() != ids
    assert all(expected[i] != expected[i + 10] for i in range(10)), "another epoch shows others"


def test_more_shots_have_those_of_fewer_among_them(tasks: dict[str, LabelledDataModule]) -> None:
    data = few_shot(tasks, permute_answers=True)
    rows, dataset = data.examples("test"), data.dataset("test")
    for _, same in rows.groupby(["task", "sequence"]):
        zero, one, four = (dataset[ExampleKey(0, index)] for index in same.sort_values("shots").index)
        assert set(read(zero)) < set(read(one)) < set(read(four))
        assert (zero["answers"] == four["answers"]).all()


def test_permuted_answers_are_told_by_the_demonstrations_alone(tasks: dict[str, LabelledDataModule]) -> None:
    dataset = few_shot(tasks, permute_answers=True).dataset("train")
    orders = set()
    for index in range(20):
        item = dataset[ExampleKey(0, index)]
        known = tasks["first"].examples("train").set_index("sequence")["label"]
        orders.add(tuple(item["answers"].tolist()))
        for text, token in read(item):
            assert token == item["answers"][int(known[text] == "yes")]
        assert item["input_ids"][-1] == item["answers"][item["label"]]
    assert orders == {(12, 13), (13, 12)}


def test_answers_may_be_tokens_that_the_model_knows(tasks: dict[str, LabelledDataModule]) -> None:
    data = few_shot(tasks, answers=["A", "N"])
    assert data.tokenizer == CharacterTokenizer()
    item = data.dataset("test")[ExampleKey(0, 0)]
    assert item["answers"].tolist() == [7, 11]
    assert item["input_ids"][-1] in (7, 11)


def test_batches_and_the_most_questions_of_validation(tasks: dict[str, LabelledDataModule]) -> None:
    data = few_shot(tasks, validation_questions=4)
    assert len(data.dataset("validation")) == 2 * 3 * 4
    asked = data.examples("validation").query("task == 'first' and shots == 1")["sequence"].tolist()
    assert asked == tasks["first"].examples("validation")["sequence"].tolist()[::3]
    assert data.leaked("validation").tolist() == [False] * 24
    batch = collate(data.tokenizer)([data.dataset("validation")[ExampleKey(0, i)] for i in (0, 23)])
    assert batch["labels"].shape == batch["input_ids"].shape
    assert (batch["labels"] != IGNORED).sum(1).tolist() == [1, 9]
    assert (batch["labels"][~batch["attention_mask"]] == IGNORED).all()
    assert batch["answers"].tolist() == [[12, 13]] * 2


def test_what_cannot_be_asked(tmp_path: Path, tasks: dict[str, LabelledDataModule]) -> None:
    def refused(match: str, given: dict[str, LabelledDataModule] | None = None, **settings: Any) -> None:
        with pytest.raises(ConfigError, match=match):
            few_shot(tasks if given is None else given, **settings).setup("fit")

    refused("class 0 of first has 10 sequences of train, where 11 are wanted", shots=[0, 10])
    few_shot(tasks, shots=[10], train_shots=9).setup("test")
    with pytest.raises(ConfigError, match="class 0 of first has 10 sequences"):
        few_shot(tasks, shots=[11]).setup("test")
    refused("there is no task: give one or more", {})
    refused("none twice", shots=[1, 1])
    refused("none below 0", shots=[-1])
    refused("train_shots=-1", train_shots=-1)
    refused("validation_questions=0", validation_questions=0)
    refused("give 2 different tokens", answers=["A"])
    with pytest.raises(SequenceError, match="has no token 'X'"):
        few_shot(tasks, answers=["A", "X"])
    three = labelled(tmp_path, "three", names=("a", "b", "c"))
    refused(r"other numbers of classes \(first 2, three 3\)", {"first": tasks["first"], "three": three})
    bare = labelled(tmp_path, "bare", tokenizer=CharacterTokenizer(special_tokens="none"))
    refused("ends no sequence, so that an answer", {"bare": bare}, answers=["A", "N"])
    refused("have other tokens", {"first": tasks["first"], "bare": bare})
    refused("problem=regression", {"n": labelled(tmp_path, "n", names=(1, 2), problem="regression")})
    averaged = labelled(tmp_path, "mean", strands="average")
    refused("tasks.mean.strands", {"mean": averaged})
