"""The report of designed sequences, as a page of HTML or as Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd

from genoseq.report.html import render, shown_figures
from genoseq.report.plots.composition import composition_plots
from genoseq.report.plots.designs import (
    DESIGNED,
    identity_histogram,
    judge_scatter,
    rounds_plot,
    score_histogram,
)
from genoseq.report.style import MATPLOTLIB, Plot
from genoseq.report.words import number
from genoseq.sequence import encode_bases

_TEMPLATE = "designs.html.j2"
_SHOWN = 5


@dataclass(frozen=True)
class DesignReport:
    """What a report of designs is made of.

    Attributes:
        title: of the page.
        facts: what was asked for, by name.
        groups: tables by what their sequences are, "designed" first: `sequence`, `score`, and with a judge
            `judge_score`.
        scorer: what was raised or lowered.
        rounds: progress, as `genoseq.inference.design.Designs` has it.
        judge: what the judge measures; None without one.
        novelty: (N,) identity of each design to the nearest known sequence; None where none are known.
        diversity: (P,) identities of pairs of designs; None for one design.
        real: the group of real sequences, which k-mers and GC are compared with; None where there is none.
        higher_is_better: in the score.
    """

    title: str
    facts: Mapping[str, str]
    groups: Mapping[str, pd.DataFrame]
    scorer: str
    rounds: pd.DataFrame
    judge: str | None = None
    novelty: np.ndarray | None = None
    diversity: np.ndarray | None = None
    real: str | None = None
    higher_is_better: bool = True

    def write(self, path: Path) -> None:
        """Write HTML, or Markdown without plots where the name ends in .md."""
        text = self._markdown() if path.suffix.lower() == ".md" else self._html()
        path.write_text(text, encoding="utf-8")

    def plots(self) -> list[Plot]:
        """What is drawn of it, each from what is there."""
        with matplotlib.rc_context(MATPLOTLIB):
            return self._plots()

    def summary(self) -> tuple[list[str], list[list[str]]]:
        """Column names, and a row of cells for each group."""
        columns = ["", "sequences", "different", f"{self.scorer}, median", "GC, mean"]
        if self.judge is not None:
            columns.insert(4, f"judge: {self.judge}, median")
        rows = []
        for label, table in self.groups.items():
            gc = np.mean([_gc(text) for text in table["sequence"]])
            cells = [label, f"{len(table):,}", f"{table['sequence'].nunique():,}", _middle(table["score"])]
            if self.judge is not None:
                cells.append(_middle(table["judge_score"]))
            rows.append([*cells, f"{gc:.1%}"])
        return columns, rows

    def _plots(self) -> list[Plot]:
        scores = {label: table["score"].to_numpy() for label, table in self.groups.items()}
        caption = "What the designs were made for."
        plots = [score_histogram(scores, "scores", self.scorer, caption)]
        if self.judge is not None:
            judged = {label: table["judge_score"].to_numpy() for label, table in self.groups.items()}
            caption = "The same sequences, by a scorer that the design never saw."
            plots.append(score_histogram(judged, "judged", self.judge, caption))
            plots.append(judge_scatter(self.groups, self.scorer, self.judge))
        plots.append(rounds_plot(self.rounds, self.scorer))
        if self.novelty is not None or self.diversity is not None:
            plots.append(identity_histogram(self.novelty, self.diversity))
        if self.real is not None:
            texts = [list(self.groups[label]["sequence"]) for label in (DESIGNED, self.real)]
            plots += composition_plots(*texts)
        return plots

    def _html(self) -> str:
        columns, rows = self.summary()
        return render(
            _TEMPLATE,
            title=self.title,
            summary={"columns": columns, "rows": rows},
            facts=self._all_facts(),
            figures=shown_figures(self.plots(), "design"),
            sequences=self._best(),
        )

    def _markdown(self) -> str:
        columns, rows = self.summary()
        table = [columns, ["---"] * len(columns), *rows]
        lines = [f"# {self.title}", "", *("| " + " | ".join(row) + " |" for row in table), ""]
        lines += [f"- {name}: {value}" for name, value in self._all_facts().items()]
        return (
            "\n".join([*lines, "", "The best designs:", "", *(f"    {text}" for text in self._best())]) + "\n"
        )

    def _all_facts(self) -> dict[str, Any]:
        found = dict(self.facts)
        for name, values in (
            ("identity to the nearest known sequence", self.novelty),
            ("identity of two designs", self.diversity),
        ):
            if values is not None:
                found[name] = f"median {np.median(values):.1%}, largest {values.max():.1%}"
        return found

    def _best(self) -> list[str]:
        table = self.groups[DESIGNED].sort_values("score", ascending=not self.higher_is_better)
        return list(table["sequence"].head(_SHOWN))


def _gc(text: str) -> float:
    codes = encode_bases(text)
    return float(np.isin(codes, (1, 2)).mean())


def _middle(values: pd.Series) -> str:
    return number(float(values.median()))
