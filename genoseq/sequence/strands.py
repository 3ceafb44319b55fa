"""What becomes of the two strands of DNA: one policy, for training, evaluation and prediction alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from genoseq.errors import ConfigError, require_choice

StrandKind = Literal["stranded", "unstranded"]
Strands = Literal["none", "augment", "average", "equivariant", "echo", "repeat"]
SecondPass = Literal["same", "other"]


@dataclass(frozen=True)
class StrandPolicy:
    """One of the policies; `strand_policy` gives it by name.

    | name | training | evaluation and prediction |
    |---|---|---|
    | `none` | sequences as given | as given |
    | `augment` | half of the sequences turned, at random; labels of bases turn with them | as given |
    | `average` | as `augment` | mean of the predictions for a sequence and its reverse complement |
    | `equivariant` | as given | as given; the model itself predicts alike for both strands |
    | `echo` | the sequence, then its reverse complement | the same |
    | `repeat` | the sequence, then once more | the same |

    `average` and `equivariant` make f(rc(x)) = f(x): the same predictions for both strands, those of bases in
    the order of the bases. These two and `augment` take labels to hold for both strands, and are refused
    where the data declare otherwise. The others turn no sequence away from its label, and go with any data.

    `echo` and `repeat` are echo embeddings: only the second pass is pooled, or predicted from, so that in a
    causal model every position that counts has seen the whole sequence. `repeat` is the echo of Springer et
    al. In `echo` the second pass is the other strand, read with the given one in mind. HybriDNA fine-tunes
    with echo embeddings, and the examples of its release name one that reads both strands without saying
    how. Here the given strand comes first, so that a model can tell which was given, and the states of the
    other are taken.

    Source: Springer et al. 2024, "Repetition Improves Language Model Embeddings"; Ma et al. 2025, "HybriDNA",
    and the examples of its release.

    Attributes:
        name: what settings and model folders call it.
        turns: half of the training sequences are turned.
        averages: predictions are the mean over both strands.
        symmetric: wants a model that is blind to strand by itself.
        second_pass: the strand that a sequence is followed by, the `same` or the `other`; None where it is
            given once.
    """

    name: Strands
    turns: bool = False
    averages: bool = False
    symmetric: bool = False
    second_pass: SecondPass | None = None

    @property
    def passes(self) -> int:
        """How often a model reads each sequence."""
        return 1 if self.second_pass is None else 2

    @property
    def remark(self) -> str:
        """What a message that counts the tokens of a sequence adds to their number."""
        return "" if self.passes == 1 else f", given twice (strands={self.name})"

    @property
    def reading(self) -> tuple[bool, SecondPass | None]:
        """All that tells two policies apart where nothing is trained."""
        return self.averages, self.second_pass

    def require_labels(self, strand: str) -> None:
        """Refuse labels that the policy would be wrong for.

        Args:
            strand: "stranded" where labels hold for the strand that is given, "unstranded" for both.

        Raises:
            ConfigError: they hold for one strand and the policy takes them for both; or no such `strand`.
        """
        require_choice("strand", strand, get_args(StrandKind))
        if strand == "stranded" and (self.turns or self.averages or self.symmetric):
            raise ConfigError(
                f"strands={self.name} is for labels that hold for both strands; these are stranded, said to "
                "hold for the given one only. Give strands=none, repeat or echo, or strand=unstranded if the "
                "labels do hold for both."
            )


_POLICIES = {
    policy.name: policy
    for policy in (
        StrandPolicy("none"),
        StrandPolicy("augment", turns=True),
        StrandPolicy("average", turns=True, averages=True),
        StrandPolicy("equivariant", symmetric=True),
        StrandPolicy("echo", second_pass="other"),
        StrandPolicy("repeat", second_pass="same"),
    )
}
AS_GIVEN = _POLICIES["none"]


def strand_policy(strands: Strands) -> StrandPolicy:
    """The policy of a name.

    Raises:
        ConfigError: there is none of this name.
    """
    require_choice("strands", strands, get_args(Strands))
    return _POLICIES[strands]
