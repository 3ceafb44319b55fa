"""Linear baselines of labelled sequences: their features, their choices, and the table they return."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from genoseq.baselines import KmerLogisticRegression, OneHotLogisticRegression
from genoseq.errors import ConfigError
from genoseq.sequence import encode_bases, reverse_complement


class Examples:
    """A labelled data module as the baselines see one."""

    def __init__(
        self, tables: dict[str, pd.DataFrame], problem: str = "single_label", leaks: bool = False
    ) -> None:
        self.tables, self.problem, self.leaks = tables, problem, leaks
        self.level = "sequence"
        self.classes = None if problem == "regression" else ("no", "yes", "never")

    def examples(self, split: str) -> pd.DataFrame:
        return self.tables[split]

    def leaked(self, split: str) -> np.ndarray | None:
        return np.arange(len(self.tables[split])) % 2 == 0 if self.leaks else None


def labelled(count: int, seed: int, *, motif: str = "", place: int | None = None) -> pd.DataFrame:
    """Random 60-mers; those labelled yes hold `motif` at `place`, or anywhere on either strand."""
    generator = np.random.default_rng(seed)
    sequences, labels = [], []
    for _ in range(count):
        letters = "".join(generator.choice(list("ACGT"), size=60))
        label = bool(generator.random() < 0.5)
        if label:
            start = place if place is not None else int(generator.integers(0, 60 - len(motif)))
            turned = place is None and generator.random() < 0.5
            letters = (
                letters[:start]
                + (reverse_complement(motif) if turned else motif)
                + letters[start + len(motif) :]
            )
        sequences.append(letters)
        labels.append("yes" if label else "no")
    return pd.DataFrame({"sequence": sequences, "label": labels})


def three_splits(**settings: object) -> dict[str, pd.DataFrame]:
    return {
        split: labelled(count, seed, **settings)  # type: ignore[arg-type]
        for seed, (split, count) in enumerate({"train": 400, "validation": 150, "test": 150}.items())
    }


def accuracy(table: pd.DataFrame) -> float:
    return float((table["label"] == table["prediction"]).mean())


def test_kmers_are_counted_and_an_n_breaks_them() -> None:
    model = KmerLogisticRegression(max_k=2)
    row = model.featurise([encode_bases("AACNAC")], 6)[0]
    np.testing.assert_allclose(row[:4], [3 / 5, 2 / 5, 0, 0])
    expected = np.zeros(16)
    expected[[0, 1]] = 1 / 3, 2 / 3
    np.testing.assert_allclose(row[4:], expected, rtol=1e-6)


def test_log_counts_tell_the_length() -> None:
    model = KmerLogisticRegression(max_k=2, log_counts=True)
    row = model.featurise([encode_bases("AACNAC")], 6)[0]
    np.testing.assert_allclose(row[:4], np.log([4, 3, 1, 1]), rtol=1e-6)
    np.testing.assert_allclose(row[4:6], np.log([2, 3]), rtol=1e-6)


def test_a_sequence_shorter_than_k_has_no_such_kmers() -> None:
    row = KmerLogisticRegression(max_k=5).featurise([encode_bases("AC")], 2)[0]
    assert row.shape == (4 + 16 + 64 + 256 + 1024,)
    assert row[20:].sum() == 0


def test_a_motif_anywhere_is_found_by_kmers_not_by_places() -> None:
    data = Examples(three_splits(motif="GGGTGGGAGGGT"))
    by_kmers = KmerLogisticRegression(max_k=3).predict(data)
    assert accuracy(by_kmers) > 0.85
    assert accuracy(by_kmers) > accuracy(OneHotLogisticRegression().predict(data)) + 0.1


def test_a_motif_at_its_place_is_found_by_places() -> None:
    assert (
        accuracy(OneHotLogisticRegression().predict(Examples(three_splits(motif="ACGTACG", place=20)))) > 0.95
    )


def test_the_table_is_that_of_a_model() -> None:
    tables = three_splits(motif="GGGTGGG")
    tables["test"]["name"] = [f"row{i}" for i in range(len(tables["test"]))]
    table = KmerLogisticRegression(max_k=2).predict(Examples(tables, leaks=True))
    probabilities = ["probability_no", "probability_yes", "probability_never"]
    assert list(table.columns) == ["index", "label", "prediction", *probabilities, "name", "leaked"]
    assert (table["index"] == np.arange(150)).all()
    np.testing.assert_allclose(table[probabilities].sum(axis=1), 1)
    likelier = np.where(table["probability_yes"] > 0.5, "yes", "no")
    assert (table["prediction"] == likelier).all()
    assert (table["probability_never"] == 0).all()
    assert table["leaked"].dtype == bool


def test_the_test_split_has_no_say() -> None:
    tables = three_splits(motif="GGGTGGG")
    table = KmerLogisticRegression(max_k=2).predict(Examples(tables))
    wrong = tables | {"test": tables["test"].assign(label="no")}
    other = KmerLogisticRegression(max_k=2).predict(Examples(wrong))
    pd.testing.assert_frame_equal(table.drop(columns="label"), other.drop(columns="label"))


def test_numbers_are_predicted_by_ridge_regression() -> None:
    tables = three_splits()
    for table in tables.values():
        table["label"] = table["sequence"].str.count("[GC]") / 60 + 3
    baseline = KmerLogisticRegression(max_k=1, penalties=[0.01])
    table = baseline.predict(Examples(tables, "regression"))
    assert baseline.name == "k-mer ridge regression (1 to 1)"
    assert list(table.columns) == ["index", "label", "prediction"]
    np.testing.assert_allclose(table["prediction"], table["label"], atol=0.02)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"problem": "multi_label"}, "multi_label"),
        ({"level": "token"}, "level=token"),
        ({"problem": "regression", "classes": ("expression", "half-life")}, "half-life"),
    ],
)
def test_more_than_one_label_a_sequence_is_refused(changed: dict, named: str) -> None:
    data = Examples({})
    vars(data).update(changed)
    with pytest.raises(ConfigError, match=named):
        KmerLogisticRegression().predict(data)


@pytest.mark.parametrize("settings", [{"max_k": 0}, {"max_k": 9}, {"penalties": []}, {"penalties": [0.0]}])
def test_settings_out_of_range_are_refused(settings: dict) -> None:
    with pytest.raises(ConfigError, match="must"):
        KmerLogisticRegression(**settings)


def test_names_say_the_kind_of_regression_where_there_is_one():
    kmers, places = KmerLogisticRegression(max_k=4, log_counts=True), OneHotLogisticRegression()
    assert kmers.name == "k-mer count regression (1 to 4)"
    assert kmers.name_for(["single_label", "multi_label"]) == "k-mer count logistic regression (1 to 4)"
    assert places.name_for(["regression"]) == "one-hot ridge regression"
    assert places.name_for(["regression", "single_label"]) == "one-hot regression"
