"""Residual blocks of one kind of mixer, as plain data describe them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import nn

from genoseq.errors import ConfigError, SequenceError, require_choice
from genoseq.models.hybridna import plain
from genoseq.nn.attention import Attention
from genoseq.nn.bidirectional import Bidirectional
from genoseq.nn.delta import GatedDeltaNet
from genoseq.nn.gated_mlp import GatedMlp
from genoseq.nn.linear_attention import LinearAttention
from genoseq.nn.lstm import LstmMixer
from genoseq.nn.mamba import MambaMixer
from genoseq.nn.mamba2 import Mamba2Mixer
from genoseq.nn.mixer import Mixer, MixerContext
from genoseq.nn.residual import Norm, ResidualBlock, make_norm, normed
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


class MixerStack(nn.Module):
    """Vectors (B, L, D) through residual blocks and a last norm.

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

    def __init__(
        self,
        *,
        mixer: str,
        d_model: int,
        num_layers: int,
        options: Mapping[str, Any] | None = None,
        bidirectional: bool = False,
        d_inner: int = 0,
        dropout: float = 0.0,
        norm: Norm = "layer",
    ) -> None:
        super().__init__()
        require_choice("mixer", mixer, tuple(MIXERS))
        if min(d_model, num_layers) < 1:
            raise ConfigError(f"d_model={d_model}, num_layers={num_layers}: give at least 1.")
        self.d_model = d_model

        def mixed() -> Mixer:
            arguments = {**(plain(options) if options else {}), "d_model": d_model}
            return cast(Mixer, construct_from(mixer, MIXERS[mixer], arguments))

        blocks = []
        for _ in range(num_layers):
            layer = Bidirectional(mixed(), mixed(), combination="add") if bidirectional else mixed()
            parts: tuple[Any, ...] = ()
            if d_inner:
                mlp = GatedMlp(d_model=d_model, d_inner=d_inner)
                parts = (mlp, make_norm(norm, d_model, epsilon=1e-5))
            blocks.append(
                ResidualBlock(layer, make_norm(norm, d_model, epsilon=1e-5), *parts, dropout=dropout)
            )
        self.layers = nn.ModuleList(blocks)
        self.norm_f = make_norm(norm, d_model, epsilon=1e-5)

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
