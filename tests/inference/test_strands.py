"""What becomes of the two strands when a model predicts: as it was trained, unless told otherwise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from genoseq.errors import CheckpointError, ConfigError, SequenceError
from genoseq.inference import Record, embed, predict
from genoseq.models import Caduceus, SequenceModel, StrandSequenceHead, TokenHead, load
from genoseq.models.ensemble import Ensemble
from genoseq.sequence import reverse_complement
from genoseq.tokenizers import CharacterTokenizer

GENERATOR = np.random.default_rng(3)
RECORDS = [
    Record(f"r{index}", "".join(GENERATOR.choice(list("ACGT"), size=size)))
    for index, size in enumerate((30, 7, 25, 1, 20))
]
TURNED = [Record(name, reverse_complement(sequence)) for name, sequence in RECORDS]


def values(model: SequenceModel, records: list[Record] = RECORDS, **settings: Any) -> np.ndarray:
    table = pd.concat(predict(model, records, batch_size=2, **settings), ignore_index=True)
    return table.filter(regex="probability|prediction").select_dtypes("number").to_numpy()


def by_record(rows: np.ndarray) -> list[np.ndarray]:
    return np.split(rows, np.cumsum([len(record.sequence) for record in RECORDS])[:-1])


@pytest.mark.parametrize("problem", ["single_label", "multi_label", "regression"])
def test_average_gives_both_strands_the_same(labelled_model, problem) -> None:
    model = labelled_model(problem=problem, num_outputs=2)
    assert np.abs(values(model) - values(model, TURNED)).max() > 1e-4
    both = values(model, strands="average")
    np.testing.assert_allclose(both, values(model, TURNED, strands="average"), atol=1e-6)
    np.testing.assert_allclose(both, (values(model) + values(model, TURNED)) / 2, atol=1e-6)


def test_average_of_letters_turns_them_back(labelled_model) -> None:
    model = labelled_model(TokenHead, problem="single_label", num_outputs=3)
    straight, turned = (by_record(values(model, rows, strands="average")) for rows in (RECORDS, TURNED))
    one, other = (by_record(values(model, rows)) for rows in (RECORDS, TURNED))
    for row in range(len(RECORDS)):
        np.testing.assert_allclose(straight[row], turned[row][::-1], atol=1e-6)
        np.testing.assert_allclose(straight[row], (one[row] + other[row][::-1]) / 2, atol=1e-6)


@pytest.mark.parametrize("symmetry", ["shared", "conjoined"])
def test_equivariant_models_give_both_strands_the_same(symmetry) -> None:
    torch.manual_seed(0)
    backbone = Caduceus(d_model=8, num_layers=2, d_state=4, symmetry=symmetry, initializer_range=0.5)
    head = StrandSequenceHead(backbone, num_outputs=2)
    described = {"strands": "equivariant", "strand": "unstranded"}
    # What stands at one end only would tell the strands apart.
    tokenizer = CharacterTokenizer(special_tokens="none")
    model = SequenceModel(backbone, head, tokenizer, described).eval()
    np.testing.assert_allclose(values(model), values(model, TURNED), atol=1e-6)
    assert np.ptp(values(model)[:, 0]) > 1e-4


@pytest.mark.parametrize(("strands", "again"), [("repeat", str), ("echo", reverse_complement)])
def test_echo_is_the_doubled_sequence(labelled_model, strands, again) -> None:
    model = labelled_model(problem="single_label", num_outputs=2)
    for record, row in zip(RECORDS, values(model, strands=strands), strict=True):
        ids = torch.from_numpy(model.tokenizer.encode(record.sequence + again(record.sequence)))[None]
        states = model.backbone(ids).last_hidden_state[:, len(record.sequence) :]
        expected = model.head(states).softmax(-1)[0].detach().numpy()
        np.testing.assert_allclose(row, expected, atol=1e-5)
    vectors = pd.concat(embed(model, RECORDS, strands=strands, batch_size=2), ignore_index=True)["embedding"]
    alone = [model.embed(record.sequence, strands=strands)[0].numpy() for record in RECORDS]
    np.testing.assert_allclose(np.stack(vectors.tolist()), np.stack(alone), atol=1e-5)


@pytest.mark.parametrize(("strands", "again"), [("repeat", str), ("echo", reverse_complement)])
def test_letters_of_an_echo_are_in_their_order(labelled_model, strands, again) -> None:
    model = labelled_model(TokenHead, problem="single_label", num_outputs=3)
    for record, rows in zip(RECORDS, by_record(values(model, strands=strands)), strict=True):
        ids = torch.from_numpy(model.tokenizer.encode(record.sequence + again(record.sequence)))[None]
        second = model(ids).logits[0, len(record.sequence) : -1].softmax(-1).detach().numpy()
        np.testing.assert_allclose(rows, second[::-1] if strands == "echo" else second, atol=1e-5)


@pytest.mark.parametrize("strands", ["none", "augment", "average", "echo", "repeat"])
def test_the_saved_policy_is_kept_unless_told_otherwise(labelled_model, tmp_path, strands) -> None:
    model = labelled_model(problem="single_label", num_outputs=2)
    model.preprocessing["strands"] = strands
    loaded = load(model.save(tmp_path))
    np.testing.assert_array_equal(values(loaded), values(loaded, strands=strands))
    plain = values(loaded, strands="none")
    assert np.allclose(values(loaded), plain, atol=1e-5) == (strands in ("none", "augment"))


def test_too_long_twice(labelled_model) -> None:
    model = labelled_model(problem="single_label", num_outputs=2)
    longest = [Record("longest", "A" * 40)]
    values(model, longest)
    for use in (predict, embed):
        with pytest.raises(SequenceError, match=r"longest: 81 tokens, given twice \(strands=echo\); .* 64"):
            list(use(model, longest, strands="echo"))


def test_refusals(labelled_model) -> None:
    model = labelled_model(problem="single_label", num_outputs=2, strand="stranded")
    for strands in ("average", "equivariant"):
        with pytest.raises(ConfigError, match=f"strands={strands} .*strand=unstranded"):
            values(model, strands=strands)
    values(model, strands="echo")
    with pytest.raises(ConfigError, match="SequenceHead on HyenaDNA is not"):
        values(labelled_model(problem="single_label", num_outputs=2), strands="equivariant")


def test_members_of_an_ensemble_read_the_strands_alike(labelled_model) -> None:
    members = [labelled_model(problem="single_label", num_outputs=2) for _ in range(3)]
    for model, strands in zip(members, ("echo", "none", "augment"), strict=True):
        model.preprocessing["strands"] = strands
    Ensemble(members[1:])
    with pytest.raises(CheckpointError, match=r"strands \(averages, second pass\)"):
        Ensemble(members)
    np.testing.assert_allclose(values(Ensemble([members[0]] * 2)), values(members[0]), atol=1e-6)
