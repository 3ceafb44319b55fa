"""Quantiles and distributions of forecasts against SciPy's, and their scores against plain integrals."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from genoseq.errors import ConfigError
from genoseq.nn.forecast_distributions import (
    ForecastNumbers,
    Gaussian,
    Point,
    Quantiles,
    StudentTForecast,
    make_distribution,
)

LEVELS = [0.05, 0.25, 0.5, 0.75, 0.95]


def numbers(parameters: int, values: int = 6) -> ForecastNumbers:
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randn(1, values, 1, parameters, generator=generator, dtype=torch.float64)
    return ForecastNumbers(drawn, torch.full((1, 1, 1), 2.0).double(), torch.full((1, 1, 1), 1.5).double())


def targets(values: int = 6) -> torch.Tensor:
    return torch.linspace(-3, 5, values, dtype=torch.float64).view(1, values, 1)


@pytest.mark.parametrize("kind", [Gaussian, StudentTForecast])
def test_scores_and_likelihoods_are_those_of_the_distribution(kind: type) -> None:
    known, given, target = kind(0.8), numbers(kind.num_parameters), targets()
    parts = known.distribution(given)
    spread, place = parts.scale.numpy().ravel(), parts.loc.numpy().ravel()
    shape = [] if kind is Gaussian else [parts.df.numpy().ravel()]
    family = stats.norm if kind is Gaussian else stats.t
    exact = family(*shape, loc=place, scale=spread)
    y = target.numpy().ravel()
    np.testing.assert_allclose(known.loss(given, target).ravel(), -exact.logpdf(y))
    low, high = known.interval(given)
    np.testing.assert_allclose(low.ravel(), exact.ppf(0.1), rtol=1e-6)
    np.testing.assert_allclose(high.ravel(), exact.ppf(0.9), rtol=1e-6)
    grid = np.linspace(-400, 400, 400_001)[:, None]
    integral = np.trapezoid((exact.cdf(grid) - (grid >= y)) ** 2, grid[:, 0], axis=0)
    np.testing.assert_allclose(known.crps(given, target).ravel(), integral, atol=2e-3)


def test_quantiles_never_cross_and_the_middle_one_is_the_forecast() -> None:
    known, given = Quantiles([0.95, 0.05, 0.25, 0.5, 0.75]), numbers(5)
    values = known.values(given)
    assert (values.diff(dim=-1) > 0).all()
    torch.testing.assert_close(values[..., 2], known.point(given))
    assert known.level == pytest.approx(0.9)
    low, high = known.interval(given)
    assert torch.equal(low, values[..., 0])
    assert torch.equal(high, values[..., -1])


def test_the_quantile_loss_is_least_at_the_quantiles() -> None:
    sample = torch.from_numpy(stats.norm.rvs(size=4001, random_state=0)).view(1, -1, 1)
    known = Quantiles(LEVELS)
    parameters = torch.zeros(1, 1, 1, 5, dtype=torch.float64, requires_grad=True)
    zero, one = torch.zeros(1, 1, 1).double(), torch.ones(1, 1, 1).double()
    optimizer = torch.optim.LBFGS([parameters], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        given = ForecastNumbers(parameters.expand(-1, 4001, -1, -1), zero, one)
        loss = known.loss(given, sample).mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    found = known.values(ForecastNumbers(parameters, zero, one)).detach().numpy().ravel()
    np.testing.assert_allclose(found, np.quantile(sample, LEVELS), atol=0.03)


def test_a_point_is_scored_by_its_absolute_error() -> None:
    given, target = numbers(1), targets()
    error = (Point().point(given) - target).abs()
    assert torch.equal(Point().crps(given, target), error)
    assert torch.equal(Point().loss(given, target), error**2)
    assert Point().interval(given) is None


def test_they_come_back_from_json() -> None:
    for known in (Point(), Quantiles(LEVELS), Gaussian(0.5), StudentTForecast(0.9)):
        again = make_distribution(**known.to_json())
        assert type(again) is type(known)
        assert again.to_json() == known.to_json()


@pytest.mark.parametrize(
    "settings",
    [
        {"name": "cauchy"},
        {"name": "gaussian"},
        {"name": "gaussian", "level": 1.0},
        {"name": "quantiles"},
        {"name": "quantiles", "quantiles": [0.1, 0.9]},
        {"name": "quantiles", "quantiles": [0.1, 0.2, 0.9]},
        {"name": "quantiles", "quantiles": [0.0, 0.5, 0.9]},
        {"name": "quantiles", "quantiles": [0.1, 0.5, 1.0]},
        {"name": "quantiles", "quantiles": [0.1, 0.5, 0.5, 0.5, 0.9]},
    ],
)
def test_settings_that_are_none(settings: dict) -> None:
    with pytest.raises(ConfigError):
        make_distribution(**settings)
