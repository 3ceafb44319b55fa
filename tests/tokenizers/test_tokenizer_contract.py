"""What every tokenizer promises, also one whose tokens are no letters: batches, padding, equality."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from genoseq.errors import SequenceError
from genoseq.sequence import encode_bases
from genoseq.tokenizers import CharacterTokenizer, Tokenizer

PAD, SEP = 4, 1


class PairTokenizer(Tokenizer):
    """Two letters a token: the smallest tokenizer whose ids are not its letters."""

    tokenizer_type: ClassVar[str] = "pair"
    pairs: ClassVar[Sequence[str]] = [first + second for first in "ACGT" for second in "ACGT"]

    def __init__(self) -> None:
        super().__init__(
            vocabulary=["<pad>", "<end>", *self.pairs],
            special_tokens=["<pad>", "<end>"],
            prefix=[],
            suffix=["<end>"],
            pad_token="<pad>",
            padding_side="right",
        )

    @property
    def settings(self) -> dict[str, Any]:
        return {}

    def _encode(self, sequence: str | bytes) -> np.ndarray:
        text = sequence if isinstance(sequence, str) else sequence.decode()
        return self._ids([text[place : place + 2] for place in range(0, len(text), 2)])

    def _decode(self, ids: np.ndarray) -> str:
        return "".join(self.vocabulary[index] for index in ids)

    def reverse_complement(self, ids: Any) -> Any:
        return ids


def test_another_kind_of_tokenizer_inherits_the_rest() -> None:
    tokenizer = PairTokenizer()
    assert tokenizer.encode("ACTT").tolist() == [3, 17, 1]
    assert tokenizer.encode_codes(encode_bases("ACTT")).tolist() == [3, 17]
    assert tokenizer.decode([3, 17, 1, 0]) == "ACTT"
    assert tokenizer(["ACTT", "AA"]).input_ids.tolist() == [[3, 17, 1], [2, 1, 0]]
    with pytest.raises(SequenceError, match="no token 'A' among its 18"):
        _ = tokenizer.base_ids


@pytest.mark.parametrize(
    ("padding_side", "rows", "mask"),
    [
        ("left", [[7, 8, SEP], [PAD, 9, SEP]], [[True, True, True], [False, True, True]]),
        ("right", [[7, 8, SEP], [9, SEP, PAD]], [[True, True, True], [True, True, False]]),
    ],
)
def test_padding_on_either_side(padding_side, rows, mask) -> None:
    batch = CharacterTokenizer(padding_side=padding_side)(["AC", "G"])
    assert batch.input_ids.dtype == torch.int64
    assert batch.attention_mask.dtype == torch.bool
    assert batch.input_ids.tolist() == rows
    assert batch.attention_mask.tolist() == mask


@given(
    st.lists(st.text(alphabet="ACGTN", max_size=20), min_size=1, max_size=5),
    st.sampled_from(["left", "right"]),
)
def test_what_is_not_masked_is_what_was_encoded(sequences: list[str], padding_side) -> None:
    tokenizer = CharacterTokenizer(padding_side=padding_side)
    ids, mask = tokenizer(sequences)
    for row, sequence in enumerate(sequences):
        np.testing.assert_array_equal(ids[row][mask[row]].numpy(), tokenizer.encode(sequence))
        assert (ids[row][~mask[row]] == PAD).all()


def test_padding_to_a_length_takes_arrays_and_tensors() -> None:
    tokenizer = CharacterTokenizer()
    batch = tokenizer.pad([np.array([7, 8]), torch.tensor([9])], length=3)
    assert batch.input_ids.tolist() == [[PAD, 7, 8], [PAD, PAD, 9]]
    with pytest.raises(SequenceError, match="2 tokens cannot be padded to 1"):
        tokenizer.pad([np.array([7, 8])], length=1)


def test_a_batch_of_nothing_is_refused() -> None:
    with pytest.raises(SequenceError, match="at least one sequence"):
        CharacterTokenizer()([])


def test_one_string_is_a_batch_of_one() -> None:
    batch = CharacterTokenizer()("ACG", add_special_tokens=False)
    assert batch.input_ids.tolist() == [[7, 8, 9]]


def test_too_long_is_refused_unless_truncation_is_asked_for() -> None:
    tokenizer = CharacterTokenizer(special_tokens="cls_sep")
    assert tokenizer("ACG", max_length=5).input_ids.tolist() == [[0, 7, 8, 9, SEP]]
    with pytest.raises(SequenceError, match=r"sequence 1 .* has 3 tokens; max_length has room for 2"):
        tokenizer(["A", "ACG"], max_length=4)
    assert tokenizer("ACG", max_length=4, truncation=True).input_ids.tolist() == [[0, 7, 8, SEP]]
    bare = tokenizer("ACG", max_length=2, truncation=True, add_special_tokens=False)
    assert bare.input_ids.tolist() == [[7, 8]]
    with pytest.raises(SequenceError, match="no room for a letter"):
        tokenizer("ACG", max_length=2, truncation=True)


def test_only_one_sequence_is_decoded_at_a_time() -> None:
    tokenizer = CharacterTokenizer()
    with pytest.raises(SequenceError, match=r"shape \(1, 3\)"):
        tokenizer.decode(tokenizer("AC").input_ids)


def test_equality_is_by_type_and_settings() -> None:
    assert CharacterTokenizer() == CharacterTokenizer(padding_side="left")
    assert hash(CharacterTokenizer()) == hash(CharacterTokenizer())
    assert CharacterTokenizer() != CharacterTokenizer(padding_side="right")
    assert CharacterTokenizer() != PairTokenizer()
    assert CharacterTokenizer() != "character"


def test_a_worker_process_gets_the_same_tokenizer() -> None:
    tokenizer = CharacterTokenizer(lowercase="mask")
    assert pickle.loads(pickle.dumps(tokenizer)) == tokenizer
