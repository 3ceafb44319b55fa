"""Logistic mixing of several distributions over four bases, with weights that are learned as it goes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from genoseq.compiled import Integer, compiled

LAST_BASES = 17
"""Weight sets by the last two bases, and one for where they are not known."""

_RATE = 0.003
_SLOWEST_RATE = 0.00015
_HALVING = 100_000.0
# No base is ever impossible: the cost of a surprise stays below 19 bits.
_FLOOR = 1e-5


class Mixer(NamedTuple):
    """Weights of F inputs; an input's weight is the sum of its entry in the three chosen sets.

    Attributes:
        by_confidence: (F, C) chosen by the input's own confidence.
        by_selection: (R, F) chosen by the longest context and repeat that matched.
        by_last_bases: (17, F) chosen by the last two bases.
        steps: (1,) int64 bases learned from; the learning rate falls with them, so that the weights at the
            end of train do not hang on its last stretch.
    """

    by_confidence: np.ndarray
    by_selection: np.ndarray
    by_last_bases: np.ndarray
    steps: np.ndarray


def make_mixer(first_weights: np.ndarray, confidences: int, selections: int) -> Mixer:
    """A mixer that weighs its inputs by (F,) `first_weights` whatever is chosen."""
    inputs = first_weights.size
    return Mixer(
        by_confidence=np.repeat(first_weights[:, None], confidences, axis=1),
        by_selection=np.zeros((selections, inputs)),
        by_last_bases=np.zeros((LAST_BASES, inputs)),
        steps=np.zeros(1, dtype=np.int64),
    )


@compiled
def mix(
    mixer: Mixer,
    features: np.ndarray,
    confidences: np.ndarray,
    selection: int,
    last_bases: Integer,
    probabilities: np.ndarray,
) -> None:
    """Write softmax of the weighted sum of (F, 4) `features` into `probabilities`, (4,) float64."""
    probabilities[:] = 0.0
    for i in range(features.shape[0]):
        weight = (
            mixer.by_confidence[i, confidences[i]]
            + mixer.by_selection[selection, i]
            + mixer.by_last_bases[last_bases, i]
        )
        for base in range(4):
            probabilities[base] += weight * features[i, base]
    highest = probabilities.max()
    for base in range(4):
        probabilities[base] = np.exp(probabilities[base] - highest)
    total = probabilities.sum()
    for base in range(4):
        probabilities[base] = (1 - _FLOOR) * probabilities[base] / total + _FLOOR / 4


@compiled
def learn(
    mixer: Mixer,
    features: np.ndarray,
    confidences: np.ndarray,
    selection: int,
    last_bases: Integer,
    probabilities: np.ndarray,
    base: Integer,
) -> None:
    """One gradient step on the cost of `base`; the sets that see less data step less."""
    mixer.steps[0] += 1
    rate = max(_RATE / (1 + mixer.steps[0] / _HALVING), _SLOWEST_RATE)
    for i in range(features.shape[0]):
        slope = features[i, base]
        for other in range(4):
            slope -= probabilities[other] * features[i, other]
        mixer.by_confidence[i, confidences[i]] += rate * slope
        mixer.by_selection[selection, i] += rate * slope / 2
        mixer.by_last_bases[last_bases, i] += rate * slope / 4
