"""Batches depend on the seed and the step alone; at evaluation each example counts once."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from genoseq.data.loading import (
    BatchPlan,
    EvaluationBatchSampler,
    ExampleKey,
    TrainBatchSampler,
    collate,
    plan_batches,
)
from genoseq.data.stages import Stages, steps_per_epoch
from genoseq.errors import ConfigError
from genoseq.tokenizers import CharacterTokenizer

ONE_STAGE = {0: 1}


def steps(
    *,
    world_size: int,
    micro: int,
    first_step: int = 0,
    seed: int = 5,
    divisors: Mapping[int, int] = ONE_STAGE,
) -> list[set[ExampleKey]]:
    """The examples of each optimiser step, over all ranks and micro-batches."""
    stages = Stages(29, 8, divisors)
    plan = plan_batches(8, micro, world_size)
    found: list[set[ExampleKey]] = [set() for _ in range(9 - first_step)]
    for rank in range(world_size):
        sampler = TrainBatchSampler(
            29,
            stages=stages,
            plan=plan,
            num_steps=9,
            first_step=first_step,
            seed=seed,
            rank=rank,
            world_size=world_size,
        )
        batches = list(sampler)
        assert len(sampler) == 9 * plan.accumulation
        for number, batch in enumerate(batches):
            step = number // plan.accumulation
            assert len(batch) == micro // stages.at(first_step + step).divisor
            found[step].update(batch)
    return found


@pytest.mark.parametrize(("world_size", "micro"), [(1, 1), (1, 2), (2, 1), (2, 4), (4, 2), (8, 1)])
def test_a_step_has_the_same_examples_however_it_is_cut(world_size: int, micro: int) -> None:
    whole = steps(world_size=1, micro=8)
    assert all(len(step) == 8 for step in whole)
    assert steps(world_size=world_size, micro=micro) == whole
    assert steps(world_size=world_size, micro=micro, first_step=4) == whole[4:]


def test_an_epoch_has_no_example_twice_and_another_order_next_time() -> None:
    found = steps(world_size=1, micro=8)
    epochs = [found[first : first + 3] for first in (0, 3, 6)]
    for number, epoch in enumerate(epochs):
        keys = set().union(*epoch)
        assert len({key.index for key in keys}) == 24
        assert {key.epoch for key in keys} == {number}
    indices = [[{key.index for key in step} for step in epoch] for epoch in epochs]
    assert indices[0] != indices[1]
    assert steps(world_size=1, micro=8, seed=6) != found


@pytest.mark.parametrize(("world_size", "micro"), [(1, 4), (2, 4)])
def test_later_stages_have_fewer_examples_a_step(world_size: int, micro: int) -> None:
    divisors = {0: 1, 4: 2, 5: 4}
    whole = steps(world_size=1, micro=8, divisors=divisors)
    assert [len(step) for step in whole] == [8, 8, 8, 8, 4, 2, 2, 2, 2]
    assert [{key.epoch for key in step} for step in whole] == [{0}, {0}, {0}, {1}, {2}, *[{3}] * 4]
    assert steps(world_size=world_size, micro=micro, divisors=divisors) == whole
    for first_step in (4, 6):
        again = steps(world_size=world_size, micro=micro, divisors=divisors, first_step=first_step)
        assert again == whole[first_step:]


@given(
    st.integers(8, 60),
    st.dictionaries(st.integers(1, 30), st.sampled_from([1, 2, 4, 8]), max_size=4),
    st.integers(0, 60),
)
def test_steps_go_on_through_stages(examples: int, later: dict[int, int], step: int) -> None:
    stages = Stages(examples, 8, {0: 1, **later})
    here, following = stages.at(step), stages.at(step + 1)
    assert here.batch_size * here.divisor == 8
    assert 0 <= here.step < here.steps == examples // here.batch_size
    begins = step + 1 in later or here.step + 1 == here.steps
    expected = (here.epoch + 1, 0) if begins else (here.epoch, here.step + 1)
    assert (following.epoch, following.step) == expected
    assert stages.epochs_before(step) < stages.epochs_before(step + 1)
    assert list(stages.by_epoch({0: "a", **dict.fromkeys(later, "b")}).values()) == ["a", *"b" * len(later)]


@pytest.mark.parametrize("divisors", [{}, {1: 1}])
def test_stages_begin_at_the_beginning(divisors: dict[int, int]) -> None:
    with pytest.raises(ConfigError, match="step 0"):
        Stages(29, 8, divisors)


@given(st.integers(1, 40), st.integers(1, 7), st.integers(1, 5))
def test_evaluation_counts_each_example_once(examples: int, batch_size: int, world_size: int) -> None:
    ranks = [
        list(EvaluationBatchSampler(examples, batch_size=batch_size, rank=rank, world_size=world_size))
        for rank in range(world_size)
    ]
    assert len({len(batches) for batches in ranks}) == 1, "ranks wait for each other"
    keys = [key for batches in ranks for batch in batches for key in batch]
    assert all(batch for batches in ranks for batch in batches)
    assert sorted(key.index for key in keys if key.counted) == list(range(examples))


@pytest.mark.parametrize(
    ("global_batch_size", "micro", "world_size", "mend"),
    [
        (8, 3, 1, "divisor of 8"),
        (8, None, 3, "multiple of 3"),
        (0, None, 1, "at least 1"),
        (8, 0, 1, "at least 1"),
    ],
)
def test_batches_that_cannot_be_cut(
    global_batch_size: int, micro: int | None, world_size: int, mend: str
) -> None:
    with pytest.raises(ConfigError, match=mend):
        plan_batches(global_batch_size, micro, world_size)


def test_without_a_micro_batch_size_nothing_accumulates() -> None:
    assert plan_batches(8, None, 2) == BatchPlan(4, 1)


def test_fewer_examples_than_a_batch() -> None:
    with pytest.raises(ConfigError, match="global_batch_size=5 or less"):
        steps_per_epoch(5, 8)


@pytest.mark.parametrize("side", ["left", "right"])
def test_collate_pads_labels_of_tokens_beside_them(side: str) -> None:
    tokenizer = CharacterTokenizer(padding_side=side, special_tokens="none")
    rows = [tokenizer.encode(text) for text in ("ACGTA", "ACG")]
    examples = [{"input_ids": ids, "labels": ids, "index": 3, "counted": True} for ids in rows]
    batch = collate(tokenizer)(examples)
    missing = ~batch["attention_mask"]
    assert missing.sum() == 2
    assert batch["labels"][missing].tolist() == [-100, -100]
    assert torch.equal(batch["labels"][~missing], batch["input_ids"][~missing])
    assert batch["index"].tolist() == [3, 3]
    assert batch["counted"].dtype == torch.bool


def test_collate_makes_a_mask_only_where_it_says_something() -> None:
    tokenizer = CharacterTokenizer()
    ids = tokenizer.encode("ACG")
    labels = np.array([0.0, 1.0], dtype=np.float32)
    batch = collate(tokenizer)([{"input_ids": ids, "labels": labels}] * 2)
    assert "attention_mask" not in batch
    assert batch["labels"].shape == (2, 2)
