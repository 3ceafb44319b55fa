"""One digest a model, wherever it is."""

from __future__ import annotations

from pathlib import Path

import torch

from genoseq.models import SequenceModel, load
from genoseq.models.identity import weights_digest


def test_a_digest_is_of_the_weights_and_arguments(small_model: SequenceModel, tmp_path: Path) -> None:
    digest = weights_digest(small_model)
    assert weights_digest(load(small_model.save(tmp_path / "x"))) == digest
    assert weights_digest(small_model.bfloat16()) != digest
    again = load(tmp_path / "x")
    with torch.no_grad():
        next(again.backbone.parameters())[0, 0] += 1e-3
    assert weights_digest(again) != digest
