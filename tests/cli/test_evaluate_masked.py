"""`genoseq evaluate` of a masked language model."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import torch

from genoseq.cli import main
from genoseq.models import Caduceus, MaskedLanguageModelHead, SequenceModel
from genoseq.tokenizers import CharacterTokenizer


def test_evaluate_a_masked_language_model(tiny_fasta: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    backbone = Caduceus(d_model=8, num_layers=1, d_state=4)
    model = SequenceModel(backbone, MaskedLanguageModelHead(backbone), CharacterTokenizer())
    folder = model.save(tmp_path / "model")
    data = ["data=genome", f"data.fasta={tiny_fasta}", "data.length=128", "split=validation"]
    metrics, tiles = tmp_path / "x.json", tmp_path / "x.parquet"
    for out in (metrics, tiles):
        main(["evaluate", f"checkpoint={folder}", *data, f"out={out}"])
    bits = json.loads(metrics.read_text())["rows"][0]["metrics"]["bits_per_base"]
    table = pd.read_parquet(tiles)
    assert bits == pytest.approx(table["bits"].sum() / table["num_bases"].sum())
    # A tenth of 8,000 bases is the split, and 15 % of them are hidden.
    assert 60 < table["num_bases"].sum() < 180
