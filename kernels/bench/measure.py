"""Time, memory and rates of one machine: what every table of this folder is measured with.

On a GPU: CUDA events, the L2 cache emptied before each call. On a CPU: the wall clock, the functions in
turns, so that a busy neighbour slows all of them alike.
"""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

Function = Callable[[], Any]
_CACHE_BYTES = 256 * 2**20
_FEWEST, _MOST, _SECONDS = 5, 100, 0.5


@dataclass(frozen=True)
class Timing:
    """Milliseconds of the calls after warm-up.

    Attributes:
        median, fastest: by the clock.
        calls: how many there were.
        processor: median of what the threads of this process used together, which neighbours on a busy
            machine change least; None on a GPU.
    """

    median: float
    fastest: float
    calls: int
    processor: float | None = None

    @classmethod
    def of(cls, milliseconds: list[float], processor: list[float] | None = None) -> Timing:
        used = None if processor is None else statistics.median(processor)
        return cls(statistics.median(milliseconds), min(milliseconds), len(milliseconds), used)


@dataclass(frozen=True)
class Rates:
    """What the machine gave in this run.

    Attributes:
        copied: bytes a second, read and written ones both counted.
        products: operations a second of a large matrix product, by precision; a precision that the device
            does not have is missing.
    """

    copied: float
    products: dict[str, float]

    def floor(self, moved: float, operations: float, precision: str) -> float:
        """Milliseconds that nothing can go below which moves and computes this much."""
        computing = operations / self.products[precision] if operations else 0.0
        return 1e3 * max(moved / self.copied, computing)


def time_all(functions: Mapping[str, Function], device: str) -> Iterator[tuple[str, Timing]]:
    """Time functions that have been warmed up, each as soon as it is known."""
    if device == "cuda":
        for name, function in functions.items():
            yield name, _time_on_cuda(function)
    else:
        yield from _time_in_turns(functions)


def _time_on_cuda(function: Function) -> Timing:
    cache = torch.empty(_CACHE_BYTES, dtype=torch.int8, device="cuda")
    events: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []
    started = time.perf_counter()
    while len(events) < _FEWEST or (time.perf_counter() - started < _SECONDS and len(events) < _MOST):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        cache.zero_()
        start.record()
        function()
        end.record()
        events.append((start, end))
        if len(events) % _FEWEST == 0:
            torch.cuda.synchronize()
    torch.cuda.synchronize()
    return Timing.of([start.elapsed_time(end) for start, end in events])


def _time_in_turns(functions: Mapping[str, Function]) -> Iterator[tuple[str, Timing]]:
    milliseconds: dict[str, list[float]] = {name: [] for name in functions}
    processor: dict[str, list[float]] = {name: [] for name in functions}
    started = time.perf_counter()
    for turn in range(_MOST):
        if turn >= _FEWEST and time.perf_counter() - started >= _SECONDS * len(functions):
            break
        for name, function in functions.items():
            start, used = time.perf_counter(), time.process_time()
            function()
            milliseconds[name].append(1e3 * (time.perf_counter() - start))
            processor[name].append(1e3 * (time.process_time() - used))
    for name, values in milliseconds.items():
        yield name, Timing.of(values, processor[name])


def peak_memory(function: Function, device: str, *, before: int) -> int | None:
    """Bytes allocated at most during a call, beyond `before`; None on a CPU."""
    if device != "cuda":
        return None
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    function()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before


def allocated(device: str) -> int:
    """Bytes of the device that tensors hold now."""
    return torch.cuda.memory_allocated() if device == "cuda" else 0


def measure_rates(device: str, *, quick: bool) -> Rates:
    """Copy bandwidth and matrix rates, measured."""
    on_gpu = device == "cuda"
    source = torch.randn((2**24 if quick else 2**29) // (1 if on_gpu else 8), device=device)
    target = torch.empty_like(source)
    copying = _milliseconds(lambda: target.copy_(source), device)
    side = 256 if quick else 8192 if on_gpu else 2048
    products = {}
    for precision in ("fp32", "tf32", "bf16") if on_gpu else ("fp32",):
        dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        matrix = torch.randn(side, side, device=device, dtype=dtype)
        with _matmul_precision("tf32" if precision == "tf32" else "ieee"):
            products[precision] = 2 * side**3 / _milliseconds(partial(torch.mm, matrix, matrix), device) * 1e3
    return Rates(2 * source.nbytes / copying * 1e3, products)


def _milliseconds(function: Function, device: str) -> float:
    function()
    ((_, timing),) = time_all({"": function}, device)
    return timing.median


class _matmul_precision:  # noqa: N801 - used as a function
    """The precision of float32 matrix products on CUDA, put back afterwards."""

    def __init__(self, precision: str) -> None:
        self.precision = precision

    def __enter__(self) -> None:
        self.before = torch.backends.cuda.matmul.fp32_precision
        torch.backends.cuda.matmul.fp32_precision = self.precision

    def __exit__(self, *_: object) -> None:
        torch.backends.cuda.matmul.fp32_precision = self.before


def describe(device: str) -> dict[str, str]:
    """The machine and the libraries, for the head of a table."""
    import triton

    if device == "cuda":
        name = torch.cuda.get_device_name()
    else:
        name = f"{platform.machine()} CPU, {torch.get_num_threads()} threads"
    return {"device": name, "torch": torch.__version__, "triton": triton.__version__}
