"""A small convolutional network from one-hot bases: what deep learning reaches without pretraining."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from genoseq.baselines.classes import ClassBaseline, Labelled
from genoseq.errors import ConfigError
from genoseq.sequence import encode_bases, reverse_complement

_BATCH = 128


class SmallCnn(ClassBaseline):
    """Two convolutions, the largest and the mean answer of each filter, and a linear layer.

    Trained by AdamW; the weights of the epoch that is best on validation are taken. Where labels hold for
    both strands, half of the training sequences are turned and predictions averaged.

    Args:
        channels: filters of each convolution.
        width: bases that one of the first sees.
        epochs: passes over train; fewer where validation has not improved for `patience` of them.
        patience: such passes.
        lr: learning rate.
        seed: of first values, order, turns and dropout.

    Raises:
        ConfigError: a number that is not positive.
    """

    name = "small CNN"

    def __init__(
        self,
        *,
        channels: int = 128,
        width: int = 11,
        epochs: int = 40,
        patience: int = 6,
        lr: float = 1e-3,
        seed: int = 0,
    ) -> None:
        if min(channels, width, epochs, patience, lr) <= 0:
            raise ConfigError(
                f"channels={channels}, width={width}, epochs={epochs}, patience={patience}, lr={lr}: all "
                "have to be positive."
            )
        self.channels, self.width = channels, width
        self.epochs, self.patience = epochs, patience
        self.lr, self.seed = lr, seed

    def classify(
        self, train: Labelled, validation: Labelled, sequences: Sequence[str], *, classes: int, strand: str
    ) -> np.ndarray:
        """(N, classes) probabilities, on the GPU where there is one."""
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        both_strands = strand == "unstranded"
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(self.seed)
            network = _Network(self.channels, self.width, classes).to(device)
            self._fit(network, _encoded(train.sequences), train.labels, validation, both_strands)
            return _probabilities(network, _encoded(sequences), both_strands)

    def _fit(
        self,
        network: _Network,
        codes: list[np.ndarray],
        labels: np.ndarray,
        validation: Labelled,
        both_strands: bool,
    ) -> None:
        generator = np.random.default_rng(self.seed)
        optimizer = torch.optim.AdamW(network.parameters(), lr=self.lr, weight_decay=0.01)
        unseen = _encoded(validation.sequences)
        best, weights, waited = np.inf, copy.deepcopy(network.state_dict()), 0
        for _ in range(self.epochs):
            network.train()
            order = generator.permutation(len(codes))
            for start in range(0, len(order), _BATCH):
                rows = order[start : start + _BATCH]
                chosen = [codes[row] for row in rows]
                if both_strands:
                    turned = generator.random(len(rows)) < 0.5
                    chosen = [
                        reverse_complement(c) if turn else c for c, turn in zip(chosen, turned, strict=True)
                    ]
                target = torch.from_numpy(labels[rows]).to(network.device)
                loss = nn.functional.cross_entropy(network(_one_hot(chosen, network.device)), target)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
            given = _probabilities(network, unseen, both_strands)
            surprise = float(-np.log(given[np.arange(len(given)), validation.labels] + 1e-12).mean())
            if surprise < best:
                best, weights, waited = surprise, copy.deepcopy(network.state_dict()), 0
            elif (waited := waited + 1) >= self.patience:
                break
        network.load_state_dict(weights)


class _Network(nn.Module):
    def __init__(self, channels: int, width: int, classes: int) -> None:
        super().__init__()
        self.first = nn.Conv1d(4, channels, width, padding=width // 2)
        self.second = nn.Conv1d(channels, channels, 5, padding=2)
        self.norms = nn.ModuleList([nn.GroupNorm(1, channels), nn.GroupNorm(1, channels)])
        self.dropout = nn.Dropout(0.3)
        self.score = nn.Linear(2 * channels, classes)

    @property
    def device(self) -> torch.device:
        return self.score.weight.device

    def forward(self, bases: torch.Tensor) -> torch.Tensor:
        """Logits (B, classes) of one-hot bases (B, 4, L); N and padding are zeros."""
        hidden = torch.relu(self.norms[0](self.first(bases)))
        hidden = torch.relu(self.norms[1](self.second(nn.functional.max_pool1d(hidden, 2, ceil_mode=True))))
        pooled = torch.cat([hidden.amax(2), hidden.mean(2)], dim=1)
        return self.score(self.dropout(pooled))


def _encoded(sequences: Sequence[str]) -> list[np.ndarray]:
    return [encode_bases(sequence) for sequence in sequences]


def _one_hot(codes: Sequence[np.ndarray], device: torch.device) -> torch.Tensor:
    """(B, 4, L) float32; N, and what fills the shorter up, are zeros."""
    length = max(one.size for one in codes)
    filled = np.full((len(codes), length), 4, dtype=np.int64)
    for row, one in enumerate(codes):
        filled[row, : one.size] = one
    given = torch.from_numpy(filled).to(device)
    return nn.functional.one_hot(given, 5)[..., :4].transpose(1, 2).float()


@torch.inference_mode()
def _probabilities(network: _Network, codes: list[np.ndarray], both_strands: bool) -> np.ndarray:
    network.eval()
    parts = []
    for start in range(0, len(codes), _BATCH):
        batch = codes[start : start + _BATCH]
        given = network(_one_hot(batch, network.device)).softmax(1)
        if both_strands:
            turned = [reverse_complement(one) for one in batch]
            given = (given + network(_one_hot(turned, network.device)).softmax(1)) / 2
        parts.append(given.double().cpu().numpy())
    return np.concatenate(parts)
