"""Echo embeddings: each sequence twice, and what counts comes from the second time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from genoseq.errors import ConfigError, SequenceError
from genoseq.models import (
    Caduceus,
    Head,
    HybriDNA,
    HyenaDNA,
    LanguageModelHead,
    Mamba2,
    MaskedLanguageModelHead,
    SequenceHead,
    SequenceModel,
    StrandSequenceHead,
    TokenHead,
)
from genoseq.models.backbone import Backbone
from genoseq.sequence import reverse_complement, strand_policy
from genoseq.tokenizers import (
    BpeTokenizer,
    CharacterTokenizer,
    KmerTokenizer,
    PassBatch,
    Tokenizer,
    encode_passes,
    pad_passes,
)

AGAIN: dict[str, Callable[[str], str]] = {"repeat": str, "echo": reverse_complement}
SEQUENCES = ["ACGTTGCAAGC", "G", "TTGACNA"]
BACKBONES: dict[str, Callable[[], Backbone]] = {
    "hyenadna": lambda: HyenaDNA(d_model=8, num_layers=2, l_max=40, filter_order=8),
    "mamba2": lambda: Mamba2(d_model=8, num_layers=1, d_state=4, headdim=4, chunk_size=16),
    "hybrid": lambda: HybriDNA(
        d_model=8,
        num_layers=2,
        pattern="ma",
        d_inner=12,
        mamba2={"d_state": 4, "headdim": 4, "chunk_size": 16},
        attention={"num_heads": 2, "num_kv_heads": 2, "position": "rotary"},
        l_max=40,
    ),
}


def model_of(
    name: str = "hyenadna",
    head: Callable[[Backbone], Head] = LanguageModelHead,
    tokenizer: Tokenizer | None = None,
    **preprocessing: Any,
) -> SequenceModel:
    torch.manual_seed(5)
    backbone = BACKBONES[name]()
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    tokenizer = tokenizer or CharacterTokenizer(special_tokens="cls_sep")
    return SequenceModel(backbone, head(backbone), tokenizer, preprocessing).double().eval()


def given(model: SequenceModel, strands: Any, sequences: list[str] = SEQUENCES) -> PassBatch:
    tokenizer, policy = model.tokenizer, strand_policy(strands)
    assert tokenizer is not None
    ids = [tokenizer.encode(text, add_special_tokens=False) for text in sequences]
    return pad_passes(tokenizer, [encode_passes(tokenizer, one, policy) for one in ids])


def predictions(model: SequenceModel, batch: PassBatch, **options: Any) -> torch.Tensor:
    return model(batch.input_ids, batch.attention_mask, second_pass=batch.second_pass, **options).logits


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("strands", AGAIN)
def test_an_embedding_is_that_of_the_second_half_of_a_doubled_sequence(backbone: str, strands: Any) -> None:
    model = model_of(backbone)
    assert model.tokenizer is not None
    for pooling, pool in {
        "mean": lambda x: x.mean(0),
        "max": lambda x: x.amax(0),
        "first": lambda x: x[0],
        "last": lambda x: x[-1],
    }.items():
        together = model.embed(SEQUENCES, pooling=pooling, strands=strands)  # type: ignore[arg-type]
        for row, text in enumerate(SEQUENCES):
            doubled = torch.from_numpy(model.tokenizer.encode(text + AGAIN[strands](text)))[None]
            states = model.backbone(doubled).last_hidden_state[0, 1 + len(text) : -1]
            torch.testing.assert_close(together[row], pool(states).float())


@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_pooled_position_has_seen_the_whole_sequence(backbone: str) -> None:
    model, (text, other) = model_of(backbone), ("ACGTTGCAAGCT", "ACGTTGCAAGCA")
    for strands in ("repeat", "echo"):
        seen, changed = model.embed([text, other], pooling="first", strands=strands)  # type: ignore[arg-type]
        assert (seen - changed).abs().max() > 1e-4, "the last letter reaches the first position"
    blind, still = model.embed([text, other], pooling="first")
    torch.testing.assert_close(blind, still)


def test_off_is_what_it_was() -> None:
    model = model_of()
    assert model.tokenizer is not None
    ids, mask = model.tokenizer(SEQUENCES)
    letters = model.tokenizer.is_letter(ids)
    states = model.backbone(ids, mask).last_hidden_state.float()
    expected = torch.stack([row[mine].mean(0) for row, mine in zip(states, letters, strict=True)])
    torch.testing.assert_close(model.embed(SEQUENCES), expected)
    assert torch.equal(model.embed(SEQUENCES), model.embed(SEQUENCES, strands="none"))


@pytest.mark.parametrize("head", ["mean", "max", "first", "last", "attention", "token"])
@pytest.mark.parametrize("strands", AGAIN)
@pytest.mark.parametrize("backbone", BACKBONES)
def test_padding_changes_no_prediction(backbone: str, strands: str, head: str) -> None:
    def make(backbone: Backbone) -> Head:
        if head == "token":
            return TokenHead(backbone, num_outputs=3)
        return SequenceHead(backbone, num_outputs=3, pooling=head)  # type: ignore[arg-type]

    for side in ("left", "right"):
        tokenizer = CharacterTokenizer(special_tokens="cls_sep", padding_side=side)  # type: ignore[arg-type]
        model = model_of(backbone, make, tokenizer, strands=strands)
        batch = given(model, strands)
        together = predictions(model, batch)
        for row, text in enumerate(SEQUENCES):
            one = given(model, strands, [text])
            alone = predictions(model, one)[0]
            if head != "token":
                torch.testing.assert_close(together[row], alone)
                continue
            torch.testing.assert_close(together[row][batch.letters[row]], alone[one.letters[0]])


@pytest.mark.parametrize("problem", ["single_label", "multi_label", "regression"])
def test_gradients_reach_every_parameter_and_the_first_pass(problem: Any) -> None:
    model = model_of(head=lambda backbone: SequenceHead(backbone, problem=problem, num_outputs=2)).train()
    labels = {"single_label": [0, 1, 0], "multi_label": [[0, 1]] * 3, "regression": [[0.5, 2.0]] * 3}
    batch = given(model, "echo")
    embedded: list[torch.Tensor] = []

    def keep(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        inputs[0].retain_grad()
        embedded.append(inputs[0])

    next(model.backbone.get_submodule("layers").children()).register_forward_pre_hook(keep)
    output = model(
        batch.input_ids,
        batch.attention_mask,
        second_pass=batch.second_pass,
        labels=torch.tensor(labels[problem]),
        loss_only=True,
    )
    output.loss.backward()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
            assert parameter.grad.any(), name
    assert batch.second_pass is not None
    (states,) = embedded
    assert states.grad is not None
    first = batch.attention_mask & ~batch.second_pass
    assert (states.grad[first].abs().amax(-1) > 0).all()
    assert not states.grad[~batch.attention_mask].any()


def test_the_doubled_length_is_what_has_to_fit() -> None:
    model = model_of(head=lambda backbone: SequenceHead(backbone, num_outputs=2))
    fits, long = "ACGTACGTACGTACGTACG", "ACGTACGTACGTACGTACGT"
    assert model.embed([fits, "A"], strands="repeat").shape == (2, 8)
    model.embed(long)
    for strands in ("repeat", "echo"):
        with pytest.raises(SequenceError, match=r"twice has 42 tokens, and this model's l_max=40"):
            model.embed(["A", long], strands=strands)  # type: ignore[arg-type]
    with pytest.raises(SequenceError, match="twice has 42 tokens"):
        predictions(model, given(model, "echo", ["A", long]))
    # Padding is no part of a sequence.
    batch = given(model, "echo", [fits, "A"])
    wide = [torch.nn.functional.pad(x, (30, 0)) for x in batch[:3] if x is not None]
    expected = predictions(model, batch)
    torch.testing.assert_close(model(wide[0], wide[1], second_pass=wide[2]).logits, expected)


def test_settings_of_an_embedding() -> None:
    for strands in ("average", "augment", "equivariant", "twice"):
        with pytest.raises(ConfigError, match=f"strands='{strands}': choose one of none, echo, repeat"):
            model_of().embed("ACGT", strands=strands)  # type: ignore[arg-type]


def classifier(backbone: Backbone) -> Head:
    return SequenceHead(backbone, num_outputs=2)


@pytest.mark.parametrize(
    ("head", "preprocessing", "message"),
    [
        (classifier, {"strands": "equivariant"}, r"SequenceHead on HyenaDNA is not.*strands=augment"),
        (classifier, {"strands": "average", "strand": "stranded"}, "strand=unstranded"),
        (classifier, {"strands": "both"}, "strands='both'"),
        (LanguageModelHead, {"strands": "average"}, "LanguageModelHead makes none"),
        (LanguageModelHead, {"strands": "echo"}, "LanguageModelHead makes none"),
        (LanguageModelHead, {"strands": "equivariant"}, "LanguageModelHead on HyenaDNA is not"),
        (lambda backbone: StrandSequenceHead(backbone, num_outputs=2), {}, "HyenaDNA carries one"),
    ],
)
def test_policies_that_do_not_go_with_a_model(head: Any, preprocessing: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        model_of(head=head, **preprocessing)


@pytest.mark.parametrize(("strands", "allowed"), [("average", False), ("echo", False), ("repeat", True)])
def test_words_that_the_other_strand_does_not_have_are_not_turned(strands: str, allowed: bool) -> None:
    tokenizer = BpeTokenizer(merges=["A C"])
    if allowed:
        model_of(head=classifier, tokenizer=tokenizer, strands=strands)
        return
    with pytest.raises(ConfigError, match=r"turns tokens.*strands=augment"):
        model_of(head=classifier, tokenizer=tokenizer, strands=strands)


@pytest.mark.parametrize("symmetry", ["none", "conjoined", "shared"])
def test_models_that_are_blind_to_strand(symmetry: Any) -> None:
    backbone = Caduceus(d_model=8, num_layers=1, d_state=4, symmetry=symmetry)
    heads: list[Head] = [MaskedLanguageModelHead(backbone)]
    if symmetry != "none":
        heads.append(StrandSequenceHead(backbone, num_outputs=2))
    for head in heads:
        assert head.strand_symmetric == (symmetry != "none")
        if symmetry == "none":
            with pytest.raises(ConfigError, match="MaskedLanguageModelHead on Caduceus is not"):
                SequenceModel(backbone, head, preprocessing={"strands": "equivariant"})
            continue
        model = SequenceModel(backbone, head, preprocessing={"strands": "equivariant"}).eval()
        ids = torch.from_numpy(np.random.default_rng(0).integers(7, 12, (2, 9)))
        straight, turned = model(ids).logits, model(backbone.complement[ids.flip(1)]).logits
        if turned.ndim == 3:
            turned = turned.flip(1)[..., backbone.complement]
        torch.testing.assert_close(turned, straight)
    # Channels of both strands under a head that takes them for one.
    with pytest.raises(ConfigError, match="TokenHead on Caduceus is not"):
        SequenceModel(backbone, TokenHead(backbone, num_outputs=2), preprocessing={"strands": "equivariant"})


def test_a_model_blind_to_strand_knows_the_other_strand_of_each_token() -> None:
    words = KmerTokenizer(k=2)
    table = words.reverse_complement(np.arange(words.vocab_size)[:, None])[:, 0].tolist()

    def of(tokenizer: Tokenizer, complement_map: list[int] | None) -> SequenceModel:
        backbone = Caduceus(
            d_model=8,
            num_layers=1,
            d_state=4,
            symmetry="shared",
            vocab_size=tokenizer.vocab_size,
            complement_map=complement_map,
        )
        head = MaskedLanguageModelHead(backbone)
        return SequenceModel(backbone, head, tokenizer, {"strands": "equivariant"})

    of(words, table)
    of(CharacterTokenizer(special_tokens="none"), None)
    for tokenizer, complement_map in ((words, None), (BpeTokenizer(merges=["A C"]), None)):
        with pytest.raises(ConfigError, match=r"model\.complement_map"):
            of(tokenizer, complement_map)
