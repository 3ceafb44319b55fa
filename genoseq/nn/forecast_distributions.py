"""What a forecast says beyond its value: quantiles or a distribution, their losses, and how good they were.

A model gives P numbers a value on the normalised scale of its window, and that scale. The first of them is
where the forecast is.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, Literal, get_args

import torch
from scipy import special
from torch.distributions import Distribution, Normal, StudentT
from torch.nn import functional as F

from genoseq.errors import ConfigError, require_choice

DistributionName = Literal["point", "quantiles", "gaussian", "student_t"]

# Least scale of a distribution on the normalised scale, and what freedom is added to: a finite variance.
_LEAST_SCALE = 1e-4
_LEAST_FREEDOM = 2.01


@dataclass(frozen=True)
class ForecastNumbers:
    """What a model gives.

    Attributes:
        parameters: (B, H, C, P) on the normalised scale.
        location, scale: (B, 1, C) of the normalisation.
    """

    parameters: torch.Tensor
    location: torch.Tensor
    scale: torch.Tensor

    def back(self, values: torch.Tensor) -> torch.Tensor:
        """Values (B, H, C) from the normalised scale."""
        return values * self.scale + self.location


class ForecastDistribution(ABC):
    """How to read the P numbers of a value. Targets and results are (B, H, C).

    Attributes:
        name: as settings call it.
        num_parameters: P.
        level: of the central interval; None for points.
    """

    name: ClassVar[DistributionName]
    num_parameters: int
    level: float | None = None

    def to_json(self) -> dict[str, Any]:
        """What makes it again, through `make_distribution`."""
        return {"name": self.name, "level": self.level, "quantiles": None}

    def point(self, numbers: ForecastNumbers) -> torch.Tensor:
        """The forecast as one value: the median, or the mean."""
        return numbers.back(numbers.parameters[..., 0])

    @abstractmethod
    def loss(self, numbers: ForecastNumbers, target: torch.Tensor) -> torch.Tensor:
        """What training makes small, at each value."""

    @abstractmethod
    def crps(self, numbers: ForecastNumbers, target: torch.Tensor) -> torch.Tensor:
        """Continuous ranked probability score, in units of the target: the absolute error of a point.

        Source: Gneiting and Raftery 2007, "Strictly Proper Scoring Rules, Prediction, and Estimation".
        """

    def interval(self, numbers: ForecastNumbers) -> tuple[torch.Tensor, torch.Tensor] | None:
        """The ends of the central interval of `level`; None for points."""
        return None


class Point(ForecastDistribution):
    """One value, and no word of how sure it is. The loss is the squared error."""

    name: ClassVar[DistributionName] = "point"
    num_parameters = 1

    def loss(self, numbers: ForecastNumbers, target: torch.Tensor) -> torch.Tensor:
        return (self.point(numbers) - target) ** 2

    def crps(self, numbers: ForecastNumbers, target: torch.Tensor) -> torch.Tensor:
        return (self.point(numbers) - target).abs()


class Quantiles(ForecastDistribution):
    """The median, and quantiles on both sides as steps away from it, which therefore never cross.

    The loss is the quantile loss, summed over the quantiles; the score is twice its mean.

    Args:
        quantiles: probabilities, 0.5 among them and as many below as above.

    Raises:
        ConfigError: they are others.
    """

    name: ClassVar[DistributionName] = "quantiles"

    def __init__(self, quantiles: Sequence[float]) -> None:
        chosen = sorted(float(value) for value in quantiles)
        middle = len(chosen) // 2
        apart = all(low < high for low, high in pairwise(chosen))
        if len(chosen) < 3 or len(chosen) % 2 == 0 or chosen[middle] != 0.5 or not apart or chosen[0] <= 0:
            raise ConfigError(
                f"quantiles={list(quantiles)}: give different probabilities between 0 and 1, 0.5 in their "
                "middle, such as [0.1, 0.25, 0.5, 0.75, 0.9]."
            )
        if chosen[-1] >= 1:
            raise ConfigError(f"quantiles={list(quantiles)}: a quantile lies below 1.")
        self.quantiles = chosen
        self.num_parameters = len(chosen)
        self.level = chosen[-1] - chosen[0]

    def to_json(self) -> dict[str, Any]:
        return {**super().to_json(), "quantiles": self.quantiles}

    def values(self, numbers: ForecastNumbers) -> torch.Tensor:
        """(B, H, C, P), from the lowest quantile to the highest."""
        median, steps = numbers.parameters[..., :1], F.softplus(numbers.parameters[..., 1:])
        below, above = steps.chunk(2, dim=-1)
        ordered = torch.cat([median - below.cumsum(-1).flip(-1), median, median + above.cumsum(-1)], dim=-1)
        return ordered * numbers.scale.unsqueeze(-1) + numbers.location.unsqueeze(-1)

    def loss(self, numbers: ForecastNumbers, target: torch.Tensor) -> torch.Tensor:
        return self._each(numbers, target).sum(-1)

    def crps(self, numbers: ForecastNumbers, target: torch.Tensor) -> torch.Tensor:
        return 2 * self._each(numbers, target).mean(-1)

    def interval(self, numbers: ForecastNumbers) -> tuple[torch.Tensor, torch.Tensor]:
        values = self.values(numbers)
        return values[..., 0], values[..., -1]

    def _each(self, numbers: ForecastNumbers, target: torch.Tensor) -> torch.Tensor:
        error = target.unsqueeze(-1) - self.values(numbers)
        probability = error.new_tensor(self.quantiles)
        return torch.maximum(probability * error, (probability - 1) * error)


class Parametric(ForecastDistribution):
    """A distribution of torch. The loss is its negative log-likelihood, in nats.

    Args:
        level: of the central interval.

    Raises:
        ConfigError: no share between 0 and 1.
    """

    level: float

    def __init__(self, level: float) -> None:
        if not 0 < level < 1:
            raise ConfigError(f"level={level}: give the share that an interval shall hold, such as 0.8.")
        self.level = level

    @abstractmethod
    def distribution(self, numbers: ForecastNumbers) -> Distribution:
        """Of each value."""

    def loss(self, numbers: ForecastNumbers, target: torch.Tensor) -> torch.Tensor:
        return -self.distribution(numbers).log_prob(target)


class Gaussian(Parametric):
    """A normal distribution: its mean, and its standard deviation through softplus."""

    name: ClassVar[DistributionName] = "gaussian"
    num_parameters = 2

    def distribution(self, numbers: ForecastNumbers) -> Normal:
        """Of each value."""
        return Normal(self.point(numbers), _spread(numbers), validate_args=False)

    def crps(self, numbers: ForecastNumbers, target: torch.Tensor) -> torch.Tensor:
        spread = _spread(numbers)
        z = (target - self.point(numbers)) / spread
        density = torch.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
        return spread * (z * (2 * torch.special.ndtr(z) - 1) + 2 * density - 1 / math.sqrt(math.pi))

    def interval(self, numbers: ForecastNumbers) -> tuple[torch.Tensor, torch.Tensor]:
        half = _spread(numbers) * float(special.ndtri((1 + self.level) / 2))
        return self.point(numbers) - half, self.point(numbers) + half


class StudentTForecast(Parametric):
    """Student's t distribution, with as many degrees of freedom as each value wants, above 2."""

    name: ClassVar[DistributionName] = "student_t"
    num_parameters = 3

    def distribution(self, numbers: ForecastNumbers) -> StudentT:
        """Of each value."""
        freedom = _LEAST_FREEDOM + F.softplus(numbers.parameters[..., 2])
        return StudentT(freedom, self.point(numbers), _spread(numbers), validate_args=False)

    def loss(self, numbers: ForecastNumbers, target: torch.Tensor) -> torch.Tensor:
        return -self.distribution(numbers).log_prob(target)

    def crps(self, numbers: ForecastNumbers, target: torch.Tensor) -> torch.Tensor:
        """See `ForecastDistribution.crps`; no gradient passes.

        Source: Jordan, Krüger and Lerch 2019, "Evaluating Probabilistic Forecasts with scoringRules",
        appendix A.
        """
        known = self.distribution(numbers)
        freedom, z = known.df, (target - known.loc) / known.scale
        below = _on_host(special.stdtr, freedom, z)
        density = StudentT(freedom, validate_args=False).log_prob(z).exp()
        ratio = torch.exp(
            2 * torch.lgamma((freedom + 1) / 2)
            - 2 * torch.lgamma(freedom / 2)
            + torch.lgamma(freedom - 0.5)
            - torch.lgamma(freedom)
        )
        # B(1/2, v - 1/2) / B(1/2, v/2)^2, with Gamma(1/2)^2 = pi.
        beta = ratio / math.sqrt(math.pi)
        inner = z * (2 * below - 1) + 2 * density * (freedom + z**2) / (freedom - 1)
        return known.scale * (inner - 2 * freedom.sqrt() / (freedom - 1) * beta)

    def interval(self, numbers: ForecastNumbers) -> tuple[torch.Tensor, torch.Tensor]:
        known = self.distribution(numbers)
        above = torch.full_like(known.df, (1 + self.level) / 2)
        half = known.scale * _on_host(special.stdtrit, known.df, above)
        return known.loc - half, known.loc + half


def make_distribution(
    *, name: str, level: float | None = None, quantiles: Sequence[float] | None = None
) -> ForecastDistribution:
    """A distribution by its name.

    Raises:
        ConfigError: there is none of this name, or it wants other settings.
    """
    require_choice("distribution", name, get_args(DistributionName))
    if name == "point":
        return Point()
    if name == "quantiles":
        return Quantiles(quantiles or ())
    if level is None:
        raise ConfigError(f"distribution={name} wants a level for its intervals, such as 0.8.")
    return Gaussian(level) if name == "gaussian" else StudentTForecast(level)


def numbers_of(output: Any) -> ForecastNumbers:
    """The numbers of a forecaster's output (`genoseq.models.signal.SignalOutput`)."""
    if output.parameters is None:
        zero = torch.zeros_like(output.prediction[:, :1])
        return ForecastNumbers(output.prediction.unsqueeze(-1), zero, zero + 1)
    return ForecastNumbers(output.parameters, output.location, output.scale)


def _spread(numbers: ForecastNumbers) -> torch.Tensor:
    return (F.softplus(numbers.parameters[..., 1]) + _LEAST_SCALE) * numbers.scale


def _on_host(function: Any, *values: torch.Tensor) -> torch.Tensor:
    """What torch lacks, by SciPy: values without gradients."""
    arrays = [value.detach().double().cpu().numpy() for value in values]
    return torch.as_tensor(function(*arrays), device=values[0].device, dtype=values[0].dtype)
