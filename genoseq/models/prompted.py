"""A causal backbone that has read a soft prompt: learned vectors before each sequence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from genoseq.errors import ConfigError, SequenceError
from genoseq.models.backbone import Backbone, BackboneOutput, StreamingBackbone
from genoseq.models.residual_stack import batch_context, longest_sequence

_FIRST_STD = 0.02


class PromptedBackbone(StreamingBackbone):
    """Any causal backbone, which finds `prompt_length` learned vectors where a sequence begins.

    They stand where the embeddings of as many more tokens would stand, before the first real token of each
    row; hidden states are those of the sequence alone. The backbone below does not have to know: what it
    looks up in its embedding is lengthened (as `genoseq.models.token_shares` exchanges it). peft's prompt
    tuning wants a model that takes embedded input and the config of transformers, which ours do not have.

    Args:
        inner: the backbone that reads prompt and sequence.
        prompt_length: number of vectors.
        dropout: of the vectors, in training.

    Raises:
        ConfigError: the backbone is not causal, or has no room for so many vectors and a token behind them;
            they are fewer than one, or no dropout.

    Source: Lester et al. 2021, "The Power of Scale for Parameter-Efficient Prompt Tuning"; Nguyen et al.
    2023, "HyenaDNA", in-context learning by soft prompts.
    """

    def __init__(self, inner: Backbone, *, prompt_length: int, dropout: float = 0.0) -> None:
        super().__init__()
        inner = _causal(inner)
        _require_room(inner, prompt_length)
        if not 0 <= dropout < 1:
            raise ConfigError(f"dropout={dropout} of a prompt: give 0 to less than 1.")
        self.inner = inner
        self.causal = True
        self.arguments = inner.arguments
        self.model_type = inner.model_type  # type: ignore[misc]  # of the backbone that reads
        self.d_model = inner.d_model
        self.num_layers = inner.num_layers
        self.prompt_length = prompt_length
        # As an embedding, it does not decay.
        self.prompt = nn.Embedding(prompt_length, inner.d_model)
        self.dropout = nn.Dropout(dropout)
        self._draw_prompt()

    @property
    def vocab_size(self) -> int:  # type: ignore[override]
        """V of the backbone that reads."""
        return self.inner.vocab_size

    @property
    def l_max(self) -> int | None:  # type: ignore[override]
        """What the prompt leaves of it."""
        return None if self.inner.l_max is None else self.inner.l_max - self.prompt_length

    @property
    def fixed_memory(self) -> bool:
        return self.inner.fixed_memory

    @property
    def input_embedding(self) -> nn.Embedding:
        return self.inner.input_embedding

    def begin_with(self, token_ids: torch.Tensor) -> None:
        """Give the prompt the embeddings of tokens (`prompt_length`,) as its first values."""
        with torch.no_grad():
            self.prompt.weight.copy_(self.input_embedding.weight[token_ids])

    def reset_parameters(self) -> None:
        self.inner.reset_parameters()
        self._draw_prompt()

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        *,
        segment_ids: torch.Tensor | None = None,
        output_hidden_states: bool = False,
    ) -> BackboneOutput:
        """See `Backbone.forward`.

        Raises:
            SequenceError: sequences are packed, or one is longer than `l_max`.
        """
        batch_context(input_ids, attention_mask)  # what any model refuses
        if segment_ids is not None:
            raise SequenceError("sequences that share a row have no place for a prompt each: give one a row.")
        if self.l_max is not None and input_ids.shape[1] > self.l_max:
            self._require_length(longest_sequence(input_ids, attention_mask, None))
        longer = _lengthened(input_ids, attention_mask, self.prompt_length, self.vocab_size)
        with self._reading(input_ids, longer):
            output = self.inner(longer.ids, longer.mask, output_hidden_states=output_hidden_states)
        return _of_tokens(output, longer.places)

    def init_state(self, batch_size: int, *, max_length: int) -> list[Any]:
        """See `StreamingBackbone.init_state`; the prompt is read with the first tokens."""
        self._require_length(max_length)
        return self.inner.init_state(batch_size, max_length=max_length + self.prompt_length)

    def read_on(
        self,
        input_ids: torch.Tensor,
        state: list[Any],
        attention_mask: torch.Tensor | None = None,
        *,
        output_hidden_states: bool = False,
    ) -> BackboneOutput:
        settings = {"output_hidden_states": output_hidden_states}
        if state[0].position:
            return self.inner.read_on(input_ids, state, attention_mask, **settings)
        batch_context(input_ids, attention_mask)  # what any model refuses
        longer = _lengthened(input_ids, attention_mask, self.prompt_length, self.vocab_size)
        with self._reading(input_ids, longer):
            output = self.inner.read_on(longer.ids, state, longer.mask, **settings)
        return _of_tokens(output, longer.places)

    def step(self, input_ids: torch.Tensor, state: list[Any]) -> torch.Tensor:
        if state[0].position:
            return self.inner.step(input_ids, state)
        return self.forward_chunk(input_ids.unsqueeze(1), state)[:, 0]

    def _reading(self, input_ids: torch.Tensor, longer: _Longer) -> _Lookup:
        return _Lookup(
            self.input_embedding.weight, input_ids, longer.places, self.dropout(self.prompt.weight)
        )

    def _require_length(self, length: int) -> None:
        if self.l_max is not None and length > self.l_max:
            raise SequenceError(
                f"a sequence of {length:,} tokens is longer than the {self.l_max:,} that a prompt of "
                f"{self.prompt_length:,} vectors leaves of this model's l_max={self.inner.l_max:,}: cut it, "
                "or train with a shorter prompt."
            )

    def _draw_prompt(self) -> None:
        nn.init.normal_(self.prompt.weight, std=_FIRST_STD)


def _causal(backbone: Backbone) -> StreamingBackbone:
    if isinstance(backbone, StreamingBackbone) and backbone.causal:
        return backbone
    raise ConfigError(
        f"a prompt is read before the sequence, by a causal backbone; {type(backbone).__name__} reads both "
        "ways. Take a causal model, or give finetuning=probe or lora."
    )


def _require_room(backbone: Backbone, prompt_length: int) -> None:
    if prompt_length < 1:
        raise ConfigError(f"prompt_length={prompt_length}: give 1 vector or more.")
    if backbone.l_max is not None and prompt_length >= backbone.l_max:
        raise ConfigError(
            f"a prompt of {prompt_length:,} vectors leaves no room in this model's l_max={backbone.l_max:,}: "
            f"give at most {backbone.l_max - 1:,}."
        )


class _Longer(NamedTuple):
    """Rows with a place for the prompt before their first real token.

    Attributes:
        ids: (B, P + L); at the prompt an id that no token has.
        mask: (B, P + L) bool, or None.
        places: (B, L) where the tokens of the rows stand in it.
    """

    ids: torch.Tensor
    mask: torch.Tensor | None
    places: torch.Tensor


def _lengthened(ids: torch.Tensor, mask: torch.Tensor | None, length: int, no_token: int) -> _Longer:
    batch, total = ids.shape
    number = torch.arange(total, device=ids.device).expand(batch, -1)
    if mask is None:
        places = number + length
    else:
        first = mask.bool().int().argmax(dim=1, keepdim=True)
        places = number + length * (number >= first)
    longer = ids.new_full((batch, total + length), no_token).scatter(1, places, ids)
    if mask is not None:
        mask = torch.ones_like(longer, dtype=torch.bool).scatter(1, places, mask.bool())
    return _Longer(longer, mask, places)


def _of_tokens(output: BackboneOutput, places: torch.Tensor) -> BackboneOutput:
    """What stands at the places of the tokens."""

    def chosen(hidden: torch.Tensor) -> torch.Tensor:
        return hidden.gather(1, places.unsqueeze(-1).expand(-1, -1, hidden.shape[-1]))

    states = output.hidden_states
    return BackboneOutput(
        chosen(output.last_hidden_state), None if states is None else tuple(map(chosen, states))
    )


class _Lookup(TorchFunctionMode):
    """What is looked up in one embedding is the tokens of a batch, with a prompt among them.

    Args:
        table: (V, D) the weight of the embedding.
        ids: (B, L) the tokens.
        places: (B, L) where they stand among the prompt.
        prompt: (P, D).
    """

    def __init__(
        self, table: torch.Tensor, ids: torch.Tensor, places: torch.Tensor, prompt: torch.Tensor
    ) -> None:
        super().__init__()
        self._table, self._ids, self._places, self._prompt = table, ids, places, prompt

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is F.embedding:
            table = args[1] if len(args) > 1 else kwargs["weight"]
            if table is self._table:
                return self._among_prompt(func(self._ids, table))
        return func(*args, **kwargs)

    def _among_prompt(self, tokens: torch.Tensor) -> torch.Tensor:
        """(B, P + L, D) of embedded tokens (B, L, D)."""
        (batch, total, width), length = tokens.shape, len(self._prompt)
        is_prompt = torch.ones(batch, total + length, dtype=torch.bool, device=tokens.device)
        is_prompt = is_prompt.scatter(1, self._places, False)
        prompt = self._prompt.to(tokens.dtype).expand(batch, -1, -1)
        # Each place is written once: first the tokens, then what lies between them.
        whole = tokens.new_empty(batch, total + length, width)
        whole = whole.scatter(1, self._places.unsqueeze(-1).expand(-1, -1, width), tokens)
        return whole.masked_scatter(is_prompt.unsqueeze(-1), prompt)


def unprompted(backbone: Backbone) -> Backbone:
    """The backbone below a prompt; one without a prompt as it is."""
    return backbone.inner if isinstance(backbone, PromptedBackbone) else backbone
