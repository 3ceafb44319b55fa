"""Published results, carried as data with their sources, to stand beside ours."""

from __future__ import annotations

from functools import cache

import pandas as pd

from genoseq.paths import data_dir

COLUMNS = ("suite", "task", "model", "metric", "value", "source")


@cache
def published_results() -> pd.DataFrame:
    """All of them: suite, task, model, metric, value and source, as the sources print them."""
    table = pd.read_csv(data_dir() / "published" / "genomics.tsv", sep="\t", dtype={"value": float})
    assert tuple(table.columns) == COLUMNS
    return table


def published_for(suite: str, task: str) -> pd.DataFrame:
    """Those of one task, or of the mean over the category that it stands in; none where there are none.

    Args:
        suite: its name.
        task: its name, or that of a category such as `prom_core`.
    """
    table = published_results()
    names = {task, f"{task} (category mean)"}
    return table[(table["suite"] == suite) & table["task"].isin(names)].reset_index(drop=True)
