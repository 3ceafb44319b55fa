"""The helpers of the operators' tests can fail."""

from __future__ import annotations

import pytest
import torch

from genoseq_kernels.testing import assert_close, random_normal


def test_assert_close_sees_what_is_wrong() -> None:
    expected = random_normal(4, 5, dtype=torch.float64)
    assert_close(expected.float(), expected)
    assert_close(expected.bfloat16(), expected)
    with pytest.raises(AssertionError, match="relative error"):
        assert_close(expected.float() + 1e-4, expected)
    with pytest.raises(AssertionError, match="shape"):
        assert_close(expected[:2], expected)
    with pytest.raises(AssertionError, match="not finite"):
        assert_close(torch.full_like(expected, torch.nan), expected)


def test_random_numbers_are_reproducible() -> None:
    assert torch.equal(random_normal(3, seed=1), random_normal(3, seed=1))
    assert not torch.equal(random_normal(3, seed=1), random_normal(3, seed=2))
