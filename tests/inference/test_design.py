"""Designing: scorers, methods, constraints held, independence of batches, novelty and diversity."""

import numpy as np
import pytest
import torch

from genoseq.data import read_table
from genoseq.errors import ConfigError, SequenceError
from genoseq.inference import predict
from genoseq.inference.design import (
    METHODS,
    ModelScorer,
    Search,
    design,
    draw,
    infill,
    nearest_known,
    pairwise_identity,
)
from genoseq.inference.design.comparison import identity
from genoseq.inference.records import Record
from genoseq.models import MaskedLanguageModelHead, SequenceModel, StrandSequenceHead, TokenHead
from genoseq.models.caduceus import Caduceus
from genoseq.models.heads import LanguageModelHead, SequenceHead
from genoseq.models.likelihood import log_likelihoods
from genoseq.models.mamba import Mamba
from genoseq.models.sampling import Sampling
from genoseq.sequence import Constraints, encode_bases, genetic_code, reverse_complement
from genoseq.sequence.feasible import Feasible
from genoseq.tokenizers import BpeTokenizer, CharacterTokenizer, KmerTokenizer

RULES = Constraints(length=48, gc=(0.3, 0.6), gc_window=16, max_homopolymer=3, fixed={10: "TATAAA"})


@pytest.fixture
def texts():
    generator = np.random.default_rng(0)
    return ["".join(generator.choice(list("ACGT"), size=40)) for _ in range(5)]


@pytest.fixture
def classifier(labelled_model):
    return labelled_model(SequenceHead, num_outputs=2, problem="single_label", classes=["no", "yes"])


def test_scores_are_log_odds(classifier, texts):
    records = [Record("x", text) for text in texts]
    (table,) = predict(classifier, records)
    odds = np.log(table["probability_yes"] / table["probability_no"])
    np.testing.assert_allclose(ModelScorer(classifier)(texts), odds, atol=1e-4)
    np.testing.assert_allclose(ModelScorer(classifier, target="no", batch_size=2)(texts), -odds, atol=1e-4)


def test_both_strands_count_alike_where_predictions_do(classifier, texts):
    classifier.preprocessing["strands"] = "average"
    turned = [reverse_complement(text) for text in texts]
    scorer = ModelScorer(classifier)
    np.testing.assert_allclose(scorer(texts), scorer(turned), atol=1e-6)


def test_likelihoods_are_those_of_log_prob(language_model, texts):
    expected = [language_model.log_prob(text)["log_prob"].mean() for text in texts]
    np.testing.assert_allclose(ModelScorer(language_model)(texts), expected, atol=1e-5)


def masked_model(tokenizer=None, symmetry="none"):
    torch.manual_seed(0)
    tokenizer = tokenizer or CharacterTokenizer()
    backbone = Caduceus(
        d_model=16, num_layers=2, d_state=4, symmetry=symmetry, vocab_size=tokenizer.vocab_size
    )
    for parameter in backbone.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return SequenceModel(backbone, MaskedLanguageModelHead(backbone), tokenizer).eval()


def told_by_hand(model, text, passes):
    """Pseudo-log-likelihood a base, one token at a time."""
    tokenizer = model.tokenizer
    ids = torch.from_numpy(tokenizer.encode(text))
    places = [place for place, token in enumerate(ids.tolist()) if token in tokenizer.known_ids]
    total = 0.0
    for number, place in enumerate(places):
        shown = ids.clone()
        for other in places[number % passes :: passes]:
            shown[other] = tokenizer.mask_id
        with torch.inference_mode():
            logits = model(shown[None]).logits[0, place, : tokenizer.vocab_size]
        total += float(logits.log_softmax(-1)[ids[place]])
    return total / sum(int(tokenizer.num_bases[ids[place]]) for place in places)


def test_masked_models_score_by_pseudo_likelihood_a_base(texts):
    texts = [texts[0][:24], texts[1][:17]]
    words = BpeTokenizer.train(texts * 3, vocab_size=20)
    for tokenizer in (CharacterTokenizer(), words, KmerTokenizer(k=4)):
        model = masked_model(tokenizer)
        for passes in (None, 3):
            found = ModelScorer(model, passes=passes)(texts)
            expected = [told_by_hand(model, text, passes or 99) for text in texts]
            np.testing.assert_allclose(found, expected, atol=2e-5)
    assert ModelScorer(model).name == "pseudo-log-likelihood a base"


def test_a_masked_model_blind_to_strand_scores_both_alike(texts):
    model = masked_model(CharacterTokenizer(special_tokens="none"), symmetry="shared")
    scorer = ModelScorer(model)
    np.testing.assert_allclose(scorer(texts), scorer(list(map(reverse_complement, texts))), atol=1e-5)


def test_words_of_several_bases_count_by_their_bases(texts):
    torch.manual_seed(0)
    words = KmerTokenizer(k=4)
    backbone = Mamba(d_model=16, num_layers=2, vocab_size=words.vocab_size)
    model = SequenceModel(backbone, LanguageModelHead(backbone), words).eval()
    tokens = torch.from_numpy(np.stack([words.encode(text) for text in texts]))
    bases = 4 * np.isin(tokens[:, 1:], words.known_ids).sum(1)
    expected = log_likelihoods(model, tokens) / bases
    np.testing.assert_allclose(ModelScorer(model)(texts), expected, atol=1e-6)


def of_numbers(backbone, head):
    return SequenceModel(backbone, head(backbone, num_outputs=1, problem="regression"), CharacterTokenizer())


def test_gradients_are_those_of_small_changes(texts):
    torch.manual_seed(1)
    with_strands = Caduceus(d_model=16, num_layers=2, symmetry="shared")
    check_gradients(of_numbers(with_strands, StrandSequenceHead), texts)
    check_gradients(of_numbers(Mamba(d_model=16, num_layers=2), SequenceHead), texts)


def test_gradients_of_hyena_and_of_likelihoods(classifier, language_model, texts):
    classifier.preprocessing["strands"] = "average"
    check_gradients(classifier, texts)
    check_gradients(language_model, texts)


def test_gradients_of_pseudo_likelihoods(texts):
    for symmetry in ("none", "shared"):
        check_gradients(masked_model(symmetry=symmetry), [text[:8] for text in texts[:2]])


def check_gradients(model, texts):
    scorer = ModelScorer(model.double().eval())
    codes = np.stack([encode_bases(text) for text in texts])
    soft = torch.nn.functional.one_hot(torch.from_numpy(codes).long(), 4).double().requires_grad_()
    scores = scorer.differentiable(codes, soft)
    np.testing.assert_allclose(scores.detach(), scorer(texts), atol=1e-5)
    scores.sum().backward()
    assert (soft.grad.abs().sum(dim=(1, 2)) > 0).all()
    step = torch.zeros_like(soft)
    step[0, 7, 2] = 1e-2
    with torch.no_grad():
        ends = [scorer.differentiable(codes, soft + sign * step)[0] for sign in (1, -1)]
    slope = float(ends[0] - ends[1]) / 2e-2
    assert slope == pytest.approx(float(soft.grad[0, 7, 2]), rel=0.02, abs=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_designs_are_better_and_hold_everything(classifier, method):
    temperature = 0.5 if method == "gradient" else 0.001
    rounds = 60 if method == "sampling" else 15
    search = Search(rounds=rounds, children=4, temperature=temperature, learning_rate=0.3)
    designs = design(ModelScorer(classifier), RULES, num_sequences=4, method=method, search=search)
    table = designs.table
    assert [RULES.violations(text) for text in table["sequence"]] == [[]] * 4
    assert [RULES.violations(text) for text in table["start"]] == [[]] * 4
    # A cold chain may stand still; none is ever worse than where it began.
    assert (table["score"] >= table["start_score"]).all()
    assert (table["score"] > table["start_score"]).sum() >= 3
    np.testing.assert_allclose(ModelScorer(classifier)(list(table["sequence"])), table["score"], atol=1e-5)
    assert designs.rounds["median"].is_monotonic_increasing
    assert len(designs.rounds) == rounds + 1


@pytest.mark.parametrize("method", METHODS)
def test_a_design_depends_on_its_number_alone(classifier, method):
    search = Search(rounds=3, children=2)
    settings = {"method": method, "search": search, "seed": 5}
    scorer = ModelScorer(classifier)
    three = design(scorer, RULES, num_sequences=3, **settings).table
    two = design(scorer, RULES, num_sequences=2, batch_size=1, **settings).table
    assert three["sequence"][:2].tolist() == two["sequence"].tolist()
    other = design(scorer, RULES, num_sequences=2, **(settings | {"seed": 6})).table
    assert (other["sequence"] != two["sequence"]).all()


def test_less_may_be_better_and_starts_are_kept_where_they_hold(classifier, texts):
    rules = Constraints(length=40)
    designs = design(
        ModelScorer(classifier),
        rules,
        num_sequences=6,
        search=Search(rounds=2, children=3),
        direction="minimise",
        starts=texts,
    )
    assert designs.table["start"].tolist() == [*texts, texts[0]]
    assert (designs.table["score"] <= designs.table["start_score"]).all()
    assert designs.rounds["median"].is_monotonic_decreasing


def test_any_function_of_sequences_can_be_raised():
    class Guanine:
        name = "G"

        def __call__(self, sequences):
            return np.array([text.count("G") for text in sequences])

    rules = Constraints(length=30, max_homopolymer=2, protein="MKV", protein_start=3)
    designs = design(Guanine(), rules, num_sequences=2, search=Search(rounds=60, children=6))
    assert (designs.table["score"] >= 15).all()
    with pytest.raises(ConfigError, match="method=gradient needs a model"):
        design(Guanine(), rules, num_sequences=1, method="gradient")


def test_a_language_model_writes_under_constraints(language_model, classifier):
    settings = {"num_sequences": 3, "candidates": 5, "seed": 2}
    designs = draw(language_model, ModelScorer(classifier), RULES, **settings)
    assert [RULES.violations(text) for text in designs.table["sequence"]] == [[]] * 3
    assert (designs.table["score"] >= designs.table["start_score"]).all()
    again = draw(language_model, ModelScorer(classifier), RULES, **settings, batch_size=5)
    assert again.table["sequence"].tolist() == designs.table["sequence"].tolist()


def test_a_masked_model_fills_in_under_constraints(classifier):
    model = masked_model()
    settings = {"num_sequences": 3, "candidates": 4, "seed": 2, "sweeps": 2}
    designs = draw(model, ModelScorer(classifier), RULES, **settings)
    assert [RULES.violations(text) for text in designs.table["sequence"]] == [[]] * 3
    assert (designs.table["score"] >= designs.table["start_score"]).all()
    again = draw(model, ModelScorer(classifier), RULES, **settings, batch_size=4)
    assert again.table["sequence"].tolist() == designs.table["sequence"].tolist()


def test_what_is_filled_in_is_likelier_than_chance():
    model, free = masked_model(), Feasible(Constraints(length=40))
    scorer = ModelScorer(model)
    made = scorer(infill(model, free, num_sequences=12, sweeps=4, temperature=0.5))
    chance = scorer(infill(model, free, num_sequences=12, sweeps=1, temperature=1e6))
    assert np.median(made) > np.median(chance) + 0.15


def test_constraints_leave_draws_alone_where_they_allow_them(language_model):
    free = language_model.sample("ACG", length=30, num_sequences=3)
    same = language_model.sample("ACG", length=30, num_sequences=3, feasible=Feasible(Constraints(length=30)))
    assert [found.sequence for found in free] == [found.sequence for found in same]
    rules = Feasible(Constraints(length=30, fixed={0: "T"}))
    with pytest.raises(SequenceError, match="breaks the constraints at base 0"):
        language_model.sample("ACG", length=30, feasible=rules)
    with pytest.raises(ConfigError, match="for 30 bases"):
        language_model.sample(length=20, feasible=rules)
    assert language_model.sample(length=30, feasible=rules)[0].sequence.startswith("T")


def test_what_cannot_be_designed(classifier, language_model, labelled_model):
    scorer = ModelScorer(classifier)
    with pytest.raises(ConfigError, match="target=maybe: this model predicts no, yes"):
        ModelScorer(classifier, target="maybe")
    with pytest.raises(ConfigError, match="no targets"):
        ModelScorer(language_model, target="yes")
    with pytest.raises(ConfigError, match="needs a causal language model"):
        ModelScorer(labelled_model(TokenHead, num_outputs=2, problem="single_label"))
    several = labelled_model(SequenceHead, num_outputs=3, problem="regression", classes=["a", "b", "c"])
    with pytest.raises(ConfigError, match="say which as target"):
        ModelScorer(several)
    with pytest.raises(ConfigError, match="one sequence only"):
        design(scorer, Constraints(length=4, fixed={0: "ACGT"}), num_sequences=1)
    with pytest.raises(SequenceError, match="starts of that length"):
        design(scorer, RULES, num_sequences=1, starts=["ACGT"])
    with pytest.raises(ConfigError, match="num_sequences=0"):
        design(scorer, RULES, num_sequences=0)
    with pytest.raises(ConfigError, match="rounds=0"):
        Search(rounds=0)
    with pytest.raises(ConfigError, match="only a masked language model hides"):
        ModelScorer(classifier, passes=3)
    with pytest.raises(ConfigError, match="passes=0"):
        ModelScorer(masked_model(), passes=0)
    with pytest.raises(ConfigError, match="no targets"):
        ModelScorer(masked_model(), target="yes")
    with pytest.raises(ConfigError, match="overlap"):
        ModelScorer(masked_model(KmerTokenizer(k=3, overlapping=True)))
    with pytest.raises(ConfigError, match="asked for no label"):
        draw(masked_model(), scorer, RULES, num_sequences=1, control="yes")
    with pytest.raises(ConfigError, match="top_k=2"):
        draw(masked_model(), scorer, RULES, num_sequences=1, sampling=Sampling(top_k=2))
    with pytest.raises(SequenceError, match="no token 'A'"):
        infill(masked_model(KmerTokenizer(k=4)), Feasible(Constraints(length=40)), num_sequences=1)
    with pytest.raises(ConfigError, match="sweeps=0"):
        infill(masked_model(), Feasible(Constraints(length=40)), num_sequences=1, sweeps=0)
    classifier.preprocessing["strands"] = "echo"
    with pytest.raises(ConfigError, match="strands=echo"):
        design(ModelScorer(classifier), Constraints(length=20), num_sequences=1, method="gradient")


def test_identity_counts_edits():
    assert identity("ACGT", "ACGT") == 1
    assert identity("ACGT", "AGT") == pytest.approx(0.75)
    assert identity("acgt", "TTTTTTTT") == pytest.approx(1 / 8)


def test_the_nearest_is_found_on_either_strand(texts):
    changed = reverse_complement(texts[3])[:20] + "G" + reverse_complement(texts[3])[20:]
    (found,) = nearest_known([changed], texts)
    assert found.number == 3
    assert found.identity == pytest.approx(1 - 1 / 41)
    with pytest.raises(ConfigError, match="none"):
        nearest_known(texts, [])


def test_diversity_is_of_pairs(texts):
    assert len(pairwise_identity(texts)) == 10
    assert pairwise_identity(["ACGT", "ACGA", "ACGT"]).tolist() == [0.75, 1.0, 0.75]
    assert len(pairwise_identity(texts * 30, most=50)) == 50
    with pytest.raises(ConfigError, match="two at least"):
        pairwise_identity(["ACGT"])


def test_codons_of_a_real_gene_are_chosen_anew(shared):
    folder = shared / "data" / "embed" / "central_dogma"
    table = read_table(folder / "leptospira_kirschneri_H1_cds_protein.tsv.gz")
    gene = table[table["cds"].str.len().between(200, 400)].iloc[0]
    cds, protein = gene["cds"].upper(), gene["protein"]
    stop = len(cds) == 3 * len(protein) + 3

    class Strong:
        name = "GC"

        def __call__(self, sequences):
            return np.array([text.count("G") + text.count("C") for text in sequences]) / len(cds)

    rules = Constraints(
        length=len(cds), protein=protein + "*" * stop, code=11, max_homopolymer=5, enzymes=("EcoRI", "BamHI")
    )
    search = Search(rounds=25, children=4, mutations=6)
    designs = design(Strong(), rules, num_sequences=2, starts=[cds], search=search)
    assert (designs.table["score"] > designs.table["start_score"] + 0.03).all()
    for text in designs.table["sequence"]:
        assert genetic_code(11).read(text) == protein + "*" * stop
        assert rules.violations(text) == []
