"""What was taught to read sequences in codons reads new ones so, in prediction and embedding."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from genoseq.errors import ConfigError, SequenceError
from genoseq.inference import Record, embed, predict
from genoseq.models.base import SequenceModel
from genoseq.models.heads import SequenceHead
from genoseq.models.hyenadna import HyenaDNA
from genoseq.sequence import reverse_complement
from genoseq.tokenizers import FrameTokenizer

RECORDS = [Record("short", "ATGACGTAA"), Record("long", "ATGACGTTGCAATAG")]
TOKENIZER = FrameTokenizer()


def model(**preprocessing: Any) -> SequenceModel:
    torch.manual_seed(0)
    backbone = HyenaDNA(
        d_model=16,
        num_layers=2,
        l_max=64,
        filter_order=8,
        initializer_range=0.3,
        vocab_size=TOKENIZER.vocab_size,
    )
    described = {"classes": ["no", "yes"], "strand": "unstranded", "problem": "single_label", **preprocessing}
    head = SequenceHead(backbone, num_outputs=2)
    return SequenceModel(backbone, head, tokenizer=TOKENIZER, preprocessing=described).eval()


def probability(of: SequenceModel, sequence: str, strand: str) -> float:
    ids = TOKENIZER.encode(sequence, coding=[(0, len(sequence), strand)])
    with torch.inference_mode():
        return float(of(torch.from_numpy(ids)[None]).logits.softmax(-1)[0, 1])


def test_predictions_are_of_codons_on_both_strands() -> None:
    reader = model(coding="whole")
    given = pd.concat(predict(reader, RECORDS))["probability_yes"].to_numpy()
    forward = np.array([probability(reader, record.sequence, "+") for record in RECORDS])
    np.testing.assert_allclose(given, forward, atol=1e-5)
    plain = pd.concat(predict(model(coding=None), RECORDS))["probability_yes"].to_numpy()
    assert (np.abs(plain - given) > 1e-4).all()
    both = pd.concat(predict(reader, RECORDS, strands="average"))["probability_yes"].to_numpy()
    backward = [probability(reader, reverse_complement(record.sequence), "-") for record in RECORDS]
    np.testing.assert_allclose(both, (forward + backward) / 2, atol=1e-5)


def test_vectors_are_of_codons() -> None:
    reader = model(coding="whole")
    vectors = np.stack(pd.concat(embed(reader, RECORDS))["embedding"])
    for record, vector in zip(RECORDS, vectors, strict=True):
        ids = TOKENIZER.encode(record.sequence, coding=[(0, len(record.sequence))])
        with torch.inference_mode():
            hidden = reader.backbone(torch.from_numpy(ids)[None]).last_hidden_state[0]
        np.testing.assert_allclose(vector, hidden.mean(0).numpy(), atol=1e-5)
        np.testing.assert_allclose(vector, reader.embed(record.sequence)[0].numpy(), atol=1e-5)


def test_what_cannot_be_read_in_codons_is_refused() -> None:
    reader = model(coding="whole")
    with pytest.raises(SequenceError, match=r"^cut: 7 bases are no whole number of codons"):
        list(predict(reader, [*RECORDS, Record("cut", "ATGACGT")]))
    for settings in ({"chunk_length": 5, "context": 20}, {"window": 3}):
        with pytest.raises(ConfigError, match="taught to read whole sequences of codons"):
            list(embed(reader, RECORDS, **settings))
