"""Each ability is what it says: who looks back answers everything, who does not answers one base in four."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from hypothesis import given
from hypothesis import strategies as st

from genoseq.data import Ability, AbilityDataModule
from genoseq.data.loading import IGNORED_LABEL, ExampleKey
from genoseq.errors import ConfigError
from genoseq.paths import configs_dir
from genoseq.sequence import decode_bases
from genoseq.tokenizers import CharacterTokenizer

MARKER = "ACGTTGCA"
ABILITIES = {
    "copying": Ability(marker=MARKER, key_length=0, num_pairs=1, answer_length=None),
    "passkey": Ability(marker=MARKER, key_length=0, num_pairs=1, answer_length=9),
    "recall": Ability(marker=MARKER, key_length=3, num_pairs=5, answer_length=2),
    "induction": Ability(marker="", key_length=6, num_pairs=1, answer_length=7),
    # A marker that overlaps itself and is short, so that chance writes it often.
    "crowded": Ability(marker="AAAA", key_length=2, num_pairs=6, answer_length=1),
    "unannounced": Ability(marker="", key_length=4, num_pairs=3, answer_length=3),
}


def draw(ability: Ability, length: int, seed: int = 0) -> tuple[str, list[tuple[int, int]]]:
    """The letters, and where each answer begins and ends."""
    codes, answered = ability.draw(length, np.random.default_rng(seed))
    assert len(codes) == len(answered) == length
    edges = np.flatnonzero(np.diff(answered.astype(int), prepend=0, append=0))
    return decode_bases(codes), [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]


def places(word: str, text: str) -> list[int]:
    return [start for start in range(len(text)) if text.startswith(word, start)]


def look_back(text: str, start: int, cue: int) -> str:
    """What followed the last `cue` bases before `start` where they stood first."""
    before = text[start - cue : start]
    return text[text.index(before) + cue :]


@pytest.mark.parametrize("name", ABILITIES)
@given(more=st.integers(0, 700), seed=st.integers(0, 2**32))
def test_looking_back_answers_everything(name: str, more: int, seed: int) -> None:
    ability = ABILITIES[name]
    text, answers = draw(ability, ability.shortest + more, seed)
    assert set(text) <= set("ACGT")
    whole = ability.answer_length or 1
    room = len(text) // (2 * (ability.cue_length + whole))
    assert len(answers) == min(max(room, 1), ability.num_pairs)
    if ability.answer_length is not None and room:
        assert all(end - start == whole for start, end in answers)
    assert answers[-1][1] == len(text)
    cues = set()
    for start, end in answers:
        cue = text[start - ability.cue_length : start]
        assert look_back(text, start, ability.cue_length).startswith(text[start:end])
        assert len(places(cue, text)) == 2, "once before, once asked"
        assert cue.startswith(ability.marker)
        cues.add(cue)
    assert len(cues) == len(answers)
    if ability.marker:
        assert len(places(ability.marker, text)) == 2 * len(answers)


@pytest.mark.parametrize("length", [18, 19, 128, 997])
def test_copying_asks_for_half_of_the_sequence(length: int) -> None:
    text, [(start, end)] = draw(ABILITIES["copying"], length)
    assert end - start == length // 2 - len(MARKER)
    half = MARKER + text[start:end]
    assert text.endswith(half + half)


@pytest.mark.parametrize("name", ["copying", "passkey", "recall", "induction"])
def test_not_looking_back_is_chance(name: str) -> None:
    right: dict[str, list[float]] = {"A": [], "C": [], "G": [], "T": [], "the base before": []}
    for seed in range(400):
        text, answers = draw(ABILITIES[name], 130, seed)
        for place in (place for start, end in answers for place in range(start, end)):
            for guess, found in right.items():
                found.append(text[place] == (guess if len(guess) == 1 else text[place - 1]))
    for guess, found in right.items():
        assert abs(np.mean(found) - 0.25) < 4 / np.sqrt(len(found)), guess


def test_pairs_are_anywhere_before_the_questions() -> None:
    ability = ABILITIES["passkey"]
    starts = [places(MARKER, draw(ability, 134, seed)[0])[0] for seed in range(1000)]
    # Two blocks of 17 leave 101 places.
    assert min(starts) == 0
    assert max(starts) == 100
    assert abs(np.mean(starts) - 50) < 4


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"marker": "ACGN"}, "letters A, C, G and T"),
        ({"marker": "ACG"}, "4 bases or more"),
        ({"marker": "", "key_length": 3}, "4 bases or more"),
        ({"key_length": -1}, "4 bases or more"),
        ({"num_pairs": 0}, "num_pairs=0"),
        ({"num_pairs": 2}, "key_length=0 bases allow 1 to 1"),
        ({"key_length": 2, "num_pairs": 9}, "allow 1 to 8"),
        ({"answer_length": 0}, "answer_length=0"),
        ({"answer_length": None, "key_length": 4, "num_pairs": 2}, "num_pairs=2: .* takes all room"),
    ],
)
def test_abilities_that_cannot_be_asked(settings: dict[str, Any], message: str) -> None:
    given = {"marker": MARKER, "key_length": 0, "num_pairs": 1, "answer_length": 8, **settings}
    with pytest.raises(ConfigError, match=message):
        Ability(**given)


def data(**settings: Any) -> AbilityDataModule:
    given: dict[str, Any] = {
        "tokenizer": CharacterTokenizer(), "marker": MARKER, "key_length": 0, "num_pairs": 1,
        "answer_length": 8, "length": 64, "length_schedule": [[0, 32], [10, 64]],
        "test_lengths": [64, 32, 131], "examples_per_epoch": 20, "evaluation_examples": 3,
        "global_batch_size": 4, "micro_batch_size": None, "num_workers": 0, "pin_memory": False, "seed": 0,
        **settings,
    }  # fmt: skip
    return AbilityDataModule(**given)


def ids(module: AbilityDataModule, split: Any, index: int, epoch: int = 0) -> list[int]:
    return module.dataset(split)[ExampleKey(epoch, index)]["input_ids"].tolist()


def test_an_example_is_a_function_of_split_seed_epoch_and_index() -> None:
    first, again = data(), data()
    backwards = {index: ids(again, "train", index, epoch=2) for index in reversed(range(20))}
    assert all(ids(first, "train", index, epoch=2) == backwards[index] for index in range(20))
    others = [
        ids(first, "train", 0, epoch=3),
        ids(data(seed=1), "train", 0, epoch=2),
        ids(first, "validation", 0, epoch=2),
        ids(first, "test", 0, epoch=2),
    ]
    assert all(other != backwards[0] for other in others)
    assert len({tuple(row) for row in backwards.values()}) > 10


def test_labels_are_the_answers_alone() -> None:
    example = data().dataset("validation")[ExampleKey(0, 2)]
    labels = example["labels"]
    assert (labels[:-8] == IGNORED_LABEL).all()
    assert (labels[-8:] == example["input_ids"][-8:]).all()


def test_test_has_every_length_and_the_others_one() -> None:
    module = data()
    found = [len(ids(module, "test", index)) for index in range(module.num_examples("test"))]
    assert found == [64, 64, 64, 32, 32, 32, 131, 131, 131] == module.examples("test")["length"].tolist()
    assert module.num_examples("validation") == 3
    counted = [row for batch in module.evaluation_loader("test") for row in batch["index"].tolist()]
    assert counted == list(range(9))


def test_lessons_are_of_all_lengths_up_to_that_of_the_epoch() -> None:
    module = data(examples_per_epoch=400, length_schedule=[[0, 32], [200, 64]])
    lengths = {epoch: [len(ids(module, "train", i, epoch)) for i in range(400)] for epoch in range(4)}
    assert set(lengths[0]) == set(lengths[1]) == set(range(18, 33))
    assert set(lengths[2]) == set(lengths[3]) == set(range(18, 65))
    assert max(len(ids(data(length_schedule=None), "train", index)) for index in range(20)) > 32


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"length": 31, "length_schedule": None}, "length=31 has no room.*take 32"),
        ({"test_lengths": [64, 31]}, "test_lengths=31 has no room"),
        ({"marker": "ACGT", "key_length": 4, "num_pairs": 3, "length": 95}, "length=95 has no room.*take 96"),
        ({"length_schedule": [[0, 17], [5, 64]]}, "no sequence is under 18 bases"),
        ({"length_schedule": [[0, 32]]}, "let the last be the length"),
        ({"length_schedule": [[1, 64]]}, "the first of step 0"),
        ({"test_lengths": []}, "one length or more"),
        ({"test_lengths": [64, 64]}, "none twice"),
        ({"examples_per_epoch": 0}, "at least 1"),
        ({"evaluation_examples": 0}, "at least 1"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        data(**settings).setup("fit")


@pytest.mark.parametrize("name", ["copying", "passkey", "recall", "induction"])
def test_configs_ask_what_they_are_called(name: str) -> None:
    with initialize_config_dir(str(configs_dir()), version_base="1.3"):
        module = instantiate(compose("train", overrides=[f"experiment=ability_{name}"]).data)
    ability = module.ability
    assert bool(ability.marker) == (name != "induction")
    assert (ability.num_pairs > 1) == (name == "recall")
    assert (ability.answer_length is None) == (name == "copying")
    assert max(module.test_lengths) >= 16 * module.length
