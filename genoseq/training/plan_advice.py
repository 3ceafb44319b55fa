"""Settings that make a run fit, in order of what they cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf

from genoseq.training.plan_trace import BatchShape, StepMemory

Measure = Callable[[DictConfig, BatchShape], StepMemory]

_LARGEST_TILE, _SMALLEST_TILE, _TILES = 65536, 1024, 8


@dataclass(frozen=True)
class Attempt:
    """What was tried.

    Attributes:
        settings: as on the command line.
        total: bytes that a step takes with them.
    """

    settings: tuple[str, ...]
    total: int


def attempts(
    config: DictConfig, shape: BatchShape, measure: Measure, usable: int, device_type: str
) -> list[Attempt]:
    """One setting more at a time until a step takes `usable` bytes or less.

    In this order: fewer examples in a micro-batch (the same result in the same time, nearly), activation
    checkpointing (the forward pass is computed twice), tiles of the sequence, activations in the host's
    memory (their way there and back), and at last shorter sequences, with which the run is another one.
    """
    search = _Search(config, shape, measure, usable)
    search.fewer_examples()
    for key, value in _model_settings(config, shape.length, device_type):
        if search.done:
            break
        search.change(key, value)
    if not search.done:
        search.shorter_sequences()
    return search.tried


class _Search:
    def __init__(self, config: DictConfig, shape: BatchShape, measure: Measure, usable: int) -> None:
        self.tried: list[Attempt] = []
        self._config = config.copy()
        self._settings: dict[str, Any] = {}
        self._shape = shape
        self._measure = measure
        self._usable = usable

    @property
    def done(self) -> bool:
        """Whether the last attempt fits."""
        return bool(self.tried) and self.tried[-1].total <= self._usable

    def change(self, key: str, value: Any) -> None:
        """Try one setting more."""
        OmegaConf.update(self._config, key, value)
        self._try({key: value}, self._shape)

    def fewer_examples(self) -> None:
        """The most examples of a micro-batch that fit, else one.

        Memory is a straight line in their number, between one and all of them.
        """
        most = self._shape.examples
        if most == 1:
            return
        whole = self._measure(self._config, self._shape).total
        one = self._measure(self._config, self._shape.resized(examples=1)).total
        room = 1 + (self._usable - one) * (most - 1) // max(1, whole - one)
        divisors = [count for count in range(1, most) if most % count == 0]
        count = max((count for count in divisors if count <= room), default=1)
        self._shape = self._shape.resized(examples=count)
        self._try({"micro_batch_size": count}, self._shape)
        if not self.done and count > 1:
            self._shape = self._shape.resized(examples=1)
            self._try({"micro_batch_size": 1}, self._shape)

    def shorter_sequences(self) -> None:
        """Half as long, until it fits."""
        length, data = self._shape.length, self._config.data
        while length > 1 and not self.done and ("length" in data or "max_length" in data):
            length //= 2
            shorter = {"data.max_length": length, "data.truncation": True}
            settings = {"data.length": length} if "length" in data else shorter
            self._try(settings, self._shape.resized(length=length))

    def _try(self, settings: dict[str, Any], shape: BatchShape) -> None:
        self._settings |= settings
        shown = tuple(f"{key}={_shown(value)}" for key, value in self._settings.items())
        self.tried.append(Attempt(shown, self._measure(self._config, shape).total))


def _model_settings(config: DictConfig, length: int, device_type: str) -> Iterator[tuple[str, Any]]:
    """Settings of the model that take less memory than those it has, where it has such settings."""
    checkpointing, tile = "activation_checkpointing", "sequence_tile"
    if config.model.get(checkpointing) is False:
        yield f"model.{checkpointing}", True
    for name in (tile, "mixer_tile"):
        if name in config.model and config.model[name] is None and length >= _TILES * _SMALLEST_TILE:
            yield f"model.{name}", min(_LARGEST_TILE, 1 << (length // _TILES).bit_length() - 1)
    # A model with tiles knows the host's memory too; on the host itself there is nothing to be moved.
    if tile in config.model and config.model.get(checkpointing) != "offload" and device_type != "cpu":
        yield f"model.{checkpointing}", "offload"


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
