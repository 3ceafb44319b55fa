"""The weight matrix: what it is fitted to, what it takes, and what it knows of shipped splice sites."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from genoseq.baselines import PositionWeightMatrix
from genoseq.errors import ConfigError
from genoseq.paths import configs_dir


class Examples:
    """A labelled data module as a baseline sees one."""

    problem, level, classes = "single_label", "sequence", ("0", "1")

    def __init__(self, tables: dict[str, pd.DataFrame]) -> None:
        self.tables = tables

    def examples(self, split: str) -> pd.DataFrame:
        return self.tables[split]

    def leaked(self, split: str) -> None:
        return None


def three(rows: list[tuple[str, str]], test: list[tuple[str, str]]) -> Examples:
    table, asked = (pd.DataFrame(part, columns=["sequence", "label"]) for part in (rows, test))
    return Examples({"train": table, "validation": table, "test": asked})


def test_probabilities_are_those_of_the_counts() -> None:
    data = three([("A", "1")] * 3 + [("C", "1")] + [("C", "0")] * 4, [("A", "1"), ("C", "0"), ("N", "0")])
    table = PositionWeightMatrix(pseudocounts=[1.0]).predict(data)
    # A: 4/8 against 1/8; C: 2/8 against 5/8; N tells nothing, and neither class is more frequent.
    np.testing.assert_allclose(table["probability_1"], [4 / 5, 2 / 7, 1 / 2])
    assert table["prediction"].tolist()[:2] == ["1", "0"]
    assert table["index"].tolist() == [0, 1, 2]


def test_order_one_tells_what_only_neighbours_tell() -> None:
    rows = [("AC", "1"), ("CA", "1"), ("AA", "0"), ("CC", "0")] * 5
    data = three(rows, rows[:4])
    assert PositionWeightMatrix(order=1).predict(data)["prediction"].tolist() == ["1", "1", "0", "0"]
    np.testing.assert_allclose(PositionWeightMatrix(order=0).predict(data)["probability_1"], 0.5)


def test_what_it_cannot_take_is_refused() -> None:
    with pytest.raises(ConfigError, match="order=2"):
        PositionWeightMatrix(order=2)
    with pytest.raises(ConfigError, match="pseudocounts"):
        PositionWeightMatrix(pseudocounts=[0.0])
    with pytest.raises(ConfigError, match="one length"):
        PositionWeightMatrix().predict(three([("AC", "1"), ("AC", "0")], [("ACG", "1")]))
    data = three([("A", "1")], [("A", "1")])
    data.problem = "regression"
    with pytest.raises(ConfigError, match="none"):
        PositionWeightMatrix().predict(data)


@pytest.mark.parametrize(("site", "least"), [("donors", 0.90), ("acceptors", 0.82)])
def test_shipped_splice_sites_are_mostly_told_by_it(site: str, least: float) -> None:
    with initialize_config_dir(str(configs_dir()), version_base="1.3"):
        config = compose("train", overrides=[f"experiment=umaydis_splice_{site}"])
    data = instantiate(config.data)
    parts = {split: set(data.examples(split)["group"]) for split in ("train", "validation", "test")}
    assert parts["test"] == {f"chr{number}" for number in range(16, 24)}
    assert not parts["train"] & parts["validation"]
    assert 0 < data.leaked("test").mean() < 0.04
    table = instantiate(config.baselines.weight_matrix).predict(data)
    assert least < (table["label"] == table["prediction"]).mean() < 0.95
