"""KARMA: variates as tokens, Mamba over them in both directions and in two wavelet bands of the embedding.

Names of submodules and parameters are those of the released code.
Source: Ye et al. 2025, "KARMA: A Multilevel Decomposition Hybrid Mamba Framework for Multivariate Long-Term
Time Series Forecasting", and its released code, from which the paper differs: it decomposes by attention, the
released settings by a moving average or not at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import nn
from torch.nn import functional as F

from genoseq.errors import ConfigError, SequenceError, require_choice
from genoseq.models.forecast_output import as_forecast
from genoseq.models.signal import Forecaster, SignalOutput
from genoseq.nn.mamba import MambaMixer
from genoseq.nn.materialize import reset_children
from genoseq.nn.wavelets import Filters, WaveletAnalysis, WaveletSynthesis, wavelet_filters
from genoseq.nn.window_norm import window_scale

Decomposition = Literal["none", "moving_average", "attention"]
_ORDER = 3
_EPSILON = 1e-5


class Karma(Forecaster):
    """The published function.

    The window's own location and scale are taken out first and put back last. Without a decomposition, every
    channel and every mark of the time is one token, embedded from its whole window; with one, the trend and
    the rest are embedded apart, the rest goes through the blocks and the trend through one Mamba.

    Args:
        sequence_length: L.
        horizon: H.
        num_channels: C.
        num_marks: F of the marks that become tokens, where any are given; with a decomposition they are not.
        d_model: D, width.
        num_layers: number of blocks.
        d_state, d_conv, expand: of every Mamba.
        decomposition: `none`; `moving_average`; or `attention`, as in the paper.
        moving_average: steps of the moving average, an odd number.
        attention_width: of the attention, which has four heads.
        wavelet: name of an orthogonal wavelet, or its taps; see `genoseq.nn.wavelets.wavelet_filters`.
        dropout: of the embeddings.
        num_parameters: P, numbers a value, of a forecast that is not a point.
        hold_unused: also hold the tensors that the released files have and nothing reads, for files of
            their layout.

    Raises:
        ConfigError: a length or width that does not fit, or no such decomposition or wavelet.
    """

    model_type: ClassVar[str] = "karma"
    head_names: ClassVar[tuple[str, ...]] = ("projection",)

    def __init__(
        self,
        *,
        sequence_length: int,
        horizon: int,
        num_channels: int,
        num_marks: int = 4,
        d_model: int = 128,
        num_layers: int = 2,
        d_state: int = 2,
        d_conv: int = 4,
        expand: int = 2,
        decomposition: Decomposition = "none",
        moving_average: int = 25,
        attention_width: int = 128,
        wavelet: str | Sequence[float] = "db4",
        dropout: float = 0.1,
        num_parameters: int = 1,
        hold_unused: bool = False,
    ) -> None:
        # Before any other local name is bound, these are exactly the arguments.
        arguments = {name: value for name, value in locals().items() if name not in ("self", "__class__")}
        super().__init__()
        require_choice("decomposition", decomposition, get_args(Decomposition))
        if min(sequence_length, horizon, num_channels, num_layers, num_parameters) < 1:
            raise ConfigError("lengths, channels, layers and parameters of a forecast are at least 1.")
        if moving_average < 1 or moving_average % 2 == 0:
            raise ConfigError(f"moving_average={moving_average}: give an odd number, which has a middle.")
        if d_model % 2:
            raise ConfigError(f"d_model={d_model}: its wavelet bands want an even number.")
        self.arguments = arguments | {"wavelet": wavelet if isinstance(wavelet, str) else list(wavelet)}
        self.sequence_length, self.horizon, self.num_channels = sequence_length, horizon, num_channels
        self.num_marks = num_marks if decomposition == "none" else 0
        self.num_parameters = num_parameters
        self.decomposition = decomposition
        self.moving_average = moving_average
        options: dict[str, Any] = {"d_state": d_state, "d_conv": d_conv, "expand": expand}
        decomposed = decomposition != "none"
        self.norm_layer = _Affine(num_channels)
        if decomposition == "attention":
            self.attention = _AttentionTrend(num_channels, attention_width)
        if decomposed or hold_unused:
            self.embedding_s = _Embedding(sequence_length, d_model)
            self.embedding_t = _Embedding(sequence_length, d_model)
            self.Ecoder_T = MambaMixer(d_model=d_model, **options)
        if not decomposed or hold_unused:
            self.embedding = _Embedding(sequence_length, d_model)
        self.Ecoder_S = _Encoder(
            d_model,
            num_layers,
            wavelet_filters(wavelet),
            options,
            tied=decomposed,
            hold_unused=hold_unused,
        )
        self.dropout = nn.Dropout(dropout)
        self.projection = nn.Linear(d_model, horizon * num_parameters)
        self._freeze_unused()

    def reset_parameters(self) -> None:
        reset_children(self)

    def forward(self, x_enc: torch.Tensor, x_mark_enc: torch.Tensor | None = None) -> SignalOutput:
        """See `Forecaster.forward`; marks may be left out."""
        self.require_window(x_enc)
        x_enc = x_enc.to(self.projection.weight.dtype)
        location, scale = window_scale(x_enc, epsilon=_EPSILON)
        weight, bias = self.norm_layer.affine_weight, self.norm_layer.affine_bias
        x = (x_enc - location) / scale * weight + bias
        hidden = self._encode(x, x_mark_enc)[:, : x.shape[-1]]
        values = self.projection(hidden).unflatten(-1, (self.horizon, self.num_parameters))
        # What undoes the affine map above, and the scale, at once.
        back = scale / (weight + _EPSILON**2)
        return as_forecast(values, location - bias * back, back, hidden=hidden)

    def _freeze_unused(self) -> None:
        """What gets no gradient must not wait for one."""
        names = ("embedding_s", "embedding_t", "Ecoder_T") if self.decomposition == "none" else ("embedding",)
        for name in names:
            if hasattr(self, name):
                getattr(self, name).requires_grad_(False)

    def _encode(self, x: torch.Tensor, marks: torch.Tensor | None) -> torch.Tensor:
        """(B, tokens, D)."""
        if self.decomposition == "none":
            tokens = x if marks is None or not self.num_marks else self._with_marks(x, marks)
            return self.Ecoder_S(self.dropout(self.embedding(tokens)))
        rest, trend = self.attention(x) if self.decomposition == "attention" else self._averaged(x)
        rest, trend = (
            self.dropout(embed(part)) for embed, part in ((self.embedding_s, rest), (self.embedding_t, trend))
        )
        return self.Ecoder_S(rest) + self.Ecoder_T(trend)

    def _with_marks(self, x: torch.Tensor, marks: torch.Tensor) -> torch.Tensor:
        if marks.shape != (*x.shape[:2], self.num_marks):
            raise SequenceError(
                f"x_mark_enc {tuple(marks.shape)}: this model reads {self.num_marks} marks at each of "
                f"{x.shape[1]} steps, or none."
            )
        return torch.cat([x, marks.to(x.dtype)], dim=-1)

    def _averaged(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What is left, and the moving average, (B, L, C) each; the ends are repeated beyond the window."""
        around = self.moving_average // 2
        padded = F.pad(x.transpose(1, 2), (around, around), mode="replicate")
        trend = F.avg_pool1d(padded, self.moving_average, stride=1).transpose(1, 2)
        return x - trend, trend


class _Affine(nn.Module):
    """A weight and a bias of each channel."""

    def __init__(self, num_channels: int) -> None:
        super().__init__()
        self.affine_weight = nn.Parameter(torch.empty(num_channels))
        self.affine_bias = nn.Parameter(torch.empty(num_channels))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.ones_(self.affine_weight)
        nn.init.zeros_(self.affine_bias)


class _Embedding(nn.Module):
    """The whole window of each channel to a token: (B, L, C) to (B, C, D)."""

    def __init__(self, sequence_length: int, d_model: int) -> None:
        super().__init__()
        self.value_embedding = nn.Linear(sequence_length, d_model)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.value_embedding(x.transpose(1, 2))


class _AttentionTrend(nn.Module):
    """The trend that attention over the window finds across channels, and what is left of the input.

    Source: Ye et al. 2025, section 3.2 (adaptive time channel decomposition).
    """

    def __init__(self, num_channels: int, width: int) -> None:
        super().__init__()
        if width % 4:
            raise ConfigError(f"attention_width={width}: it has four heads; give a multiple of 4.")
        self.W1 = nn.Linear(num_channels, width)
        self.dp = nn.Dropout(0.1)
        self.attention = _SelfAttention(width, num_heads=4)
        self.Ws = nn.Linear(width, num_channels)
        self.Wt = nn.Linear(width, num_channels)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        inner = self.dp(self.W1(x))
        trend = F.silu(self.attention(inner))
        return self.Ws(inner - trend), self.Wt(trend)


class _SelfAttention(nn.Module):
    """Of all positions to all, (B, L, D) to (B, L, D)."""

    def __init__(self, width: int, *, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.in_proj = nn.Linear(width, 3 * width)
        self.out_proj = nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        parts = self.in_proj(x).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(*parts)
        return self.out_proj(y.transpose(1, 2).flatten(2))


class _Encoder(nn.Module):
    """Blocks over the tokens and over the bands of their embeddings, and their sum, normed."""

    def __init__(
        self,
        d_model: int,
        num_layers: int,
        filters: Filters,
        options: dict[str, Any],
        *,
        tied: bool,
        hold_unused: bool,
    ) -> None:
        super().__init__()
        self.WT = WaveletAnalysis(filters)
        self.IWT = WaveletSynthesis(filters)
        width = (d_model + len(filters.low) - 1) // 2
        self.km_layers = nn.ModuleList(
            _Block(d_model, width, options, tied=tied, hold_unused=hold_unused) for _ in range(num_layers)
        )
        self.norm = nn.LayerNorm(d_model)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        low, high = self.WT(x)
        for layer in self.km_layers:
            x, low, high = layer(x, low, high)
        return self.norm(self.IWT(low, high) + x)


class _Block(nn.Module):
    """Mamba over the tokens in both directions, and over each band of their embeddings."""

    def __init__(
        self, d_model: int, width: int, options: dict[str, Any], *, tied: bool, hold_unused: bool
    ) -> None:
        super().__init__()
        self.tied = tied
        self.freq1 = MambaMixer(d_model=width, **options)
        self.freq2 = MambaMixer(d_model=width, **options)
        self.time1 = MambaMixer(d_model=d_model, **options)
        self.time2 = self.time1 if tied else MambaMixer(d_model=d_model, **options)
        self.norm = nn.RMSNorm(d_model, eps=_EPSILON)
        self.norm1 = nn.RMSNorm(d_model, eps=_EPSILON)
        if hold_unused:
            self.freq2_g = _Unused(d_model // 2)

    def forward(
        self, x: torch.Tensor, low: torch.Tensor, high: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        back = self.time2(self.norm1(x).flip(1)).flip(1)
        return x + self.time1(self.norm(x)) + back, self.freq1(low), self.freq2(high)


class _Unused(nn.Module):
    """Tensors of the released files that nothing reads."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.coeffs = nn.Parameter(torch.empty(width, width, _ORDER), requires_grad=False)
        self.bias = nn.Parameter(torch.empty(1, width), requires_grad=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.zeros_(self.coeffs)
        nn.init.zeros_(self.bias)
