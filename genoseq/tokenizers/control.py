"""Single nucleotides, and tokens that ask for a property: one a label, before the sequence.

Their ids follow those of the characters: a model that was pretrained without them keeps what it knows.
Source: Keskar et al. 2019, "CTRL"; Ma et al. 2025, "HybriDNA", fine-tuning for generation.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, ClassVar

from genoseq.errors import ConfigError
from genoseq.sequence import Lowercase
from genoseq.tokenizers.base import PaddingSide
from genoseq.tokenizers.character import CharacterTokenizer
from genoseq.tokenizers.nucleotides import SpecialTokens

# A label is typed on the command line, and stands in the header of a FASTA.
_LABEL = re.compile(r"[A-Za-z0-9_.+-]+")


class ControlTokenizer(CharacterTokenizer):
    """The character tokenizer with control tokens, in the order of their labels from id 12 on.

    Args:
        controls: the labels; the token of `coding` reads `<coding>`.
        special_tokens, padding_side, lowercase: as for `CharacterTokenizer`. A control token comes before all
            other tokens of its sequence; `encode` adds none, since a sequence does not tell its label.

    Raises:
        ConfigError: a label that is empty, given twice, or has other characters than letters and digits of
            ASCII and `_.+-`; or none at all.
    """

    tokenizer_type: ClassVar[str] = "character_with_controls"

    def __init__(
        self,
        *,
        controls: Sequence[str],
        special_tokens: SpecialTokens = "sep",
        padding_side: PaddingSide = "left",
        lowercase: Lowercase = "base",
    ) -> None:
        _require_labels(controls)
        self.controls = tuple(controls)
        super().__init__(special_tokens=special_tokens, padding_side=padding_side, lowercase=lowercase)

    @property
    def settings(self) -> dict[str, Any]:
        return {**super().settings, "controls": list(self.controls)}


def _require_labels(controls: Sequence[str]) -> None:
    if isinstance(controls, str) or not isinstance(controls, Sequence) or not controls:
        raise ConfigError(f"controls={controls!r}: give a list of labels, one or more.")
    for label in controls:
        if not isinstance(label, str) or not _LABEL.fullmatch(label):
            raise ConfigError(
                f"the label {label!r} cannot be a control: it takes letters, digits and any of _.+- alone. "
                "Give the label another name in the data."
            )
    if len(set(controls)) < len(controls):
        raise ConfigError(f"controls={list(controls)}: a label is there twice.")
