"""Vectors of signals: what a model makes its predictions from."""

from __future__ import annotations

import numpy as np

from genoseq.errors import ConfigError
from genoseq.models.signal import SignalModel, SignalOutput


def vectors_of(model: SignalModel, output: SignalOutput) -> list[np.ndarray]:
    """A vector (D,) float32 an item of the batch; see `SignalOutput.embedding`.

    Raises:
        ConfigError: the model has none.
    """
    vectors = output.embedding
    if vectors is None:
        raise ConfigError(
            f"{type(model).__name__} predicts from its input itself: it has no hidden states to make vectors "
            "of. Give another model."
        )
    return list(vectors.cpu().numpy())
