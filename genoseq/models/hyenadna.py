"""HyenaDNA: blocks of Hyena operators and MLPs over single nucleotides.

Names of submodules and parameters are those of the released checkpoints.
Source: Nguyen et al. 2023, "HyenaDNA: Long-Range Genomic Sequence Modeling at Single Nucleotide Resolution",
and its released code.
"""

from __future__ import annotations

import math
from typing import ClassVar, cast

import torch
from torch import nn
from torch.nn import functional as F

from genoseq.errors import ConfigError
from genoseq.models.backbone import BackboneOutput, StreamingBackbone
from genoseq.models.residual_stack import batch_context
from genoseq.nn import HyenaMixer, HyenaState, Mlp, PreNormBlock, normed
from genoseq.nn.checkpointing import Checkpointing, require_checkpointing, through_layers
from genoseq.nn.materialize import reset_children
from genoseq.nn.tiling import require_tile
from genoseq_kernels import FrequencyPattern


class HyenaDNA(StreamingBackbone):
    """The published function.

    Args:
        d_model: D, width.
        num_layers: number of blocks.
        d_inner: width inside the MLPs; None for four times `d_model`.
        vocab_size: number of tokens.
        pad_vocab_size_multiple: the embedding's rows are rounded up to a multiple of this.
        l_max: the most tokens a sequence may have, and the length that filter positions are measured by.
        order: of the Hyena operators, 2 or more.
        filter_order: width of the filters' networks.
        emb_dim: width of the filters' positional embedding; odd, 3 or more.
        short_filter_order: taps of the short convolution.
        num_inner_mlps: hidden layers of the filters' networks, between the first and the last.
        activation_freq: first value of the frequencies of the filters' sines.
        train_freq: learn these frequencies.
        position_lr: learning rate of the filters' positional embedding; 0 keeps it fixed.
        filter_lr: learning rate of the filters' networks; None for the optimiser's own.
        filter_weight_decay: weight decay of the filters' networks.
        embed_dropout: dropout of the embeddings.
        resid_dropout: dropout of what every layer adds.
        mixer_dropout: dropout of the long convolutions' input.
        layer_norm_epsilon: of every norm.
        initializer_range: standard deviation of the first weights of linear layers and embeddings.
        rescale_residual_init: divide it by sqrt(2 num_layers) for the layers that write to the residual
            stream.
        activation_checkpointing: compute blocks again in the backward pass instead of keeping what they hold:
            less memory, more time, the same numbers. `offload` also keeps the blocks' inputs in the host's
            memory instead of the GPU's.
        sequence_tile: positions for which MLPs are computed at once; None for all. Less memory, the same
            numbers up to rounding, in nearly the same time.
        mixer_tile: the same for projections, short convolutions and filters. That takes more time: they are
            computed again in the backward pass, with checkpointing three times.
        extended_l_max: the most tokens a sequence may have, where that is more than `l_max`: filters keep the
            positions they were trained at and end after `l_max` taps, a token sees that many before it.
        max_taps: end the filters after that many taps; None for all `l_max`.

    Raises:
        ConfigError: an argument is outside its range.
    """

    model_type: ClassVar[str] = "hyenadna"
    causal = True
    l_max: int

    def __init__(
        self,
        *,
        d_model: int,
        num_layers: int,
        d_inner: int | None = None,
        vocab_size: int = 12,
        pad_vocab_size_multiple: int = 8,
        l_max: int,
        order: int = 2,
        filter_order: int = 64,
        emb_dim: int = 5,
        short_filter_order: int = 3,
        num_inner_mlps: int = 2,
        activation_freq: float = 10.0,
        train_freq: bool = True,
        position_lr: float = 0.0,
        filter_lr: float | None = 6e-4,
        filter_weight_decay: float = 0.0,
        embed_dropout: float = 0.1,
        resid_dropout: float = 0.0,
        mixer_dropout: float = 0.0,
        layer_norm_epsilon: float = 1e-5,
        initializer_range: float = 0.02,
        rescale_residual_init: bool = True,
        activation_checkpointing: Checkpointing = False,
        sequence_tile: int | None = None,
        mixer_tile: int | None = None,
        extended_l_max: int | None = None,
        max_taps: int | None = None,
    ) -> None:
        # Before any other local name is bound, these are exactly the arguments.
        arguments = {name: value for name, value in locals().items() if name not in ("self", "__class__")}
        _check_arguments(order=order, emb_dim=emb_dim, l_max=l_max, short_filter_order=short_filter_order)
        require_checkpointing(activation_checkpointing)
        require_tile("sequence_tile", sequence_tile)
        require_tile("mixer_tile", mixer_tile)
        _check_reach(l_max, extended_l_max, max_taps)
        super().__init__()
        self.arguments = arguments
        self.d_model = d_model
        self.num_layers = num_layers
        self.vocab_size = math.ceil(vocab_size / pad_vocab_size_multiple) * pad_vocab_size_multiple
        self.l_max = extended_l_max or l_max
        self.activation_checkpointing = activation_checkpointing
        self.embeddings = nn.ModuleDict({"word_embeddings": nn.Embedding(self.vocab_size, d_model)})
        self.dropout = nn.Dropout(embed_dropout)
        filter_options = {
            "width": filter_order,
            "emb_dim": emb_dim,
            "num_inner_mlps": num_inner_mlps,
            "activation_freq": activation_freq,
            "train_freq": train_freq,
            "position_lr": position_lr,
            "filter_lr": filter_lr,
            "filter_weight_decay": filter_weight_decay,
        }
        self.layers = nn.ModuleList(
            PreNormBlock(
                HyenaMixer(
                    d_model=d_model,
                    l_max=l_max,
                    order=order,
                    short_filter_order=short_filter_order,
                    dropout=mixer_dropout,
                    filter_options=filter_options,
                    sequence_tile=mixer_tile,
                    extended_l_max=extended_l_max,
                    max_taps=max_taps,
                ),
                Mlp(d_model=d_model, d_inner=d_inner or 4 * d_model, sequence_tile=sequence_tile),
                d_model=d_model,
                dropout=resid_dropout,
                layer_norm_epsilon=layer_norm_epsilon,
            )
            for _ in range(num_layers)
        )
        self.ln_f = nn.LayerNorm(d_model, eps=layer_norm_epsilon)
        self._initialize()

    def reset_parameters(self) -> None:
        reset_children(self)
        self._initialize()

    def extend(self, l_max: int) -> None:
        """Take sequences of up to `l_max` tokens, as if `extended_l_max` had been given.

        A model that was trained on shorter sequences then reads longer ones: no token sees more tokens
        before it than in training. (FlashFFTConv calls it extension by partial convolutions.)

        Raises:
            ConfigError: it is less than the length of the filters.

        Source: Fu et al. 2023, "FlashFFTConv", section 3.3.
        """
        _check_reach(self.arguments["l_max"], l_max, None)
        self.l_max = self.arguments["extended_l_max"] = l_max
        for layer in self._blocks:
            assert isinstance(layer.mixer, HyenaMixer)
            layer.mixer.l_max = l_max

    def sparsify(self, frequencies: FrequencyPattern | None) -> None:
        """Convolve with filters whose spectra keep some frequencies alone; None for all again.

        A filter that lacks frequencies looks at later positions too (see `sparse_fft_conv`): the model is
        then not `causal`, carries no state, and gives no likelihood of the letters that it sees. A setting of
        the moment: a model folder does not hold it.

        Source: Fu et al. 2023, "FlashFFTConv", section 3.3.
        """
        self.causal = frequencies is None
        for layer in self._blocks:
            assert isinstance(layer.mixer, HyenaMixer)
            layer.mixer.frequencies = frequencies

    @property
    def input_embedding(self) -> nn.Embedding:
        embedding = self.embeddings["word_embeddings"]
        assert isinstance(embedding, nn.Embedding)
        return embedding

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        *,
        segment_ids: torch.Tensor | None = None,
        output_hidden_states: bool = False,
    ) -> BackboneOutput:
        context = batch_context(input_ids, attention_mask, segment_ids)
        x = self._embed(input_ids)
        x, kept = through_layers(
            self.activation_checkpointing, self._blocks, x, context, keep=output_hidden_states
        )
        last = self._final_norm(x)
        return BackboneOutput(last, (*kept, last) if output_hidden_states else None)

    def init_state(self, batch_size: int, *, max_length: int) -> list[HyenaState]:
        """See `StreamingBackbone.init_state`; its memory is a history of every token there is room for."""
        weight = self.input_embedding.weight
        return [
            layer.mixer.init_state(
                batch_size, max_length=max_length, device=weight.device, dtype=weight.dtype
            )
            for layer in self._blocks
        ]

    def read_on(
        self,
        input_ids: torch.Tensor,
        state: list[HyenaState],
        attention_mask: torch.Tensor | None = None,
        *,
        output_hidden_states: bool = False,
    ) -> BackboneOutput:
        context = batch_context(input_ids, attention_mask)
        x = self._embed(input_ids)
        kept = [x] if output_hidden_states else []
        for layer, layer_state in zip(self._blocks, state, strict=True):
            x = layer(x, context, state=layer_state)
            if output_hidden_states:
                kept.append(x)
        last = self._final_norm(x)
        return BackboneOutput(last, (*kept, last) if output_hidden_states else None)

    def step(self, input_ids: torch.Tensor, state: list[HyenaState]) -> torch.Tensor:
        x = self._embed(input_ids)
        for layer, layer_state in zip(self._blocks, state, strict=True):
            x = layer.step(x, layer_state)
        return self._final_norm(x)

    @property
    def _blocks(self) -> list[PreNormBlock]:
        return cast(list[PreNormBlock], list(self.layers))

    def _embed(self, input_ids: torch.Tensor) -> torch.Tensor:
        x = self.dropout(F.embedding(input_ids, self.input_embedding.weight))
        return x.to(torch.promote_types(x.dtype, torch.float32))

    def _final_norm(self, x: torch.Tensor) -> torch.Tensor:
        return normed(self.ln_f, x)

    def _initialize(self) -> None:
        """Normal weights and zero biases; short filters and filter biases keep torch's own first values."""
        std, rescale_residual = (self.arguments[x] for x in ("initializer_range", "rescale_residual_init"))
        for name, module in self.named_modules():
            if not isinstance(module, nn.Linear | nn.Embedding):
                continue
            nn.init.normal_(module.weight, std=std)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)
            if rescale_residual and name.endswith(("mixer.out_proj", "mlp.fc2")):
                nn.init.normal_(module.weight, std=std / math.sqrt(2 * self.num_layers))


def _check_arguments(*, order: int, emb_dim: int, l_max: int, short_filter_order: int) -> None:
    if order < 2:
        raise ConfigError(f"order={order}: a Hyena operator has order 2 or more.")
    if emb_dim < 3 or emb_dim % 2 == 0:
        raise ConfigError(f"emb_dim={emb_dim}: time, cosines and sines want an odd number, 3 or more.")
    if l_max < 2:
        raise ConfigError(f"l_max={l_max}: a model wants room for 2 tokens or more.")
    if short_filter_order < 1:
        raise ConfigError(f"short_filter_order={short_filter_order}: a filter has 1 tap or more.")


def _check_reach(l_max: int, extended_l_max: int | None, max_taps: int | None) -> None:
    if extended_l_max is not None and extended_l_max < l_max:
        raise ConfigError(f"extended_l_max={extended_l_max} is less than l_max={l_max}: leave it out.")
    if max_taps is not None and not 1 <= max_taps <= l_max:
        raise ConfigError(f"max_taps={max_taps}: give 1 to l_max={l_max}, or leave it out for all.")
