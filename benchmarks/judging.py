"""A judge of sequences that never saw the model that made them: a baseline fitted on real rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from genoseq.data import LabelledDataModule
from genoseq.data.datamodule import Split
from genoseq.paths import configs_dir


@dataclass(frozen=True)
class JudgedData:
    """Real rows to fit and choose the judge on, and as its test split whatever is to be judged."""

    real: LabelledDataModule
    judged: pd.DataFrame
    problem: str = "single_label"
    level: str = "sequence"

    @property
    def classes(self) -> Sequence[str] | None:
        return self.real.classes

    def examples(self, split: Split) -> pd.DataFrame:
        return self.judged if split == "test" else self.real.examples(split)

    def leaked(self, split: Split) -> None:
        return None


def kmer_judged(real: LabelledDataModule, judged: pd.DataFrame) -> pd.DataFrame:
    """What a k-mer logistic regression, fitted on the real training split, says of each row.

    Args:
        real: labelled sequences.
        judged: columns `sequence` and `label`, the latter being what was asked for.
    """
    with initialize_config_dir(str(configs_dir()), version_base="1.3"):
        baselines = compose("train", overrides=["baselines=classification"]).baselines
    return instantiate(baselines.kmer_regression).predict(JudgedData(real, judged))
