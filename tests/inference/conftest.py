"""Tiny models with random weights."""

import pytest
import torch

from genoseq.models.base import SequenceModel
from genoseq.models.heads import LanguageModelHead, SequenceHead
from genoseq.models.hyenadna import HyenaDNA
from genoseq.tokenizers import CharacterTokenizer


def tiny_backbone(l_max=64):
    torch.manual_seed(0)
    # Large weights, so that no two tokens or positions look alike to a model that was never trained.
    return HyenaDNA(d_model=16, num_layers=2, l_max=l_max, filter_order=8, initializer_range=0.3)


@pytest.fixture
def language_model():
    backbone = tiny_backbone()
    return SequenceModel(backbone, LanguageModelHead(backbone), tokenizer=CharacterTokenizer()).eval()


@pytest.fixture
def labelled_model():
    """`labelled_model(head_class, **head_settings)`."""

    def make(head=SequenceHead, *, classes=None, strand="unstranded", **settings):
        backbone = tiny_backbone()
        preprocessing = {"classes": classes, "strand": strand, "problem": settings.get("problem")}
        made = head(backbone, **settings)
        return SequenceModel(
            backbone, made, tokenizer=CharacterTokenizer(), preprocessing=preprocessing
        ).eval()

    return make
