"""Control tokens: ids behind the characters, a file of their own kind, and labels that cannot be one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from genoseq.errors import CheckpointError, ConfigError
from genoseq.tokenizers import CharacterTokenizer, ControlTokenizer, load_tokenizer

PLAIN = CharacterTokenizer(special_tokens="cls_sep")
CONTROLLED = ControlTokenizer(controls=["coding", "0", "bin_1"], special_tokens="cls_sep")
dna = st.text(alphabet="ACGTN", max_size=60)


def test_ids_follow_those_of_the_characters() -> None:
    assert CONTROLLED.vocabulary[:12] == PLAIN.vocabulary
    assert CONTROLLED.vocabulary[12:] == ("<coding>", "<0>", "<bin_1>")
    assert [CONTROLLED.control_id(label) for label in CONTROLLED.controls] == [12, 13, 14]
    assert CONTROLLED.special_ids.tolist() == [*range(7), 12, 13, 14]
    assert (CONTROLLED.vocab_size, CONTROLLED.pad_id) == (15, PLAIN.pad_id)


@given(sequence=dna)
def test_letters_are_as_without_them(sequence: str) -> None:
    ids = CONTROLLED.encode(sequence)
    np.testing.assert_array_equal(ids, PLAIN.encode(sequence))
    framed = np.concatenate(([13], ids))
    assert CONTROLLED.decode(framed) == sequence
    assert not CONTROLLED.is_letter(torch.from_numpy(framed))[0]
    turned = CONTROLLED.reverse_complement(framed)
    np.testing.assert_array_equal(turned[1:], PLAIN.reverse_complement(ids))
    assert turned[0] == 13


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    saved = ControlTokenizer(controls=("b", "a"), padding_side="right", lowercase="mask")
    path = saved.save(tmp_path)
    loaded = load_tokenizer(tmp_path)
    assert loaded == saved
    assert (type(loaded), loaded.controls, loaded.padding_side) == (ControlTokenizer, ("b", "a"), "right")
    assert loaded != CharacterTokenizer(padding_side="right", lowercase="mask")
    content = json.loads(path.read_text())
    content["settings"]["controls"].reverse()
    path.write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match="are not those of ControlTokenizer"):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize("controls", [["a", 1], "ab", None, [], ["a", "a"], ["a b"]], ids=str)
def test_a_broken_file_is_refused(tmp_path: Path, controls: object) -> None:
    path = ControlTokenizer(controls=["a"]).save(tmp_path)
    content = json.loads(path.read_text())
    content["settings"]["controls"] = controls
    path.write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=r"tokenizer\.json: (controls=|the label )"):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize("label", ["", "two words", "a=b", "<a>", "[SEP]", "ü", "a\n", "a,b", "a/b"])
def test_labels_of_strange_characters_are_refused(label: str) -> None:
    with pytest.raises(ConfigError, match="cannot be a control: it takes letters, digits"):
        ControlTokenizer(controls=["fine", label])


def test_unknown_controls_are_named_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"control='intergenic' .* has 'coding', '0', 'bin_1'\."):
        CONTROLLED.control_id("intergenic")
    with pytest.raises(ConfigError, match=r"control='coding' .* has none at all: train a model on"):
        PLAIN.control_id("coding")
