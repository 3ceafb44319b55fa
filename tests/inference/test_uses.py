"""Embedding, predicting and generating: in order, whatever the batches are."""

import numpy as np
import pandas as pd
import pytest
import torch

from genoseq.errors import ConfigError, DeviceError, SequenceError
from genoseq.inference import Record, describe, embed, generate, predict
from genoseq.inference.devices import explain_full_memory, pick_device
from genoseq.models.heads import TokenHead
from genoseq.sequence import reverse_complement

GENERATOR = np.random.default_rng(3)
RECORDS = [
    Record(f"name {index}", "".join(GENERATOR.choice(list("ACGT"), size=size)))
    for index, size in enumerate((30, 7, 63, 1, 20))
]


def joined(tables):
    return pd.concat(tables, ignore_index=True)


@pytest.mark.parametrize("pooling", ["mean", "max", "first", "last"])
@pytest.mark.parametrize("layer", [-1, 0, 2, 3])
def test_embeddings_are_those_of_each_sequence_alone(language_model, pooling, layer):
    table = joined(embed(language_model, RECORDS, layer=layer, pooling=pooling, batch_size=2))
    assert table["name"].tolist() == [record.name for record in RECORDS]
    for record, vector in zip(RECORDS, table["embedding"], strict=True):
        alone = language_model.embed(record.sequence, layer=layer, pooling=pooling)
        np.testing.assert_allclose(vector, alone[0].numpy(), atol=1e-5)


@pytest.mark.parametrize("settings", [{}, {"chunk_length": 5}, {"chunk_length": 5, "context": 55}])
@pytest.mark.parametrize("pooling", ["mean", "last"])
def test_embeddings_in_chunks_and_windows(language_model, settings, pooling):
    # In float32, weights this large make a difference of 2e-5 of how a processor rounds a transform.
    language_model.double()
    records = [record for record in RECORDS if len(record.sequence) < 62]
    whole = joined(embed(language_model, records, pooling=pooling))
    table = joined(embed(language_model, records, pooling=pooling, **settings))
    assert table["name"].tolist() == whole["name"].tolist()
    close = {"atol": 1e-6, "rtol": 1e-6}
    np.testing.assert_allclose(np.stack(table["embedding"]), np.stack(whole["embedding"]), **close)
    rows = joined(embed(language_model, records, pooling=pooling, window=8, **settings))
    assert rows.columns.tolist() == ["name", "start", "end", "embedding"]
    for record in records:
        mine = rows[rows["name"] == record.name]
        length = len(record.sequence)
        assert mine["start"].tolist() == list(range(0, length, 8))
        assert mine["end"].tolist() == [min(start + 8, length) for start in range(0, length, 8)]
        ids = torch.from_numpy(language_model.tokenizer.encode(record.sequence))[None]
        hidden = language_model.backbone(ids).last_hidden_state[0].detach().numpy()
        for start, end, vector in zip(mine["start"], mine["end"], mine["embedding"], strict=True):
            part = hidden[start:end]
            np.testing.assert_allclose(vector, part.mean(0) if pooling == "mean" else part[-1], **close)


def test_a_mistake_in_a_chunk_names_the_sequence(language_model):
    records = [Record("fine", "ACGT"), Record("culprit", "ACGTACGTAX")]
    with pytest.raises(SequenceError, match="culprit: from base 8 on: 'X'"):
        list(embed(language_model, records, chunk_length=4))
    with pytest.raises(SequenceError, match="culprit: the sequence is empty"):
        list(embed(language_model, [Record("culprit", "")], window=4))


def test_embedding_reads_no_further_than_asked(language_model):
    def endless():
        yield from RECORDS[:2]
        raise AssertionError("read ahead")

    assert len(next(embed(language_model, endless(), batch_size=2))) == 2


@pytest.mark.parametrize(
    ("setting", "value"),
    [("layer", 4), ("layer", -5), ("pooling", "attention"), ("window", 0), ("chunk_length", 0)],
)
def test_embedding_settings(language_model, setting, value):
    with pytest.raises(ConfigError, match=f"{setting}={value!r}"):
        list(embed(language_model, RECORDS, **{setting: value}))


def test_classes_have_names_and_probabilities(labelled_model):
    model = labelled_model(problem="single_label", num_outputs=3, classes=["x", "y", "z"])
    table = joined(predict(model, RECORDS, batch_size=2))
    assert table.columns.tolist() == ["name", "prediction", "probability_x", "probability_y", "probability_z"]
    probabilities = table.filter(like="probability").to_numpy()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert table["prediction"].tolist() == np.array(["x", "y", "z"])[probabilities.argmax(axis=1)].tolist()
    alone = joined(predict(model, RECORDS, batch_size=1))
    np.testing.assert_allclose(alone.filter(like="probability").to_numpy(), probabilities, atol=1e-5)


def test_both_strands_are_averaged(labelled_model):
    model = labelled_model(problem="single_label", num_outputs=2)
    turned = [Record(name, reverse_complement(sequence)) for name, sequence in RECORDS]
    first, second, both = (
        joined(predict(model, records, strands=strands)).filter(like="probability").to_numpy()
        for records, strands in ((RECORDS, "none"), (turned, "none"), (RECORDS, "average"))
    )
    np.testing.assert_allclose(both, (first + second) / 2, atol=1e-6)
    assert np.abs(first - second).max() > 1e-4


def test_stranded_labels_are_not_averaged(labelled_model):
    model = labelled_model(problem="single_label", num_outputs=2, strand="stranded")
    with pytest.raises(ConfigError, match="stranded"):
        list(predict(model, RECORDS, strands="average"))


def test_several_labels_and_numbers(labelled_model):
    labels = joined(
        predict(labelled_model(problem="multi_label", num_outputs=2, classes=["p", "q"]), RECORDS)
    )
    assert labels.columns.tolist() == [
        "name",
        "prediction_p",
        "prediction_q",
        "probability_p",
        "probability_q",
    ]
    assert (labels["prediction_p"] == (labels["probability_p"] > 0.5)).all()
    model = labelled_model(problem="regression", num_outputs=1)
    numbers = joined(predict(model, RECORDS))
    expected = model(torch.from_numpy(model.tokenizer.encode(RECORDS[0].sequence))[None]).logits
    assert numbers["prediction"][0] == pytest.approx(expected.item(), abs=1e-5)


def test_token_heads_give_a_row_a_letter(labelled_model):
    model = labelled_model(TokenHead, problem="single_label", num_outputs=2)
    table = joined(predict(model, RECORDS, batch_size=2))
    assert len(table) == sum(len(record.sequence) for record in RECORDS)
    for record in RECORDS:
        rows = table[table["name"] == record.name]
        assert rows["position"].tolist() == list(range(len(record.sequence)))
        ids = torch.from_numpy(model.tokenizer.encode(record.sequence))[None]
        expected = model(ids).logits[0, :-1].softmax(dim=-1).detach().numpy()
        np.testing.assert_allclose(rows.filter(like="probability").to_numpy(), expected, atol=1e-5)


def test_a_language_model_predicts_no_labels(language_model):
    with pytest.raises(ConfigError, match="Fine-tune"):
        list(predict(language_model, RECORDS))


def test_generation_does_not_depend_on_batches(language_model):
    settings = {"length": 40, "num_sequences": 5, "prompt": "ACGT", "seed": 3}
    one, many = (list(generate(language_model, batch_size=size, **settings)) for size in (1, 3))
    for alone, together in zip(one, many, strict=True):
        assert alone.sequence == together.sequence
        np.testing.assert_allclose(alone.log_probs, together.log_probs, atol=1e-5)
    assert all(len(result.sequence) == 40 and result.sequence.startswith("ACGT") for result in one)
    assert len({result.sequence for result in one}) == 5
    with pytest.raises(ConfigError, match="num_sequences=0"):
        list(generate(language_model, length=10, num_sequences=0))


def test_headers_tell_the_likelihood(language_model):
    (result,) = generate(language_model, length=30, prompt="ACGTT")
    record = describe(3, result)
    expected = language_model.log_prob(result.sequence)["log_prob"][5:].sum()
    name, length, likelihood, bits = record.name.split()
    assert (name, length, record.sequence) == ("generated_3", "length=30", result.sequence)
    assert float(likelihood.removeprefix("log_likelihood=")) == pytest.approx(expected, abs=1e-3)
    assert float(bits.removeprefix("bits_per_base=")) == pytest.approx(-expected / 25 / np.log(2), abs=1e-3)
    (given,) = generate(language_model, length=5, prompt="ACGTT")
    assert describe(0, given).name == "generated_0 length=5"


@pytest.mark.parametrize("name", ["cuda:99", "gpu", "meta", "cpu:3"])
def test_devices_that_are_not_there(name):
    with pytest.raises(DeviceError, match=name):
        pick_device(name)


def test_devices_that_are_there():
    assert pick_device("cpu") == torch.device("cpu")
    assert pick_device("auto").type in ("cpu", "cuda", "mps")


def test_full_memory_is_advice():
    with pytest.raises(DeviceError, match="Lower batch_size"), explain_full_memory(8):
        raise torch.OutOfMemoryError
