import math

import pytest

from genoseq.report.folder import Results, Row
from genoseq.report.words import count, detail, duration, headline, memory, number, standing, units, verdict
from genoseq.statistics import Estimate


def _row(name: str, value: float, low: float | None = None, high: float | None = None, n: int = 21) -> Row:
    versus = None if low is None or high is None else Estimate((low + high) / 2, low, high, n, "20 kb block")
    return Row(name, "model" if versus is None else "baseline", {"bits_per_base": value}, versus)


def _results(*rows: Row, higher_is_better: bool = False) -> Results:
    return Results("language_model", "test", "bits_per_base", higher_is_better, rows, ())


@pytest.mark.parametrize(
    ("low", "high", "higher_is_better", "expected"),
    [
        (0.1, 0.2, True, "better"),
        (0.1, 0.2, False, "worse"),
        (-0.2, -0.1, True, "worse"),
        (-0.2, -0.1, False, "better"),
        (-0.1, 0.2, True, "open"),
        (math.nan, math.nan, True, "open"),
    ],
)
def test_verdict_follows_the_interval(low: float, high: float, higher_is_better: bool, expected: str) -> None:
    assert verdict(_row("x", 1.8, low, high), higher_is_better=higher_is_better) == expected


def test_headline_names_the_best_baseline() -> None:
    results = _results(
        _row("Ours", 1.8), _row("static (order 8)", 1.89, -0.1, -0.08), _row("mixing", 1.86, -0.07, -0.05)
    )
    assert (
        headline(results)
        == "Ours beats both baselines on the test split: 1.800 bits per base, against 1.860 for mixing."
    )
    assert "−0.060 (95 % interval −0.070 to −0.050, paired over 21 blocks of 20 kb)" in detail(results)


def test_standing_never_hides_a_defeat() -> None:
    results = _results(
        _row("Ours", 1.8), _row("a", 1.9, -0.1, -0.05), _row("b", 1.8, -0.01, 0.01), _row("c", 1.7, 0.05, 0.2)
    )
    assert standing(results) == "beats a but is level with b but falls behind c"


def test_headline_without_baselines_or_without_a_value() -> None:
    assert headline(_results(_row("Ours", 1.8))) == "Ours reaches 1.800 bits per base on the test split."
    assert headline(_results()) == ""


def test_numbers_read_well() -> None:
    assert number(-0.01234) == "−0.012"
    assert number(0.5, signed=True) == "+0.500"
    assert number(math.nan) == "–"
    assert number(1234.56) == "1234.6"
    assert [count(value) for value in (436_312, 6_550_000, 12)] == ["436k", "6.55M", "12"]
    assert [duration(value) for value in (3.21, 96.2, 3725)] == ["3.2 s", "1 min 36 s", "1 h 2 min"]
    assert [memory(value) for value in (812_345_344, 3 * 2**30)] == ["775 MiB", "3.00 GiB"]
    assert units(Estimate(0, 0, 0, 1, "example")) == "1 example"
    assert units(Estimate(0, 0, 0, 2412, "example")) == "2,412 examples"
