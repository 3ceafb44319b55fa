"""Tables of operators: contestants side by side in one run, with floor, memory and error against float64.

A script of this folder names its cases, contestants and oracle, and calls `main`:

    python kernels/bench/OPERATOR.py [--out FOLDER] [--cases WORD] [--contestants WORD] [--size gpu|cpu|tiny]

Every row is printed and written (JSON and Markdown) as soon as it is known. A contestant that is not
installed, does not take a case, or fails keeps its row, which says so.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from measure import Rates, Timing, allocated, describe, measure_rates, peak_memory, time_all

# A script here may have the name of a peer's package (causal_conv1d), which it must not hide.
sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != Path(__file__).resolve().parent]

LENGTHS = (8_192, 32_768, 131_072, 524_288, 1_048_576)
"""Of a scan on a GPU: from a gene to a whole chromosome of a microbe."""

Inputs = dict[str, Any]
Operator = Callable[..., Any]


def draw(
    *shape: int, seed: int = 0, dtype: torch.dtype = torch.float32, device: str = "cpu", grad: bool = False
) -> torch.Tensor:
    """Reproducible normal numbers, drawn on the device: on a CPU they would take longer than the table."""
    generator = torch.Generator(device).manual_seed(seed)
    values = torch.randn(*shape, generator=generator, device=device)
    return values.to(dtype).requires_grad_(grad)


class DoesNotApply(Exception):  # noqa: N818 - no error: a row of the table
    """A contestant does not take this case; the message says why."""


@dataclass(frozen=True)
class Work:
    """The least that any implementation has to move and compute: forward, and forward + backward.

    Attributes:
        moved: bytes, read and written.
        operations: of matrix products, or 0 where bytes decide.
        precision: of those products: `bf16`, `tf32` or `fp32`.
    """

    moved: tuple[float, float]
    operations: tuple[float, float] = (0.0, 0.0)
    precision: str = "fp32"


@dataclass(frozen=True)
class Case:
    """One shape and dtype.

    Attributes:
        name: what the table calls it.
        inputs: makes the operator's keyword arguments on a device; tensors that require gradients get them.
        work: for the floor.
        checked: like `inputs`, but small enough for the float64 oracle, where `inputs` is not.
        options: what contestants need to know of the case.
    """

    name: str
    inputs: Callable[[str], Inputs]
    work: Work
    checked: Callable[[str], Inputs] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Contestant:
    """One implementation.

    Attributes:
        name: what the table calls it.
        make: gives the function of the case's inputs (a tensor or a tuple of them). It imports what it needs,
            so that a missing package shows as "not installed", and raises `DoesNotApply` for other cases.
    """

    name: str
    make: Callable[[Case], Operator]


@dataclass(frozen=True)
class Row:
    """One line of the table. Errors are norms of differences over norms; the gradient's is the worst
    input's. The processor's time is that of forward + backward."""

    case: str
    contestant: str
    forward: Timing | None = None
    both: Timing | None = None
    peak_bytes: int | None = None
    error: float | None = None
    gradient_error: float | None = None
    note: str = ""


def main(
    operator: str,
    cases: Callable[[str], Sequence[Case]],
    contestants: Sequence[Contestant],
    oracle: Operator,
    arguments: Sequence[str] | None = None,
) -> list[Row]:
    """Run the table.

    Args:
        operator: its name, also of the files written.
        cases: the cases of a size: `gpu`, `cpu` or `tiny` (for tests).
        contestants: in the order of the table.
        oracle: the operator in plain torch, given float64 inputs.
        arguments: of the command line, where they are not the process's own.
    """
    options = _parser(operator).parse_args(arguments)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    size = options.size or ("gpu" if device == "cuda" else "cpu")
    rates = measure_rates(device, quick=size == "tiny")
    head = {
        "command": shlex.join(["python", *sys.argv]) if arguments is None else operator,
        **describe(device),
        "copied_bytes_per_second": f"{rates.copied:.3e}",
        **{f"{name}_operations_per_second": f"{rate:.3e}" for name, rate in rates.products.items()},
    }
    report = _Report(operator, head, options.out)
    words = options.contestants.lower().split(",")
    chosen = [c for c in contestants if any(word in c.name.lower() for word in words)]
    for case in cases(size):
        if options.cases.lower() in case.name.lower():
            report.add(_floor(case, rates))
            for row in run_case(case, chosen, oracle, device):
                report.add(row)
    return report.rows


def run_case(case: Case, contestants: Sequence[Contestant], oracle: Operator, device: str) -> Iterator[Row]:
    """The rows of one case: those that cannot run first, then each as soon as it is measured."""
    functions, rows = {}, {}
    reference = _Checked(case, oracle, device)
    for contestant in contestants:
        row = Row(case.name, contestant.name)
        try:
            function = contestant.make(case)
            error, gradient_error = reference.errors(function)
            functions[contestant.name] = function
            rows[contestant.name] = replace(row, error=error, gradient_error=gradient_error)
        except Exception as error:  # its row says what happened, and the others still run
            yield replace(row, note=_reason(error))
    del reference
    if device == "cuda":
        for name, function in functions.items():
            yield from _measured(case, {name: function}, rows, device)
    else:
        yield from _measured(case, functions, rows, device)


def _measured(
    case: Case, functions: Mapping[str, Operator], rows: Mapping[str, Row], device: str
) -> Iterator[Row]:
    before = allocated(device)
    inputs = case.inputs(device)
    passes: dict[str, Callable[[], Any]] = {}
    peaks: dict[str, int | None] = {}
    for name, function in functions.items():
        try:
            forward, both = _forward(function, inputs), _forward_and_backward(function, inputs)
            forward()
            both()
            peaks[name] = peak_memory(both, device, before=before)
            passes |= {f"{name}/forward": forward, f"{name}/both": both}
        except Exception as error:
            yield replace(rows[name], note=_reason(error))
    timings = dict(time_all(passes, device))
    for name, peak in peaks.items():
        yield replace(
            rows[name],
            forward=timings[f"{name}/forward"],
            both=timings[f"{name}/both"],
            peak_bytes=peak,
        )


class _Checked:
    """The oracle's results and gradients, and how far another function is from them."""

    def __init__(self, case: Case, oracle: Operator, device: str) -> None:
        self.inputs = (case.checked or case.inputs)(device)
        precise = {name: _double(value) for name, value in self.inputs.items()}
        self.outputs, self.gradients = _results(oracle, precise)

    def errors(self, function: Operator) -> tuple[float, float]:
        outputs, gradients = _results(function, self.inputs)
        return (
            max(_distance(*pair) for pair in zip(outputs, self.outputs, strict=True)),
            max((_distance(*pair) for pair in zip(gradients, self.gradients, strict=True)), default=0.0),
        )


def _results(function: Operator, inputs: Inputs) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    outputs = _outputs(function(**inputs))
    return [y.detach() for y in outputs], list(_gradients(outputs, inputs, _upstream(outputs)))


def _forward(function: Operator, inputs: Inputs) -> Callable[[], Any]:
    def run() -> None:
        with torch.no_grad():
            function(**inputs)

    return run


def _forward_and_backward(function: Operator, inputs: Inputs) -> Callable[[], Any]:
    upstream: list[torch.Tensor] = []

    def run() -> None:
        outputs = _outputs(function(**inputs))
        if not upstream:
            upstream.extend(_upstream(outputs))
        _gradients(outputs, inputs, upstream)

    return run


def _gradients(
    outputs: list[torch.Tensor], inputs: Inputs, upstream: list[torch.Tensor]
) -> tuple[torch.Tensor, ...]:
    leaves = [x for x in inputs.values() if isinstance(x, torch.Tensor) and x.requires_grad]
    return torch.autograd.grad(outputs, leaves, upstream) if leaves else ()


def _outputs(result: Any) -> list[torch.Tensor]:
    return [result] if isinstance(result, torch.Tensor) else [y for y in result if y is not None]


def _upstream(outputs: list[torch.Tensor]) -> list[torch.Tensor]:
    """Random gradients of the outputs, rounded alike for every dtype, so that all see the same."""
    made = []
    for y in outputs:
        generator = torch.Generator(y.device).manual_seed(len(made))
        values = torch.randn(y.shape, generator=generator, device=y.device, dtype=torch.float32)
        made.append(values.bfloat16().to(y.dtype))
    return made


def _double(value: Any) -> Any:
    if not isinstance(value, torch.Tensor) or not value.is_floating_point():
        return value
    return value.detach().double().requires_grad_(value.requires_grad)


def _distance(actual: torch.Tensor, expected: torch.Tensor) -> float:
    return ((actual.double() - expected).norm() / expected.norm().clamp_min(1e-300)).item()


def _reason(error: Exception) -> str:
    words = " ".join(str(error).split())
    if isinstance(error, ImportError):
        return f"not installed: {words}"
    if isinstance(error, DoesNotApply):
        return f"does not apply: {words}"
    return f"{type(error).__name__}: {words}"[:300]


def _floor(case: Case, rates: Rates) -> Row:
    milliseconds = [
        rates.floor(moved, operations, case.work.precision)
        for moved, operations in zip(case.work.moved, case.work.operations, strict=True)
    ]
    forward, both = (Timing(value, value, 0) for value in milliseconds)
    return Row(case.name, "floor", forward, both)


class _Report:
    """Prints rows as they come and keeps the files up to date."""

    columns = ("case", "contestant", "forward ms", "forward + backward ms", "processor ms",
               "peak GiB", "error", "gradient error", "note")  # fmt: skip

    def __init__(self, operator: str, head: Mapping[str, str], out: Path | None) -> None:
        self.rows: list[Row] = []
        self.head = head
        self.stem = None if out is None else out / operator
        self.lines = [f"{name}: {value}  " for name, value in head.items()]
        self.lines += ["", _line(self.columns), _line(["---"] * len(self.columns))]
        print("\n".join(self.lines), flush=True)

    def add(self, row: Row) -> None:
        self.rows.append(row)
        self.lines.append(_line(_cells(row)))
        print(self.lines[-1], flush=True)
        if self.stem is not None:
            self.stem.parent.mkdir(parents=True, exist_ok=True)
            self.stem.with_suffix(".md").write_text("\n".join(self.lines) + "\n")
            data = {**self.head, "rows": [asdict(row) for row in self.rows]}
            self.stem.with_suffix(".json").write_text(json.dumps(data, indent=1) + "\n")


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |"


def _cells(row: Row) -> list[str]:
    used = None if row.both is None else row.both.processor
    return [
        row.case,
        row.contestant,
        *("" if timing is None else f"{timing.median:.4g}" for timing in (row.forward, row.both)),
        "" if used is None else f"{used:.4g}",
        "" if row.peak_bytes is None else f"{row.peak_bytes / 2**30:.2f}",
        *("" if error is None else f"{error:.1e}" for error in (row.error, row.gradient_error)),
        row.note,
    ]


def _parser(operator: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=f"The table of {operator}.")
    parser.add_argument("--out", type=Path, help="folder for JSON and Markdown")
    parser.add_argument("--cases", default="", help="only the cases whose name contains this")
    parser.add_argument(
        "--contestants",
        default="",
        help="only those whose name contains one of these words",
    )
    parser.add_argument("--size", choices=("gpu", "cpu", "tiny"), help="default: what the machine is")
    return parser
