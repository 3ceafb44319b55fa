"""The table and the plot of `in_context.py`, from what its jobs have left."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from genoseq.report.style import INK, MATPLOTLIB, MODEL, MUTED, OTHERS, Plot, Series
from genoseq.statistics import mean_interval

METRICS = ("mcc", "accuracy")
KMERS = "k-mers"
MEAN = "mean of the sets"
WAYS = {"prompt": "vectors", "tuned": "shots", "held out": "shots"}
TITLES = {
    "prompt": "Soft prompt, frozen model",
    "tuned": "Few shots, sets tuned on",
    "held out": "Few shots, held-out set",
}


def table(out: Path) -> pd.DataFrame:
    """Write every estimate to OUT/table.tsv and OUT/in_context.md, print the latter, and draw it.

    Returns:
        `way` (prompt, tuned or held out), `set`, `arm`, `number` (of vectors or of shots, empty for all of
        train), `metric`, `mean`, `low`, `high`, `n`.
    """
    values = results(out)
    if values.empty:
        raise SystemExit(f"{out} holds no finished run.")
    keys = ["way", "set", "arm", "number", "metric"]
    rows = [
        dict(zip(keys, key, strict=True)) | vars(mean_interval(found))
        for key, found in values.groupby(keys, sort=False, dropna=False)["value"]
    ]
    frame = pd.DataFrame(rows).drop(columns="unit")
    frame.to_csv(out / "table.tsv", sep="\t", index=False)
    text = as_markdown(frame)
    (out / "in_context.md").write_text(text + "\n")
    print(text)
    draw(frame).save_png(out)
    return frame


def results(out: Path) -> pd.DataFrame:
    """`way`, `set`, `arm`, `number`, `seed`, `metric`, `value` of all that has ended.

    Of the sets tuned on also their mean, with each seed.
    """
    found = [*_prompted(out), *_answered(out), *_kmers(out)]
    rows = [
        {**row, "metric": metric, "value": scores[metric]}
        for row, scores in found
        for metric in METRICS
        if scores[metric] is not None
    ]
    frame = pd.DataFrame(rows)
    if frame.empty:
        return frame
    keys = ["way", "arm", "number", "seed", "metric"]
    tuned = frame[frame["way"] == "tuned"].groupby(keys, sort=False, dropna=False)["value"].mean()
    return pd.concat([frame, tuned.reset_index().assign(set=MEAN)], ignore_index=True)


def as_markdown(frame: pd.DataFrame) -> str:
    """A line for each set and arm, MCC at each number of vectors or shots."""
    lines = []
    for way, unit in WAYS.items():
        part = frame[(frame["way"] == way) & (frame["metric"] == "mcc")]
        numbers = sorted(part["number"].dropna().unique())
        heads = [f"{number:.0f} {unit}" for number in numbers] + ["all of train"]
        lines += [f"| {TITLES[way]}: MCC | | {' | '.join(heads)} |", "|---" * (len(heads) + 2) + "|"]
        for (name, arm), rows in part.groupby(["set", "arm"], sort=False):
            cells = {row.number: _cell(row) for row in rows.dropna(subset="number").itertuples()}
            whole = "".join(_cell(row) for row in rows[rows["number"].isna()].itertuples())
            listed = " | ".join([*(cells.get(number, "") for number in numbers), whole])
            lines.append(f"| {name} | {arm} | {listed} |")
        lines.append("")
    return "\n".join(lines).rstrip()


@matplotlib.rc_context(MATPLOTLIB)
def draw(frame: pd.DataFrame) -> Plot:
    """MCC over numbers of vectors, and over shots, of the tuned sets and the held-out one."""
    figure = Figure(figsize=(10.9, 4.2), layout="constrained")
    panels = figure.subplots(1, len(WAYS), sharey=True)
    for axes, (way, unit) in zip(panels, WAYS.items(), strict=True):
        part = frame[(frame["way"] == way) & (frame["metric"] == "mcc")]
        _draw_panel(axes, part, by="set" if way == "prompt" else "arm")
        axes.set_title(TITLES[way], fontsize=9.5)
        axes.set_xlabel(f"{unit} before a sequence" if way == "prompt" else f"{unit} of each class")
    panels[0].set_ylabel("MCC on test")
    low, high = panels[0].get_ylim()
    # Intervals over few seeds may be wider than what there is.
    panels[0].set_ylim(max(low, -1), min(high, 1))
    caption = (
        "Means and 95 % intervals over seeds. Dotted: k-mer regression on all of train; grey: on as many "
        "demonstrations."
    )
    return Plot("in_context", "In context", caption, figure, wide=True)


def _draw_panel(axes: Axes, part: pd.DataFrame, *, by: str) -> None:
    """A line for each set, or for each arm of their mean."""
    part = part[part["set"] == MEAN] if MEAN in set(part["set"]) else part
    styles = _styles(part, by)
    numbers = sorted(part["number"].dropna().unique())
    for (name, arm), rows in part[part["number"].notna()].groupby([by, "arm"], sort=False):
        line = rows.sort_values("number")
        # Even steps: the numbers double, and there is none.
        places = [numbers.index(number) for number in line["number"]]
        style = styles[str(name)] if arm != KMERS else Series(MUTED.light, "-", "x")
        label = str(name) if by == "arm" or part["arm"].nunique() <= 2 else f"{name}, {arm}"
        look = {"color": style.colour, "ls": style.line, "marker": style.marker}
        axes.plot(places, line["mean"], label=label, **look)
        axes.fill_between(places, line["low"], line["high"], color=style.colour, alpha=0.15, lw=0)
    for name, rows in part[part["number"].isna()].groupby(by):
        colour = styles[str(name)].colour if by == "set" else INK.light
        axes.axhline(rows["mean"].mean(), color=colour, ls=":", lw=1.2)
    axes.axhline(0, color=MUTED.light, lw=0.8)
    axes.set_xticks(range(len(numbers)), [f"{number:.0f}" for number in numbers])
    if numbers:
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2)


def _styles(part: pd.DataFrame, by: str) -> dict[str, Series]:
    names = [str(name) for name in dict.fromkeys(part[by]) if name != KMERS]
    styles = (MODEL, *OTHERS)
    return {name: styles[place % len(styles)] for place, name in enumerate(names)}


def _prompted(out: Path) -> Iterator[tuple[dict[str, Any], dict[str, float | None]]]:
    chosen = out / "chosen.json"
    for case, rate in json.loads(chosen.read_text()).items() if chosen.exists() else ():
        start, name, length = case.split("/")
        yield from _of_case(out / "prompts" / start / name / f"length_{length}" / f"rate_{rate:g}")


def _of_case(folder: Path) -> Iterator[tuple[dict[str, Any], dict[str, float | None]]]:
    for file in sorted(folder.glob("seed_*/results.json")):
        start, name, length, _, seed = file.parts[-6:-1]
        row = {"way": "prompt", "set": name, "arm": start, "number": _number(length), "seed": _number(seed)}
        yield row, json.loads(file.read_text())["rows"][0]["metrics"]


def _answered(out: Path) -> Iterator[tuple[dict[str, Any], dict[str, float | None]]]:
    for way, ending in (("tuned", "results.json"), ("held out", "held_out.json")):
        for file in sorted((out / "few_shot").glob(f"*/*/seed_*/{ending}")):
            start, answers, seed = file.parts[-4:-1]
            for rows in json.loads(file.read_text())["by_shots"]:
                row = {"way": way, "set": rows["task"], "arm": f"{start}, {answers} answers"}
                yield row | {"number": rows["shots"], "seed": _number(seed)}, rows["metrics"]


def _kmers(out: Path) -> Iterator[tuple[dict[str, Any], dict[str, float | None]]]:
    file = out / "kmers.json"
    held_out = json.loads((out / "study.json").read_text())["held_out"]
    for found in json.loads(file.read_text()) if file.exists() else ():
        row = {"set": found["set"], "arm": KMERS, "number": found["shots"], "seed": found["seed"]}
        if found["shots"] is None:
            yield row | {"way": "prompt"}, found
        yield row | {"way": "held out" if found["set"] == held_out else "tuned"}, found


def _number(text: str) -> int:
    """Of `length_8`, 8."""
    return int(text.rpartition("_")[2])


def _cell(row: Any) -> str:
    return f"{row.mean:.3f}" if pd.isna(row.low) else f"{row.mean:.3f} [{row.low:.3f}, {row.high:.3f}]"
