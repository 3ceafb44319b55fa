"""What the run folders of a study say of their training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from genoseq.report.folder import RunFolder


@dataclass(frozen=True)
class Curve:
    """What a run has reached.

    Attributes:
        points: `minutes`, `tokens` and `bits` of each validation.
        parameters: number of them; None before the end.
        test: bits per base; None before the end.
    """

    points: pd.DataFrame
    parameters: int | None
    test: float | None

    @classmethod
    def of(cls, folder: Path) -> Curve | None:
        """That of a run folder; None before its first validation."""
        run = RunFolder(folder)
        if run.metrics is None or "val/bits_per_base" not in run.metrics or run.config is None:
            return None
        rows = run.metrics.dropna(subset="val/bits_per_base")
        tokens = run.config.global_batch_size * run.config.data.length
        points = pd.DataFrame(
            {
                "minutes": rows["seconds"] / 60,
                "tokens": (rows["step"] + 1) * tokens,  # the first step is 0
                "bits": rows["val/bits_per_base"],
            }
        )
        parameters = None if run.performance is None else run.performance["parameters"]
        model = run.results.model if run.results else None
        return cls(points, parameters, None if model is None else model.metrics["bits_per_base"])

    @property
    def best(self) -> pd.Series:
        """The point of the lowest validation."""
        return self.points.sort_values("bits").iloc[0]
