"""Every backbone reads mixtures of tokens, or says that it does not."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional as F

from genoseq.errors import ConfigError
from genoseq.models import Caduceus, LifeCode, SequenceHead, SequenceModel
from genoseq.models.ensemble import Ensemble
from genoseq.models.token_shares import one_hot_tokens, read_shares, shares_of_bases
from genoseq.tokenizers import CharacterTokenizer

TOKENIZER = CharacterTokenizer(special_tokens="none")
SEQUENCE = "ACGTTGCANGGCTAAC"
PAD = 4


def ids_of(sequence: str) -> torch.Tensor:
    return torch.from_numpy(TOKENIZER.encode(sequence))[None]


def two_strands(symmetry: str, *, fused: bool = True, seed: int = 0) -> SequenceModel:
    torch.manual_seed(seed)
    backbone = Caduceus(d_model=8, num_layers=2, d_state=4, symmetry=symmetry, fused_add_norm=fused)
    for parameter in backbone.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return SequenceModel(backbone, SequenceHead(backbone, num_outputs=3), tokenizer=TOKENIZER).double().eval()


def test_shares_of_one_token_are_the_token(any_model: SequenceModel) -> None:
    ids = ids_of(SEQUENCE)
    if isinstance(any_model.backbone, LifeCode):
        with pytest.raises(ConfigError, match=r"whole codons.*method=mutagenesis"):
            read_shares(any_model, one_hot_tokens(any_model, ids), ids)
        return
    expected = any_model(ids).last_hidden_state
    found = read_shares(any_model, one_hot_tokens(any_model, ids), ids).last_hidden_state
    torch.testing.assert_close(found, expected)
    other = read_shares(any_model, one_hot_tokens(any_model, ids.flip(1)), ids).last_hidden_state
    assert not torch.allclose(other, expected, atol=1e-3)


def test_padding_changes_nothing_of_shares() -> None:
    model, ids = two_strands("shared"), ids_of(SEQUENCE)
    padded = F.pad(ids, (0, 5), value=PAD)
    mask = F.pad(torch.ones_like(ids, dtype=torch.bool), (0, 5))
    shares = one_hot_tokens(model, padded) * 0.7
    expected = read_shares(model, shares[:, :-5], ids).logits
    torch.testing.assert_close(read_shares(model, shares, padded, mask).logits, expected)


@pytest.mark.parametrize("sequence", [SEQUENCE, "ACGTTGCAACGT"])
@pytest.mark.parametrize(
    ("symmetry", "fused"), [("shared", True), ("shared", False), ("conjoined", True), ("none", True)]
)
def test_shares_are_turned_for_the_other_strand(symmetry: str, fused: bool, sequence: str) -> None:
    """The definition: rows of a larger table that are mixtures themselves, each with its complement.

    The second sequence is its own reverse complement, and its two strands are told apart all the same.
    """
    model, ids = two_strands(symmetry, fused=fused), ids_of(sequence)
    backbone = model.backbone
    rows, length = len(backbone.input_embedding.weight), len(sequence)
    shares = torch.rand(1, length, rows, dtype=torch.float64)
    found = read_shares(model, shares, ids).logits
    table = backbone.input_embedding.weight.detach()
    mixtures = torch.cat([shares[0], shares[0][:, backbone.complement]]) @ table
    bigger = Caduceus(
        d_model=8,
        num_layers=2,
        d_state=4,
        symmetry=symmetry,
        fused_add_norm=fused,
        vocab_size=2 * length,
        pad_vocab_size_multiple=1,
        complement_map=[*range(length, 2 * length), *range(length)],
    ).double()
    weights = backbone.state_dict()
    for name, value in bigger.state_dict().items():
        if value.shape != weights[name].shape or "complement" in name:
            weights[name] = mixtures if value.ndim == 2 else value
    bigger.load_state_dict(weights)
    model.backbone = bigger.eval()
    torch.testing.assert_close(found, model(torch.arange(length)[None]).logits)


def test_gradients_of_an_ensemble_are_those_of_its_members() -> None:
    members = [two_strands("shared", seed=seed) for seed in (1, 2)]
    for member in members:
        member.preprocessing["problem"] = "regression"
        member.head.problem = "regression"
    ids = ids_of(SEQUENCE)

    def gradient(model: SequenceModel) -> torch.Tensor:
        shares = one_hot_tokens(model, ids).requires_grad_()
        read_shares(model, shares, ids).logits.sum().backward()
        assert shares.grad is not None
        return shares.grad

    expected = (gradient(members[0]) + gradient(members[1])) / 2
    torch.testing.assert_close(gradient(Ensemble(members)), expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(
    ("embed", "says"),
    [
        (
            lambda tokens, table: F.one_hot(tokens, len(table)).to(table.dtype) @ table,
            "does not look",
        ),
        (lambda tokens, table: F.embedding(weight=table, input=tokens.flip(1)), "other tokens than those"),
        (lambda tokens, table: F.embedding(tokens, table) + F.embedding(tokens, table), "once a strand"),
    ],
)
def test_what_is_not_all_read_is_told(monkeypatch: pytest.MonkeyPatch, embed: Any, says: str) -> None:
    model, ids = two_strands("none"), ids_of(SEQUENCE)
    words = model.backbone.embeddings["word_embeddings"]
    monkeypatch.setattr(words, "forward", lambda tokens: embed(tokens, words.weight))
    with pytest.raises(ConfigError, match=f"Caduceus reads here: .*{says}"):
        read_shares(model, one_hot_tokens(model, ids), ids)


def test_bases_stand_where_the_letters_are() -> None:
    model = two_strands("none")
    tokenizer = CharacterTokenizer()
    ids = torch.from_numpy(tokenizer.encode("ACGT"))[None]
    letters = torch.isin(ids, torch.from_numpy(tokenizer.base_ids))
    assert not letters.all()
    bases = torch.rand(1, 4, 4, dtype=torch.float64)
    shares = shares_of_bases(model, tokenizer, ids, letters, bases)
    torch.testing.assert_close(shares[letters][:, tokenizer.base_ids], bases[0])
    torch.testing.assert_close(shares[letters].sum(-1), bases[0].sum(-1))
    torch.testing.assert_close(shares[~letters], one_hot_tokens(model, ids)[~letters])
    with pytest.raises(ConfigError, match="reads 5 bases in 4 tokens"):
        shares_of_bases(model, tokenizer, ids, letters, torch.rand(1, 5, 4))
