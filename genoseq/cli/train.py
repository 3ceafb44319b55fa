"""`genoseq train`: a run, and its report; with `plan=true` the memory it would take, and no run."""

from __future__ import annotations

import json
import logging

from lightning.pytorch.utilities import rank_zero_only
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from genoseq.errors import DeviceError
from genoseq.report import write_report
from genoseq.training.plan import Plan, plan
from genoseq.training.run import train
from genoseq.training.run_folder import RunFolder

log = logging.getLogger(__name__)


def run(config: DictConfig) -> float | None:
    """Make the run folder as `configs/train.yaml` describes it, or say what memory that would take.

    Returns:
        What a sweep compares: a validation metric at the best checkpoint. None with `plan=true`.

    Raises:
        DeviceError: with `plan=true`, the run does not fit its device; says what would.
    """
    # The saved settings of an older run have no such key.
    if config.get("plan", False):
        _plan(config)
        return None
    result = train(config)
    if config.report and rank_zero_only.rank == 0:  # type: ignore[attr-defined]
        log.info("report in %s", write_report(result.folder))
    return _objective(config, RunFolder(result.folder))


def _objective(config: DictConfig, folder: RunFolder) -> float | None:
    metrics = json.loads(folder.validation.read_text(encoding="utf-8"))
    return metrics.get(config.get("optimized_metric") or config.callbacks.checkpoint.monitor)


def _plan(config: DictConfig) -> None:
    predicted = plan(config)
    console = Console(highlight=False, soft_wrap=True)
    memory, shape = predicted.memory, predicted.shape
    console.print(
        f"A step with micro-batches of {shape.examples:,} x {shape.length:,} tokens in "
        f"{predicted.precision}, on {predicted.device}:\n"
    )
    table = Table(box=None, show_header=False, padding=(0, 2))
    table.add_column(style="cyan")
    table.add_column(justify="right")
    for name, size in (
        ("parameters and buffers", memory.parameters),
        ("gradients", memory.gradients),
        ("optimiser state", memory.optimizer),
        ("averages of weights", memory.averages),
        ("teacher", memory.frozen),
        ("activations kept", memory.activations),
        ("largest transient", memory.transient),
        ("total at the peak", memory.total),
        ("the device has", predicted.available),
        ("in the host's memory", memory.host),
    ):
        if size or name not in ("teacher", "in the host's memory"):
            table.add_row(name, _size(size))
    console.print(table)
    if memory.undeclared:
        console.print(f"\nNot counted: scratch memory inside of {', '.join(memory.undeclared)}.")
    if not predicted.fits:
        raise DeviceError(_refusal(predicted))


def _refusal(predicted: Plan) -> str:
    lines = [
        f"this run does not fit: it takes {_size(predicted.memory.total)}, and of {predicted.device}'s "
        f"{_size(predicted.available)} a run can count on {_size(predicted.usable)}."
    ]
    for attempt in predicted.attempts:
        verdict = "fits" if attempt.total <= predicted.usable else "does not fit"
        lines.append(f"  {' '.join(attempt.settings)}: {_size(attempt.total)}, {verdict}")
    if any(attempt.total <= predicted.usable for attempt in predicted.attempts):
        lines.append("Give the settings of the last line.")
    else:
        lines.append("Nothing that was tried fits: take a smaller model, or a device with more memory.")
    return "\n".join(lines)


def _size(count: int) -> str:
    return f"{count / 2**30:,.2f} GiB" if count >= 2**30 / 10 else f"{count / 2**20:,.2f} MiB"
