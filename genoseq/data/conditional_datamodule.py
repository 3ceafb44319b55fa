"""Labelled sequences for a language model that is to generate sequences of a wanted label."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from genoseq.data.controls import ControlScheme, with_controls
from genoseq.data.datamodule import SequenceDataModule
from genoseq.data.labelled import LabelledSequences
from genoseq.data.labelled_datamodule import LabelledDataModule
from genoseq.data.splits import Split
from genoseq.errors import ConfigError, require_choice
from genoseq.sequence import StrandKind, Strands

_STRANDS = ("none", "augment")


class ConditionalDataModule(SequenceDataModule):
    """Examples for `task=causal_lm`: the control token of a label, a sequence that has it, an end token.

    The loss is on what follows the control token. Files, splits, leaks, strands and batches are those of
    `labelled`; its tokenizer gets the control tokens. Its `strands` are "none" or "augment", for there is no
    prediction to average, nor to pool.

    Args:
        labelled: sequences of one class or one number each.
        bins: for numbers: cut those of the training split into so many bins of equally many sequences; the
            bins are the controls. None for classes.

    Attributes:
        controls: what the model has to know of its controls: their `labels`, and the `edges` of bins.

    Raises:
        ConfigError: labels of another kind, or whose names cannot be controls; too many bins, or bins of
            classes; another policy of strands; a tokenizer of other tokens than characters, or without an end
            token.
        DataError, SequenceError, LeakError: as `LabelledDataModule`.

    Source: Ma et al. 2025, "HybriDNA", fine-tuning for generation.
    """

    def __init__(self, *, labelled: LabelledDataModule, bins: int | None) -> None:
        require_choice("strands", labelled.strands, _STRANDS)
        self._scheme = _fit_scheme(labelled, bins)
        super().__init__(
            tokenizer=with_controls(labelled.tokenizer, self._scheme.labels),
            global_batch_size=labelled.global_batch_size,
            micro_batch_size=labelled.micro_batch_size,
            num_workers=labelled.num_workers,
            pin_memory=labelled.pin_memory,
            seed=labelled.seed,
        )
        self.labelled = labelled

    @property
    def controls(self) -> dict[str, Any]:
        return self._scheme.described()

    @property
    def strand(self) -> StrandKind:
        """Whether a label holds for one strand or for both."""
        return self.labelled.strand

    @property
    def strands(self) -> Strands:
        """What becomes of the two strands in training."""
        return self.labelled.strands

    def build(self, split: Split) -> LabelledSequences:
        """The sequences of a split, each under its control."""
        controls = [self.tokenizer.control_id(label) for label in self._control_labels(split)]
        return self.labelled.sequences_of(split, self.tokenizer, controls=controls)

    def examples(self, split: Split) -> pd.DataFrame:
        """The rows of a split as `LabelledDataModule.examples` gives them, with their `control`."""
        return self.labelled.examples(split).assign(control=self._control_labels(split))

    def leaked(self, split: Split) -> np.ndarray:
        """Which rows of a split share a k-mer with those that it must not know, (N,) bool."""
        return self.labelled.leaked(split)

    def _control_labels(self, split: Split) -> list[str]:
        return [self._scheme.label_of(label) for label in self.labelled.labels(split)]


def _fit_scheme(labelled: LabelledDataModule, bins: int | None) -> ControlScheme:
    kind = f"problem={labelled.problem}, level={labelled.level}, {labelled.num_outputs} outputs"
    if labelled.level == "sequence" and labelled.problem == "single_label":
        if bins is not None:
            raise ConfigError(f"bins={bins} cuts numbers, the labels are classes ({kind}). Give bins=null.")
        assert labelled.classes is not None
        return ControlScheme(labelled.classes)
    if labelled.level != "sequence" or labelled.problem != "regression" or labelled.num_outputs != 1:
        raise ConfigError(f"a control is one class or one number a sequence; the labels have {kind}.")
    if bins is None:
        raise ConfigError("the labels are numbers: say how many bins to cut them into, such as bins=4.")
    return ControlScheme.of_quantiles(labelled.labels("train"), bins)
