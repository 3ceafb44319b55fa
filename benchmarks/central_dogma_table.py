"""The table of `central_dogma_study.py`, from what its jobs have left."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import finetuning_study
import numpy as np
import pandas as pd

from genoseq.statistics import Estimate, mean_interval

WORDS = {
    "lifecode": "Life-Code",
    "lifecode_unframed": "Life-Code, frame not told",
    "nucleotides": "single nucleotides",
    "untrained": "untrained",
}
COMPARED = ("lifecode", "nucleotides")
# What only Life-Code has learnt to say.
HEAD = re.compile(r"(by|,) head\b")
# In the order of the table; `.*` names what `table.tsv` has more of.
SHOWN = {
    "coding against intergenic DNA": r"umaydis: (accuracy|mcc|auroc)(, leak-free)?",
    "splice donors": r"umaydis_splice_donors: auroc, leak-free",
    "splice acceptors": r"umaydis_splice_acceptors: auroc, leak-free",
    "half-life": r"pombe_halflife: (spearman|r2)",
    "coding sequence and protein": r"matching .*: (auroc|auroc_recoded|choice)",
    "translation of held-out genes": r"translation by .*: accuracy",
    "silent against missense": r"changes: .*",
    "surroundings of a residue, R2": r"surroundings: .*",
}


def table(out: Path) -> pd.DataFrame:
    """Write every estimate to OUT/central_dogma.tsv, print what is shown, and write it as Markdown."""
    values = pd.concat([_of_genes(out / "genes"), _of_finetuning(out / "finetuned")], ignore_index=True)
    rows = [
        {"measure": measure, "arm": arm} | vars(_over_seeds(found))
        for (measure, arm), found in values.groupby(["measure", "arm"], sort=False)
    ]
    differences = values.pivot_table(index=["measure", "seed"], columns="arm", values="value")
    if set(COMPARED) <= set(differences):
        first, second = (differences[arm] for arm in COMPARED)
        for measure, found in (first - second).dropna().groupby("measure", sort=False):
            rows.append({"measure": measure, "arm": "difference"} | vars(mean_interval(found)))
    frame = pd.DataFrame(rows)
    frame.to_csv(out / "central_dogma.tsv", sep="\t", index=False)
    text = as_markdown(frame)
    (out / "central_dogma.md").write_text(text + "\n")
    print(text)
    return frame


def _of_genes(folder: Path) -> pd.DataFrame:
    """`measure`, `arm`, `seed`, `value`, and `low` and `high` over families, of `three_omics.py`."""
    rows = []
    for file in sorted(folder.glob("*/three_omics.json")):
        for name, estimates in json.loads(file.read_text()).items():
            arm, _, seed = name.rpartition("_") if file.parent.name != "baselines" else (name, "", "")
            for measure, estimate in estimates.items():
                if HEAD.search(measure) and not arm.startswith("lifecode"):
                    continue
                row = {"measure": measure, "arm": arm, "seed": int(seed) if seed else None}
                rows.append(
                    row | {"value": estimate["mean"]} | {end: estimate[end] for end in ("low", "high")}
                )
    return pd.DataFrame(rows)


def _of_finetuning(folder: Path) -> pd.DataFrame:
    if not (folder / "chosen.json").exists():
        return pd.DataFrame()
    found = finetuning_study.results(folder)
    if found.empty:
        return found
    leak_free = np.where(found["rows"] == "all", "", ", " + found["rows"])
    measure = found["experiment"] + ": " + found["metric"] + leak_free
    return found.assign(measure=measure, arm=found["start"])[["measure", "arm", "seed", "value"]]


def _over_seeds(found: pd.DataFrame) -> Estimate:
    """Of an arm over its seeds; of a baseline, which has none, over families where that is known."""
    if found["seed"].notna().all():
        return mean_interval(found["value"])
    row = found.iloc[0]
    return Estimate(row["value"], row.get("low", np.nan), row.get("high", np.nan), 1, "family")


def as_markdown(frame: pd.DataFrame) -> str:
    """What is shown, a line a measure: the arms, their difference, and what baselines reach."""
    arms = [arm for arm in WORDS if arm in set(frame["arm"])]
    estimates = {(row.measure, row.arm): row for row in frame.itertuples()}
    heads = [WORDS[arm] for arm in arms] + ["first minus third" if len(arms) > 2 else "difference"]
    lines = [f"| | {' | '.join(heads)} | baselines |", "|---|" + "---|" * (len(heads) + 1)]
    for task, pattern in SHOWN.items():
        measures = dict.fromkeys(name for name in frame["measure"] if re.fullmatch(pattern, name))
        for measure in measures:
            if not any((measure, arm) in estimates for arm in arms):
                continue
            cells = [_cell(estimates.get((measure, arm))) for arm in (*arms, "difference")]
            words = f"{task}: {_short(measure)}"
            lines.append(f"| {words} | {' | '.join(cells)} | {_baselines(frame, measure)} |")
    return "\n".join(lines)


def _short(measure: str) -> str:
    """Without the name of the task, but for the way in which it is asked."""
    task, _, rest = measure.partition(": ")
    way = task.partition(" by ")[2]
    return f"by {way}, {rest}" if way else rest


def _cell(row: object) -> str:
    if row is None:
        return ""
    estimate: Mapping[str, float] = row._asdict()  # type: ignore[attr-defined]
    text = f"{estimate['mean']:.3f}"
    return text if np.isnan(estimate["low"]) else f"{text} [{estimate['low']:.3f}, {estimate['high']:.3f}]"


def _baselines(frame: pd.DataFrame, measure: str) -> str:
    task, _, rest = measure.partition(": ")
    asked: Sequence[str] = (measure, f"{task.partition(' by ')[0]}: {rest}")
    rows = frame[frame["measure"].isin(asked) & ~frame["arm"].isin([*WORDS, "difference"])]
    return "; ".join(f"{row.arm} {row.mean:.3f}" for row in rows.itertuples())
