"""Long sequences in windows: what each window gives is what it gives alone, and padding changes nothing."""

from __future__ import annotations

import pytest
import torch

from genoseq.errors import ConfigError, SequenceError
from genoseq.models import HyenaDNA, LanguageModelHead, SequenceHead, SequenceModel, TokenHead, load
from genoseq.tokenizers import CharacterTokenizer

DESCRIBED = {"problem": "single_label", "classes": ["a", "b"], "strand": "stranded"}


def model_of(head=SequenceHead, **described) -> SequenceModel:
    torch.manual_seed(0)
    backbone = HyenaDNA(d_model=8, num_layers=1, l_max=16, filter_order=8, initializer_range=0.5)
    made = head(backbone, num_outputs=2)
    return SequenceModel(backbone, made, CharacterTokenizer(), {**DESCRIBED, **described}).eval()


@pytest.fixture
def ids() -> torch.Tensor:
    return torch.randint(7, 11, (2, 37), generator=torch.Generator().manual_seed(0))


def test_a_mean_over_windows_is_that_of_their_states(ids: torch.Tensor) -> None:
    model = model_of(window=10)
    parts = [model.backbone(ids[:, start : start + 10]).last_hidden_state for start in range(0, 37, 10)]
    expected = model.head(torch.cat(parts, dim=1))
    assert torch.allclose(model(ids).logits, expected, atol=1e-5)
    labels = torch.tensor([0, 1])
    loss, wanted = model(ids, labels=labels).loss, torch.nn.functional.cross_entropy(expected, labels)
    assert loss.item() == pytest.approx(wanted.item(), abs=1e-5)


def test_windows_may_overlap(ids: torch.Tensor) -> None:
    model = model_of(window=10, window_stride=5)
    starts = range(0, 31, 5)  # the last of them has 7 tokens
    parts = [model.backbone(ids[:, start : start + 10]).last_hidden_state for start in starts]
    assert torch.allclose(model(ids).logits, model.head(torch.cat(parts, dim=1)), atol=1e-5)


@pytest.mark.parametrize("stride", [None, 4])
def test_padding_changes_nothing_also_where_a_window_is_nothing_else(
    ids: torch.Tensor, stride: int | None
) -> None:
    model = model_of(window=10, window_stride=stride)
    for padding in (1, 8, 25):
        padded = torch.nn.functional.pad(ids, (0, padding), value=4)
        mask = torch.arange(37 + padding) < 37
        logits = model(padded, mask.expand(2, -1)).logits
        if stride is None:
            assert torch.allclose(logits, model(ids).logits, atol=1e-5)
        assert torch.isfinite(logits).all()


def test_short_sequences_are_read_whole_and_long_ones_are_refused_without_windows(ids: torch.Tensor) -> None:
    windowed, plain = model_of(window=10), model_of()
    assert torch.equal(windowed(ids[:, :10]).logits, plain(ids[:, :10]).logits)
    with pytest.raises(SequenceError):
        plain(ids)


def test_tokens_keep_their_places(ids: torch.Tensor) -> None:
    model = model_of(TokenHead, window=10)
    logits = model(ids).logits
    assert logits.shape == (2, 37, 2)
    alone = model.head(model.backbone(ids[:, 20:30]).last_hidden_state)
    assert torch.allclose(logits[:, 20:30], alone, atol=1e-5)


def test_a_model_on_disk_knows_its_windows(ids: torch.Tensor, tmp_path) -> None:
    model = model_of(window=10)
    again = load(model.save(tmp_path / "model"))
    assert torch.allclose(again(ids).logits, model(ids).logits, atol=1e-6)


@pytest.mark.parametrize(
    ("described", "message"),
    [
        ({"window": 0}, "window=0"),
        ({"window": 10, "window_stride": 11}, "window_stride=11"),
        ({"window": 10, "strands": "repeat"}, "given twice"),
    ],
)
def test_windows_that_cannot_be(described: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        model_of(**described)


def test_windows_are_for_labels() -> None:
    backbone = HyenaDNA(d_model=8, num_layers=1, l_max=16, filter_order=8)
    with pytest.raises(ConfigError, match="not for LanguageModelHead"):
        SequenceModel(backbone, LanguageModelHead(backbone), CharacterTokenizer(), {"window": 10})
    with pytest.raises(ConfigError, match="give no window_stride"):
        model_of(TokenHead, window=10, window_stride=5)
