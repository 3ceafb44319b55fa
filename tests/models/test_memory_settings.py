"""Settings that save memory change neither names nor numbers."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from genoseq.errors import ConfigError
from genoseq.models import HyenaDNA, LanguageModelHead, SequenceModel

PLAIN = {"d_model": 8, "num_layers": 2, "filter_order": 8, "l_max": 70, "resid_dropout": 0.1}


def model(loss_tile: int | None = None, **settings: Any) -> SequenceModel:
    torch.manual_seed(5)
    backbone = HyenaDNA(**(PLAIN | settings))
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return SequenceModel(backbone, LanguageModelHead(backbone, loss_tile=loss_tile)).double()


def step(model: SequenceModel, batch: dict[str, Any]) -> dict[str, torch.Tensor]:
    """The loss, and the gradient of every parameter by its name."""
    torch.manual_seed(1)
    loss = model(**batch, loss_only=True).loss
    loss.backward()
    return {"loss": loss.detach()} | {name: value.grad for name, value in model.named_parameters()}


@pytest.fixture(params=["plain", "masked", "packed"])
def batch(request: pytest.FixtureRequest) -> dict[str, Any]:
    ids = torch.randint(7, 12, (2, 63), generator=torch.Generator().manual_seed(0))
    labels = ids.clone()
    labels[0, 20:23] = -100
    if request.param == "plain":
        return {"input_ids": ids, "labels": labels}
    mask = torch.ones_like(ids, dtype=torch.bool)
    mask[1, :7] = False
    if request.param == "masked":
        return {"input_ids": ids, "labels": labels, "attention_mask": mask}
    segments = torch.arange(63).div(25, rounding_mode="floor").expand(2, -1)
    return {"input_ids": ids, "labels": labels, "attention_mask": mask, "segment_ids": segments}


@pytest.mark.parametrize("mode", [True, "offload"])
def test_checkpointing_is_equal_bit_for_bit(batch: dict[str, Any], mode: bool | str) -> None:
    expected = step(model(), batch)
    ours = step(model(activation_checkpointing=mode), batch)
    assert list(ours) == list(expected)
    for name, value in ours.items():
        assert torch.equal(value, expected[name]), name


@pytest.mark.parametrize("order", [2, 3])
@pytest.mark.parametrize("tile", [1, 16, 62, 63])
@pytest.mark.parametrize("mode", [False, "offload"])
def test_tiles(batch: dict[str, Any], tile: int, mode: bool | str, order: int) -> None:
    expected = step(model(order=order), batch)
    settings = {"sequence_tile": tile, "mixer_tile": tile, "activation_checkpointing": mode, "order": order}
    ours = step(model(loss_tile=tile, **settings), batch)
    assert list(ours) == list(expected)
    for name, value in ours.items():
        torch.testing.assert_close(value, expected[name], rtol=1e-10, atol=1e-12, msg=name)


def test_learned_positions_are_reached_through_tiles() -> None:
    ids = torch.randint(7, 12, (1, 40), generator=torch.Generator().manual_seed(0))
    batch = {"input_ids": ids, "labels": ids}
    expected = step(model(position_lr=1e-3), batch)
    ours = step(model(position_lr=1e-3, sequence_tile=16, mixer_tile=16), batch)
    name = "backbone.layers.0.mixer.filter_fn.pos_emb.z"
    torch.testing.assert_close(ours[name], expected[name])


def test_tiles_under_bfloat16_autocast() -> None:
    ids = torch.randint(7, 12, (2, 63), generator=torch.Generator().manual_seed(0))
    batch = {"input_ids": ids, "labels": ids}
    plain, tiles = model().float(), model(loss_tile=16, sequence_tile=16, mixer_tile=16).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        expected, ours = step(plain, batch), step(tiles, batch)
    for name, value in ours.items():
        error = (value - expected[name]).abs().max() / expected[name].abs().max()
        assert error < 0.05, name


def test_without_predictions_there_are_none() -> None:
    ids = torch.randint(7, 12, (2, 30), generator=torch.Generator().manual_seed(0))
    lean = model(loss_tile=8).eval()
    output = lean(ids, labels=ids, loss_only=True)
    assert output.logits.numel() == 0
    whole = lean(ids, labels=ids)
    assert whole.logits.shape == (2, 30, 16)
    torch.testing.assert_close(output.loss, whole.loss)


@pytest.mark.parametrize("value", ["offlaod", 2, None])
def test_an_unknown_checkpointing(value: Any) -> None:
    with pytest.raises(ConfigError, match="activation_checkpointing"):
        model(activation_checkpointing=value)


def test_a_tile_of_no_position() -> None:
    with pytest.raises(ConfigError, match="sequence_tile=0"):
        model(sequence_tile=0)
    with pytest.raises(ConfigError, match="loss_tile=-1"):
        model(loss_tile=-1)
