"""Each base is scored once, under its name, however the sequences are read."""

import numpy as np
import pandas as pd
import pytest
import torch

from genoseq.errors import ConfigError, SequenceError
from genoseq.inference import Record, bits_per_base, score_bases
from genoseq.models import Mamba2
from genoseq.models.base import SequenceModel
from genoseq.models.heads import LanguageModelHead, SequenceHead
from genoseq.tokenizers import CharacterTokenizer

GENERATOR = np.random.default_rng(1)
# Neighbours of one name are two sequences.
RECORDS = [
    Record(name, "".join(GENERATOR.choice(list("ACGTN"), size=size)))
    for name, size in (("b", 40), ("a", 1), ("a", 7), ("N", 58), ("b", 13))
]
COLUMNS = ["name", "position", "base", "log_prob", "log_prob_A", "log_prob_C", "log_prob_G", "log_prob_T"]


@pytest.fixture
def recurrent_model():
    torch.manual_seed(0)
    backbone = Mamba2(d_model=8, num_layers=2, d_state=4, headdim=4, initializer_range=0.3)
    return SequenceModel(backbone, LanguageModelHead(backbone), CharacterTokenizer()).eval()


def joined(tables):
    return pd.concat(tables, ignore_index=True)


def expected(model):
    tables = [model.log_prob(record.sequence).assign(name=record.name) for record in RECORDS]
    return joined(tables)[COLUMNS]


@pytest.mark.parametrize("special_tokens", ["none", "sep", "cls_sep"])
@pytest.mark.parametrize("batch_size", [1, 3, 50])
def test_scores_are_those_of_each_sequence_alone(language_model, special_tokens, batch_size):
    for side in ("left", "right"):
        tokenizer = CharacterTokenizer(special_tokens=special_tokens, padding_side=side)
        language_model.tokenizer = tokenizer
        tables = list(score_bases(language_model, RECORDS, batch_size=batch_size))
        assert len(tables) == -(-len(RECORDS) // batch_size)
        pd.testing.assert_frame_equal(joined(tables), expected(language_model), atol=1e-5)


@pytest.mark.parametrize("chunk_length", [1, 7, 100])
def test_scores_in_chunks(recurrent_model, language_model, chunk_length):
    table = joined(score_bases(recurrent_model, RECORDS, chunk_length=chunk_length))
    pd.testing.assert_frame_equal(table, expected(recurrent_model), atol=1e-5)
    if chunk_length > 7:
        return
    for batch_size in (1, 4):
        settings = {"chunk_length": chunk_length, "context": 57, "batch_size": batch_size}
        windows = joined(score_bases(language_model, RECORDS, **settings))
        pd.testing.assert_frame_equal(windows, expected(language_model), atol=1e-5)


def test_windows_agree_with_the_model_on_each_of_them(language_model):
    sequence = "".join(GENERATOR.choice(list("ACGT"), size=150))
    table = joined(score_bases(language_model, [Record("x", sequence)], chunk_length=15, context=25))
    scores = table["log_prob"].to_numpy()
    np.testing.assert_allclose(scores[:40], language_model.log_prob(sequence[:40])["log_prob"], atol=1e-5)
    for start in (15, 30, 105):
        alone = language_model.log_prob(sequence[start : start + 40])["log_prob"]
        np.testing.assert_allclose(scores[start + 25 : start + 40], alone[25:], atol=1e-5)
    assert np.isfinite(scores[1:]).all()


def test_bits_of_each_sequence(recurrent_model):
    rows = [joined(bits_per_base(score_bases(recurrent_model, RECORDS, batch_size=size))) for size in (1, 9)]
    rows.append(joined(bits_per_base(score_bases(recurrent_model, RECORDS, chunk_length=6))))
    for table in rows:
        assert table["name"].tolist() == [record.name for record in RECORDS]
        assert table["num_bases"].tolist() == [len(record.sequence) for record in RECORDS]
        for record, row in zip(RECORDS, table.itertuples(), strict=True):
            scores = recurrent_model.log_prob(record.sequence)["log_prob"]
            assert row.num_scored == scores.notna().sum()
            assert row.bits_per_base == pytest.approx(-scores.mean() / np.log(2), abs=1e-5, nan_ok=True)
    assert np.isnan(rows[0]["bits_per_base"][1])
    assert list(bits_per_base([])) == []


def test_a_guess_is_two_bits():
    table = pd.DataFrame({"name": "x", "position": [0, 1, 2], "log_prob": [np.nan, *np.log([0.25, 0.25])]})
    (row,) = bits_per_base([table])
    assert row.iloc[0].tolist() == ["x", 3, 2, pytest.approx(2.0)]


@pytest.mark.parametrize("settings", [{}, {"chunk_length": 4}, {"chunk_length": 4, "context": 8}])
@pytest.mark.parametrize(
    ("sequence", "message"),
    [("", "culprit: the sequence is empty"), ("ACGTACX", "culprit: .*X"), ("ACGTACGTAC" * 9, None)],
)
def test_mistakes_name_the_sequence(language_model, settings, sequence, message):
    tables = score_bases(language_model, [Record("fine", "ACGT"), Record("culprit", sequence)], **settings)
    if message is None and "context" in settings:
        assert len(joined(tables)) == 94
        return
    with pytest.raises(SequenceError, match=message or "culprit: 9[01] tokens.*context="):
        list(tables)


def test_models_that_do_not_score(language_model):
    backbone = language_model.backbone
    classifier = SequenceModel(backbone, SequenceHead(backbone, num_outputs=2), language_model.tokenizer)
    with pytest.raises(ConfigError, match="causal language model"):
        next(score_bases(classifier, RECORDS))
    with pytest.raises(ConfigError, match="windows of 65 tokens"):
        next(score_bases(language_model, RECORDS, chunk_length=5, context=60))
