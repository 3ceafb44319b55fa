"""Changes of likelihood, and states of codons, of models of any tokens."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from genoseq.data import Substitution
from genoseq.errors import ConfigError
from genoseq.inference import change_scores, codon_states
from genoseq.models import Caduceus, MaskedLanguageModelHead, SequenceHead, SequenceModel
from genoseq.tokenizers import BpeTokenizer, CharacterTokenizer, CodonTokenizer, KmerTokenizer, Tokenizer

CHANGES = [Substitution("ATGAAACCCGGG", 5, "G"), Substitution("ATGCCC", 3, "T")]


def masked(tokenizer: Tokenizer) -> SequenceModel:
    torch.manual_seed(0)
    backbone = Caduceus(d_model=8, num_layers=2, d_state=4, symmetry="none", vocab_size=tokenizer.vocab_size)
    for parameter in backbone.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return SequenceModel(backbone, MaskedLanguageModelHead(backbone), tokenizer=tokenizer).eval()


def test_a_causal_model_scores_whole_sequences(language_model: SequenceModel) -> None:
    def total(sequence: str) -> float:
        return float(np.nansum(language_model.log_prob(sequence)["log_prob"]))

    expected = [total(change.changed) - total(change.sequence) for change in CHANGES]
    np.testing.assert_allclose(change_scores(language_model, CHANGES), expected, atol=1e-4)
    np.testing.assert_allclose(change_scores(language_model, CHANGES, batch_size=1), expected, atol=1e-4)
    assert change_scores(language_model, []).shape == (0,)


@pytest.mark.parametrize("tokenizer", [CharacterTokenizer(), CodonTokenizer()])
def test_a_masked_model_is_asked_for_the_hidden_token(tokenizer: Tokenizer) -> None:
    model = masked(tokenizer)
    codons = isinstance(tokenizer, CodonTokenizer)
    text = {"coding": [(0, 12)]} if codons else {}
    old = tokenizer.encode(CHANGES[0].sequence, **text)
    new = tokenizer.encode(CHANGES[0].changed, **text)
    place = 1 if codons else 5
    assert np.flatnonzero(old != new).tolist() == [place]
    hidden = old.copy()
    hidden[place] = tokenizer.mask_id
    scores = (
        model(torch.from_numpy(hidden)[None])
        .logits[0, place, : tokenizer.vocab_size]
        .detach()
        .log_softmax(-1)
    )
    expected = float(scores[new[place]] - scores[old[place]])
    got = change_scores(model, CHANGES)
    assert got[0] == pytest.approx(expected, abs=1e-5)
    back = Substitution(CHANGES[0].changed, 5, "A")
    assert change_scores(model, [back])[0] == pytest.approx(-expected, abs=1e-5)


def test_what_gives_no_change_is_refused() -> None:
    backbone = Caduceus(d_model=8, num_layers=2, d_state=4, symmetry="none")
    labelled = SequenceModel(backbone, SequenceHead(backbone, num_outputs=2), tokenizer=CharacterTokenizer())
    with pytest.raises(ConfigError, match="SequenceHead"):
        change_scores(labelled, CHANGES)
    words = BpeTokenizer.train(["ATGAAACCCGGG" * 9], vocab_size=30)
    with pytest.raises(ConfigError, match="bases, codons or k-mers"):
        change_scores(masked(words), CHANGES)


def test_states_of_codons_are_means_over_their_tokens() -> None:
    sequences = ["ATGAAACCCGGG", "ATGCCC"]
    for tokenizer in (CharacterTokenizer(), CodonTokenizer(), KmerTokenizer(k=6)):
        model = masked(tokenizer)
        for sequence, states in zip(sequences, codon_states(model, sequences), strict=True):
            coding = {"coding": [(0, len(sequence))]} if isinstance(tokenizer, CodonTokenizer) else {}
            ids = torch.from_numpy(tokenizer.encode(sequence, **coding))[None]
            hidden = model.backbone(ids).last_hidden_state[0].detach().numpy()
            offsets = tokenizer.offsets(ids[0], len(sequence))
            for codon, state in enumerate(states):
                own = [
                    row
                    for row, (start, end) in enumerate(offsets)
                    if start < 3 * codon + 3 and end > 3 * codon and end > start
                ]
                np.testing.assert_allclose(state, hidden[own].mean(0), atol=1e-4)
            assert states.shape[0] == len(sequence) // 3
            assert states.dtype == np.float32
