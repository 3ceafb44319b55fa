"""Sequences given once or twice: what stands where."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from genoseq.sequence import reverse_complement, strand_policy
from genoseq.tokenizers import CharacterTokenizer, encode_passes, pad_passes, turned_places

TOKENIZERS = [
    CharacterTokenizer(special_tokens=special, padding_side=side)
    for special in ("cls_sep", "sep", "none")
    for side in ("left", "right")
]


@given(
    st.sampled_from(TOKENIZERS),
    st.lists(st.text("ACGTN", min_size=1, max_size=12), min_size=1, max_size=4),
    st.sampled_from(["none", "augment", "average", "equivariant", "echo", "repeat"]),
)
def test_passes_stand_side_by_side_between_the_special_tokens(
    tokenizer: CharacterTokenizer, sequences: list[str], name: Any
) -> None:
    policy = strand_policy(name)
    again = {"echo": reverse_complement, "repeat": str}.get(name)
    encoded = [
        encode_passes(tokenizer, tokenizer.encode(text, add_special_tokens=False), policy)
        for text in sequences
    ]
    batch = pad_passes(tokenizer, encoded)
    expected = tokenizer([text + (again(text) if again else "") for text in sequences])
    assert (batch.input_ids == expected.input_ids).all()
    assert (batch.attention_mask == expected.attention_mask).all()
    assert (batch.second_pass is None) == (again is None)
    for row, text in enumerate(sequences):
        letters = tokenizer.decode(batch.input_ids[row][batch.letters[row]])
        assert letters == (again(text) if again else text)
        if batch.second_pass is not None:
            counted = batch.input_ids[row][batch.second_pass[row]].tolist()
            assert counted == [*tokenizer.encode(letters, add_special_tokens=False), *tokenizer.suffix_ids]


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
def test_turned_places_turn_letters_alone(tokenizer: CharacterTokenizer) -> None:
    ids = tokenizer(["ACGTN", "AC", "G"]).input_ids
    places = turned_places(tokenizer.is_letter(ids))
    turned = [tokenizer.decode(row) for row in ids.gather(1, places)]
    assert turned == ["NTGCA", "CA", "G"]
    special = ~tokenizer.is_letter(ids)
    assert (ids.gather(1, places)[special] == ids[special]).all()
    assert (places.gather(1, places) == torch.arange(ids.shape[1])).all()
