"""Which examples a batch holds, and how they become tensors.

A training run is one numbered series of global batches. Batch `s` is a function of (seed, s), the size of the
data set and the stages of the run alone: devices, accumulation, workers and resumption only decide who
computes which slice of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import Sampler

from genoseq.data.stages import Stages
from genoseq.errors import ConfigError
from genoseq.tokenizers import Tokenizer

IGNORED_LABEL = -100

# The fields that an example may have for each of its tokens.
_OF_TOKENS = ("labels", "second_pass", "residues")


class ExampleKey(NamedTuple):
    """What a dataset needs to make an example: all its randomness comes from (seed, epoch, index).

    Rows that only fill up a rank's share at evaluation are not `counted` in any metric.
    """

    epoch: int
    index: int  # type: ignore[assignment]  # it hides tuple.index, which nobody needs here
    counted: bool = True


class BatchPlan(NamedTuple):
    """How a global batch is cut into what each device computes at once.

    Attributes:
        micro_batch_size: examples in one forward pass on one device.
        accumulation: forward passes of each device in one optimiser step.
    """

    micro_batch_size: int
    accumulation: int


def plan_batches(global_batch_size: int, micro_batch_size: int | None, world_size: int) -> BatchPlan:
    """Cut a global batch over `world_size` devices; without a `micro_batch_size` there is no accumulation.

    Raises:
        ConfigError: the global batch cannot be cut evenly.
    """
    if global_batch_size < 1 or (micro_batch_size is not None and micro_batch_size < 1):
        raise ConfigError(
            f"global_batch_size={global_batch_size}, micro_batch_size={micro_batch_size}: give at least 1."
        )
    if global_batch_size % world_size:
        raise ConfigError(
            f"global_batch_size={global_batch_size} cannot be shared by {world_size} devices: give a "
            f"multiple of {world_size}."
        )
    share = global_batch_size // world_size
    micro = micro_batch_size or share
    if share % micro:
        raise ConfigError(
            f"each of {world_size} devices has {share} of the {global_batch_size} examples of a global "
            f"batch, which micro_batch_size={micro} does not divide: give a divisor of {share}."
        )
    return BatchPlan(micro, share // micro)


class TrainBatchSampler(Sampler[list[ExampleKey]]):
    """The micro-batches of one rank, over the whole run, from any optimiser step on.

    Global batch `s` of epoch `e` is rows [s * G, (s + 1) * G) of a permutation drawn from (seed, e); the rows
    left over at an epoch's end wait for another epoch. In a stage of fewer examples a step, each of its
    micro-batches has as many times fewer. Micro-batch `m` of rank `r` is the slice number
    `m * world_size + r` of it.

    Args:
        num_examples: size of the data set.
        stages: epochs and batch sizes of the run.
        plan: how the global batch of the first stage is cut.
        num_steps: optimiser steps of the whole run.
        first_step: the step to begin with: those before it have been done.
        seed: of the permutations.
        rank, world_size: this process, and how many there are.
    """

    def __init__(
        self,
        num_examples: int,
        *,
        stages: Stages,
        plan: BatchPlan,
        num_steps: int,
        first_step: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self._stages = stages
        self._plan = plan
        self._first_step = first_step
        self._num_examples = num_examples
        self._num_steps = num_steps
        self._seed = seed
        self._rank = rank
        self._world_size = world_size

    def __len__(self) -> int:
        """Micro-batches of this rank in the whole run, those of the steps done before included."""
        return self._num_steps * self._plan.accumulation

    def __iter__(self) -> Iterator[list[ExampleKey]]:
        order, order_epoch = np.empty(0, dtype=np.int64), -1
        for step in range(self._first_step, self._num_steps):
            place = self._stages.at(step)
            if place.epoch != order_epoch:
                order = np.random.default_rng([self._seed, place.epoch]).permutation(self._num_examples)
                order_epoch = place.epoch
            start = place.step * place.batch_size
            rows = order[start : start + place.batch_size]
            for micro_batch in range(self._plan.accumulation):
                size = self._plan.micro_batch_size // place.divisor
                first = (micro_batch * self._world_size + self._rank) * size
                yield [ExampleKey(place.epoch, int(index)) for index in rows[first : first + size]]


class EvaluationBatchSampler(Sampler[list[ExampleKey]]):
    """The batches of one rank at evaluation: disjoint rows in order, as many batches on every rank.

    A rank that has no row left for its last batch gets a row that is not `counted`.
    """

    def __init__(self, num_examples: int, *, batch_size: int, rank: int = 0, world_size: int = 1) -> None:
        self._num_examples = num_examples
        self._batch_size = batch_size
        self._rank = rank
        self._world_size = world_size

    def __len__(self) -> int:
        return -(-self._num_examples // (self._batch_size * self._world_size))

    def __iter__(self) -> Iterator[list[ExampleKey]]:
        for batch in range(len(self)):
            first = (batch * self._world_size + self._rank) * self._batch_size
            rows = range(first, min(first + self._batch_size, self._num_examples))
            yield [ExampleKey(0, index) for index in rows] or [ExampleKey(0, 0, counted=False)]


def unlabelled(dtype: np.dtype) -> float:
    """What stands where there is no label: `IGNORED_LABEL`, and NaN among labels that may have any value."""
    return math.nan if np.issubdtype(dtype, np.floating) else IGNORED_LABEL


def is_labelled(labels: torch.Tensor) -> torch.Tensor:
    """Where `labels` of any shape are not `unlabelled`, bool of that shape."""
    return ~labels.isnan() if labels.is_floating_point() else labels != IGNORED_LABEL


def collate(tokenizer: Tokenizer) -> Callable[[Sequence[Mapping[str, Any]]], dict[str, torch.Tensor]]:
    """A function that stacks examples into a batch.

    Returns:
        A picklable function. It pads `input_ids` to the longest of the batch (B, L), gives `attention_mask`
        (B, L) bool only where something was padded, pads what an example says of each token on the same side
        (second_pass with False, the others with what `unlabelled` says), and stacks every other field.
    """
    return partial(_collate_examples, tokenizer)


def _collate_examples(tokenizer: Tokenizer, examples: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
    sequences = [np.asarray(example["input_ids"]) for example in examples]
    tokens = tokenizer.pad(sequences)
    batch = {"input_ids": tokens.input_ids}
    if not bool(tokens.attention_mask.all()):
        batch["attention_mask"] = tokens.attention_mask
    for field in examples[0]:
        if field == "input_ids":
            continue
        values = [np.asarray(example[field]) for example in examples]
        if field in _OF_TOKENS and "attention_mask" in batch and _one_per_token(values, sequences):
            fill = False if values[0].dtype == bool else unlabelled(values[0].dtype)
            width = tokens.input_ids.shape[1]
            values = [_pad(value, width, tokenizer.padding_side, fill) for value in values]
        batch[field] = torch.from_numpy(np.stack(values))
    return batch


def _one_per_token(values: Sequence[np.ndarray], sequences: Sequence[np.ndarray]) -> bool:
    return all(
        value.shape[:1] == sequence.shape[:1] for value, sequence in zip(values, sequences, strict=True)
    )


def _pad(values: np.ndarray, length: int, side: str, fill: float) -> np.ndarray:
    missing = length - values.shape[0]
    ends = (missing, 0) if side == "left" else (0, missing)
    widths = [ends, *[(0, 0)] * (values.ndim - 1)]
    return np.pad(values, widths, constant_values=fill)
