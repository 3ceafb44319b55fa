"""Designs from their first sequences to the table of what became of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from genoseq.errors import ConfigError, SequenceError, require_choice, require_whole
from genoseq.inference.design.infilling import infill
from genoseq.inference.design.methods import METHODS, Method, Population, Search
from genoseq.inference.design.scorers import Scorer
from genoseq.inference.devices import explain_full_memory
from genoseq.models.base import SequenceModel
from genoseq.models.chunks import batches
from genoseq.models.sampling import Sampling
from genoseq.models.strand_heads import MaskedLanguageModelHead
from genoseq.sequence import BASES, Constraints, decode_bases, encode_bases
from genoseq.sequence.feasible import Feasible

Direction = Literal["maximise", "minimise"]
_KEPT = 2.0


@dataclass(frozen=True)
class Designs:
    """What came of designing.

    Attributes:
        table: a row a design: `sequence`, `score`, `start` (the sequence it began as, constraints held) and
            `start_score`.
        rounds: a row a round, the first before any: `round`, and the `median`, `low` and `high` (5 and 95 %)
            of the best score of each design so far.
    """

    table: pd.DataFrame
    rounds: pd.DataFrame


def design(
    scorer: Scorer,
    constraints: Constraints,
    *,
    num_sequences: int,
    method: Method = "evolution",
    search: Search = Search(),  # noqa: B008 - frozen
    direction: Direction = "maximise",
    starts: Sequence[str] | None = None,
    seed: int = 0,
    batch_size: int = 64,
    progress: Callable[[Iterator[int]], Iterator[int]] = iter,
) -> Designs:
    """Design sequences that a scorer finds good and that hold all constraints.

    Design i depends on the scorer, the settings, the seed and i, not on `batch_size`.

    Args:
        scorer: what is raised, or lowered.
        constraints: held by every sequence that is scored; each design is verified against them by other
            means at the end.
        num_sequences: how many designs.
        method: `evolution`, `sampling` or `gradient`; see `genoseq.inference.design.methods`.
        search: how far and how fast.
        direction: whether more of the score is better.
        starts: sequences to begin from, taken in turn and mended where they break a constraint; None begins
            from random ones.
        seed: of all random numbers.
        batch_size: designs at a time.
        progress: wraps the numbers of finished designs, to show them.

    Raises:
        ConfigError: constraints contradict each other, or a setting is out of range.
        SequenceError: a start of another length, or no nucleotides.
    """
    require_choice("method", method, get_args(Method))
    require_choice("direction", direction, get_args(Direction))
    require_whole(num_sequences=num_sequences, batch_size=batch_size, seed=seed)
    if num_sequences < 1:
        raise ConfigError(f"num_sequences={num_sequences} has to be at least 1.")
    feasible = Feasible(constraints)
    sign = 1 if direction == "maximise" else -1
    tables, histories = [], []
    for indices in batches(progress(iter(range(num_sequences))), batch_size):
        generators = [np.random.default_rng([seed, index]) for index in indices]
        begun = np.stack(
            [
                _begun(feasible, starts, index, generator)
                for index, generator in zip(indices, generators, strict=True)
            ]
        )
        population = Population(feasible, scorer, sign, begun.copy(), np.empty(0), generators)
        population.scores = population.rate(begun)
        first = population.scores.copy()
        history = [first, *(population.scores.copy() for _ in METHODS[method](population, search))]
        tables.append(_table(population, begun, first))
        histories.append(sign * np.stack(history))
    table = pd.concat(tables, ignore_index=True)
    _verify(table["sequence"], constraints)
    return Designs(table, _summary(np.concatenate(histories, axis=1)))


def draw(
    model: SequenceModel,
    scorer: Scorer,
    constraints: Constraints,
    *,
    num_sequences: int,
    candidates: int = 16,
    control: str | None = None,
    sampling: Sampling = Sampling(),  # noqa: B008 - frozen
    sweeps: int = 10,
    direction: Direction = "maximise",
    seed: int = 0,
    batch_size: int = 64,
    progress: Callable[[Iterator[int]], Iterator[int]] = iter,
) -> Designs:
    """Designs from a language model: of some candidates that it writes under the constraints, the best.

    Args:
        model: a language model of single nucleotides: a causal one writes base by base, a masked one as
            `genoseq.inference.design.infill` does.
        candidates: of each design; `start` in the table is the first of them.
        control: the label that they are to have, of a causal model that was trained with control tokens.
        sampling: how bases are drawn; by a masked model at its temperature, with no other rule.
        sweeps: of a masked model, times that every base is drawn.
        scorer, constraints, num_sequences, direction, seed, batch_size, progress: as for `design`;
            `batch_size` is of candidates.

    Raises:
        ConfigError: constraints contradict each other, a setting is out of range, or the model is no such.
        SequenceError: the length is beyond what the model takes.
        DeviceError: a batch does not fit in memory.
    """
    require_choice("direction", direction, get_args(Direction))
    require_whole(num_sequences=num_sequences, candidates=candidates, batch_size=batch_size, seed=seed)
    if min(num_sequences, candidates) < 1:
        raise ConfigError(f"num_sequences={num_sequences}, candidates={candidates}: both are 1 or more.")
    feasible, sign = Feasible(constraints), 1 if direction == "maximise" else -1
    settings: dict[str, Any] = {"feasible": feasible, "sampling": sampling, "seed": seed}
    write: Callable[[int, int], list[str]]
    if isinstance(model.head, MaskedLanguageModelHead):
        _require_plain(control, sampling)
        write = partial(_by_infilling, model, **settings, sweeps=sweeps)
    else:
        write = partial(_by_base, model, **settings, control=control)
    rows = []
    for indices in batches(progress(iter(range(num_sequences))), max(batch_size // candidates, 1)):
        count = len(indices) * candidates
        with explain_full_memory(count):
            texts = write(count, indices[0] * candidates)
        scores = np.asarray(scorer(texts), dtype=np.float64).reshape(-1, candidates)
        best = (sign * scores).argmax(axis=1)
        for row, chosen in enumerate(best):
            first = row * candidates
            rows.append((texts[first + chosen], scores[row, chosen], texts[first], scores[row, 0]))
    table = pd.DataFrame(rows, columns=["sequence", "score", "start", "start_score"])
    _verify(table["sequence"], constraints)
    return Designs(table, _summary(table[["start_score", "score"]].to_numpy().T))


def _begun(
    feasible: Feasible, starts: Sequence[str] | None, index: int, generator: np.random.Generator
) -> np.ndarray:
    """(L,) codes of the sequence that a design begins as."""
    if starts is None:
        return feasible.random(generator)
    if not starts:
        raise ConfigError("there is no sequence to begin from: give some, or begin from random ones.")
    text = starts[index % len(starts)]
    if len(text) != feasible.length:
        raise SequenceError(
            f"a start of {len(text):,} bases, and length={feasible.length:,}: give starts of that length."
        )
    codes = encode_bases(text)
    preferences = generator.random((feasible.length, 4))
    known = codes < BASES.index("N")
    preferences[np.flatnonzero(known), codes[known]] = _KEPT
    return feasible.find(preferences, generator)


def _by_base(
    model: SequenceModel,
    count: int,
    first: int,
    *,
    feasible: Feasible,
    sampling: Sampling,
    seed: int,
    control: str | None,
) -> list[str]:
    """So many sequences that a causal model writes, from number `first` on."""
    drawn = model.sample(
        length=feasible.length,
        num_sequences=count,
        control=control,
        sampling=sampling,
        seed=seed,
        first_index=first,
        feasible=feasible,
    )
    return [_mended(found.sequence, feasible, [seed, first + number]) for number, found in enumerate(drawn)]


def _by_infilling(
    model: SequenceModel,
    count: int,
    first: int,
    *,
    feasible: Feasible,
    sampling: Sampling,
    seed: int,
    sweeps: int,
) -> list[str]:
    """So many sequences that a masked model fills in, from number `first` on."""
    return infill(
        model,
        feasible,
        num_sequences=count,
        sweeps=sweeps,
        temperature=sampling.temperature,
        seed=seed,
        first_index=first,
    )


def _require_plain(control: str | None, sampling: Sampling) -> None:
    """Refuse what a masked model does not do when it writes."""
    if control is not None or sampling != Sampling(temperature=sampling.temperature):
        raise ConfigError(
            f"control={control}, {sampling}: a masked model has a temperature and sweeps, and is asked for "
            "no label. Leave the rest out, or give a causal generator."
        )


def _mended(text: str, feasible: Feasible, seed: Sequence[int]) -> str:
    """A drawn sequence, mended where its GC came out wrong."""
    if not feasible.constraints.violations(text):
        return text
    return decode_bases(_begun(feasible, [text], 0, np.random.default_rng(seed)))


def _table(population: Population, begun: np.ndarray, first: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "sequence": [decode_bases(row) for row in population.codes],
            "score": population.sign * population.scores,
            "start": [decode_bases(row) for row in begun],
            "start_score": population.sign * first,
        }
    )


def _summary(scores: np.ndarray) -> pd.DataFrame:
    """Scores (R, N) of all designs by round."""
    low, median, high = np.quantile(scores, [0.05, 0.5, 0.95], axis=1)
    return pd.DataFrame({"round": range(len(scores)), "median": median, "low": low, "high": high})


def _verify(sequences: Iterable[str], constraints: Constraints) -> None:
    for sequence in sequences:
        broken = constraints.violations(sequence)
        assert not broken, f"a design breaks its constraints: {broken}, {sequence}"
