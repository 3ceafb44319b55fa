from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from genoseq.errors import DataError
from genoseq.report.folder import AtLength, RunFolder
from genoseq.report.plots import plots_of
from genoseq.report.plots.abilities import accuracy_by_length
from genoseq.report.plots.classification import classification_plots
from genoseq.report.plots.composition import composition_plots, gc_fractions, kmer_counts
from genoseq.report.plots.curves import learning_curves
from genoseq.report.plots.language_model import bits_along
from genoseq.report.plots.regression import regression_plot, traces_plot
from genoseq.report.style import PALETTE
from genoseq.sequence import encode_bases
from genoseq.statistics import Estimate


def test_kmers_are_counted_as_a_plain_loop_counts_them() -> None:
    sequences = ["ACGTNACGGTACCA", "AC", "GGGTTTACNN"]
    for k in (1, 2, 3):
        words = ["".join(word) for word in product("ACGT", repeat=k)]
        plain = [sum(s[i : i + k] == word for s in sequences for i in range(len(s))) for word in words]
        assert kmer_counts([encode_bases(s) for s in sequences], k).tolist() == plain


def test_gc_leaves_out_unknown_bases() -> None:
    assert gc_fractions([encode_bases("GCATNNNNGGGN")], 4).tolist() == [0.5, 1.0]
    assert gc_fractions([encode_bases("GC")], 4).size == 0


def test_generated_as_real_lies_at_the_distance_of_a_real_sample() -> None:
    generator = np.random.default_rng(0)
    real, same, other = (
        "".join(generator.choice(list("ACGT"), size=length, p=shares))
        for length, shares in (
            (60_000, [0.4, 0.1, 0.1, 0.4]),
            (6_000, [0.4, 0.1, 0.1, 0.4]),
            (6_000, [0.25] * 4),
        )
    )
    distance = {}
    for name, generated in (("same", same), ("other", other)):
        plot = next(plot for plot in composition_plots([generated], [real]) if plot.name == "kmer_distance")
        distance[name], sample = (line.get_ydata()[1] for line in plot.figure.axes[0].lines)
    assert abs(distance["same"] - sample) < 0.02
    assert distance["other"] > sample + 0.1


@pytest.mark.parametrize("sequences", [["A"], ["NNNN"], ["ACGT" * 10]])
def test_short_or_unknown_sequences_do_not_crash(sequences: list[str]) -> None:
    composition_plots(sequences, ["ACGTTGCA" * 50])
    composition_plots(["ACGTTGCA" * 50], sequences)


def test_bits_are_summed_over_bins_and_gaps_break_the_line() -> None:
    tiles = pd.DataFrame(
        {
            "chromosome": ["2", "2", "2"],
            "start": [0, 500, 3000],
            "end": [500, 1000, 3500],
            "num_bases": [500, 100, 500],
            "bits": [500.0, 200.0, 1000.0],
        }
    )
    (plot,) = bits_along(tiles, {}, "model")
    (line,) = plot.figure.axes[0].lines
    np.testing.assert_allclose(line.get_xdata(), [0.0005, 0.0015, 0.0025, 0.0035])
    np.testing.assert_allclose(line.get_ydata(), [700 / 600, np.nan, np.nan, 2.0])


def test_language_model_run_names_its_baselines_as_the_table_does(language_model_run: Path) -> None:
    (plot,) = plots_of(RunFolder(language_model_run))["predictions"]
    shown = {line.get_label() for line in plot.figure.axes[0].lines}
    assert {"HyenaDNA", "static Markov (order 10)", "frozen counter"} <= shown


def test_answers_have_a_line_a_model_beside_chance() -> None:
    def rows(*accuracies: float) -> list[AtLength]:
        return [
            AtLength(2**place, {}, Estimate(value, value - 0.01, value + 0.01, 9, "example"))
            for place, value in enumerate(accuracies, start=7)
        ]

    plot = accuracy_by_length({"a": rows(1.0, 0.9, 0.3), "b": rows(0.8, 0.25)}, trained_at=128)
    lines = {line.get_label(): line for line in plot.figure.axes[0].lines}
    assert list(lines["a"].get_xdata()) == [128, 256, 512]
    assert list(lines["a"].get_ydata()) == [1.0, 0.9, 0.3]
    assert list(lines["b"].get_ydata()) == [0.8, 0.25]
    assert set(lines["chance"].get_ydata()) == {0.25}
    assert set(lines["length trained at"].get_xdata()) == {128}
    unknown = accuracy_by_length({"a": rows(1.0)}, trained_at=None)
    assert "length trained at" not in {line.get_label() for line in unknown.figure.axes[0].lines}


def test_validation_ring_is_at_the_best_value() -> None:
    log = pd.DataFrame({"step": [1, 2, 3], "val/accuracy": [0.5, 0.9, 0.8], "val/loss": [0.7, 0.4, 0.3]})
    best = {
        plot.name: plot.figure.axes[0].lines[-1].get_xdata()[0]
        for plot in learning_curves(log, "single_label")
    }
    assert best == {"curve_loss": 3, "curve_accuracy": 2}


def test_three_classes_have_a_curve_each() -> None:
    generator = np.random.default_rng(0)
    probability = generator.dirichlet([1, 1, 1], size=90)
    table = pd.DataFrame(probability, columns=["probability_a", "probability_b", "probability_c"])
    table["label"] = generator.choice(list("abc"), size=90)
    table["prediction"] = np.array(list("abc"))[probability.argmax(axis=1)]
    confusion, roc, *_ = classification_plots(table, {}, "model")
    written = {text.get_text().split("\n")[0] for text in confusion.figure.axes[0].texts}
    assert str(((table["label"] == "a") & (table["prediction"] == "a")).sum()) in written
    assert len(roc.figure.axes[0].get_legend().get_texts()) == 3
    table.loc[0, "label"] = "d"
    with pytest.raises(DataError, match="'d'"):
        classification_plots(table, {}, "model")


def test_several_labels_an_example_have_no_confusion_matrix() -> None:
    generator = np.random.default_rng(0)
    table = pd.DataFrame({f"probability_{name}": generator.random(50) for name in "abc"})
    for name in "abc":
        table[f"label_{name}"] = generator.integers(0, 2, size=50)
    assert [plot.name for plot in classification_plots(table, {}, "model")] == [
        "roc",
        "precision_recall",
        "reliability",
    ]


def test_a_curve_has_its_colour_whatever_else_can_be_drawn() -> None:
    generator = np.random.default_rng(0)
    table = pd.DataFrame({f"probability_{name}": generator.random(50) for name in "abc"})
    for name in "abc":
        table[f"label_{name}"] = generator.integers(0, 2, size=50)

    def colours() -> dict[str, str]:
        roc, *_ = classification_plots(table, {}, "model")
        return {str(line.get_label())[0]: line.get_color() for line in roc.figure.axes[0].lines}

    table["label_a"] = [0] + [1] * 49
    whole = colours()
    table["label_a"] = 1
    without = colours()
    assert set("abc") <= whole.keys()
    assert without == {name: colour for name, colour in whole.items() if name != "a"}


def test_regression_says_how_well_it_correlates() -> None:
    label = np.arange(30.0)
    plot = regression_plot(pd.DataFrame({"label": label, "prediction": 2 * label + 1}))
    assert "Pearson 1.000, Spearman 1.000" in plot.caption
    regression_plot(pd.DataFrame({"label": [1.0], "prediction": [1.0]}))


def test_palette_colours_are_told_apart() -> None:
    assert (
        len({colour.light for colour in PALETTE})
        == len({colour.variable for colour in PALETTE})
        == len(PALETTE)
    )


def test_traces_of_several_outputs_follow_the_order_of_the_sequences(tmp_path: Path) -> None:
    rows = [
        {"index": index, "position": position, "label_a": 10 * index + position, "prediction_a": 0.0}
        | {"label_b": 1.0, "prediction_b": 2.0}
        for index, position in ((1, 0), (1, 1), (0, 1), (0, 0))
    ]
    plot = traces_plot(pd.DataFrame(rows))
    first, second = plot.figure.axes
    true, predicted, border = first.get_lines()
    assert true.get_ydata().tolist() == [0, 1, 10, 11]
    assert predicted.get_ydata().tolist() == [0.0] * 4
    assert border.get_xdata() == [1.5, 1.5]
    assert (first.get_ylabel(), second.get_ylabel()) == ("a", "b")
    assert plot.save_png(tmp_path).stat().st_size > 5000
