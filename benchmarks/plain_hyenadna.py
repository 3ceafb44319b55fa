"""HyenaDNA written plainly in torch, as the released code has it: what the benchmarks measure ours against.

Library convolutions and transforms with their automatic gradients, projections position by position, the loss
of all positions at once.
"""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.nn import functional as F

from genoseq.models import HyenaDNA
from genoseq.nn import HyenaMixer
from genoseq.nn.checkpointing import checkpointed
from genoseq.nn.hyena_filter import HyenaFilter
from genoseq_kernels.fft_conv.reference import next_fast_length


class PlainMixer(nn.Module):
    """The order-2 Hyena operator, line by line."""

    def __init__(self, filter_fn: HyenaFilter, d_model: int) -> None:
        super().__init__()
        self.in_proj = nn.Linear(d_model, 3 * d_model)
        self.out_proj = nn.Linear(d_model, d_model)
        self.short_filter = nn.Conv1d(3 * d_model, 3 * d_model, 3, padding=2, groups=3 * d_model)
        self.filter_fn = filter_fn

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, L, D) to (B, L, D)."""
        length = x.shape[1]
        projected = self.short_filter(self.in_proj(x).transpose(1, 2))[..., :length]
        outer, inner, value = projected.chunk(3, dim=1)
        value = value * inner
        taps, points = self.filter_fn(length), next_fast_length(2 * length)
        filters = torch.fft.rfft(taps, n=points) / points
        spectrum = torch.fft.rfft(value.to(taps.dtype), n=points)
        convolved = torch.fft.irfft(spectrum * filters, n=points, norm="forward")[..., :length]
        value = (convolved + value * self.filter_fn.bias.unsqueeze(-1)).to(value.dtype)
        return self.out_proj((value * outer).transpose(1, 2))


class PlainBlock(nn.Module):
    """Mixer and MLP, each after a norm and beside the residual stream, and each checkpointed by itself."""

    def __init__(self, filter_fn: HyenaFilter, d_model: int, *, checkpointing: bool) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(d_model), nn.LayerNorm(d_model)
        self.mixer = PlainMixer(filter_fn, d_model)
        self.fc1, self.fc2 = nn.Linear(d_model, 4 * d_model), nn.Linear(4 * d_model, d_model)
        self.checkpointing = checkpointing

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, L, D) to (B, L, D)."""
        x = x + checkpointed(self.checkpointing, self.mixer, self.norm1(x))
        return x + checkpointed(self.checkpointing, self._feed_forward, self.norm2(x))

    def _feed_forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc2(F.gelu(self.fc1(x), approximate="tanh"))


class PlainHyenaDNA(nn.Module):
    """The published language model, with its dropout of embeddings."""

    def __init__(self, filters: list[HyenaFilter], d_model: int, *, checkpointing: bool = False) -> None:
        super().__init__()
        self.embedding = nn.Embedding(16, d_model)
        self.dropout = nn.Dropout(0.1)
        self.blocks = nn.Sequential(
            *(PlainBlock(filter_fn, d_model, checkpointing=checkpointing) for filter_fn in filters)
        )
        self.norm = nn.LayerNorm(d_model)

    @classmethod
    def like(cls, ours: HyenaDNA, *, checkpointing: bool = False) -> PlainHyenaDNA:
        """With the weights of ours, so that both compute the same loss."""
        mixers = [layer.get_submodule("mixer") for layer in ours.layers]
        filters = [copy.deepcopy(mixer.filter_fn) for mixer in mixers if isinstance(mixer, HyenaMixer)]
        plain = cls(filters, ours.d_model, checkpointing=checkpointing)
        names = {"embeddings.word_embeddings": "embedding", "layers": "blocks", "ln_f": "norm", ".mlp.": "."}
        state = {}
        for name, tensor in ours.state_dict().items():
            for official, shorter in names.items():
                name = name.replace(official, shorter)
            state[name] = tensor
        plain.load_state_dict(state)
        return plain

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Next-token cross-entropy of (B, L) tokens, in nats."""
        hidden = self.norm(self.blocks(self.dropout(self.embedding(ids))))
        logits = F.linear(hidden, self.embedding.weight)
        return F.cross_entropy(logits[:, :-1].reshape(-1, 16), ids[:, 1:].reshape(-1))
