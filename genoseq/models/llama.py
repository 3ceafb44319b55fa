"""Llama, as GENERator has it over words of six bases: transformers' own class under our contract.

Source: Wu et al. 2025, "GENERator: A Long-Context Generative Genomic Foundation Model"; Touvron et al. 2023,
"LLaMA"; the code is that of transformers, which is installed with `genoseq[transformers]`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, cast

import torch
from torch import nn

from genoseq.errors import ConfigError, SequenceError
from genoseq.models.backbone import BackboneOutput, StreamingBackbone
from genoseq.models.borrowed import import_transformers, reset_rotation, run_borrowed
from genoseq.models.residual_stack import batch_context, initialize_normally, longest_sequence
from genoseq.nn.checkpointing import Checkpointing, require_checkpointing
from genoseq.nn.recurrence import require_rows
from genoseq.nn.visibility import run_starts, runs_of

if TYPE_CHECKING:
    from transformers import DynamicCache, LlamaModel


@dataclass
class LlamaState:
    """Keys and values of what was read, which grow with it.

    Attributes:
        cache: those of transformers.
        batch_size: B.
        max_length: number of positions there is room for.
        mask: (B, position) bool, False at padding; None while there was none.
    """

    cache: DynamicCache
    batch_size: int
    max_length: int
    mask: torch.Tensor | None = None

    @property
    def position(self) -> int:
        """Number of positions seen, padding included."""
        return self.cache.get_seq_length()

    def require_room(self, rows: int, length: int) -> None:
        """Refuse a chunk that does not fit.

        Raises:
            SequenceError: it is of another number of rows, or there is no room for it.
        """
        require_rows(rows, self.batch_size)
        if self.position + length > self.max_length:
            raise SequenceError(
                f"{self.position + length:,} positions do not fit the state's room for "
                f"{self.max_length:,}: ask init_state for a larger max_length."
            )

    def detach(self) -> None:
        """No gradient passes through what is kept."""
        for layer in cast(list[Any], self.cache.layers):
            layer.keys, layer.values = layer.keys.detach(), layer.values.detach()


class Llama(StreamingBackbone):
    """The published function.

    Args:
        d_model: D, width.
        num_layers: number of blocks.
        num_heads: heads of queries.
        num_kv_heads: heads of keys and values, which `num_heads` shares evenly; None for as many.
        head_dim: width of a head; None for D / num_heads.
        d_inner: width inside the gated MLPs.
        vocab_size: number of tokens.
        padding_id: token whose embedding is not learned; None for none, which a mask makes unnecessary.
        l_max: the most tokens a sequence may have.
        rotary_base: of the wavelengths of positions.
        attention_bias, mlp_bias: of the linear layers.
        attention_dropout: of the weights of attention.
        norm_epsilon: of every norm.
        initializer_range: standard deviation of all first weights.
        activation_checkpointing: compute blocks again in the backward pass instead of keeping what they hold:
            less memory, more time, the same numbers. `offload` keeps their inputs in the host's memory.

    Raises:
        ConfigError: an argument is outside its range, or transformers is not installed.
    """

    model_type: ClassVar[str] = "llama"
    causal = True
    fixed_memory = False

    def __init__(
        self,
        *,
        d_model: int,
        num_layers: int,
        num_heads: int,
        num_kv_heads: int | None = None,
        head_dim: int | None = None,
        d_inner: int,
        vocab_size: int = 4128,
        padding_id: int | None = None,
        l_max: int = 16384,
        rotary_base: float = 500000.0,
        attention_bias: bool = False,
        mlp_bias: bool = False,
        attention_dropout: float = 0.0,
        norm_epsilon: float = 1e-5,
        initializer_range: float = 0.02,
        activation_checkpointing: Checkpointing = False,
    ) -> None:
        # Before any other local name is bound, these are exactly the arguments.
        arguments = {name: value for name, value in locals().items() if name not in ("self", "__class__")}
        require_checkpointing(activation_checkpointing)
        super().__init__()
        self.arguments = arguments
        self.d_model = d_model
        self.num_layers = num_layers
        self.vocab_size = vocab_size
        self.l_max = l_max
        self.llama = _make(arguments)
        if activation_checkpointing:
            self.llama.activation_checkpointing_enable(offload=activation_checkpointing == "offload")
        self._initialize()

    @property
    def input_embedding(self) -> nn.Embedding:
        return self.llama.embed_tokens

    @property
    def layers(self) -> nn.ModuleList:
        """The blocks, in order."""
        return self.llama.layers

    def reset_parameters(self) -> None:
        self._initialize()
        reset_rotation(self.llama.rotary_emb, self.llama.config)

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        *,
        segment_ids: torch.Tensor | None = None,
        output_hidden_states: bool = False,
    ) -> BackboneOutput:
        context = batch_context(input_ids, attention_mask, segment_ids)
        if input_ids.shape[1] > self.arguments["l_max"]:
            self._require_length(longest_sequence(input_ids, attention_mask, segment_ids))
        runs = runs_of(context)
        number = torch.arange(input_ids.shape[1], device=input_ids.device).unsqueeze(0)
        if runs is None:
            return self._run(input_ids, number, None, keep=output_hidden_states)
        seen = (runs.unsqueeze(2) == runs.unsqueeze(1)) & (number <= number.mT)
        return self._run(input_ids, number - run_starts(runs), seen, keep=output_hidden_states)

    def init_state(self, batch_size: int, *, max_length: int) -> list[Any]:
        self._require_length(max_length)
        cache = import_transformers("Llama").DynamicCache(config=self.llama.config)
        return [LlamaState(cache, batch_size, max_length)]

    def read_on(
        self,
        input_ids: torch.Tensor,
        state: list[Any],
        attention_mask: torch.Tensor | None = None,
        *,
        output_hidden_states: bool = False,
    ) -> BackboneOutput:
        (kept,) = state
        mask = batch_context(input_ids, attention_mask).mask
        kept.require_room(*input_ids.shape)
        before, length = kept.position, input_ids.shape[1]
        number = torch.arange(before + length, device=input_ids.device).unsqueeze(0)
        places, seen = number, None
        if mask is not None or kept.mask is not None:
            kept.mask = _joined(kept.mask, mask, input_ids, before)
            places = (kept.mask.cumsum(1) - 1).clamp(min=0)
            # Padding sees itself, so that it has something to see.
            own = number == number.mT
            seen = (kept.mask.unsqueeze(1) & (number <= number.mT) | own)[:, before:]
        elif before and length > 1:
            seen = (number <= number.mT)[before:].expand(len(input_ids), -1, -1)
        output = self._run(input_ids, places[:, before:], seen, cache=kept.cache, keep=output_hidden_states)
        kept.detach()
        return output

    def step(self, input_ids: torch.Tensor, state: list[Any]) -> torch.Tensor:
        return self.forward_chunk(input_ids.unsqueeze(1), state)[:, 0]

    def _run(
        self,
        input_ids: torch.Tensor,
        places: torch.Tensor,
        seen: torch.Tensor | None,
        *,
        cache: DynamicCache | None = None,
        keep: bool,
    ) -> BackboneOutput:
        """Hidden states of tokens at `places` (B or 1, L), which see (B, L, keys), or all before them."""
        run = partial(
            self.llama,
            input_ids=input_ids,
            attention_mask=None if seen is None else seen.unsqueeze(1),
            position_ids=places,
            past_key_values=cache,
            use_cache=cache is not None,
        )
        return run_borrowed(run, self.llama.norm, keep=keep)

    def _require_length(self, length: int) -> None:
        if length > self.arguments["l_max"]:
            raise SequenceError(
                f"a sequence of {length:,} tokens is longer than this model's l_max={self.l_max:,}: cut it "
                "into windows, or raise l_max."
            )

    def _initialize(self) -> None:
        initialize_normally(self.llama, std=self.arguments["initializer_range"])
        for module in self.llama.modules():
            if isinstance(module, type(self.llama.norm)):
                nn.init.ones_(module.weight)


def _make(arguments: dict[str, Any]) -> LlamaModel:
    """transformers' model.

    Raises:
        ConfigError: heads do not divide, or transformers is not installed.
    """
    transformers = import_transformers("model_type=llama (GENERator)")
    heads = arguments["num_heads"]
    shared = heads if arguments["num_kv_heads"] is None else arguments["num_kv_heads"]
    if shared < 1 or heads % shared:
        raise ConfigError(f"num_kv_heads={shared} does not divide num_heads={heads}: choose one that does.")
    if arguments["head_dim"] is None and arguments["d_model"] % heads:
        raise ConfigError(
            f"num_heads={heads} does not divide d_model={arguments['d_model']}: choose one that does, or set "
            "head_dim."
        )
    config = transformers.LlamaConfig(
        hidden_size=arguments["d_model"],
        num_hidden_layers=arguments["num_layers"],
        num_attention_heads=heads,
        num_key_value_heads=shared,
        head_dim=arguments["head_dim"] or arguments["d_model"] // heads,
        intermediate_size=arguments["d_inner"],
        vocab_size=arguments["vocab_size"],
        pad_token_id=arguments["padding_id"],
        max_position_embeddings=arguments["l_max"],
        rope_parameters={"rope_type": "default", "rope_theta": arguments["rotary_base"]},
        attention_bias=arguments["attention_bias"],
        mlp_bias=arguments["mlp_bias"],
        attention_dropout=arguments["attention_dropout"],
        rms_norm_eps=arguments["norm_epsilon"],
        initializer_range=arguments["initializer_range"],
    )
    return transformers.LlamaModel(config)


def _joined(
    before: torch.Tensor | None, mask: torch.Tensor | None, input_ids: torch.Tensor, position: int
) -> torch.Tensor:
    """(B, position + L) bool: the masks of what was read and of the next tokens; None is of real ones."""
    if before is None:
        before = input_ids.new_ones(len(input_ids), position, dtype=torch.bool)
    if mask is None:
        mask = torch.ones_like(input_ids, dtype=torch.bool)
    return torch.cat([before, mask], dim=1)
