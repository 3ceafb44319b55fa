"""Losses: what counts, what does not, and the shift."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from genoseq.errors import ConfigError
from genoseq.nn.losses import (
    IGNORED,
    next_token_loss,
    problem_loss,
    require_problem,
    spectral_distance,
    tiled_next_token_loss,
)


def test_next_token_is_shifted_here() -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(2, 6, 5), torch.randint(5, (2, 6))
    expected = F.cross_entropy(logits[:, :-1].reshape(-1, 5), labels[:, 1:].reshape(-1))
    torch.testing.assert_close(next_token_loss(logits, labels), expected)
    labels[0, 3] = IGNORED
    kept = labels[:, 1:].reshape(-1) != IGNORED
    expected = F.cross_entropy(logits[:, :-1].reshape(-1, 5)[kept], labels[:, 1:].reshape(-1)[kept])
    torch.testing.assert_close(next_token_loss(logits, labels), expected)


def test_padding_is_neither_predicted_nor_predicts() -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(1, 6, 5), torch.randint(5, (1, 6))
    mask = torch.tensor([[False, False, True, True, True, False]])
    torch.testing.assert_close(
        next_token_loss(logits, labels, mask), next_token_loss(logits[:, 2:5], labels[:, 2:5])
    )


def test_nothing_to_count_is_zero_with_a_gradient() -> None:
    logits = torch.randn(1, 3, 5, requires_grad=True)
    next_token_loss(logits, torch.full((1, 3), IGNORED)).backward()
    assert torch.equal(logits.grad, torch.zeros(1, 3, 5))


def test_single_label() -> None:
    logits = torch.randn(3, 4)
    labels = torch.tensor([1, IGNORED, 3])
    expected = F.cross_entropy(logits[[0, 2]], labels[[0, 2]])
    torch.testing.assert_close(problem_loss("single_label", logits, labels), expected)


def test_multi_label() -> None:
    logits = torch.randn(2, 3)
    labels = torch.tensor([[1, 0, IGNORED], [0, 1, 1]])
    kept = labels != IGNORED
    expected = F.binary_cross_entropy_with_logits(logits[kept], labels[kept].float())
    torch.testing.assert_close(problem_loss("multi_label", logits, labels), expected)


def test_regression() -> None:
    values = torch.tensor([[1.0], [2.0], [5.0]], requires_grad=True)
    loss = problem_loss("regression", values, torch.tensor([1.5, torch.nan, 3.0]))
    torch.testing.assert_close(loss, torch.tensor((0.25 + 4) / 2))
    loss.backward()
    assert torch.isfinite(values.grad).all()


def test_half_precision_logits_give_a_precise_loss() -> None:
    for problem in ("single_label", "multi_label", "regression"):
        labels = torch.tensor([0, 1]) if problem == "single_label" else torch.tensor([[0.0, 1.0], [1.0, 0.0]])
        assert problem_loss(problem, torch.randn(2, 2).bfloat16(), labels).dtype == torch.float32


def test_unknown_problem() -> None:
    with pytest.raises(ConfigError, match="problem='ranking'"):
        require_problem("ranking")


@pytest.mark.parametrize("tile", [1, 2, 5, 996, 997])
@pytest.mark.parametrize("length", [1, 2, 63, 997])
def test_tiles_of_the_next_token_loss(length: int, tile: int) -> None:
    torch.manual_seed(0)
    hidden = torch.randn(2, length, 3, dtype=torch.double, requires_grad=True)
    weight = torch.randn(12, 3, dtype=torch.double, requires_grad=True)
    labels = torch.randint(12, (2, length))
    labels[0, : length // 3] = IGNORED
    mask = torch.rand(2, length) < 0.9
    segments = torch.arange(length).div(50, rounding_mode="floor").expand(2, -1)
    for options in ((), (mask,), (mask, segments)):
        plain = next_token_loss(F.linear(hidden, weight), labels, *options)
        ours = tiled_next_token_loss(hidden, weight, labels, *options, tile=tile)
        torch.testing.assert_close(ours, plain, rtol=1e-12, atol=1e-12)
        expected = torch.autograd.grad(plain, [hidden, weight])
        for a, b in zip(torch.autograd.grad(ours, [hidden, weight]), expected, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-12)


def test_tiles_with_nothing_to_count() -> None:
    hidden = torch.randn(1, 9, 3, requires_grad=True)
    loss = tiled_next_token_loss(hidden, torch.randn(5, 3), torch.full((1, 9), IGNORED), tile=4)
    loss.backward()
    assert loss == 0
    assert torch.equal(hidden.grad, torch.zeros(1, 9, 3))


def test_spectral_distance_is_that_of_the_plain_transform() -> None:
    torch.manual_seed(0)
    prediction, target = torch.randn(2, 2, 7, 3)
    expected = (torch.fft.rfft(prediction, dim=1) - torch.fft.rfft(target, dim=1)).abs().mean()
    everywhere = torch.ones(2, 7, 3, dtype=torch.bool)
    torch.testing.assert_close(spectral_distance(prediction, target, everywhere), expected)
    # A constant error of one step in length 7 has the modulus 1 at each of four frequencies.
    observed = everywhere.clone()
    observed[:, 1:] = False
    target = prediction - 1
    torch.testing.assert_close(spectral_distance(prediction, target, observed), torch.tensor(1.0))


def test_what_was_not_observed_has_no_gradient_in_the_spectrum() -> None:
    prediction = torch.zeros(1, 4, 1, requires_grad=True)
    target = torch.tensor([1.0, 2.0, torch.nan, 3.0]).view(1, 4, 1)
    spectral_distance(prediction, target, ~target.isnan()).backward()
    assert prediction.grad is not None
    assert prediction.grad[0, 2, 0] == 0
    assert torch.isfinite(prediction.grad).all()
