"""What the benchmarks of training steps share: the clock, the peak of memory, and a table that is kept."""

from __future__ import annotations

import gc
import json
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from genoseq.nn import hyena
from genoseq.tokenizers import Tokenizer
from genoseq_kernels import Backend


@dataclass(frozen=True)
class Measured:
    """Attributes:
    seconds: median of the timed steps.
    steps: how many these were.
    peak: bytes allocated at most; None on a CPU.
    """

    seconds: float
    steps: int
    peak: int | None


def measure(
    step: Callable[[], torch.Tensor], device: torch.device, *, budget: float = 5.0, most: int = 20
) -> Measured:
    """Time and memory of a step, which gives its loss, after warm-up.

    Two steps warm up, one where it takes longer than `budget` seconds; then as many are timed as begin within
    the budget, one at least and `most` at most.

    Raises:
        ArithmeticError: a loss is not finite.
    """

    def seconds() -> float:
        started = time.perf_counter()
        loss = step()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        taken = time.perf_counter() - started
        if not torch.isfinite(loss):
            raise ArithmeticError("the loss is not finite")
        return taken

    if seconds() < budget:
        seconds()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    timed = [seconds()]
    while sum(timed) < budget and len(timed) < most:
        timed.append(seconds())
    peak = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
    return Measured(statistics.median(timed), len(timed), peak)


def matrix_rate(device: torch.device, *, side: int = 8192, repeats: int = 20) -> float:
    """Operations a second of a large product of bfloat16 matrices: what the machine gives in this run."""
    matrix = torch.randn(side, side, device=device, dtype=torch.bfloat16)

    def step() -> torch.Tensor:
        for _ in range(repeats):
            product = matrix @ matrix
        return product[0, 0].float()

    return repeats * 2 * side**3 / measure(step, device, budget=0.5).seconds


def clear(device: torch.device) -> None:
    """Give back what is no longer used, so that every row begins alike."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


@contextmanager
def hyena_operators(backend: Backend) -> Iterator[None]:
    """Hyena's convolutions by this backend: it runs or raises, and nothing else is measured in its name."""
    # Whole modules, not a variable of the context: checkpointed layers run again in the threads of autograd.
    before = hyena.fft_conv, hyena.causal_conv1d
    hyena.fft_conv, hyena.causal_conv1d = (partial(operator, backend=backend) for operator in before)
    try:
        yield
    finally:
        hyena.fft_conv, hyena.causal_conv1d = before


def random_bases(tokenizer: Tokenizer, shape: Sequence[int], device: torch.device) -> torch.Tensor:
    """Token ids of bases, drawn at random."""
    letters = torch.from_numpy(tokenizer.base_ids).to(device)
    return letters[torch.randint(len(letters), tuple(shape), device=device)]


def describe(device: torch.device) -> str:
    """The machine, in words."""
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    else:
        name = f"{platform.machine()} CPU, {torch.get_num_threads()} threads"
    return f"{name}, torch {torch.__version__}"


class Table:
    """Rows as they come: printed, and kept as `NAME.json` and `NAME.md` where there is a folder.

    Args:
        name: of the files.
        columns: names, in order.
        device: that the rows are measured on.
        out: folder; None to print only.
    """

    def __init__(self, name: str, columns: Sequence[str], device: torch.device, out: Path | None) -> None:
        self.rows: list[dict[str, Any]] = []
        self._columns = columns
        self.device = describe(device)
        self._stem = None if out is None else out / name
        self._lines = [f"{self.device}\n", _line(columns), _line(["---"] * len(columns))]
        print("\n".join(self._lines), flush=True)

    def add(self, **row: Any) -> None:
        """One row, by the names of the columns; others are for the JSON alone."""
        self.rows.append(row)
        self._lines.append(_line([_text(row.get(column)) for column in self._columns]))
        print(self._lines[-1], flush=True)
        if self._stem is not None:
            self._stem.parent.mkdir(parents=True, exist_ok=True)
            self._stem.with_suffix(".md").write_text("\n".join(self._lines) + "\n")
            data = {"device": self.device, "rows": self.rows}
            self._stem.with_suffix(".json").write_text(json.dumps(data, indent=1) + "\n")


def in_short(number: int) -> str:
    """A length for an axis: 512, 32k."""
    return f"{number // 1024:,}k" if number >= 1024 else str(number)


def failure(error: Exception) -> str:
    """What happened instead of a measurement, in a line."""
    if isinstance(error, torch.OutOfMemoryError):
        return "out of memory"
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:200]


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _text(value: Any) -> str:
    match value:
        case None:
            return ""
        case int():
            return f"{value:,}"
        case float():
            return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    return str(value)
