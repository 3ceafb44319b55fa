"""Ways from sequences to better ones. Each design is a lineage of its own, with random numbers of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from genoseq.errors import ConfigError, require_whole
from genoseq.inference.design.scorers import ModelScorer, Scorer
from genoseq.sequence import decode_bases
from genoseq.sequence.feasible import Feasible

Method = Literal["evolution", "sampling", "gradient"]
# A design's own base before any other, however these are shuffled.
_KEPT, _MUTATED = 2.0, 4.0
_FIRST_LOGIT = 2.0


@dataclass(frozen=True)
class Search:
    """How far and how fast to go.

    Attributes:
        rounds: of mutation and selection, of proposals, or of gradient steps.
        children: of each design in each round of evolution.
        mutations: the most bases that a child or a proposal has changed before it is mended.
        temperature: of sampling, in units of the score: a loss of so much is accepted in 37 % of cases; of
            gradients, how far the sequences that are tried are from the likeliest.
        learning_rate: of the gradient steps.

    Raises:
        ConfigError: a setting is outside its range.
    """

    rounds: int = 50
    children: int = 16
    mutations: int = 3
    temperature: float = 0.5
    learning_rate: float = 0.1

    def __post_init__(self) -> None:
        require_whole(rounds=self.rounds, children=self.children, mutations=self.mutations)
        for name in ("rounds", "children", "mutations"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}={getattr(self, name)}: give 1 or more.")
        for name in ("temperature", "learning_rate"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"{name}={getattr(self, name)}: give more than 0.")


@dataclass
class Population:
    """Designs under way.

    Attributes:
        feasible: what all of them hold.
        scorer: what tells how good they are.
        sign: 1 where more is better, -1 where less is.
        codes: (B, L) uint8, the best of each so far.
        scores: (B,) float64, theirs times the sign.
        generators: the random numbers of each.
    """

    feasible: Feasible
    scorer: Scorer
    sign: int
    codes: np.ndarray
    scores: np.ndarray
    generators: Sequence[np.random.Generator]

    def rate(self, codes: np.ndarray) -> np.ndarray:
        """(N,) scores times the sign."""
        return self.sign * np.asarray(self.scorer([decode_bases(row) for row in codes]), dtype=np.float64)

    def keep(self, codes: np.ndarray, scores: np.ndarray) -> None:
        """Put (B, L) in the place of those that are worse."""
        better = scores > self.scores
        self.codes[better], self.scores[better] = codes[better], scores[better]


def evolve(population: Population, search: Search) -> Iterator[None]:
    """Directed evolution: of the children of each design the best follows it, where it is better."""
    mutable = _mutable(population.feasible)
    for _ in range(search.rounds):
        children = _mutants(population, population.codes, mutable, search.mutations, search.children)
        scores = population.rate(children).reshape(-1, search.children)
        chosen = scores.argmax(axis=1)
        rows = np.arange(len(scores))
        population.keep(children.reshape(*scores.shape, -1)[rows, chosen], scores[rows, chosen])
        yield


def sample(population: Population, search: Search) -> Iterator[None]:
    """Metropolis steps, in which a worse sequence is sometimes accepted; the best that was met is kept.

    Mending what a mutation breaks makes proposals slightly uneven: this searches, it does not integrate.
    """
    mutable = _mutable(population.feasible)
    codes, scores = population.codes.copy(), population.scores.copy()
    for _ in range(search.rounds):
        proposals = _mutants(population, codes, mutable, search.mutations, 1)
        proposed = population.rate(proposals)
        odds = np.exp(np.minimum((proposed - scores) / search.temperature, 0))
        accepted = np.array([generator.random() for generator in population.generators]) < odds
        codes[accepted], scores[accepted] = proposals[accepted], proposed[accepted]
        population.keep(codes, scores)
        yield


def ascend(population: Population, search: Search) -> Iterator[None]:
    """Gradient steps on the logits of every base.

    In each step a sequence is drawn from the logits under the constraints, the model reads it, and the
    gradient at its bases moves the logits as if it had read their shares (straight-through estimator, Bengio
    et al. 2013; for sequences, Linder and Seelig 2021). What was drawn is what is scored and kept.

    Raises:
        ConfigError: the scorer is no model, or one whose gradients do not reach the sequence.
    """
    scorer = population.scorer
    if not isinstance(scorer, ModelScorer):
        raise ConfigError("method=gradient needs a model as scorer: use method=evolution or sampling.")
    hard = torch.from_numpy(population.codes.astype(np.int64))
    logits = (_FIRST_LOGIT * torch.nn.functional.one_hot(hard, 4).double()).requires_grad_()
    optimizer = torch.optim.Adam([logits], lr=search.learning_rate)
    for _ in range(search.rounds):
        codes = _drawn(population, logits.detach().numpy(), search.temperature)
        shares = (logits / search.temperature).softmax(dim=-1)
        chosen = torch.nn.functional.one_hot(torch.from_numpy(codes.astype(np.int64)), 4).double()
        scores = population.sign * scorer.differentiable(codes, (chosen + shares - shares.detach()).float())
        optimizer.zero_grad()
        (-scores.sum()).backward()
        optimizer.step()
        population.keep(codes, scores.detach().double().cpu().numpy())
        yield


METHODS: dict[Method, Callable[[Population, Search], Iterator[None]]] = {
    "evolution": evolve,
    "sampling": sample,
    "gradient": ascend,
}


def _mutable(feasible: Feasible) -> np.ndarray:
    """Places with more than one possible base.

    Raises:
        ConfigError: there is none.
    """
    places = np.flatnonzero(feasible.possible.sum(axis=1) > 1)
    if not len(places):
        raise ConfigError("the constraints leave one sequence only: there is nothing to design.")
    return places


def _mutants(
    population: Population, parents: np.ndarray, mutable: np.ndarray, mutations: int, count: int
) -> np.ndarray:
    """(B x count, L) codes: the parents (B, L), each `count` times with 1 to `mutations` bases changed, and
    mended where that broke something."""
    uniforms = np.stack(
        [generator.random((count, 1 + 2 * mutations)) for generator in population.generators]
    ).reshape(-1, 1 + 2 * mutations)
    changes = 1 + (uniforms[:, 0] * mutations).astype(np.int64)
    places = mutable[(uniforms[:, 1 : 1 + mutations] * len(mutable)).astype(np.int64)]
    shifts = 1 + (uniforms[:, 1 + mutations :] * 3).astype(np.uint8)
    origins = np.repeat(parents, count, axis=0)
    children = origins.copy()
    for number in range(mutations):
        rows = np.flatnonzero(changes > number)
        here = places[rows, number]
        children[rows, here] = (origins[rows, here] + shifts[rows, number]) % 4
    for row in np.flatnonzero(~population.feasible.holds(children)):
        generator = population.generators[int(row) // count]
        children[row] = _mended(population.feasible, origins[row], children[row], generator)
    return children


def _mended(
    feasible: Feasible, parent: np.ndarray, child: np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    """(L,) codes that hold, with the changes of a child where they can be."""
    preferences = generator.random((len(parent), 4))
    places = np.arange(len(parent))
    preferences[places, parent] = _KEPT
    changed = np.flatnonzero(child != parent)
    preferences[changed, child[changed]] = _MUTATED
    return feasible.find(preferences, generator)


def _drawn(population: Population, logits: np.ndarray, temperature: float) -> np.ndarray:
    """(B, L) sequences drawn from logits under the constraints."""
    rows = [
        population.feasible.find(row + temperature * generator.gumbel(size=row.shape), generator)
        for row, generator in zip(logits, population.generators, strict=True)
    ]
    return np.stack(rows)
