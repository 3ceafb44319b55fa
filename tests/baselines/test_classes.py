"""Baselines of classes: they learn what is there to learn, choose on validation, and do not look at test."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from genoseq.baselines import CompressionNeighbours, MarkovClassifier, SmallCnn
from genoseq.baselines.base import Baseline
from genoseq.baselines.classes import calibrated, softmax
from genoseq.errors import ConfigError


class Examples:
    """A labelled data module as the baselines see one."""

    level, problem, classes, strand = "sequence", "single_label", ("no", "yes"), "stranded"

    def __init__(self, tables: dict[str, pd.DataFrame]) -> None:
        self.tables = tables

    def examples(self, split: str) -> pd.DataFrame:
        return self.tables[split]

    def leaked(self, split: str) -> np.ndarray:
        return np.arange(len(self.tables[split])) % 2 == 0


def composed(count: int, seed: int) -> pd.DataFrame:
    """Sequences of 60 bases; those labelled yes are rich in the dinucleotides CG and GC."""
    generator = np.random.default_rng(seed)
    labels = generator.random(count) < 0.5
    words = [
        "".join(
            generator.choice(["CG", "GC", "AT", "TA"], size=30, p=[0.4, 0.3, 0.2, 0.1] if yes else [0.25] * 4)
        )
        for yes in labels
    ]
    return pd.DataFrame({"sequence": words, "label": np.where(labels, "yes", "no"), "name": range(count)})


@pytest.fixture(scope="module")
def tables() -> dict[str, pd.DataFrame]:
    return {part: composed(count, seed) for seed, (part, count) in enumerate(
        {"train": 200, "validation": 80, "test": 120}.items()
    )}  # fmt: skip


BASELINES = {
    "Markov": (lambda: MarkovClassifier(max_order=3), 0.75),
    "CNN": (lambda: SmallCnn(channels=16, width=5, epochs=12, lr=1e-2), 0.75),
    "gzip": (lambda: CompressionNeighbours(compressor="gzip", references=60), 0.58),
    "bz2": (lambda: CompressionNeighbours(compressor="bz2", references=30), 0.5),
    "lzma": (lambda: CompressionNeighbours(compressor="lzma", references=30), 0.55),
    "brotli": (lambda: CompressionNeighbours(compressor="brotli", references=60), 0.54),
}


@pytest.mark.parametrize("name", BASELINES)
def test_classes_that_differ_are_told_apart(name: str, tables: dict[str, pd.DataFrame]) -> None:
    make, least = BASELINES[name]
    baseline: Baseline = make()
    found = baseline.predict(Examples(tables))
    assert list(found.columns[:3]) == ["index", "label", "prediction"]
    shares = found[["probability_no", "probability_yes"]].to_numpy()
    assert np.allclose(shares.sum(axis=1), 1, atol=1e-5)
    assert (np.array(["no", "yes"])[shares.argmax(axis=1)] == found["prediction"]).all()
    assert (found["label"] == found["prediction"]).mean() >= least
    assert found["leaked"].sum() == 60
    again = make().predict(Examples(tables))
    pd.testing.assert_frame_equal(found, again)


@pytest.mark.parametrize("name", ["Markov", "gzip"])
def test_labels_of_test_are_not_looked_at(name: str, tables: dict[str, pd.DataFrame]) -> None:
    turned = tables | {
        "test": tables["test"].assign(label=tables["test"]["label"].map({"yes": "no", "no": "yes"}))
    }
    columns = ["prediction", "probability_no", "probability_yes"]
    first, second = (BASELINES[name][0]().predict(Examples(given))[columns] for given in (tables, turned))
    pd.testing.assert_frame_equal(first, second)


def test_a_network_depends_on_its_seed_and_leaves_torchs_state_alone(tables: dict[str, pd.DataFrame]) -> None:
    import torch

    state = torch.random.get_rng_state()
    tables = {part: table.head(40) for part, table in tables.items()}
    first, second = (SmallCnn(channels=4, epochs=1, seed=s).predict(Examples(tables)) for s in (0, 1))
    assert not np.allclose(first["probability_yes"], second["probability_yes"])
    assert torch.equal(state, torch.random.get_rng_state())


def test_probabilities_are_no_surer_than_validation_allows() -> None:
    generator = np.random.default_rng(0)
    truth = generator.integers(2, size=400)
    scores = 40 * (np.eye(2)[truth] + 0.9 * generator.normal(size=(400, 2)))
    assert softmax(scores).max(axis=1).mean() > 0.98
    assert calibrated(scores, scores, truth).max(axis=1).mean() < 0.9
    assert (calibrated(scores, scores, truth).argmax(axis=1) == scores.argmax(axis=1)).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CompressionNeighbours(compressor="zip"), "compressor='zip'"),  # type: ignore[arg-type]
        (lambda: CompressionNeighbours(compressor="gzip", references=1), "references=1"),
        (lambda: MarkovClassifier(max_order=11), "max_order must lie"),
        (lambda: SmallCnn(epochs=0), "epochs=0"),
    ],
)
def test_settings_that_cannot_be(make, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


def test_data_of_another_kind_are_refused(tables: dict[str, pd.DataFrame]) -> None:
    data = Examples(tables)
    data.problem = "regression"
    with pytest.raises(ConfigError, match="tells classes of sequences"):
        MarkovClassifier().require_data(data)
