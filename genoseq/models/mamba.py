"""Mamba and Mamba-2 language models: residual blocks of one mixer each.

Names of submodules and parameters are those of the released checkpoints.
Source: Gu and Dao 2023, "Mamba"; Dao and Gu 2024, "Transformers are SSMs"; and their released code.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from genoseq.models.residual_stack import ResidualStack, initialize
from genoseq.nn.checkpointing import Checkpointing
from genoseq.nn.mamba import MambaMixer
from genoseq.nn.mamba2 import Mamba2Mixer
from genoseq.nn.materialize import reset_children
from genoseq.nn.residual import Norm, ResidualBlock, make_norm


class _MambaStack(ResidualStack):
    def reset_parameters(self) -> None:
        reset_children(self)
        self._initialize()

    def _initialize(self) -> None:
        residuals = self.num_layers if self.arguments["rescale_residual_init"] else None
        initialize(self, std=self.arguments["initializer_range"], residuals=residuals)


class Mamba(_MambaStack):
    """The published function.

    Args:
        d_model: D, width.
        num_layers: number of blocks.
        vocab_size: number of tokens.
        pad_vocab_size_multiple: the embedding's rows are rounded up to a multiple of this.
        d_state: state of each channel.
        d_conv: taps of the short convolutions.
        expand: how much wider the layers are inside.
        dt_rank: rank of the projection that makes the time steps; None for d_model / 16, rounded up.
        dt_min, dt_max, dt_init_floor: range of the first time steps.
        dt_scale: of the first weights of their projection.
        conv_bias: of the short convolutions.
        bias: of the projections in and out.
        norm: `rms` or `layer`.
        norm_epsilon: of every norm.
        initializer_range: standard deviation of the first embeddings.
        rescale_residual_init: divide the first weights that write to the residual stream by sqrt(num_layers).
        activation_checkpointing: compute blocks again in the backward pass instead of keeping what they hold:
            less memory, more time, the same numbers. `offload` keeps their inputs in the host's memory.

    Raises:
        ConfigError: an argument is outside its range.
    """

    model_type: ClassVar[str] = "mamba"

    def __init__(
        self,
        *,
        d_model: int,
        num_layers: int,
        vocab_size: int = 12,
        pad_vocab_size_multiple: int = 8,
        d_state: int = 16,
        d_conv: int = 4,
        expand: int = 2,
        dt_rank: int | None = None,
        dt_min: float = 0.001,
        dt_max: float = 0.1,
        dt_init_floor: float = 1e-4,
        dt_scale: float = 1.0,
        conv_bias: bool = True,
        bias: bool = False,
        norm: Norm = "rms",
        norm_epsilon: float = 1e-5,
        initializer_range: float = 0.02,
        rescale_residual_init: bool = True,
        activation_checkpointing: Checkpointing = False,
    ) -> None:
        # Before any other local name is bound, these are exactly the arguments.
        arguments = {name: value for name, value in locals().items() if name not in ("self", "__class__")}
        blocks = [
            ResidualBlock(
                MambaMixer(
                    d_model=d_model,
                    d_state=d_state,
                    d_conv=d_conv,
                    expand=expand,
                    dt_rank=dt_rank,
                    dt_min=dt_min,
                    dt_max=dt_max,
                    dt_init_floor=dt_init_floor,
                    dt_scale=dt_scale,
                    conv_bias=conv_bias,
                    bias=bias,
                ),
                make_norm(norm, d_model, epsilon=norm_epsilon),
            )
            for _ in range(num_layers)
        ]
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
        self._initialize()


class Mamba2(_MambaStack):
    """The published function.

    Args:
        d_model: D, width.
        num_layers: number of blocks.
        vocab_size: number of tokens.
        pad_vocab_size_multiple: the embedding's rows are rounded up to a multiple of this.
        d_state: state of each channel of a head.
        d_conv: taps of the short convolutions.
        expand: how much wider the layers are inside.
        headdim: channels of a head.
        ngroups: groups of heads that share B and C.
        chunk_size: positions that a layer computes at once: changes time and memory, not the function.
        dt_min, dt_max, dt_init_floor: range of the first time steps.
        dt_limit: bounds of all time steps; null for no upper one.
        conv_bias: of the short convolutions.
        bias: of the projections in and out.
        norm: `rms` or `layer`.
        norm_epsilon: of the norms of the residual stream.
        initializer_range: standard deviation of the first embeddings.
        rescale_residual_init: divide the first weights that write to the residual stream by sqrt(num_layers).
        activation_checkpointing: compute blocks again in the backward pass instead of keeping what they hold:
            less memory, more time, the same numbers. `offload` keeps their inputs in the host's memory.

    Raises:
        ConfigError: an argument is outside its range, or widths do not divide.
    """

    model_type: ClassVar[str] = "mamba2"

    def __init__(
        self,
        *,
        d_model: int,
        num_layers: int,
        vocab_size: int = 12,
        pad_vocab_size_multiple: int = 8,
        d_state: int = 128,
        d_conv: int = 4,
        expand: int = 2,
        headdim: int = 64,
        ngroups: int = 1,
        chunk_size: int = 256,
        dt_min: float = 0.001,
        dt_max: float = 0.1,
        dt_init_floor: float = 1e-4,
        dt_limit: Sequence[float | None] = (0.0, None),
        conv_bias: bool = True,
        bias: bool = False,
        norm: Norm = "rms",
        norm_epsilon: float = 1e-5,
        initializer_range: float = 0.02,
        rescale_residual_init: bool = True,
        activation_checkpointing: Checkpointing = False,
    ) -> None:
        # Before any other local name is bound, these are exactly the arguments.
        arguments = {name: value for name, value in locals().items() if name not in ("self", "__class__")}
        blocks = [
            ResidualBlock(
                Mamba2Mixer(
                    d_model=d_model,
                    d_state=d_state,
                    d_conv=d_conv,
                    expand=expand,
                    headdim=headdim,
                    ngroups=ngroups,
                    chunk_size=chunk_size,
                    dt_min=dt_min,
                    dt_max=dt_max,
                    dt_init_floor=dt_init_floor,
                    dt_limit=dt_limit,
                    conv_bias=conv_bias,
                    bias=bias,
                ),
                make_norm(norm, d_model, epsilon=norm_epsilon),
            )
            for _ in range(num_layers)
        ]
        super().__init__(
            blocks,
            d_model=d_model,
            vocab_size=vocab_size,
            pad_vocab_size_multiple=pad_vocab_size_multiple,
            norm=norm,
            norm_epsilon=norm_epsilon,
            activation_checkpointing=activation_checkpointing,
        )
        self.arguments = arguments | {"dt_limit": list(dt_limit)}
        self._initialize()
