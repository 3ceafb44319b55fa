"""Every change of one base, and gradients, against what they are by definition."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from genoseq.data import Fasta
from genoseq.errors import ConfigError, SequenceError
from genoseq.inference import (
    Region,
    ScoreSettings,
    VariantScorer,
    attribute_bases,
    predict,
    read_regions,
    saturation_mutagenesis,
    score_variants,
)
from genoseq.inference.records import Record
from genoseq.models import Caduceus, SequenceHead, SequenceModel
from genoseq.models.token_shares import one_hot_tokens, read_shares
from genoseq.sequence import Interval, Variant, reverse_complement
from genoseq.tokenizers import CharacterTokenizer, KmerTokenizer

SEQUENCE = "ACGTTGCANGGCTAAC"
REGION = Region("x", SEQUENCE, 4, 12)


@pytest.fixture
def regressor(labelled_model):
    return labelled_model(problem="regression", num_outputs=1)


def two_strands(tokenizer=None, symmetry="shared"):
    torch.manual_seed(0)
    tokenizer = tokenizer or CharacterTokenizer(special_tokens="none")
    backbone = Caduceus(
        d_model=8, num_layers=2, d_state=4, symmetry=symmetry, vocab_size=tokenizer.vocab_size
    )
    for parameter in backbone.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return SequenceModel(backbone, SequenceHead(backbone, num_outputs=3), tokenizer=tokenizer).eval()


def attributed(model, region=REGION, **settings):
    (table,) = attribute_bases(model, [region], **settings)
    return table


def test_every_change_is_scored_once(regressor):
    (table,) = saturation_mutagenesis(VariantScorer(regressor, ScoreSettings(batch_size=5)), [REGION])
    assert table.columns.tolist() == ["name", "position", "reference", "alternate", "delta"]
    assert len(table) == 7 * 3
    assert set(table["position"]) == {0, 1, 2, 3, 5, 6, 7}
    sequences = [
        SEQUENCE[: 4 + row.position] + row.alternate + SEQUENCE[5 + row.position :]
        for row in table.itertuples()
    ]
    assert all(SEQUENCE[4 + row.position] == row.reference for row in table.itertuples())
    records = [Record("", sequence) for sequence in [SEQUENCE, *sequences]]
    expected = pd.concat(predict(regressor, records))["prediction"].to_numpy()
    np.testing.assert_allclose(table["delta"], expected[1:] - expected[0], atol=1e-5)


@pytest.mark.parametrize("strand", ["+", "-"])
def test_intervals_score_as_the_same_variants_of_their_genome(language_model, tiny_fasta, tmp_path, strand):
    bed = tmp_path / "x.bed"
    bed.write_text(f"chr1\t100\t105\tpeak\t0\t{strand}\n")
    (region,) = read_regions(fasta=tiny_fasta, bed=bed, flank=29)
    assert region.interval == Interval("chr1", 100, 105, strand, "peak", "0")
    letters = Fasta(tiny_fasta).fetch("chr1", 100, 105)
    assert region.letters == (letters if strand == "+" else reverse_complement(letters))
    (table,) = saturation_mutagenesis(VariantScorer(language_model), [region])
    # A window of 63 bases around the middle base is that of the region.
    middle = table[table["genome_position"] == 102]
    turn = {"+": str, "-": reverse_complement}[strand]
    variants = [Variant("chr1", 102, turn(row.reference), turn(row.alternate)) for row in middle.itertuples()]
    assert {variant.reference for variant in variants} == {letters[2]}
    (expected,) = score_variants(language_model, variants, tiny_fasta, ScoreSettings(window=63))
    np.testing.assert_allclose(middle["llr"], expected["llr"], atol=1e-3)


def test_gradients_are_the_slope_along_each_letter(regressor):
    """Against finite differences: one percent more of the letter that is there."""
    tokenizer = regressor.tokenizer
    ids = torch.from_numpy(tokenizer.encode(SEQUENCE))[None]
    shares = one_hot_tokens(regressor, ids)
    expected = []
    with torch.inference_mode():
        for place in range(4, 12):
            lower, upper = shares.clone(), shares.clone()
            lower[0, place + len(tokenizer.prefix_ids)] *= 0.99
            upper[0, place + len(tokenizer.prefix_ids)] *= 1.01
            change = read_shares(regressor, upper, ids).logits - read_shares(regressor, lower, ids).logits
            expected.append(float(change) / 0.02)
    table = attributed(regressor, method="input_x_gradient", strands="none")
    assert table.columns.tolist() == ["name", "position", "base", "attribution"]
    np.testing.assert_allclose(table["attribution"], expected, atol=2e-3, rtol=2e-2)
    size = attributed(regressor, method="saliency", strands="none")
    np.testing.assert_allclose(size["attribution"], np.abs(table["attribution"]), atol=1e-6)


@pytest.mark.parametrize("kind", ["regressor", "language_model", "words"])
def test_integrated_gradients_add_up_to_the_prediction(kind, request):
    """Completeness: their sum is the prediction minus that of letters that could be any."""
    if kind == "words":
        model, settings = two_strands(KmerTokenizer(k=3), symmetry="none"), {"target": "2"}
        sequence = SEQUENCE.replace("N", "A")[:15]
    else:
        model, settings, sequence = request.getfixturevalue(kind), {}, SEQUENCE
    region = Region("x", sequence, 0, len(sequence))
    table = attributed(model, region, strands="none", steps=200, **settings)
    tokenizer = model.tokenizer
    ids = torch.from_numpy(tokenizer.encode(sequence))[None]
    shares = one_hot_tokens(model, ids)
    even = shares.clone()
    known = torch.from_numpy(tokenizer.known_ids)
    place = torch.isin(ids, known)
    even[place] = 0
    even[place[..., None] & torch.isin(torch.arange(shares.shape[-1]), known)] = 1 / len(known)

    def value(given):
        with torch.inference_mode():
            logits = read_shares(model, given, ids).logits
        if kind != "language_model":
            return float(logits[0, -1])
        told = (
            logits[0, :-1, : tokenizer.vocab_size].log_softmax(-1) * given[0, 1:, : tokenizer.vocab_size]
        ).sum(-1)
        return float(told[place[0, 1:]].sum())

    assert table["attribution"].sum() == pytest.approx(value(shares) - value(even), abs=2e-2)


def test_both_strands_are_averaged(regressor):
    table = attributed(regressor, strands="average", method="input_x_gradient")
    turned = Region("x", reverse_complement(SEQUENCE), 4, 12)
    other = attributed(regressor, turned, strands="average", method="input_x_gradient")
    np.testing.assert_allclose(table["attribution"], other["attribution"][::-1], atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"method": "shap"}, "choose one of saliency"),
        ({"steps": 0}, "1 or more"),
        ({"strands": "repeat"}, "gives a sequence twice"),
        ({"target": "x"}, "predicts 0. Give one"),
    ],
)
def test_settings_that_cannot_be(regressor, settings, says):
    with pytest.raises(ConfigError, match=says):
        attributed(regressor, **settings)


def test_what_has_no_gradient_is_told(language_model):
    with pytest.raises(ConfigError, match="predicts 0, 1, 2: say which"):
        attributed(two_strands())
    with pytest.raises(ConfigError, match="one likelihood"):
        attributed(language_model, target="yes")
    with pytest.raises(SequenceError, match=r"^x: .*at most 64"):
        attributed(language_model, Region("x", "A" * 99, 0, 99))
    with pytest.raises(SequenceError, match=r"^x: there is no A"):
        next(saturation_mutagenesis(VariantScorer(language_model), [Region("x", "NN", 0, 2)]))
    with pytest.raises(ConfigError, match="flank=3"):
        next(read_regions("x.fa", flank=3))
