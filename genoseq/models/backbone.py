"""The contract of every backbone: token ids in, hidden states out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import nn

from genoseq.nn import Mixer


@dataclass
class BackboneOutput:
    """Attributes:
    last_hidden_state: (B, L, D) after the last norm.
    hidden_states: the embeddings, the output of every block, and `last_hidden_state`; None unless asked for.
    """

    last_hidden_state: torch.Tensor
    hidden_states: tuple[torch.Tensor, ...] | None = None


class Backbone(nn.Module, ABC):
    """A model without its head.

    Attributes:
        model_type: the name that a model folder carries.
        causal: no output depends on later tokens.
        arguments: what the constructor was given, as JSON can hold it: with the weights, all that makes the
            model.
        d_model: D, width of the hidden states.
        num_layers: number of blocks.
        vocab_size: V, rows of the embedding, padding of the vocabulary included.
        l_max: the most tokens a sequence may have; None without a limit.
    """

    model_type: ClassVar[str]
    causal: bool
    arguments: dict[str, Any]
    d_model: int
    num_layers: int
    vocab_size: int
    l_max: int | None

    @property
    @abstractmethod
    def input_embedding(self) -> nn.Embedding:
        """The embedding (V, D) of tokens, which a tied head shares."""

    @abstractmethod
    def reset_parameters(self) -> None:
        """Draw all first values again, and make again the buffers that follow from the arguments.

        A model that was made under `torch.device("meta")` wants it after `to_empty`.
        """

    @abstractmethod
    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        *,
        segment_ids: torch.Tensor | None = None,
        output_hidden_states: bool = False,
    ) -> BackboneOutput:
        """Hidden states of a batch.

        Args:
            input_ids: (B, L) integers.
            attention_mask: (B, L) bool (or zeros and ones), False at padding, which then changes nothing
                elsewhere. Without it padding is a token like any other, as in the official models.
            segment_ids: (B, L) integers; neighbours of one id are one sequence, apart from the others in its
                row.
            output_hidden_states: also give those of every layer.

        Raises:
            SequenceError: a sequence is longer than `l_max`.
        """


class StreamingBackbone(Backbone):
    """A causal backbone that carries a state from chunk to chunk: what generation wants."""

    @abstractmethod
    def init_state(self, batch_size: int, *, max_length: int) -> list[Any]:
        """State before the first token, with room for `max_length`.

        Raises:
            SequenceError: `max_length` is beyond `l_max`.
        """

    @property
    def fixed_memory(self) -> bool:
        """Whether its state is as large after any number of tokens."""
        return all(module.fixed_memory for module in self.modules() if isinstance(module, Mixer))

    @abstractmethod
    def read_on(
        self,
        input_ids: torch.Tensor,
        state: list[Any],
        attention_mask: torch.Tensor | None = None,
        *,
        output_hidden_states: bool = False,
    ) -> BackboneOutput:
        """What `forward` gives for the next tokens (B, L); the state is carried on in place.

        Raises:
            SequenceError: the state has no room for them.
        """

    def forward_chunk(
        self, input_ids: torch.Tensor, state: list[Any], attention_mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The last hidden states (B, L, D) of the next tokens; see `read_on`."""
        return self.read_on(input_ids, state, attention_mask).last_hidden_state

    @abstractmethod
    def step(self, input_ids: torch.Tensor, state: list[Any]) -> torch.Tensor:
        """Hidden states (B, D) of one more token (B,); the state is carried on in place.

        Raises:
            SequenceError: the state has no room for it.
        """
