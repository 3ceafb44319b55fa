"""Training throughput of the tiny HyenaDNA on CPU: ours, and the same model written plainly in torch.

    python benchmarks/training_throughput.py

Both take whole optimiser steps (forward, backward, AdamW) on the same batch, in turns, in one run; medians.
The plain model follows the released code: library convolutions, transforms and their automatic gradients.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F

from genoseq.models import HyenaDNA, LanguageModelHead, SequenceModel
from genoseq.nn.hyena_filter import HyenaFilter

D_MODEL, NUM_LAYERS, L_MAX = 128, 2, 1026


class PlainMixer(nn.Module):
    """The order-2 Hyena operator, line by line."""

    def __init__(self, filter_fn: HyenaFilter) -> None:
        super().__init__()
        self.in_proj = nn.Linear(D_MODEL, 3 * D_MODEL)
        self.out_proj = nn.Linear(D_MODEL, D_MODEL)
        self.short_filter = nn.Conv1d(3 * D_MODEL, 3 * D_MODEL, 3, padding=2, groups=3 * D_MODEL)
        self.filter_fn = filter_fn

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        length = x.shape[1]
        projected = self.short_filter(self.in_proj(x).transpose(1, 2))[..., :length]
        outer, inner, value = projected.split(D_MODEL, dim=1)
        value = value * inner
        filters = torch.fft.rfft(self.filter_fn(length), n=2 * length) / (2 * length)
        spectrum = torch.fft.rfft(value, n=2 * length)
        convolved = torch.fft.irfft(spectrum * filters, n=2 * length, norm="forward")[..., :length]
        value = convolved + value * self.filter_fn.bias.unsqueeze(-1)
        return self.out_proj((value * outer).transpose(1, 2))


class PlainBlock(nn.Module):
    """Mixer and MLP, each after a norm and beside the residual stream."""

    def __init__(self, filter_fn: HyenaFilter) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(D_MODEL), nn.LayerNorm(D_MODEL)
        self.mixer = PlainMixer(filter_fn)
        self.fc1, self.fc2 = nn.Linear(D_MODEL, 4 * D_MODEL), nn.Linear(4 * D_MODEL, D_MODEL)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.mixer(self.norm1(x))
        return x + self.fc2(F.gelu(self.fc1(self.norm2(x)), approximate="tanh"))


class PlainHyenaDNA(nn.Module):
    """The published language model, in training mode with its dropout of embeddings."""

    def __init__(self, filters: list[HyenaFilter]) -> None:
        super().__init__()
        self.embedding = nn.Embedding(16, D_MODEL)
        self.dropout = nn.Dropout(0.1)
        self.blocks = nn.Sequential(*(PlainBlock(filter_fn) for filter_fn in filters))
        self.norm = nn.LayerNorm(D_MODEL)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        hidden = self.norm(self.blocks(self.dropout(self.embedding(ids))))
        logits = hidden @ self.embedding.weight.T
        return F.cross_entropy(logits[:, :-1].reshape(-1, 16), ids[:, 1:].reshape(-1))


def make_ours() -> SequenceModel:
    backbone = HyenaDNA(d_model=D_MODEL, num_layers=NUM_LAYERS, l_max=L_MAX)
    return SequenceModel(backbone, LanguageModelHead(backbone))


def copy_weights(ours: SequenceModel, plain: PlainHyenaDNA) -> None:
    """Give the plain model our weights, so that both compute the same loss."""
    names = {"embeddings.word_embeddings": "embedding", "layers": "blocks", "ln_f": "norm", ".mlp.": "."}
    state = {}
    for name, tensor in ours.backbone.state_dict().items():
        for official, shorter in names.items():
            name = name.replace(official, shorter)
        state[name] = tensor.clone()
    plain.load_state_dict(state)


def training_step(model: nn.Module, loss: Callable[[], torch.Tensor]) -> Callable[[], None]:
    optimizer = torch.optim.AdamW(model.parameters(), lr=6e-4)

    def step() -> None:
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()

    return step


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--length", type=int, default=1024)
    parser.add_argument("--steps", type=int, default=15)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)

    ours, source = make_ours(), make_ours()
    plain = PlainHyenaDNA([layer.mixer.filter_fn for layer in source.backbone.layers])
    copy_weights(ours, plain)
    ids = torch.randint(7, 11, (options.batch_size, options.length))
    with torch.no_grad():
        difference = (ours.eval()(ids, labels=ids).loss - plain.eval()(ids)).abs().item()
    ours.train(), plain.train()

    steps = {
        "plain torch": training_step(plain, lambda: plain(ids)),
        "genoseq": training_step(ours, lambda: ours(ids, labels=ids).loss),
    }
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(options.steps + 2):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            if turn >= 2:  # the first two warm up
                seconds[name].append(time.perf_counter() - start)

    tokens = options.batch_size * options.length
    print(
        f"batch {options.batch_size} x {options.length}, {options.threads} threads, torch {torch.__version__}"
    )
    print(f"losses differ by {difference:.1e}")
    rates = {name: tokens / statistics.median(times) for name, times in seconds.items()}
    for name, rate in rates.items():
        print(f"{name:<12} {rate:>9,.0f} tokens/s   {tokens / rate * 1e3:7.1f} ms a step")
    print(f"genoseq / plain torch: {rates['genoseq'] / rates['plain torch']:.2f}")


if __name__ == "__main__":
    main()
