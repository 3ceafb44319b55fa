"""HyenaDNA on sequences longer than its filters, and with filters cut short."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

import genoseq
from genoseq.errors import CheckpointError, ConfigError, SequenceError
from genoseq.models import HyenaDNA, LanguageModelHead, SequenceModel
from genoseq.models.writing import export
from genoseq.nn import HyenaMixer
from genoseq.tokenizers import CharacterTokenizer
from genoseq_kernels import FrequencyPattern, sparse_fft_conv

L_MAX, LONGER = 32, 90


def made(**arguments: Any) -> HyenaDNA:
    torch.manual_seed(0)
    backbone = HyenaDNA(d_model=8, num_layers=2, l_max=L_MAX, order=3, filter_order=8, **arguments)
    return backbone.double().eval()


def filters_of(mixer: HyenaMixer, taps: int) -> torch.Tensor:
    return mixer.filter_fn(L_MAX)[:, :taps]


def by_hand(backbone: HyenaDNA, ids: torch.Tensor, taps: int) -> torch.Tensor:
    """The model with filters made as in training, and zeros after `taps` of their taps."""
    whole = made(extended_l_max=None)
    whole.load_state_dict(backbone.state_dict())
    for layer in whole.layers:
        cut = torch.nn.functional.pad(filters_of(layer.mixer, taps), (0, ids.shape[1] - taps)).detach()
        layer.mixer.l_max = layer.mixer.max_taps = ids.shape[1]
        layer.mixer.filter_fn.forward = lambda length, cut=cut: cut[:, :length]
    return whole(ids).last_hidden_state


def tokens(length: int) -> torch.Tensor:
    return torch.randint(7, 11, (2, length), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("arguments", [{}, {"max_taps": 1}, {"max_taps": 7}, {"max_taps": L_MAX}], ids=str)
@pytest.mark.parametrize("length", [L_MAX + 1, LONGER])
def test_longer_than_the_filters(length: int, arguments: dict[str, int]) -> None:
    backbone = made(extended_l_max=LONGER, **arguments)
    ids = tokens(length)
    taps = arguments.get("max_taps", L_MAX)
    torch.testing.assert_close(backbone(ids).last_hidden_state, by_hand(backbone, ids, taps))


@pytest.mark.parametrize("arguments", [{"extended_l_max": LONGER}, {"max_taps": 5}], ids=str)
def test_short_sequences_and_states(arguments: dict[str, int]) -> None:
    backbone, plain = made(**arguments), made()
    few = arguments.get("max_taps", L_MAX)
    torch.testing.assert_close(backbone(tokens(few)).last_hidden_state, plain(tokens(few)).last_hidden_state)
    ids = tokens(backbone.l_max)
    state = backbone.init_state(2, max_length=backbone.l_max)
    parts = [backbone.forward_chunk(ids[:, :11], state)]
    parts += [backbone.step(column, state).unsqueeze(1) for column in ids[:, 11:-5].unbind(1)]
    parts.append(backbone.forward_chunk(ids[:, -5:], state))
    torch.testing.assert_close(torch.cat(parts, dim=1), backbone(ids).last_hidden_state)


def test_a_token_sees_no_further_than_the_filters_reach() -> None:
    backbone = made(extended_l_max=LONGER, max_taps=4)
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter.add_(torch.randn_like(parameter))
    # Two layers of two convolutions and three short taps each.
    reach = 2 * (2 * 3 + 2)
    ids = tokens(LONGER)
    changed = ids.clone()
    changed[:, 0] = 7 + (changed[:, 0] - 6) % 4
    difference = (backbone(ids).last_hidden_state - backbone(changed).last_hidden_state).abs().amax((0, 2))
    assert difference[: reach + 1].min() > 1e-9
    assert difference[reach + 1 :].max() < 1e-12


def test_a_loaded_model_is_extended_and_saved(tmp_path: Path) -> None:
    backbone = made().float()
    model = SequenceModel(backbone, LanguageModelHead(backbone), CharacterTokenizer())
    model.save(tmp_path / "short")
    model = genoseq.load(tmp_path / "short")
    with pytest.raises(SequenceError, match="extended_l_max"):
        model.log_prob("A" * LONGER)
    model.backbone.extend(LONGER)
    expected = model.log_prob("ACG" * (LONGER // 3))
    model.save(tmp_path / "long")
    again = genoseq.load(tmp_path / "long")
    assert again.backbone.l_max == LONGER
    assert again.log_prob("ACG" * (LONGER // 3)).equals(expected)
    assert len(again.generate("ACGT", length=LONGER)[0]) == LONGER
    with pytest.raises(SequenceError, match="l_max=90"):
        again.log_prob("A" * (LONGER + 1))
    with pytest.raises(ConfigError, match="l_max=32"):
        again.backbone.extend(31)


def test_a_model_is_loaded_with_other_arguments(tmp_path: Path) -> None:
    backbone = made().float()
    model = SequenceModel(backbone, LanguageModelHead(backbone), CharacterTokenizer())
    model.save(tmp_path / "genoseq")
    model.backbone.extend(LONGER)
    expected = model.log_prob("ACG" * (LONGER // 3))
    longer = genoseq.load(tmp_path / "genoseq", arguments={"extended_l_max": LONGER})
    assert longer.log_prob("ACG" * (LONGER // 3)).equals(expected)
    assert longer.backbone.arguments == {**backbone.arguments, "extended_l_max": LONGER}
    with pytest.raises(ConfigError, match="no reach; it takes d_model"):
        genoseq.load(tmp_path / "genoseq", arguments={"reach": 3})
    with pytest.raises(CheckpointError, match=r"misshapen.*pos_emb"):
        genoseq.load(tmp_path / "genoseq", arguments={"l_max": L_MAX + 1})
    short = SequenceModel(plain := made().float(), LanguageModelHead(plain), CharacterTokenizer())
    export(short, tmp_path / "official", layout="hf")
    assert genoseq.load(tmp_path / "official", arguments={"max_taps": 5}).backbone.arguments["max_taps"] == 5


def test_filters_without_some_frequencies(monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = made(max_taps=20, initializer_range=1.0)
    ids = tokens(L_MAX)
    dense = backbone(ids).last_hidden_state
    backbone.sparsify(FrequencyPattern.lowest(8, sparsity=0))
    torch.testing.assert_close(backbone(ids).last_hidden_state, dense)
    pattern = FrequencyPattern(8, (0, 1, 3))
    backbone.sparsify(pattern)
    sparse = backbone(ids).last_hidden_state
    assert (sparse - dense).abs().max() > 1e-2
    backbone.sparsify(None)
    torch.testing.assert_close(backbone(ids).last_hidden_state, dense)
    monkeypatch.setattr("genoseq.nn.hyena.fft_conv", partial(sparse_fft_conv, pattern=pattern))
    torch.testing.assert_close(backbone(ids).last_hidden_state, sparse)


def test_filters_without_some_frequencies_are_not_causal() -> None:
    backbone = made().float()
    model = SequenceModel(backbone, LanguageModelHead(backbone), CharacterTokenizer())
    backbone.sparsify(FrequencyPattern(2, (0,)))
    for use in (model.log_prob, lambda text: model.generate(text, length=9)):
        with pytest.raises(ConfigError, match="causal"):
            use("ACGT")
    with pytest.raises(ConfigError, match="no state"):
        backbone.init_state(1, max_length=L_MAX)
    backbone.sparsify(None)
    assert len(model.log_prob("ACGT")) == 4


def test_released_layouts_know_no_short_filters(tmp_path: Path) -> None:
    backbone = made(max_taps=5).float()
    model = SequenceModel(backbone, LanguageModelHead(backbone), CharacterTokenizer())
    with pytest.raises(CheckpointError, match="max_taps=5"):
        export(model, tmp_path / "x", layout="hf")


def test_padding_beyond_the_longest_sequence_is_no_sequence() -> None:
    backbone = made(extended_l_max=LONGER)
    ids = tokens(LONGER + 20)
    mask = torch.ones_like(ids, dtype=torch.bool)
    mask[:, :20] = False
    torch.testing.assert_close(
        backbone(ids, mask).last_hidden_state[:, 20:], backbone(ids[:, 20:]).last_hidden_state
    )


@pytest.mark.parametrize(
    "arguments", [{"extended_l_max": 31}, {"max_taps": 0}, {"max_taps": L_MAX + 1}], ids=str
)
def test_mistakes(arguments: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=next(iter(arguments))):
        made(**arguments)
