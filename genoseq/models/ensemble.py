"""Several models that predict as one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NoReturn

import torch
from torch import nn

from genoseq.errors import CheckpointError, ConfigError
from genoseq.models.base import ModelOutput, SequenceModel


class Ensemble(SequenceModel):
    """The mean of the probabilities (numbers, for a regression) of models that predict the same thing.

    Source: Lakshminarayanan et al. 2017, "Simple and Scalable Predictive Uncertainty Estimation using Deep
    Ensembles".

    Args:
        members: two or more, with one tokenizer, kind of head, number of outputs, and use of the strands.

    Attributes:
        kind: what the logits are of: `language_model`, or a head's problem.

    Raises:
        CheckpointError: the members predict different things.
    """

    def __init__(self, members: Sequence[SequenceModel]) -> None:
        assert len(members) > 1, "one model is no ensemble"
        first = members[0]
        for number, member in enumerate(members[1:], start=2):
            _require_same(first, member, number)
        super().__init__(first.backbone, first.head, first.tokenizer, first.preprocessing)
        self.members = nn.ModuleList(members)
        self.kind = _kind(first)

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        *,
        labels: torch.Tensor | None = None,
        segment_ids: torch.Tensor | None = None,
        second_pass: torch.Tensor | None = None,
        output_hidden_states: bool = False,
        loss_only: bool = False,
    ) -> ModelOutput:
        """See `SequenceModel.forward`; hidden states are the first one's, and `loss_only` spares nothing."""
        outputs = [
            member(
                input_ids,
                attention_mask,
                segment_ids=segment_ids,
                second_pass=second_pass,
                output_hidden_states=output_hidden_states,
            )
            for member in self.members
        ]
        logits = _mean(torch.stack([output.logits.float() for output in outputs]), self.kind)
        mask = None if attention_mask is None else attention_mask.bool()
        mask = mask if second_pass is None else second_pass
        loss = None if labels is None else self.head.loss(logits, labels, mask=mask, segment_ids=segment_ids)
        return ModelOutput(logits, outputs[0].last_hidden_state, outputs[0].hidden_states, loss)

    def sample(self, *args: Any, **settings: Any) -> NoReturn:
        """Refused, and `generate` with it.

        Raises:
            ConfigError: always.
        """
        raise ConfigError("an ensemble scores and predicts; let one of its members generate.")

    def embed(self, *args: Any, **settings: Any) -> NoReturn:
        """Refused.

        Raises:
            ConfigError: always.
        """
        raise ConfigError("an ensemble scores and predicts; let one of its members embed.")


def _mean(logits: torch.Tensor, kind: str) -> torch.Tensor:
    """Logits (M, ...) of M members to those of their mean."""
    members = math.log(len(logits))
    if kind == "regression":
        return logits.mean(0)
    if kind != "multi_label":
        return logits.log_softmax(-1).logsumexp(0) - members
    yes, no = (nn.functional.logsigmoid(sign * logits).logsumexp(0) for sign in (1, -1))
    return yes - no


def _require_same(first: SequenceModel, other: SequenceModel, number: int) -> None:
    mine, theirs = _prediction(first), _prediction(other)
    if mine != theirs:
        raise CheckpointError(
            f"checkpoint {number} of the ensemble predicts something else than the first: "
            f"{theirs}, not {mine}. Give checkpoints of one task."
        )


def _prediction(model: SequenceModel) -> dict[str, object]:
    return {
        "kind": _kind(model),
        "outputs": getattr(model.head, "num_outputs", model.backbone.vocab_size),
        "classes": model.preprocessing.get("classes"),
        "strands (averages, second pass)": model.strand_policy().reading,
        "tokens": None if model.tokenizer is None else model.tokenizer.vocabulary,
    }


def _kind(model: SequenceModel) -> str:
    return getattr(model.head, "problem", model.head.head_type)
