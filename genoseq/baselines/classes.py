"""What baselines share that tell classes of whole sequences."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from genoseq.baselines.base import Baseline
from genoseq.baselines.kmer import LabelledData
from genoseq.errors import ConfigError

if TYPE_CHECKING:
    from genoseq.data.splits import Split

_TEMPERATURES = 2.0 ** np.arange(-3, 9)


class Labelled(NamedTuple):
    """Sequences, and the number of each one's class (N,) int64."""

    sequences: list[str]
    labels: np.ndarray


class ClassBaseline(Baseline):
    """Fitted on train, its settings chosen on validation: the probability of each class for each sequence."""

    def require_data(self, datamodule: Any) -> None:
        """One class a sequence."""
        if getattr(datamodule, "problem", None) != "single_label" or datamodule.level != "sequence":
            raise ConfigError(
                f"{self.name} tells classes of sequences, and a {type(datamodule).__name__} has none. Give "
                "baselines=none."
            )

    @abstractmethod
    def classify(
        self, train: Labelled, validation: Labelled, sequences: Sequence[str], *, classes: int, strand: str
    ) -> np.ndarray:
        """(N, classes) probabilities of each class for N sequences; `strand` is that of the labels."""

    def predict(self, datamodule: LabelledData, split: Split = "test") -> pd.DataFrame:
        """Fit on train, choose on validation, predict `split`.

        Returns:
            One row an example, as `KmerLogisticRegression.predict`.

        Raises:
            ConfigError: the data have no class a sequence, or this is no baseline for them.
        """
        self.require_data(datamodule)
        names = [str(name) for name in datamodule.classes or ()]
        train, validation = (_labelled(datamodule.examples(part), names) for part in ("train", "validation"))
        wanted = datamodule.examples(split)
        probabilities = self.classify(
            train,
            validation,
            wanted["sequence"].tolist(),
            classes=len(names),
            strand=getattr(datamodule, "strand", "stranded"),
        )
        columns: dict[str, Any] = {"index": np.arange(len(wanted)), "label": wanted["label"].astype(str)}
        columns["prediction"] = np.array(names)[probabilities.argmax(axis=1)]
        columns |= {f"probability_{name}": probabilities[:, place] for place, name in enumerate(names)}
        columns |= {column: wanted[column].to_numpy() for column in ("name", "group") if column in wanted}
        leaked = datamodule.leaked(split)
        return pd.DataFrame(columns if leaked is None else columns | {"leaked": leaked})


def softmax(values: np.ndarray) -> np.ndarray:
    """(N, C) shares that add up to one, of natural logarithms (N, C)."""
    shifted = np.exp(values - values.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def calibrated(scores: np.ndarray, validation: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Probabilities from log-likelihoods that are too sure of themselves, as those of long sequences are.

    Args:
        scores: (N, C).
        validation: (M, C) of sequences whose classes are known.
        truth: (M,) those.

    Returns:
        (N, C): `softmax` of the scores over the temperature that makes the truth likeliest.
    """
    rows = np.arange(len(truth))

    def surprise(temperature: float) -> float:
        return float(-np.log(softmax(validation / temperature)[rows, truth] + 1e-30).mean())

    return softmax(scores / min(_TEMPERATURES, key=surprise))


def _labelled(table: pd.DataFrame, names: Sequence[str]) -> Labelled:
    number = {name: place for place, name in enumerate(names)}
    return Labelled(
        table["sequence"].tolist(), np.array([number[str(label)] for label in table["label"]], dtype=np.int64)
    )
