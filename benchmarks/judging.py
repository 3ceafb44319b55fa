"""A judge of sequences that never saw the model that made them: a baseline fitted on real rows."""

from __future__ import annotations

import pandas as pd
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from replaced_split import ReplacedSplit

from genoseq.data import LabelledDataModule
from genoseq.paths import configs_dir


def kmer_judged(real: LabelledDataModule, judged: pd.DataFrame) -> pd.DataFrame:
    """What a k-mer logistic regression, fitted on the real training split, says of each row.

    Args:
        real: labelled sequences.
        judged: columns `sequence` and `label`, the latter being what was asked for.
    """
    with initialize_config_dir(str(configs_dir()), version_base="1.3"):
        baselines = compose("train", overrides=["baselines=classification"]).baselines
    return instantiate(baselines.kmer_regression).predict(ReplacedSplit(real, "test", judged))
