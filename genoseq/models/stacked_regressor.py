"""A flat stack of mixers of one kind that reads real values, and tells others from them as it goes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import nn

from genoseq.errors import ConfigError, require_choice
from genoseq.models.hybridna import plain
from genoseq.models.signal import SignalOutput, SignalRegressor
from genoseq.nn import Attention, Mamba2Mixer, MambaMixer, Mixer, MixerContext, S4DMixer, S4Mixer, S5Mixer
from genoseq.nn.gated_mlp import GatedMlp
from genoseq.nn.lstm import LstmMixer
from genoseq.nn.materialize import reset_children
from genoseq.nn.residual import Norm, ResidualBlock, make_norm, normed

MIXERS: dict[str, type[Mixer]] = {
    "attention": Attention,
    "lstm": LstmMixer,
    "mamba": MambaMixer,
    "mamba2": Mamba2Mixer,
    "s4": S4Mixer,
    "s4d": S4DMixer,
    "s5": S5Mixer,
}


@dataclass
class StackState:
    """What the layers remember.

    Attributes:
        position: samples seen.
        layers: of each layer.
    """

    position: int
    layers: list[Any]


class StackedRegressor(SignalRegressor):
    """Residual blocks between two linear layers.

    Args:
        input_channels: C_in.
        num_outputs: C_out.
        d_model: D, width.
        num_layers: number of blocks.
        mixer: of all blocks: attention, lstm, mamba, mamba2, s4, s4d or s5.
        options: further arguments of the mixer.
        d_inner: width inside the gated MLPs; 0 for blocks without one.
        samples_per_prediction: a prediction is made at every so many samples, from what the last of them and
            all before it say.
        dropout: of what mixers and MLPs add.
        norm, norm_epsilon: of the blocks.

    Raises:
        ConfigError: no such mixer, options that it does not have, or a number below 1.
    """

    model_type: ClassVar[str] = "stacked_regressor"
    head_names: ClassVar[tuple[str, ...]] = ("head",)
    causal = True
    streams = True

    def __init__(
        self,
        *,
        input_channels: int,
        num_outputs: int,
        d_model: int = 64,
        num_layers: int = 4,
        mixer: str = "s4d",
        options: Mapping[str, Any] | None = None,
        d_inner: int = 0,
        samples_per_prediction: int = 1,
        dropout: float = 0.0,
        norm: Norm = "rms",
        norm_epsilon: float = 1e-5,
    ) -> None:
        # Before any other local name is bound, these are exactly the arguments.
        arguments = {name: plain(x) for name, x in locals().items() if name not in ("self", "__class__")}
        super().__init__()
        require_choice("mixer", mixer, sorted(MIXERS))
        if min(input_channels, num_outputs, d_model, num_layers, samples_per_prediction) < 1:
            raise ConfigError(
                f"input_channels={input_channels}, num_outputs={num_outputs}, d_model={d_model}, num_layers="
                f"{num_layers}, samples_per_prediction={samples_per_prediction}: give 1 or more of each."
            )
        self.arguments = arguments
        self.input_channels, self.num_outputs = input_channels, num_outputs
        self.samples_per_prediction = samples_per_prediction
        self.embedding = nn.Linear(input_channels, d_model)
        self.layers = nn.ModuleList(self._block() for _ in range(num_layers))
        self.norm_f = make_norm(norm, d_model, epsilon=norm_epsilon)
        self.head = nn.Linear(d_model, num_outputs)
        self.fixed_memory = all(block.mixer.fixed_memory for block in self._blocks)

    def reset_parameters(self) -> None:
        reset_children(self)

    def forward(
        self,
        x: torch.Tensor,
        mask: torch.Tensor | None = None,
        *,
        time_step: torch.Tensor | None = None,
    ) -> SignalOutput:
        """See `SignalRegressor.forward`."""
        self.require_samples(x)
        context = MixerContext(mask=None if mask is None else mask.bool(), time_step=time_step)
        hidden = self._embed(x)
        for block in self._blocks:
            hidden = block(hidden, context)
        hidden = normed(self.norm_f, hidden)
        every = self.samples_per_prediction
        return SignalOutput(self.head(hidden[:, every - 1 :: every]), hidden)

    def init_state(self, batch_size: int, *, max_length: int) -> StackState:
        """See `SignalRegressor.init_state`."""
        weight = self.embedding.weight
        settings = {"max_length": max_length, "device": weight.device, "dtype": weight.dtype}
        return StackState(0, [block.mixer.init_state(batch_size, **settings) for block in self._blocks])

    def forward_chunk(self, x: torch.Tensor, state: StackState) -> torch.Tensor:
        """See `SignalRegressor.forward_chunk`."""
        self.require_samples(x)
        hidden = self._embed(x)
        for block, before in zip(self._blocks, state.layers, strict=True):
            hidden = block(hidden, state=before)
        every = self.samples_per_prediction
        first = (every - 1 - state.position) % every
        state.position += x.shape[1]
        return self.head(normed(self.norm_f, hidden[:, first::every]))

    @property
    def _blocks(self) -> list[ResidualBlock]:
        return list(self.layers)  # type: ignore[arg-type]

    def _embed(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.embedding(x.to(self.embedding.weight.dtype))
        return hidden.to(torch.promote_types(hidden.dtype, torch.float32))

    def _block(self) -> ResidualBlock:
        settings = self.arguments
        width = settings["d_model"]
        try:
            mixer = MIXERS[settings["mixer"]](d_model=width, **(settings["options"] or {}))  # type: ignore[call-arg]
        except TypeError as error:
            raise ConfigError(f"model.options of mixer={settings['mixer']}: {error}.") from error
        parts: tuple[Any, ...] = ()
        if settings["d_inner"]:
            parts = (GatedMlp(d_model=width, d_inner=settings["d_inner"]), self._norm())
        return ResidualBlock(mixer, self._norm(), *parts, dropout=settings["dropout"])

    def _norm(self) -> Any:
        settings = self.arguments
        return make_norm(settings["norm"], settings["d_model"], epsilon=settings["norm_epsilon"])
