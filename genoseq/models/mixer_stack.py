"""Residual blocks of any mixers over what a model of signals has embedded, as plain data describe them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
from torch import nn

from genoseq.errors import ConfigError, SequenceError, require_choice
from genoseq.models.hybridna import LAYER_KINDS, LayerKind, layer_kinds, mixer_arguments, plain
from genoseq.nn.attention import Attention
from genoseq.nn.bidirectional import Bidirectional
from genoseq.nn.delta import GatedDeltaNet
from genoseq.nn.gated_mlp import GatedMlp
from genoseq.nn.linear_attention import LinearAttention
from genoseq.nn.lstm import LstmMixer
from genoseq.nn.mamba import MambaMixer
from genoseq.nn.mamba2 import Mamba2Mixer
from genoseq.nn.mixer import Mixer, MixerContext
from genoseq.nn.residual import Norm, NormLayer, ResidualBlock, make_norm, normed
from genoseq.nn.s4 import S4DMixer, S4Mixer
from genoseq.nn.s5 import S5Mixer

MIXERS: dict[str, type[Mixer]] = {
    "s4d": S4DMixer,
    "s4": S4Mixer,
    "s5": S5Mixer,
    "mamba": MambaMixer,
    "mamba2": Mamba2Mixer,
    "delta": GatedDeltaNet,
    "linear": LinearAttention,
    "attention": Attention,
    "lstm": LstmMixer,
}
# As letters of a pattern: those of sequences, and two of continuous time.
SIGNAL_KINDS: dict[str, LayerKind] = LAYER_KINDS | {
    "q": LayerKind("s4d", S4DMixer),
    "v": LayerKind("s5", S5Mixer),
}


class MixerStack(nn.Module):
    """Vectors (B, L, D) through residual blocks and a last norm.

    Args:
        mixers: of the blocks, in order, of width D.
        d_model: D.
        d_inner: width inside the gated MLPs; 0 for blocks without one.
        dropout: of what mixers and MLPs add.
        norm, norm_epsilon: of every norm.
    """

    def __init__(
        self,
        mixers: Sequence[Mixer],
        *,
        d_model: int,
        d_inner: int,
        dropout: float,
        norm: Norm,
        norm_epsilon: float,
    ) -> None:
        super().__init__()
        self.d_model = d_model

        def made_norm() -> NormLayer:
            return make_norm(norm, d_model, epsilon=norm_epsilon)

        blocks = []
        for mixer in mixers:
            parts = (GatedMlp(d_model=d_model, d_inner=d_inner), made_norm()) if d_inner else ()
            blocks.append(ResidualBlock(mixer, made_norm(), *parts, dropout=dropout))
        self.layers = nn.ModuleList(blocks)
        self.norm_f = made_norm()

    @property
    def blocks(self) -> list[ResidualBlock]:
        """In order."""
        return cast(list[ResidualBlock], list(self.layers))

    @property
    def streams(self) -> bool:
        """Whether it carries a state."""
        return all(block.mixer.streams for block in self.blocks)

    @property
    def fixed_memory(self) -> bool:
        """Whether that is as large after any number of positions."""
        return all(block.mixer.fixed_memory for block in self.blocks)

    def forward(
        self, x: torch.Tensor, context: MixerContext | None = None, *, state: list[Any] | None = None
    ) -> torch.Tensor:
        """(B, L, D) to (B, L, D); a state is carried on in place.

        Raises:
            SequenceError: time steps, for mixers that know of positions only.
        """
        mixers = [block.mixer for block in self.blocks]
        if context is not None and context.time_step is not None:
            deaf = {type(mixer).__name__ for mixer in mixers if not mixer.continuous}
            if deaf:
                raise SequenceError(
                    f"time steps were given, and {', '.join(sorted(deaf))} knows none: resample, or use s4d "
                    "or s5."
                )
        x = x.to(torch.promote_types(x.dtype, torch.float32))
        states = state or [None] * len(mixers)
        for block, block_state in zip(self.blocks, states, strict=True):
            x = block(x, context, state=block_state)
        return normed(self.norm_f, x)

    def init_state(self, batch_size: int, *, max_length: int) -> list[Any]:
        """The state before the first position, with room for `max_length`."""
        weight = self.norm_f.weight
        return [
            block.mixer.init_state(
                batch_size, max_length=max_length, device=weight.device, dtype=weight.dtype
            )
            for block in self.blocks
        ]


def stack_of(
    *,
    mixer: str,
    d_model: int,
    num_layers: int,
    options: Mapping[str, Any] | None = None,
    bidirectional: bool = False,
    d_inner: int = 0,
    dropout: float = 0.0,
    norm: Norm = "layer",
) -> MixerStack:
    """A stack of one kind of mixer.

    Args:
        mixer: `s4d`, `s4`, `s5`, `mamba`, `mamba2`, `delta`, `linear`, `attention` or `lstm`.
        d_model: D.
        num_layers: number of blocks.
        options: arguments of the mixer, `d_model` aside.
        bidirectional: each block has a mixer for either direction, and adds what they give.
        d_inner: width inside the gated MLPs; 0 for blocks without one.
        dropout: of what mixers and MLPs add.
        norm: `rms` or `layer`.

    Raises:
        ConfigError: no such mixer, or it does not take these options.
    """
    require_choice("mixer", mixer, tuple(MIXERS))
    if min(d_model, num_layers) < 1:
        raise ConfigError(f"d_model={d_model}, num_layers={num_layers}: give at least 1.")
    arguments = {**(plain(options) if options else {}), "d_model": d_model}

    def made() -> Mixer:
        return cast(Mixer, construct_from(mixer, MIXERS[mixer], arguments))

    mixers = [_in_directions(made, bidirectional) for _ in range(num_layers)]
    return MixerStack(mixers, d_model=d_model, d_inner=d_inner, dropout=dropout, norm=norm, norm_epsilon=1e-5)


def stack_of_pattern(arguments: Mapping[str, Any], *, bidirectional: bool = False) -> MixerStack:
    """A stack whose mixers are letters of a pattern.

    Args:
        arguments: of the model: `d_model`, `num_layers`, `pattern`, `d_inner`, `dropout`, `norm`,
            `norm_epsilon`, `l_max`, and the arguments of each kind of mixer, None where the pattern has none.
        bidirectional: every mixer also reads from the end, with weights of its own.

    Raises:
        ConfigError: the pattern has unknown letters, or mixers without their arguments.
    """

    def made(letter: str) -> Callable[[], Mixer]:
        given = mixer_arguments(letter, arguments, SIGNAL_KINDS)
        return lambda: SIGNAL_KINDS[letter].mixer(**given)

    letters = layer_kinds(arguments["pattern"], arguments["num_layers"], SIGNAL_KINDS)
    settings = {name: arguments[name] for name in ("d_model", "d_inner", "dropout", "norm", "norm_epsilon")}
    return MixerStack([_in_directions(made(letter), bidirectional) for letter in letters], **settings)


def _in_directions(made: Callable[[], Mixer], bidirectional: bool) -> Mixer:
    return Bidirectional(made(), made(), combination="add") if bidirectional else made()


def construct_from(name: str, component: Any, arguments: Mapping[str, Any]) -> Any:
    """An object of a class with the arguments that a config gives.

    Raises:
        ConfigError: the class takes others.
    """
    signature = inspect.signature(component)
    try:
        signature.bind(**arguments)
    except TypeError as error:
        raise ConfigError(f"{name}: {error}; it takes {', '.join(signature.parameters)}.") from error
    return component(**arguments)
