"""HybriDNA and other hybrids: residual blocks whose mixers follow a pattern, each with a gated MLP.

Names of submodules and parameters are those of mamba_ssm's hybrid models.
Source: Ma et al. 2025, "HybriDNA: A Hybrid Transformer-Mamba2 Long-Range DNA Language Model".
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import nn

from genoseq.errors import ConfigError, SequenceError
from genoseq.models.backbone import BackboneOutput
from genoseq.models.residual_stack import ResidualStack, initialize, longest_sequence
from genoseq.nn.attention import Attention
from genoseq.nn.checkpointing import Checkpointing
from genoseq.nn.delta import GatedDeltaNet
from genoseq.nn.gated_mlp import GatedMlp
from genoseq.nn.hyena import HyenaMixer
from genoseq.nn.linear_attention import LinearAttention
from genoseq.nn.mamba import MambaMixer
from genoseq.nn.mamba2 import Mamba2Mixer
from genoseq.nn.materialize import reset_children
from genoseq.nn.mixer import Mixer
from genoseq.nn.residual import Norm, ResidualBlock, make_norm
from genoseq.nn.tiling import require_tile


@dataclass(frozen=True)
class LayerKind:
    """Attributes:
    option: the argument of `HybriDNA` that holds the mixer's own.
    mixer: its class.
    needs_l_max: whether it takes `l_max`.
    """

    option: str
    mixer: type[Mixer]
    needs_l_max: bool = False


# One row a letter of the pattern.
LAYER_KINDS: dict[str, LayerKind] = {
    "m": LayerKind("mamba2", Mamba2Mixer),
    "a": LayerKind("attention", Attention),
    "s": LayerKind("mamba", MambaMixer),
    "h": LayerKind("hyena", HyenaMixer, needs_l_max=True),
    "d": LayerKind("delta", GatedDeltaNet),
    "l": LayerKind("linear", LinearAttention),
}


class HybriDNA(ResidualStack):
    """A causal backbone of blocks of several kinds.

    Args:
        d_model: D, width.
        num_layers: number of blocks.
        pattern: kinds of blocks, repeated until there are `num_layers`: `m` Mamba-2, `a` attention, `s`
            Mamba, `h` Hyena, `d` gated delta net, `l` linear attention.
        d_inner: width inside the gated MLPs; 0 for blocks without one.
        mlp_bias: of the MLPs' layers.
        mamba2, attention, mamba, hyena, delta, linear: arguments of the mixers of each kind, `d_model` and
            `l_max` aside; None where the pattern has none.
        vocab_size: number of tokens.
        pad_vocab_size_multiple: the embedding's rows are rounded up to a multiple of this.
        padding_id: token whose embedding is not learned; None for none, which a mask makes unnecessary.
        l_max: the most tokens a sequence may have; None for any number, but where there is Hyena.
        embed_dropout: dropout of the embeddings.
        resid_dropout: dropout of what every mixer and MLP adds.
        norm: `rms` or `layer`.
        norm_epsilon: of the norms of the residual stream.
        initializer_range: standard deviation of the first embeddings.
        rescale_residual_init: divide the first weights that write to the residual stream by the square root
            of how many such layers there are.
        activation_checkpointing: compute blocks again in the backward pass instead of keeping what they hold:
            less memory, more time, the same numbers.
        sequence_tile: positions for which the MLPs are computed at once, and again in the backward pass; None
            for all. Less memory, more time, the same numbers up to rounding.

    Raises:
        ConfigError: an argument is outside its range, or the pattern has unknown letters or does not fit.
    """

    model_type: ClassVar[str] = "hybridna"

    def __init__(
        self,
        *,
        d_model: int,
        num_layers: int,
        pattern: str = "mmmmammm",
        d_inner: int = 0,
        mlp_bias: bool = False,
        mamba2: Mapping[str, Any] | None = None,
        attention: Mapping[str, Any] | None = None,
        mamba: Mapping[str, Any] | None = None,
        hyena: Mapping[str, Any] | None = None,
        delta: Mapping[str, Any] | None = None,
        linear: Mapping[str, Any] | None = None,
        vocab_size: int = 12,
        pad_vocab_size_multiple: int = 1,
        padding_id: int | None = None,
        l_max: int | None = None,
        embed_dropout: float = 0.0,
        resid_dropout: float = 0.0,
        norm: Norm = "rms",
        norm_epsilon: float = 1e-5,
        initializer_range: float = 0.02,
        rescale_residual_init: bool = True,
        activation_checkpointing: Checkpointing = False,
        sequence_tile: int | None = None,
    ) -> None:
        # Before any other local name is bound, these are exactly the arguments.
        arguments = {name: plain(x) for name, x in locals().items() if name not in ("self", "__class__")}
        require_tile("sequence_tile", sequence_tile)
        kinds = layer_kinds(pattern, num_layers)
        blocks = []
        for letter in kinds:
            parts: tuple[Any, ...] = ()
            if d_inner:
                mlp = GatedMlp(d_model=d_model, d_inner=d_inner, bias=mlp_bias, sequence_tile=sequence_tile)
                parts = (mlp, make_norm(norm, d_model, epsilon=norm_epsilon))
            mixer = LAYER_KINDS[letter].mixer(**mixer_arguments(letter, arguments))
            first_norm = make_norm(norm, d_model, epsilon=norm_epsilon)
            blocks.append(ResidualBlock(mixer, first_norm, *parts, dropout=resid_dropout))
        super().__init__(
            blocks,
            d_model=d_model,
            vocab_size=vocab_size,
            pad_vocab_size_multiple=pad_vocab_size_multiple,
            norm=norm,
            norm_epsilon=norm_epsilon,
            activation_checkpointing=activation_checkpointing,
        )
        self.arguments = arguments
        self.padding_id = padding_id
        self.l_max = l_max
        self.dropout = nn.Dropout(embed_dropout)
        self._initialize()

    def reset_parameters(self) -> None:
        reset_children(self)
        self._initialize()

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        *,
        segment_ids: torch.Tensor | None = None,
        output_hidden_states: bool = False,
    ) -> BackboneOutput:
        if self.l_max is not None and input_ids.shape[-1] > self.l_max:
            self._require_length(longest_sequence(input_ids, attention_mask, segment_ids))
        return super().forward(
            input_ids, attention_mask, segment_ids=segment_ids, output_hidden_states=output_hidden_states
        )

    def init_state(self, batch_size: int, *, max_length: int) -> list[Any]:
        """See `StreamingBackbone.init_state`; only Hyena and full attention take memory that depends on
        `max_length`."""
        self._require_length(max_length)
        return super().init_state(batch_size, max_length=max_length)

    def _embed(self, input_ids: torch.Tensor) -> torch.Tensor:
        x = self.dropout(super()._embed(input_ids))
        if self.padding_id is None:
            return x
        return torch.where((input_ids == self.padding_id).unsqueeze(-1), x.detach(), x)

    def _require_length(self, length: int) -> None:
        if self.l_max is not None and length > self.l_max:
            raise SequenceError(
                f"a sequence of {length:,} tokens is longer than this model's l_max={self.l_max:,}: "
                "cut it into windows, or raise l_max; without Hyena layers it may be null."
            )

    def _initialize(self) -> None:
        arguments = self.arguments
        writers = self.num_layers * (2 if arguments["d_inner"] else 1)
        initialize(
            self,
            std=arguments["initializer_range"],
            residuals=writers if arguments["rescale_residual_init"] else None,
        )


def layer_kinds(pattern: str, num_layers: int, kinds: Mapping[str, LayerKind] = LAYER_KINDS) -> str:
    """A letter for every layer.

    Args:
        pattern: letters of `kinds`, repeated until there are `num_layers`.
        num_layers: how many.
        kinds: by letter.

    Raises:
        ConfigError: the pattern is empty, has unknown letters, or does not divide the number of layers.
    """
    known = ", ".join(f"{letter} ({kind.option})" for letter, kind in kinds.items())
    # Hydra reads a pattern such as `null` or `1` as something else.
    if not isinstance(pattern, str) or not pattern or set(pattern) - set(kinds):
        raise ConfigError(f"pattern={pattern!r}: give one letter a layer, of {known}.")
    if num_layers < 1 or num_layers % len(pattern):
        raise ConfigError(
            f"pattern={pattern!r} has {len(pattern)} layers, which do not divide num_layers={num_layers}: "
            "change either, or write out all layers."
        )
    return pattern * (num_layers // len(pattern))


def mixer_arguments(
    letter: str, arguments: Mapping[str, Any], kinds: Mapping[str, LayerKind] = LAYER_KINDS
) -> dict[str, Any]:
    """All arguments of a kind's mixers, defaults included, from the arguments of the model.

    Raises:
        ConfigError: its own are missing, or are not those of its constructor.
    """
    kind = kinds[letter]
    given = arguments[kind.option]
    if given is None:
        raise ConfigError(
            f"the pattern has {letter!r} layers, and {kind.option} is null: give it the mixer's arguments."
        )
    given = {**given, "d_model": arguments["d_model"]}
    if kind.needs_l_max:
        if arguments["l_max"] is None:
            raise ConfigError(f"l_max is null, and the pattern has {letter!r} layers, which want a number.")
        given["l_max"] = arguments["l_max"]
    signature = inspect.signature(kind.mixer)
    try:
        bound = signature.bind(**given)
    except TypeError as error:
        taken = ", ".join(name for name in signature.parameters if name not in ("d_model", "l_max"))
        raise ConfigError(f"{kind.option}: {error}; it takes {taken}.") from error
    bound.apply_defaults()
    return dict(bound.arguments)


def plain(value: Any) -> Any:
    """As JSON can hold it: a config's own mappings and lists become dicts and lists."""
    if isinstance(value, Mapping):
        return {str(key): plain(held) for key, held in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(held) for held in value]
    return value
