"""The table of the central dogma, from a few genes of Leptospira and a model that knows nothing."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

from genoseq.models import Caduceus, MaskedLanguageModelHead, SequenceModel
from genoseq.tokenizers import CharacterTokenizer

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_every_task_has_a_row(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    script = importlib.import_module("three_omics")
    pairs = shared / "data/embed/central_dogma/leptospira_kirschneri_H1_cds_protein.tsv.gz"
    table = pd.read_csv(pairs, sep="\t")
    short = table[table["protein"].str.len().between(25, 70)].head(120)
    short.to_csv(tmp_path / "pairs.tsv", sep="\t", index=False)
    torch.manual_seed(0)
    backbone = Caduceus(d_model=8, num_layers=1, d_state=4, symmetry="none")
    model = SequenceModel(backbone, MaskedLanguageModelHead(backbone), tokenizer=CharacterTokenizer())
    model.save(tmp_path / "model")
    few = ["--probed", "20", "--resamples", "10", "--out", str(tmp_path / "out")]
    given = [str(tmp_path / "pairs.tsv"), f"tiny={tmp_path / 'model'}", *few]
    # A teacher of random weights is sure of no contact.
    teacher = ["--esm2", str(shared / "golden/esm2/model"), "--threshold", "0.435"]
    monkeypatch.setattr(sys, "argv", ["three_omics.py", *given, *teacher])
    script.main()
    rows = json.loads((tmp_path / "out/three_omics.json").read_text())
    translator = rows["translator (and BLOSUM62)"]
    assert {value["mean"] for key, value in translator.items() if key != "changes: blosum"} == {1.0}
    tiny = {key: value["mean"] for key, value in rows["tiny"].items()}
    assert 0.3 < tiny["changes: auroc"] < 0.7
    assert 0.05 < tiny["translation by probe: accuracy"] < 1
    for key in ("matching by cosine: auroc", "matching by vectors, fitted: choice", "surroundings: contacts"):
        assert 0 <= tiny[key] <= 1
    assert tiny["surroundings: helix"] < 1
    assert rows["one-hot residues"]["surroundings: hydropathy"]["mean"] < 0.3
    assert "| tiny | matching by cosine: auroc |" in (tmp_path / "out/three_omics.md").read_text()
