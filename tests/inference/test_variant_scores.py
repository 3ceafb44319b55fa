"""Scores of alleles against what the definitions say, computed another way."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from genoseq.data import AlleleReader, Fasta
from genoseq.errors import ConfigError
from genoseq.inference import ScoreSettings, VariantScorer, predict, score_variants
from genoseq.inference.records import Record
from genoseq.models import Caduceus, MaskedLanguageModelHead, SequenceModel
from genoseq.sequence import Variant, reverse_complement
from genoseq.tokenizers import BpeTokenizer, CharacterTokenizer, KmerTokenizer


@pytest.fixture
def variants(tiny_fasta):
    letters = Fasta(tiny_fasta).fetch("chr1", 0, 5000)

    def other(base):
        return "ACGT"["ACGT".index(base) - 1]

    return [
        Variant("chr1", 100, letters[100], other(letters[100])),
        Variant("1", 700, letters[700:703], letters[700]),
        Variant("chr1", 3, letters[3], letters[3] + "GATTACA"),
        Variant("chr1", 2000, letters[2000:2003], "".join(map(other, letters[2000:2003]))),
    ]


def masked_model(tokenizer=None, symmetry="none"):
    torch.manual_seed(0)
    tokenizer = tokenizer or CharacterTokenizer()
    backbone = Caduceus(
        d_model=8, num_layers=2, d_state=4, symmetry=symmetry, vocab_size=tokenizer.vocab_size
    )
    for parameter in backbone.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return SequenceModel(backbone, MaskedLanguageModelHead(backbone), tokenizer=tokenizer).eval()


def scored(model, variants, fasta, **settings):
    return pd.concat(score_variants(model, variants, fasta, ScoreSettings(**settings)), ignore_index=True)


def pairs_of(variants, fasta, window):
    reader = AlleleReader(Fasta(fasta))
    return [reader.pair(variant, window) for variant in variants]


def test_ratio_of_a_causal_model_is_that_of_whole_windows_on_both_strands(
    language_model, variants, tiny_fasta
):
    def total(sequence):
        return np.nansum(language_model.log_prob(sequence)["log_prob"])

    table = scored(language_model, variants, tiny_fasta, batch_size=3)
    pairs = pairs_of(variants, tiny_fasta, 63)
    forward = [total(pair.alternate) - total(pair.reference) for pair in pairs]
    turned = [
        total(reverse_complement(pair.alternate)) - total(reverse_complement(pair.reference))
        for pair in pairs
    ]
    np.testing.assert_allclose(table["llr"], np.add(forward, turned) / 2, atol=2e-4)
    alone = scored(language_model, variants, tiny_fasta, strands="none")
    np.testing.assert_allclose(alone["llr"], forward, atol=2e-4)
    assert table[["chromosome", "position", "reference", "alternate"]].to_numpy().tolist() == [
        [v.chromosome, v.position, v.reference, v.alternate] for v in variants
    ]


def test_scores_do_not_depend_on_the_batch(language_model, variants, tiny_fasta):
    for score in ("llr", "distance"):
        one, all_at_once = (
            scored(language_model, variants, tiny_fasta, scores=(score,), batch_size=size)[score]
            for size in (1, 99)
        )
        np.testing.assert_allclose(one, all_at_once, atol=1e-4)


def test_scores_turn_their_sign_with_the_alleles(language_model, variants, tiny_fasta):
    """A pair of the alternate and the reference scores the opposite."""
    for model in (language_model, masked_model()):
        scorer = VariantScorer(model, ScoreSettings(window=60, neighbours=2))
        pairs = pairs_of(variants, tiny_fasta, 60)
        back = [pair._replace(reference=pair.alternate, alternate=pair.reference) for pair in pairs]
        np.testing.assert_allclose(scorer.of(back), -scorer.of(pairs), atol=1e-3)


def test_pseudo_likelihood_hides_each_base_in_its_turn(variants, tiny_fasta):
    model = masked_model()
    tokenizer = model.tokenizer

    def of_base(sequence, place):
        ids = torch.from_numpy(tokenizer.encode(sequence))[None]
        own = int(ids[0, place])
        ids[0, place] = tokenizer.mask_id
        with torch.inference_mode():
            logits = model(ids).logits[0, place, : tokenizer.vocab_size]
        return float(logits.log_softmax(-1)[own])

    def total(sequence, first, last):
        return sum(of_base(sequence, place) for place in range(max(first, 0), min(last, len(sequence))))

    for neighbours in (0, 2):
        table = scored(
            model, variants, tiny_fasta, window=40, strands="none", neighbours=neighbours, batch_size=3
        )
        expected = []
        for pair in pairs_of(variants, tiny_fasta, 40):
            first, last = pair.offset - neighbours, pair.offset + pair.width + neighbours
            expected.append(total(pair.alternate, first, last) - total(pair.reference, first, last))
        np.testing.assert_allclose(table["llr"], expected, atol=2e-4)


def test_a_model_that_is_blind_to_strand_reads_one(variants, tiny_fasta):
    bare = CharacterTokenizer(special_tokens="none")
    model = masked_model(bare, symmetry="shared")
    table = scored(model, variants, tiny_fasta, window=40)
    both = scored(model, variants, tiny_fasta, window=40, strands="average")
    assert VariantScorer(model).policy.name == "none"
    np.testing.assert_allclose(table["llr"], both["llr"], atol=1e-4)


def test_words_side_by_side_have_a_pseudo_likelihood_and_others_do_not(variants, tiny_fasta):
    side_by_side = masked_model(KmerTokenizer(k=3))
    assert np.isfinite(scored(side_by_side, variants, tiny_fasta, window=42)["llr"]).all()
    overlapping = masked_model(KmerTokenizer(k=3, overlapping=True))
    with pytest.raises(ConfigError, match="overlap"):
        scored(overlapping, variants, tiny_fasta, window=42)


def test_distances_are_those_of_embeddings(language_model, variants, tiny_fasta):
    settings = {"scores": ("distance",), "strands": "none", "layer": 1, "pooling": "max"}
    pairs = pairs_of(variants, tiny_fasta, 63)
    first, second = (
        language_model.embed([getattr(pair, side) for pair in pairs], layer=1, pooling="max").double()
        for side in ("reference", "alternate")
    )
    cosine = scored(language_model, variants, tiny_fasta, **settings)["distance"]
    np.testing.assert_allclose(cosine, 1 - torch.cosine_similarity(first, second), atol=1e-6)
    euclidean = scored(language_model, variants, tiny_fasta, metric="euclidean", **settings)["distance"]
    np.testing.assert_allclose(euclidean, (first - second).norm(dim=1), rtol=1e-4)


@pytest.mark.parametrize("strands", ["none", "average", "repeat"])
@pytest.mark.parametrize(
    ("head", "columns"),
    [
        ({"problem": "regression", "num_outputs": 1}, {"delta": "prediction"}),
        (
            {"problem": "single_label", "num_outputs": 2, "classes": ["no", "yes"]},
            {"delta_no": "probability_no", "delta_yes": "probability_yes"},
        ),
    ],
)
def test_deltas_are_differences_of_predictions(labelled_model, variants, tiny_fasta, head, columns, strands):
    model = labelled_model(**head)
    window = 62 // (1 + (strands == "repeat"))
    table = scored(model, variants, tiny_fasta, strands=strands, window=window)
    pairs = pairs_of(variants, tiny_fasta, window)
    first, second = (
        pd.concat(predict(model, [Record("", getattr(pair, side)) for pair in pairs], strands=strands))
        for side in ("reference", "alternate")
    )
    for column, predicted in columns.items():
        expected = second[predicted].to_numpy() - first[predicted].to_numpy()
        np.testing.assert_allclose(table[column], expected, atol=1e-5)


def test_alleles_without_room_have_no_number(language_model, tiny_fasta):
    letters = Fasta(tiny_fasta).fetch("chr2", 0, 100)
    given = [Variant("chr2", 10, letters[10:60], ""), Variant("chr2", 10, letters[10:12], "")]
    table = scored(language_model, given, tiny_fasta)
    assert np.isnan(table["llr"]).tolist() == [True, False]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"scores": ("delta",)}, "one prediction a sequence"),
        ({"scores": ("llr", "llr")}, "named twice"),
        ({"scores": ("ratio",)}, "choose one of llr, distance, delta"),
        ({"window": 64}, "at most 63 bases"),
        ({"window": 1}, "2 bases or more"),
        ({"strands": "echo"}, "choose one of none, average"),
        ({"scores": ("distance",), "metric": "dot"}, "choose one of cosine, euclidean"),
        ({"scores": ("distance",), "layer": 9}, "this model has the layers"),
    ],
)
def test_settings_that_do_not_go_with_the_model(language_model, settings, says):
    with pytest.raises(ConfigError, match=says):
        VariantScorer(language_model, ScoreSettings(**settings))


def test_stranded_labels_are_not_averaged(labelled_model):
    model = labelled_model(strand="stranded", problem="regression", num_outputs=1)
    assert VariantScorer(model).policy.name == "none"
    with pytest.raises(ConfigError, match="stranded"):
        VariantScorer(model, ScoreSettings(strands="average"))
    with pytest.raises(ConfigError, match=r"scores=\[delta\]|a likelihood ratio"):
        VariantScorer(model, ScoreSettings(scores=("llr",)))
    words = BpeTokenizer.train(["ATGAAACCCGGG" * 9], vocab_size=30)
    assert VariantScorer(masked_model(words)).window == 1024


@pytest.mark.gpu
def test_scores_on_a_gpu_are_those_on_a_cpu(language_model, variants, tiny_fasta):
    for model, scores in ((language_model, ("llr", "distance")), (masked_model(), ("llr",))):
        settings = {"window": 60, "scores": scores, "neighbours": 2}
        expected = scored(model.cpu(), variants, tiny_fasta, **settings)
        found = scored(model.cuda(), variants, tiny_fasta, **settings)
        np.testing.assert_allclose(found[list(scores)], expected[list(scores)], atol=2e-3)
