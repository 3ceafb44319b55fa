"""Nearest neighbours among embeddings tell classes that differ in what any model sees: their composition."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from genoseq.baselines.classes import Labelled
from genoseq.benchmark.neighbours import EmbeddingNeighbours
from genoseq.errors import CheckpointError, ConfigError
from genoseq.models import HyenaDNA, LanguageModelHead, SequenceModel
from genoseq.tokenizers import CharacterTokenizer


def labelled(count: int, seed: int) -> Labelled:
    generator = np.random.default_rng(seed)
    labels = generator.integers(2, size=count)
    shares = {0: [0.4, 0.1, 0.1, 0.4], 1: [0.2, 0.3, 0.3, 0.2]}
    texts = ["".join(generator.choice(list("ACGT"), size=60, p=shares[int(label)])) for label in labels]
    return Labelled(texts, labels)


def test_neighbours_of_a_frozen_model(tmp_path: Path) -> None:
    torch.manual_seed(0)
    backbone = HyenaDNA(d_model=8, num_layers=1, l_max=80, filter_order=8)
    folder = SequenceModel(backbone, LanguageModelHead(backbone), CharacterTokenizer()).save(tmp_path / "m")
    probe = EmbeddingNeighbours(checkpoint=str(folder), neighbours=(1, 9), batch_size=16)
    test = labelled(60, 2)
    shares = probe.classify(labelled(100, 0), labelled(40, 1), test.sequences, classes=3, strand="stranded")
    assert shares.shape == (60, 3)
    assert np.allclose(shares.sum(axis=1), 1)
    assert (shares[:, 2] == 0).all()
    assert (shares.argmax(axis=1) == test.labels).mean() > 0.8


def test_mistakes(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="numbers from 1 on"):
        EmbeddingNeighbours(checkpoint="x", neighbours=())
    few = labelled(4, 0)
    with pytest.raises(CheckpointError, match="does not exist"):
        EmbeddingNeighbours(checkpoint=str(tmp_path / "none")).classify(
            few, few, few.sequences, classes=2, strand="stranded"
        )
