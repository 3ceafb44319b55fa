"""Mamba backbones: fixed memory, long input in chunks, and bad input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
import torch

from genoseq.errors import ConfigError, SequenceError
from genoseq.models import (
    LanguageModelHead,
    Mamba,
    Mamba2,
    SequenceModel,
    StreamingBackbone,
    export,
)
from genoseq.tokenizers import CharacterTokenizer

STREAMING: dict[str, Callable[[], StreamingBackbone]] = {
    "mamba": lambda: Mamba(d_model=16, num_layers=2, bias=True),
    "mamba2": lambda: Mamba2(d_model=16, num_layers=2, d_state=8, headdim=8, bias=True),
}
streaming = pytest.mark.parametrize("name", STREAMING)


def bases(*shape: int) -> torch.Tensor:
    return torch.randint(7, 12, shape, generator=torch.Generator().manual_seed(0))


@streaming
def test_a_long_sequence_in_chunks_of_fixed_memory(name: str) -> None:
    torch.manual_seed(0)
    backbone = STREAMING[name]().eval()
    ids = bases(1, 20_000)
    with torch.inference_mode():
        whole = backbone(ids).last_hidden_state
        state = backbone.init_state(1, max_length=ids.shape[1])
        held = sum(layer.tail.numel() + layer.ssm.numel() for layer in state)
        for start, chunk in zip(range(0, 20_000, 3001), ids.split(3001, dim=1), strict=True):
            part = backbone.forward_chunk(chunk, state)
            torch.testing.assert_close(part, whole[:, start : start + 3001], rtol=0, atol=1e-4)
    assert sum(layer.tail.numel() + layer.ssm.numel() for layer in state) == held


@streaming
def test_generation_equals_the_whole_computed_again(name: str) -> None:
    torch.manual_seed(0)
    backbone = STREAMING[name]()
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    model = SequenceModel(backbone, LanguageModelHead(backbone), CharacterTokenizer()).eval()
    (text,) = model.generate("ACGTTGCA", length=40, temperature=0)
    assert text.startswith("ACGTTGCA")
    table = model.log_prob(text)
    columns = [f"log_prob_{base}" for base in "ACGT"]
    likeliest = table[columns].to_numpy()[8:].argmax(axis=1)
    assert "".join("ACGT"[index] for index in likeliest) == text[8:]
    chunks = pd.concat(model.log_prob_chunks(text, chunk_length=7), ignore_index=True)
    pd.testing.assert_frame_equal(chunks, table, atol=1e-5)


@streaming
def test_input_that_is_none(name: str) -> None:
    backbone = STREAMING[name]()
    with pytest.raises(SequenceError, match=r"shape \(2, 0\) hold no token"):
        backbone(torch.zeros(2, 0, dtype=torch.int64))
    mask = torch.tensor([[True, True, True, True], [True, False, True, False]])
    with pytest.raises(SequenceError, match="row 1 of the attention mask has padding between tokens"):
        backbone(bases(2, 4), mask)
    # Rows of several sequences may be padded each for itself.
    backbone(bases(2, 4), mask, segment_ids=torch.tensor([[0, 0, 0, 0], [0, 0, 1, 1]]))


@streaming
def test_a_state_of_another_shape(name: str) -> None:
    backbone = STREAMING[name]()
    with pytest.raises(SequenceError, match="state is of 3 sequences, the input of 2"):
        backbone.forward_chunk(bases(2, 4), backbone.init_state(3, max_length=4))
    state = backbone.init_state(2, max_length=4)
    state[0].ssm = state[0].ssm[..., 1:]
    with pytest.raises(ValueError, match="state"):
        backbone.forward_chunk(bases(2, 4), state)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"headdim": 24}, "headdim=24 does not divide expand"),
        ({"headdim": 8, "ngroups": 3}, "ngroups=3 does not divide the 4 heads"),
        ({"norm": "batch"}, "norm='batch'"),
        ({"activation_checkpointing": "disk"}, "activation_checkpointing='disk'"),
    ],
)
def test_settings_outside_their_range(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Mamba2(**{"d_model": 16, "num_layers": 1, "headdim": 8} | settings)


def test_a_layout_without_a_place(tmp_path: Any) -> None:
    backbone = Mamba(d_model=16, num_layers=1, norm="layer")
    with pytest.raises(ValueError, match="norm='layer': the hf layout has RMSNorm only"):
        export(SequenceModel(backbone, LanguageModelHead(backbone)), tmp_path, layout="hf")
    other = Mamba(d_model=16, num_layers=1, norm_epsilon=1e-6)
    with pytest.raises(ValueError, match="norm_epsilon=1e-06"):
        export(SequenceModel(other, LanguageModelHead(other)), tmp_path, layout="original")
