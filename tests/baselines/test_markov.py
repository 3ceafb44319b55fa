"""Static Markov: its distributions, its order, and the entropy of sequence whose entropy is known."""

from __future__ import annotations

import numpy as np
import pytest

from genoseq.baselines import StaticMarkov
from genoseq.errors import ConfigError
from genoseq.sequence import reverse_complement


def chain(length: int, seed: int) -> np.ndarray:
    """A first-order chain: with probability .7 the next letter of ACGTACGT..., else any of the four."""
    generator = np.random.default_rng(seed)
    codes = np.zeros(length, dtype=np.uint8)
    jumps, drawn = generator.random(length) < 0.3, generator.integers(0, 4, length)
    for i in range(1, length):
        codes[i] = drawn[i] if jumps[i] else (codes[i - 1] + 1) % 4
    return codes


def test_a_first_order_chain_costs_its_entropy_and_gets_order_one() -> None:
    # Read on the other strand, ACGTACGT goes down instead of up: complementing turns it up again.
    model = StaticMarkov(max_order=5).fit([chain(60_000, 0)], [chain(20_000, 1)])
    entropy = -0.775 * np.log2(0.775) - 3 * 0.075 * np.log2(0.075)
    assert model.order == 1
    assert model.name == "static Markov (order 1)"
    assert model.bits(chain(20_000, 2)).mean() == pytest.approx(entropy, abs=0.02)


def test_rows_are_distributions_and_an_n_has_none() -> None:
    codes = chain(5_000, 3)
    codes[100:103] = 4
    model = StaticMarkov(max_order=4).fit([codes], [codes])
    rows = model.probabilities(codes)
    known = codes < 4
    np.testing.assert_allclose(rows[known].sum(axis=1), 1, atol=1e-6)
    assert (rows[known] > 0).all()
    assert np.isnan(rows[~known]).all()
    np.testing.assert_array_equal(np.isnan(model.bits(codes)), ~known)


def test_a_context_cut_short_costs_two_bits() -> None:
    codes = chain(2_000, 4)
    model = StaticMarkov(max_order=2).fit([codes], [codes])
    codes[50] = 4
    bits = model.bits(codes)
    assert (bits[: model.order] == 2).all()
    assert (bits[51 : 51 + model.order] == 2).all()
    assert np.isnan(bits[50])


def test_both_strands_are_counted_alike() -> None:
    skewed = np.random.default_rng(5).choice(4, p=[0.5, 0.3, 0.15, 0.05], size=20_000).astype(np.uint8)
    one, other = (
        StaticMarkov(max_order=3).fit([strand], [skewed]) for strand in (skewed, reverse_complement(skewed))
    )
    assert one.order == other.order
    np.testing.assert_allclose(one.bits(skewed), other.bits(skewed), atol=1e-6)


def test_the_order_is_not_chosen_on_train() -> None:
    noise = np.random.default_rng(6).integers(0, 4, size=3_000).astype(np.uint8)
    unseen = np.random.default_rng(7).integers(0, 4, size=3_000).astype(np.uint8)
    assert StaticMarkov().fit([noise], [unseen]).order <= 1
    assert StaticMarkov(max_order=6).fit([noise], [noise]).order == 6


def test_an_order_that_would_fill_the_memory_is_refused() -> None:
    with pytest.raises(ConfigError, match="0 to 12; given 20"):
        StaticMarkov(max_order=20)
