"""Several models as one: the mean of probabilities, and refusals."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from genoseq.errors import CheckpointError, ConfigError
from genoseq.models import Head, HyenaDNA, LanguageModelHead, SequenceHead, SequenceModel
from genoseq.models.backbone import Backbone
from genoseq.models.ensemble import Ensemble

IDS = torch.randint(7, 12, (3, 20), generator=torch.Generator().manual_seed(0))
LABELS = {
    "language_model": IDS,
    "single_label": torch.tensor([0, 1, 1]),
    "multi_label": torch.tensor([[0, 1], [1, 1], [0, 0]]),
    "regression": torch.tensor([[0.5, 1.0], [2.0, -1.0], [0.0, 0.0]]).double(),
}


def member(seed: int, kind: str, **preprocessing: object) -> SequenceModel:
    torch.manual_seed(seed)
    backbone = HyenaDNA(d_model=8, num_layers=1, l_max=32, filter_order=8, initializer_range=0.5)
    heads: dict[bool, Callable[[Backbone], Head]] = {
        True: LanguageModelHead,
        False: lambda backbone: SequenceHead(backbone, problem=kind, num_outputs=2),  # type: ignore[arg-type]
    }
    head = heads[kind == "language_model"](backbone)
    return SequenceModel(backbone, head, preprocessing=preprocessing).double().eval()


@pytest.mark.parametrize(
    ("kind", "activate"),
    [
        ("language_model", lambda logits: logits.softmax(-1)),
        ("single_label", lambda logits: logits.softmax(-1)),
        ("multi_label", torch.sigmoid),
        ("regression", lambda values: values),
    ],
)
def test_predicts_the_mean(kind: str, activate: Callable[[torch.Tensor], torch.Tensor]) -> None:
    members = [member(seed, kind) for seed in range(3)]
    output = Ensemble(members)(IDS, labels=LABELS[kind])
    expected = torch.stack([activate(model(IDS).logits.float()) for model in members]).mean(0)
    torch.testing.assert_close(activate(output.logits), expected)
    torch.testing.assert_close(output.loss, members[0].head.loss(output.logits, LABELS[kind]))


def test_members_must_predict_the_same() -> None:
    first = member(0, "single_label", classes=["no", "yes"])
    with pytest.raises(CheckpointError, match="checkpoint 2"):
        Ensemble([first, member(1, "regression")])
    with pytest.raises(CheckpointError, match="checkpoint 3"):
        Ensemble([first, first, member(1, "single_label", classes=["yes", "no"])])


def test_does_neither_generate_nor_embed() -> None:
    ensemble = Ensemble([member(seed, "language_model") for seed in range(2)])
    with pytest.raises(ConfigError, match="members"):
        ensemble.generate("ACGT", length=8)
    with pytest.raises(ConfigError, match="members"):
        ensemble.embed("ACGT")
