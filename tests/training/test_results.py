"""The model beside its baselines."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as reference

from genoseq.training.results import compare


def labelled(probability: np.ndarray, labels: np.ndarray) -> pd.DataFrame:
    names = np.array(["coding", "intergenic"])
    return pd.DataFrame(
        {
            "label": names[labels],
            "prediction": names[(probability > 0.5).astype(int)],
            "probability_coding": 1 - probability,
            "probability_intergenic": probability,
        }
    )


def test_classification_with_and_without_leaks() -> None:
    generator = np.random.default_rng(1)
    labels = generator.integers(0, 2, 400)
    good = np.clip(labels * 0.4 + generator.random(400) * 0.6, 0, 1)
    table = labelled(good, labels).assign(leaked=np.arange(400) < 100)
    results = compare("single_label", "test", "M", table, {"B": labelled(generator.random(400), labels)})
    model, baseline = results["rows"]
    assert model["metrics"]["accuracy"] == pytest.approx(reference.accuracy_score(labels, good > 0.5))
    assert model["metrics"]["auroc"] == pytest.approx(reference.roc_auc_score(labels, good))
    assert model["metrics"]["mcc"] == pytest.approx(reference.matthews_corrcoef(labels, good > 0.5))
    versus = baseline["versus_model"]
    difference = model["metrics"]["accuracy"] - baseline["metrics"]["accuracy"]
    assert versus["mean"] == pytest.approx(difference)
    assert versus["low"] < difference < versus["high"]
    clean = results["leak_free_rows"][0]["metrics"]["accuracy"]
    assert clean == pytest.approx(reference.accuracy_score(labels[100:], good[100:] > 0.5))
    assert "leak_free_rows" not in compare("single_label", "test", "m", table.assign(leaked=True), {})


def test_language_models_are_paired_by_block() -> None:
    starts = np.arange(0, 100_000, 1000)
    table = pd.DataFrame({"chromosome": "c", "start": starts, "end": starts + 1000, "num_bases": 900})
    model, baseline = table.assign(bits=900 * 1.8), table.assign(bits=900 * 1.9)
    results = compare("language_model", "test", "M", model, {"B": baseline})
    assert results["rows"][0]["metrics"]["bits_per_base"] == pytest.approx(1.8)
    versus = results["rows"][1]["versus_model"]
    assert versus["mean"] == pytest.approx(-0.1)
    assert (versus["n"], versus["unit"]) == (5, "20 kb block")
    assert not results["higher_is_better"]


def test_regression_with_several_outputs() -> None:
    generator = np.random.default_rng(2)
    truth = generator.normal(size=(50, 2))
    table = pd.DataFrame({"label_a": truth[:, 0], "label_b": truth[:, 1]})
    table = table.assign(prediction_a=truth[:, 0] + 1, prediction_b=truth[:, 1])
    metrics = compare("regression", "test", "M", table, {})["rows"][0]["metrics"]
    assert metrics["mse"] == pytest.approx(0.5)
    assert metrics["pearson"] == pytest.approx(1)


def test_answers_are_measured_at_each_length() -> None:
    table = pd.DataFrame(
        {
            "length": [64, 64, 1000, 1000],
            "num_bases": [8, 8, 400, 400],
            "num_correct": [8, 4, 100, 300],
            "bits": [0.0, 8.0, 800.0, 400.0],
        }
    )
    results = compare("answers", "test", "M", table, {"B": table.assign(num_correct=table["num_bases"])})
    assert (results["metric"], results["higher_is_better"]) == ("accuracy", True)
    # The mean over examples: long answers do not count for more.
    assert results["rows"][0]["metrics"] == {"accuracy": 0.625, "solved": 0.25, "bits_per_base": 1.0}
    assert results["rows"][1]["versus_model"]["mean"] == -0.375
    short, long = results["by_length"]
    assert (short["length"], short["metrics"]["accuracy"], short["metrics"]["solved"]) == (64, 0.75, 0.5)
    assert (long["length"], long["metrics"]["accuracy"], long["metrics"]["solved"]) == (1000, 0.5, 0.0)
    assert (short["accuracy"]["mean"], short["accuracy"]["n"]) == (0.75, 2)
    assert short["accuracy"]["low"] < 0.75 < short["accuracy"]["high"]


def test_a_metric_that_is_not_defined_is_null() -> None:
    table = pd.DataFrame({"chromosome": ["c"], "start": [0], "end": [9], "num_bases": [9], "bits": [18.0]})
    results = compare("language_model", "test", "M", table, {"B": table})
    assert results["rows"][1]["versus_model"]["low"] is None
