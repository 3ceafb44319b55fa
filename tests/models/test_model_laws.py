"""Laws of the whole model: padding, packing, chunks, steps, checkpointing, precision."""

from __future__ import annotations

import pytest
import torch

from genoseq.errors import SequenceError
from genoseq.models import (
    HyenaDNA,
    SequenceHead,
    SequenceModel,
    TokenHead,
)

PAD = 4


def bases(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(7, 12, shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("left", "right"), [(0, 1), (1, 0), (0, 13), (13, 0), (3, 70), (70, 3), (100, 0)])
def test_padding_changes_nothing(any_model: SequenceModel, left: int, right: int) -> None:
    ids = bases(2, 37)
    expected = any_model(ids, labels=ids)
    padded = torch.nn.functional.pad(ids, (left, right), value=PAD)
    mask = torch.nn.functional.pad(torch.ones_like(ids, dtype=torch.bool), (left, right))
    output = any_model(padded, mask, labels=padded)
    torch.testing.assert_close(output.logits[:, left : left + 37], expected.logits)
    torch.testing.assert_close(output.loss, expected.loss)


@pytest.mark.parametrize("head", ["mean", "last", "first", "max", "attention", "token"])
def test_heads_ignore_padding(any_model: SequenceModel, head: str) -> None:
    backbone = any_model.backbone
    if head == "token":
        any_model.head = TokenHead(backbone, num_outputs=3).double()
        labels = torch.arange(20).remainder(3).expand(2, -1)
    else:
        any_model.head = SequenceHead(backbone, num_outputs=3, pooling=head).double()
        labels = torch.tensor([0, 2])
    ids = bases(2, 20)
    expected = any_model(ids, labels=labels)
    padded = torch.nn.functional.pad(ids, (5, 4), value=PAD)
    mask = padded != PAD
    if head == "token":
        labels = torch.nn.functional.pad(labels, (5, 4), value=1)
    output = any_model(padded, mask, labels=labels)
    logits = output.logits[:, 5:25] if head == "token" else output.logits
    torch.testing.assert_close(logits, expected.logits)
    torch.testing.assert_close(output.loss, expected.loss)


def test_without_a_mask_padding_is_a_token(any_model: SequenceModel) -> None:
    ids = bases(1, 10)
    padded = torch.nn.functional.pad(ids, (3, 0), value=PAD)
    assert not torch.allclose(any_model(padded).logits[:, 3:], any_model(ids).logits, atol=1e-3)


def test_packed_equals_separate(any_model: SequenceModel) -> None:
    lengths = [1, 17, 30, 12]
    parts = [bases(1, length, seed=length) for length in lengths]
    packed = torch.cat(parts, dim=1).reshape(2, -1)
    # The row's end cuts the third sequence: its halves are two.
    segments = torch.repeat_interleave(torch.arange(4), torch.tensor(lengths)).reshape(2, -1)
    output = any_model(packed, labels=packed, segment_ids=segments)
    separate = [packed[0:1, :1], packed[0:1, 1:18], packed[0:1, 18:], packed[1:2, :18], packed[1:2, 18:]]
    expected = torch.cat([any_model(part).logits[0] for part in separate]).reshape(2, 30, -1)
    torch.testing.assert_close(output.logits, expected)
    # The first token of a sequence is predicted by none before it.
    unscored = int(any_model.backbone.causal)
    losses = [any_model(part, labels=part).loss * (part.shape[1] - unscored) for part in separate]
    torch.testing.assert_close(output.loss, torch.stack(losses).sum() / (60 - 5 * unscored))


def test_packed_with_padding(any_model: SequenceModel) -> None:
    ids = bases(1, 24)
    mask = torch.ones_like(ids, dtype=torch.bool)
    mask[:, 20:] = False
    segments = torch.tensor([[0] * 9 + [1] * 15])
    output = any_model(ids, mask, segment_ids=segments).logits
    torch.testing.assert_close(output[:, :9], any_model(ids[:, :9]).logits)
    torch.testing.assert_close(output[:, 9:20], any_model(ids[:, 9:20]).logits)


def test_packed_rows_may_be_longer_than_l_max(any_model: SequenceModel) -> None:
    ids = bases(1, 80)
    segments = torch.arange(2).repeat_interleave(40).unsqueeze(0)
    torch.testing.assert_close(
        any_model(ids, segment_ids=segments).logits[:, 40:], any_model(ids[:, 40:]).logits
    )
    if any_model.backbone.l_max is None:
        return
    with pytest.raises(SequenceError, match="l_max=40"):
        any_model(ids, segment_ids=torch.zeros_like(segments))


@pytest.mark.parametrize("chunks", [(40,), (1, 39), (39, 1), (2, 1, 1, 7, 29), (20, 20)])
def test_chunks_equal_the_whole(model: SequenceModel, chunks: tuple[int, ...]) -> None:
    ids = bases(3, 40)
    backbone = model.backbone
    state = backbone.init_state(3, max_length=40)
    parts = [backbone.forward_chunk(chunk, state) for chunk in ids.split(chunks, dim=1)]
    torch.testing.assert_close(torch.cat(parts, dim=1), backbone(ids).last_hidden_state)


def test_steps_equal_forward(model: SequenceModel) -> None:
    ids = bases(2, 40)
    state = model.backbone.init_state(2, max_length=40)
    steps = [model.backbone.step(column, state) for column in ids.unbind(1)]
    torch.testing.assert_close(torch.stack(steps, dim=1), model.backbone(ids).last_hidden_state)
    if model.backbone.l_max is None:
        return
    with pytest.raises(SequenceError, match="room for 40"):
        model.backbone.step(ids[:, 0], state)


def test_state_after_left_padding(model: SequenceModel) -> None:
    ids = bases(2, 12)
    mask = torch.ones_like(ids, dtype=torch.bool)
    mask[0, :5] = False
    state = model.backbone.init_state(2, max_length=20)
    model.backbone.forward_chunk(ids[:, :11], state, mask[:, :11])
    step = model.backbone.step(ids[:, 11], state)
    torch.testing.assert_close(step, model.backbone(ids, mask).last_hidden_state[:, -1])


def test_later_tokens_change_nothing_earlier(model: SequenceModel) -> None:
    ids = bases(1, 30)
    changed = ids.clone()
    changed[:, 20:] = 7
    torch.testing.assert_close(model(ids).logits[:, :20], model(changed).logits[:, :20])


def test_checkpointing_changes_neither_names_nor_numbers(any_model: SequenceModel) -> None:
    arguments = any_model.backbone.arguments | {"activation_checkpointing": True}
    other = type(any_model.backbone)(**arguments).double()
    other.load_state_dict(any_model.backbone.state_dict())
    ids = bases(2, 30)
    for backbone in (any_model.backbone.train(), other.train()):
        torch.manual_seed(0)
        backbone(ids).last_hidden_state.square().sum().backward()
    for (name, a), (other_name, b) in zip(
        any_model.backbone.named_parameters(), other.named_parameters(), strict=True
    ):
        assert name == other_name
        assert not a.requires_grad or torch.equal(a.grad, b.grad), name


def test_bfloat16_autocast(any_model: SequenceModel) -> None:
    ids = bases(2, 40)
    expected = any_model(ids).logits
    any_model.float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = any_model(ids, labels=ids)
    output.loss.backward()
    assert output.loss.dtype == torch.float32
    assert (output.logits.double() - expected).abs().max() / expected.abs().max() < 0.1


def test_bfloat16_weights(any_model: SequenceModel) -> None:
    ids = bases(2, 40)
    output = any_model.bfloat16()(ids, labels=ids)
    output.loss.backward()
    assert output.logits.dtype == torch.bfloat16
    assert output.loss.dtype == torch.float32
    learned = [parameter for parameter in any_model.parameters() if parameter.requires_grad]
    assert all(torch.isfinite(parameter.grad).all() for parameter in learned)


def test_dropout_only_in_training() -> None:
    torch.manual_seed(0)
    backbone = HyenaDNA(
        d_model=8, num_layers=1, l_max=16, embed_dropout=0.5, resid_dropout=0.5, mixer_dropout=0.5
    )
    ids = bases(1, 16)
    assert not torch.equal(backbone(ids).last_hidden_state, backbone(ids).last_hidden_state)
    backbone.eval()
    assert torch.equal(backbone(ids).last_hidden_state, backbone(ids).last_hidden_state)


def test_batches_that_are_none(any_model: SequenceModel) -> None:
    ids = bases(2, 5)
    hole = torch.tensor([[True] * 5, [True, False, True, True, True]])
    for given, words in (
        ((ids[:, :0],), r"shape \(2, 0\) hold no token"),
        ((ids[0],), r"shape \(5,\) and torch.int64: give integers"),
        ((ids.double(),), "torch.float64: give integers"),
        ((ids, hole[:, 1:]), r"attention_mask of shape \(2, 4\): give that of input_ids, \(2, 5\)"),
        ((ids, hole), "row 1 of the attention mask has padding between tokens"),
    ):
        with pytest.raises(SequenceError, match=words):
            any_model(*given)
    with pytest.raises(SequenceError, match=r"segment_ids of shape \(2, 4\)"):
        any_model(ids, segment_ids=ids[:, 1:])
