"""Numbers and results in plain words."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from genoseq.report.folder import Results, Row
from genoseq.statistics import Estimate

Verdict = Literal["better", "worse", "open"]


@dataclass(frozen=True)
class Metric:
    """How a metric is shown: its name and which way is good."""

    label: str
    higher_is_better: bool


METRICS = {
    "bits_per_base": Metric("bits per base", False),
    "perplexity": Metric("perplexity", False),
    "loss": Metric("loss", False),
    "accuracy": Metric("accuracy", True),
    "solved": Metric("examples without a mistake", True),
    "balanced_accuracy": Metric("balanced accuracy", True),
    "mcc": Metric("Matthews correlation", True),
    "f1": Metric("F1 score", True),
    "auroc": Metric("area under ROC", True),
    "auprc": Metric("area under precision–recall", True),
    "mse": Metric("mean squared error", False),
    "mae": Metric("mean absolute error", False),
    "crps": Metric("continuous ranked probability score", False),
    "coverage": Metric("share of values in their intervals", True),
    "pearson": Metric("Pearson correlation", True),
    "spearman": Metric("Spearman correlation", True),
}

PROBLEMS = {
    "language_model": "predicting the next base",
    "answers": "answering from what stood before",
    "single_label": "classification",
    "multi_label": "multi-label classification",
    "regression": "regression",
    "forecasting": "forecasting",
    "reconstruction": "reconstructing hidden samples",
}


def metric_label(name: str) -> str:
    """`bits_per_base` as `bits per base`."""
    return METRICS[name].label if name in METRICS else name.replace("_", " ")


def number(value: float, *, signed: bool = False) -> str:
    """Three digits after the point for what is near one, fewer for what is large; a true minus sign."""
    if not math.isfinite(value):
        return "–"
    digits = 3 if abs(value) < 100 else 1
    return f"{value:{'+' if signed else ''}.{digits}f}".replace("-", "−")


def interval(estimate: Estimate, *, signed: bool = True) -> str:
    """`−0.013 [−0.020, −0.006]`, of a difference; `0.813 [0.720, 0.906]`, unsigned."""
    ends = (estimate.mean, estimate.low, estimate.high)
    mean, low, high = (number(value, signed=signed) for value in ends)
    return f"{mean} [{low}, {high}]"


def count(value: float) -> str:
    """`436312` as `436k`, `6550000` as `6.55M`."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.0f}"


def duration(seconds: float) -> str:
    """`3725` as `1 h 2 min`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s" if seconds < 10 else f"{rest} s"


def memory(size: float) -> str:
    """Bytes in GiB or MiB."""
    return f"{size / 2**30:.2f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"


def verdict(row: Row, *, higher_is_better: bool) -> Verdict | None:
    """Whether the model is better than this row; None for no comparison.

    `open` where the interval holds zero, or where there is none because one unit alone was measured.
    """
    versus = row.versus_model
    if versus is None:
        return None
    if versus.low > 0:
        return "better" if higher_is_better else "worse"
    if versus.high < 0:
        return "worse" if higher_is_better else "better"
    return "open"


def headline(results: Results) -> str:
    """The result in one sentence; empty where the model has no value of the main metric."""
    model = results.model
    if model is None or results.metric not in model.metrics:
        return ""
    value = f"{number(model.metrics[results.metric])} {metric_label(results.metric)}"
    if not (compared := _compared(results)):
        return f"{model.name} reaches {value} on the {results.split} split."
    best = compared[0]
    sentence = f"{model.name} {standing(results)} on the {results.split} split: {value}"
    return f"{sentence}, against {number(best.metrics[results.metric])} for {_short_name(best)}."


def standing(results: Results) -> str:
    """How the model stands among the baselines it was paired with, such as `beats both baselines`."""
    if not (compared := _compared(results)):
        return ""
    outcomes: dict[Verdict, list[str]] = {"better": [], "open": [], "worse": []}
    for row in compared:
        outcomes[_outcome(results, row)].append(_short_name(row))
    better, level, worse = outcomes.values()
    if better and not level and not worse:
        return {1: "beats its baseline", 2: "beats both baselines"}.get(
            len(better), f"beats all {len(better)} baselines"
        )
    parts = [
        f"beats {_listed(better)}" if better else "",
        f"is level with {_listed(level)}" if level else "",
        f"falls behind {_listed(worse)}" if worse else "",
    ]
    return " but ".join(part for part in parts if part)


def detail(results: Results) -> str:
    """How sure the headline is, and how its number reads."""
    parts = []
    if (compared := _compared(results)) and (estimate := compared[0].versus_model):
        mean, low, high = (
            number(value, signed=True) for value in (estimate.mean, estimate.low, estimate.high)
        )
        parts.append(
            f"Difference to {_short_name(compared[0])}: {mean} (95 % interval {low} to {high}, "
            f"paired over {units(estimate)})."
        )
    parts.append(f"{'Higher' if results.higher_is_better else 'Lower'} is better.")
    if results.metric == "bits_per_base":
        parts.append("Guessing blindly among four bases costs 2 bits.")
    if results.problem == "answers":
        parts.append("Guessing blindly among four bases gets a quarter of them.")
    return " ".join(parts)


def units(estimate: Estimate) -> str:
    """What an interval was taken over: `21 blocks of 20 kb`, `3,102 examples`."""
    size, _, noun = estimate.unit.rpartition(" ")
    plural = noun if estimate.n == 1 else f"{noun}s"
    if size[:1].isdigit():
        return f"{estimate.n:,} {plural} of {size}"
    return f"{estimate.n:,} {size} {plural}".replace("  ", " ")


def _compared(results: Results) -> list[Row]:
    """The baselines that were paired with the model, best first."""
    return [row for row in results.baselines if row.versus_model is not None]


def _outcome(results: Results, row: Row) -> Verdict:
    outcome = verdict(row, higher_is_better=results.higher_is_better)
    assert outcome is not None, row
    return outcome


def _short_name(row: Row) -> str:
    """Without the remark in brackets."""
    return row.name.split(" (")[0]


def _listed(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
