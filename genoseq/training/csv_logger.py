"""`metrics.csv` of a run folder, which goes on where an interrupted run broke off."""

from __future__ import annotations

import csv
import os
import time
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

_SECONDS_BETWEEN_WRITES = 2.0


class CsvLogger(Logger):
    """One row a step, in the columns of Lightning's own CSV logger.

    Lightning's deletes an earlier file and so loses what came before an interruption. This one keeps it, up
    to the first step that is logged anew.

    Args:
        folder: where `metrics.csv` is.
    """

    def __init__(self, *, folder: str) -> None:
        super().__init__()
        self.path = Path(folder) / "metrics.csv"
        self._rows: dict[int, dict[str, Any]] | None = None
        self._written_at = 0.0

    @property
    def name(self) -> str:
        """Name of the logger."""
        return "csv"

    @property
    def version(self) -> str:
        """A run folder holds one version."""
        return ""

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Nothing: the run folder has them in `config.yaml`."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Add metrics to the row of a step."""
        assert step is not None, "Lightning logs every metric with its step"
        if self._rows is None:
            self._rows = {number: row for number, row in self._read().items() if number < step}
        self._rows.setdefault(step, {"step": step}).update(metrics)

    @rank_zero_only
    def save(self) -> None:
        """Write what was logged, not more often than every two seconds."""
        if time.monotonic() - self._written_at >= _SECONDS_BETWEEN_WRITES:
            self._write()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Write what was logged."""
        self._write()

    def _read(self) -> dict[int, dict[str, Any]]:
        if not self.path.exists():
            return {}
        with self.path.open(newline="") as file:
            rows = [{key: value for key, value in row.items() if value} for row in csv.DictReader(file)]
        return {int(row["step"]): row for row in rows}

    def _write(self) -> None:
        if self._rows is None:
            return
        self._written_at = time.monotonic()
        columns = dict.fromkeys(key for row in self._rows.values() for key in row)
        beside = self.path.with_name(f".{self.path.name}.part")
        with beside.open("w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(columns))
            writer.writeheader()
            writer.writerows(self._rows[step] for step in sorted(self._rows))
        os.replace(beside, self.path)
