"""Linear models of labelled sequences: from their k-mer content, or from the bases at fixed places."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from genoseq.baselines.base import UNKNOWN, Baseline
from genoseq.errors import ConfigError
from genoseq.sequence import encode_bases, reverse_complement

if TYPE_CHECKING:
    from genoseq.data.splits import Split

_LARGEST_K = 8
_KEPT_COLUMNS = ("name", "group")


class LabelledData(Protocol):
    """What a baseline of labelled sequences asks of a data module."""

    problem: str
    level: str

    @property
    def classes(self) -> Sequence[str] | None:
        """Names of the classes; None for one number."""

    def examples(self, split: Split) -> pd.DataFrame:
        """Columns sequence and label, both text, and name and group where the data have them."""

    def leaked(self, split: Split) -> np.ndarray | None:
        """(N,) bool: the row shares a k-mer with train; None where leaks were not looked for."""


class SequenceRegression(Baseline):
    """Logistic regression for classes, ridge regression for numbers.

    The strength of the penalty and, where the data allow it, whether both strands count alike are chosen on
    validation; the fit is on train alone.

    Args:
        name: what it is called before the kind of regression is known, "regression" in it.
        penalties: strengths of the L2 penalty to choose from, larger is stronger.
    """

    def __init__(self, name: str, *, penalties: Sequence[float]) -> None:
        if not penalties or min(penalties) <= 0:
            raise ConfigError(f"penalties must be positive numbers, one at least; given {list(penalties)}")
        self.penalties = tuple(penalties)
        self.name = self._unfitted_name = name

    def name_for(self, problems: Collection[str]) -> str:
        """With the kind of regression, where it is one for all of the problems."""
        kinds = {"ridge" if problem == "regression" else "logistic" for problem in problems}
        if len(kinds) != 1:
            return self._unfitted_name
        return self._unfitted_name.replace("regression", f"{kinds.pop()} regression")

    @abstractmethod
    def featurise(self, codes: Sequence[np.ndarray], length: int) -> Any:
        """(N, F) dense or sparse features of N sequences; `length` is that of the longest in train."""

    @property
    @abstractmethod
    def strand_choices(self) -> tuple[bool, ...]:
        """Whether to try one strand, both added up, or each."""

    def require_data(self, datamodule: Any) -> None:
        """One label or one number a sequence."""
        if not _one_label_each(datamodule):
            found = {name: getattr(datamodule, name, None) for name in ("problem", "level", "classes")}
            raise ConfigError(
                f"{self.name} predicts one label or one number a sequence; a {type(datamodule).__name__} has "
                + ", ".join(f"{name}={value}" for name, value in found.items())
                + ". Give baselines=none."
            )

    def predict(self, datamodule: LabelledData, split: Split = "test") -> pd.DataFrame:
        """Fit on train, choose on validation, predict `split`.

        Returns:
            One row an example: index, label, prediction, probability_<class> for classes, name and group
            where the data have them, leaked where leaks were looked for.

        Raises:
            ConfigError: the data have neither one label nor one number a sequence.
        """
        self.require_data(datamodule)
        train, validation, wanted = (datamodule.examples(part) for part in ("train", "validation", split))
        model, both_strands, length = self._choose(train, validation, datamodule.problem)
        self.name = self.name_for([datamodule.problem])
        table = self._table(model, self._features(wanted, length, both_strands), wanted, datamodule)
        leaked = datamodule.leaked(split)
        return table if leaked is None else table.assign(leaked=leaked)

    def _choose(self, train: pd.DataFrame, validation: pd.DataFrame, problem: str) -> tuple[Any, bool, int]:
        """The model that is best on validation, whether it takes both strands, the top length in train."""
        length = int(train["sequence"].str.len().max())
        best_score, best = -np.inf, None
        for both_strands in self.strand_choices:
            features = self._features(train, length, both_strands)
            unseen = self._features(validation, length, both_strands)
            for penalty in self.penalties:
                model = _pipeline(problem, penalty).fit(features, _targets(train, problem))
                score = model.score(unseen, _targets(validation, problem))
                if score > best_score:
                    best_score, best = score, (model, both_strands, length)
        assert best is not None, "some model has a finite score"
        return best

    def _features(self, examples: pd.DataFrame, length: int, both_strands: bool) -> Any:
        codes = [encode_bases(sequence) for sequence in examples["sequence"]]
        features = self.featurise(codes, length)
        if both_strands:
            features = features + self.featurise([reverse_complement(one) for one in codes], length)
        return features

    def _table(
        self, model: Any, features: Any, examples: pd.DataFrame, datamodule: LabelledData
    ) -> pd.DataFrame:
        columns: dict[str, Any] = {"index": np.arange(len(examples))}
        columns["label"] = _targets(examples, datamodule.problem)
        columns["prediction"] = model.predict(features)
        if datamodule.problem == "single_label":
            probabilities = dict(zip(model.classes_, model.predict_proba(features).T, strict=True))
            # A class that train does not hold is never predicted, but its column is there.
            never = np.zeros(len(examples))
            for name in map(str, datamodule.classes or model.classes_):
                columns[f"probability_{name}"] = probabilities.get(name, never)
        columns |= {column: examples[column].to_numpy() for column in _KEPT_COLUMNS if column in examples}
        return pd.DataFrame(columns)


class KmerLogisticRegression(SequenceRegression):
    """Regression on the frequencies of all k-mers of length 1 to `max_k`.

    Args:
        max_k: longest k-mer, 1 to 8.
        penalties: strengths of the L2 penalty to choose from on validation.
        log_counts: take log(1 + count) instead of the frequency, which tells how long a sequence is, too.
    """

    def __init__(
        self,
        *,
        max_k: int = 5,
        penalties: Sequence[float] = (100.0, 300.0, 1000.0),
        log_counts: bool = False,
    ) -> None:
        what = "k-mer count" if log_counts else "k-mer"
        super().__init__(f"{what} regression (1 to {max_k})", penalties=penalties)
        if not 1 <= max_k <= _LARGEST_K:
            raise ConfigError(f"max_k must lie in 1 to {_LARGEST_K}; given {max_k}")
        self.max_k = max_k
        self.log_counts = log_counts

    strand_choices = (False, True)

    def featurise(self, codes: Sequence[np.ndarray], length: int) -> np.ndarray:
        """(N, 4 + 16 + ...) float32 k-mer frequencies or log counts; k-mers with an N are left out."""
        return np.stack([self._of_one(one) for one in codes])

    def _of_one(self, codes: np.ndarray) -> np.ndarray:
        counts = _kmer_counts(codes, self.max_k)
        kept = [np.log1p(each) if self.log_counts else each / max(1, each.sum()) for each in counts]
        return np.concatenate(kept).astype(np.float32)


class OneHotLogisticRegression(SequenceRegression):
    """Regression on which base stands at which place, counted from the first.

    Args:
        penalties: strengths of the L2 penalty to choose from on validation.
    """

    strand_choices = (False,)

    def __init__(self, *, penalties: Sequence[float] = (100.0, 1000.0, 10000.0)) -> None:
        super().__init__("one-hot regression", penalties=penalties)

    def featurise(self, codes: Sequence[np.ndarray], length: int) -> sparse.csr_matrix:
        """(N, 4 * length) sparse float32; what is longer than the longest of train is cut off."""
        cut = [one[:length] for one in codes]
        rows = np.repeat(np.arange(len(cut)), [one.size for one in cut])
        places = np.concatenate([np.arange(one.size) for one in cut])
        bases = np.concatenate(cut)
        known = bases < UNKNOWN
        entries = (rows[known], 4 * places[known] + bases[known])
        return sparse.csr_matrix((np.ones(known.sum(), dtype=np.float32), entries), (len(cut), 4 * length))


def _one_label_each(datamodule: Any) -> bool:
    if getattr(datamodule, "level", None) != "sequence":
        return False
    one_number = datamodule.problem == "regression" and datamodule.classes is None
    return one_number or datamodule.problem == "single_label"


def _pipeline(problem: str, penalty: float) -> Any:
    if problem == "regression":
        estimator: Any = Ridge(alpha=penalty)
    else:
        estimator = LogisticRegression(C=1 / penalty, max_iter=1000)
    # Columns are not centred: that would fill a sparse matrix, and the intercept takes the means up.
    return make_pipeline(StandardScaler(with_mean=False), estimator)


def _targets(examples: pd.DataFrame, problem: str) -> np.ndarray:
    """Numbers for a regression, class names otherwise."""
    if problem == "regression":
        return examples["label"].to_numpy(dtype=np.float64)
    return examples["label"].astype(str).to_numpy(dtype=object)


def _kmer_counts(codes: np.ndarray, max_k: int) -> list[np.ndarray]:
    """How often each k-mer is there, (4 ** k,) for each k."""
    numbers = np.zeros(codes.size + 1, dtype=np.int64)
    known = np.ones(codes.size + 1, dtype=bool)
    found = []
    for k in range(1, max_k + 1):
        # numbers[i] is the (k - 1)-mer at i; it grows by the base after it.
        added = codes[k - 1 :]
        numbers = numbers[: added.size] * 4 + (added & 3)
        known = known[: added.size] & (added < UNKNOWN)
        found.append(np.bincount(numbers[known], minlength=4**k))
    return found
