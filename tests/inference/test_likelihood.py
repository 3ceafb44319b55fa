"""Each base is scored once, from the right position, with the context that was promised."""

import numpy as np
import pytest
import torch

from genoseq.errors import ConfigError, SequenceError
from genoseq.inference.likelihood import base_log_probabilities, bits, plan_windows
from genoseq.models.base import SequenceModel
from genoseq.models.heads import SequenceHead
from genoseq.tokenizers import CharacterTokenizer

SEQUENCE = "".join(np.random.default_rng(1).choice(list("ACGT"), size=150))


@pytest.mark.parametrize("num_bases", [1, 2, 10, 63, 64, 65, 97, 1000])
@pytest.mark.parametrize(("window", "stride"), [(64, 32), (64, 63), (64, 1), (10, 3)])
def test_windows_score_every_base_once_with_context(num_bases, window, stride):
    parts = list(plan_windows(num_bases, window, stride))
    scored = [base for part in parts for base in range(part.scored, part.end)]
    assert scored == list(range(1, num_bases))
    assert len({part.end - part.start for part in parts}) <= 1
    for part in parts:
        assert 0 <= part.start < part.scored
        assert part.end - part.start <= window
        assert part.start == 0 or part.scored - part.start >= window - stride


@pytest.mark.parametrize("stride", [0, 64, 70])
def test_stride_has_to_fit_the_window(stride):
    with pytest.raises(ConfigError, match="stride"):
        list(plan_windows(100, 64, stride))


def test_one_window_is_the_model_itself(language_model):
    scores = base_log_probabilities(language_model, SEQUENCE[:40])
    ids = torch.from_numpy(language_model.tokenizer.encode(SEQUENCE[:40], add_special_tokens=False))[None]
    logits = language_model(ids).logits[0, :-1, : language_model.tokenizer.vocab_size]
    expected = torch.log_softmax(logits, dim=-1)[torch.arange(39), ids[0, 1:]]
    assert np.isnan(scores[0])
    np.testing.assert_allclose(scores[1:], expected.detach().numpy(), atol=1e-5)


def test_windows_agree_with_the_model_on_each_of_them(language_model):
    scores = base_log_probabilities(language_model, SEQUENCE, window=40, stride=15, batch_size=2)
    for part in plan_windows(len(SEQUENCE), 40, 15):
        alone = base_log_probabilities(language_model, SEQUENCE[part.start : part.end])
        np.testing.assert_allclose(
            scores[part.scored : part.end], alone[part.scored - part.start :], atol=1e-5
        )


def test_batches_change_nothing(language_model):
    one, many = (
        base_log_probabilities(language_model, SEQUENCE, window=40, stride=7, batch_size=size)
        for size in (1, 5)
    )
    np.testing.assert_allclose(one, many, atol=1e-5)


def test_n_has_no_score(language_model):
    scores = base_log_probabilities(language_model, "ACGNNACGT")
    assert np.isnan(scores).tolist() == [True, False, False, True, True, False, False, False, False]


def test_codes_are_taken_as_letters_are(language_model):
    codes = np.array([0, 1, 2, 3, 4, 0], dtype=np.uint8)
    np.testing.assert_array_equal(
        base_log_probabilities(language_model, codes), base_log_probabilities(language_model, "ACGTNA")
    )


def test_a_guess_is_two_bits():
    assert bits(np.log(np.float32(0.25))) == pytest.approx(2.0)


def test_mistakes(language_model):
    with pytest.raises(SequenceError, match="empty"):
        base_log_probabilities(language_model, "")
    with pytest.raises(ConfigError, match="window=65"):
        base_log_probabilities(language_model, SEQUENCE, window=65)
    backbone = language_model.backbone
    classifier = SequenceModel(backbone, SequenceHead(backbone, num_outputs=2), language_model.tokenizer)
    with pytest.raises(ConfigError, match="causal language model"):
        base_log_probabilities(classifier, SEQUENCE)


def test_a_token_before_the_sequence_scores_the_first_base(language_model):
    language_model.tokenizer = CharacterTokenizer(special_tokens="cls_sep")
    scores = base_log_probabilities(language_model, SEQUENCE[:50], window=50)
    np.testing.assert_allclose(scores, language_model.log_prob(SEQUENCE[:50])["log_prob"], atol=1e-5)
    assert np.isfinite(scores).all()
    parts = base_log_probabilities(language_model, SEQUENCE, window=40, stride=20)
    assert np.isfinite(parts).all()
    np.testing.assert_allclose(
        parts[60:80], base_log_probabilities(language_model, SEQUENCE[40:80])[20:], atol=1e-5
    )
