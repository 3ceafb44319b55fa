"""Life-Code: what codons it reads, that nothing hidden leaks, and its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import genoseq
from genoseq.errors import ConfigError
from genoseq.models import LifeCode, LifeCodeHead, SequenceModel
from genoseq.models.lifecode import UNKNOWN_CODON, CodonReader, residue_states, spread
from genoseq.sequence import CODONS, genetic_code, reverse_complement
from genoseq.tokenizers import FrameTokenizer

tokenizer = FrameTokenizer()
MIXERS: dict[str, Any] = {
    "delta": {"num_heads": 2, "head_dim": 8},
    "mamba2": {"d_state": 4, "headdim": 4, "chunk_size": 16},
    "attention": {"num_heads": 2, "position": "rotary"},
}


def make(**changed: Any) -> SequenceModel:
    torch.manual_seed(0)
    backbone = LifeCode(
        **{"d_model": 8, "num_layers": 2, "pattern": "da", "d_inner": 12, **MIXERS, **changed}
    )
    return SequenceModel(backbone, LifeCodeHead(backbone, teacher_width=5), tokenizer).double().eval()


def framed(letters: str, *coding: tuple) -> torch.Tensor:
    return torch.from_numpy(tokenizer.encode(letters, coding=coding))[None]


def named(ids: torch.Tensor) -> dict[int, str]:
    """The codons by the place of their leftmost base; "?" for one that is not known."""
    codons = CodonReader()(ids)[0]
    names = [*CODONS, "?"]
    return {place: names[codon] for place, codon in enumerate(codons.tolist()) if codon >= 0}


def test_codons_are_read_on_either_strand() -> None:
    ids = framed("GATGAAATAGCCCAT", (1, 10), (12, 15, "-"))
    assert named(ids) == {1: "ATG", 4: "AAA", 7: "TAG", 12: "ATG"}
    assert named(framed("GATGAAATAGC")) == {}
    assert named(framed("AT")) == {}
    # What a cut has left of a codon is none.
    assert named(ids[:, 2:9]) == {2: "AAA"}


def test_one_unknown_or_hidden_base_makes_a_codon_unknown() -> None:
    assert named(framed("ATGANA", (0, 6))) == {0: "ATG", 3: "?"}
    ids = framed("ATGAAA", (0, 6))
    ids[0, 1] = torch.from_numpy(tokenizer.hidden_ids)[ids[0, 1]]
    assert named(ids) == {0: "?", 3: "AAA"}


def test_codons_of_the_code_translate() -> None:
    letters = "".join(CODONS)
    codons = CodonReader()(framed(letters, (0, 192)))[0, ::3]
    assert codons.tolist() == list(range(64))
    residues = np.array(list(genetic_code(1).residues))[codons.numpy()]
    assert "".join(residues) == genetic_code(1).read(letters)
    turned = CodonReader()(framed(reverse_complement(letters), (0, 192, "-")))[0, ::3]
    assert turned.tolist() == list(range(64))[::-1]


def test_spread_and_residue_states() -> None:
    codons = torch.tensor([[-1, 5, -1, -1, UNKNOWN_CODON, -1, -1, -1]])
    assert spread(codons).tolist() == [[-1, 5, 5, 5, 64, 64, 64, -1]]
    hidden = torch.arange(16.0).reshape(1, 8, 2)
    assert residue_states(hidden, codons >= 0).tolist() == [[4.0, 5.0], [10.0, 11.0]]


@pytest.mark.parametrize("pattern", ["da", "ma"])
@pytest.mark.parametrize("hides", [slice(3, 6), slice(4, 5)])
def test_what_is_hidden_leaks_from_nowhere(pattern: str, hides: slice) -> None:
    """Any base under a mask gives the same states everywhere: a codon with a hidden base is not embedded."""
    model = make(pattern=pattern)
    seen = []
    for letter in "ACGT":
        letters = list("ATGCATTTTTAAGG")
        letters[hides] = letter * (hides.stop - hides.start)
        ids = framed("".join(letters), (0, 12))
        ids[:, hides] = torch.from_numpy(tokenizer.hidden_ids)[ids[:, hides]]
        seen.append(model(ids).last_hidden_state)
    assert all(torch.equal(seen[0], other) for other in seen)
    # The same bases, seen, do change them.
    visible = [model(framed(f"ATGC{letter}TTTTTAAGG", (0, 12))).last_hidden_state[:, -1] for letter in "AC"]
    assert not torch.allclose(*visible)


def test_a_codon_is_more_than_its_bases() -> None:
    model = make(num_layers=2)
    ids = framed("ATGCATTTT", (0, 9))
    before = model(ids).last_hidden_state
    with torch.no_grad():
        model.backbone.codon_embedding.weight[CODONS.index("CAT")] += 1
    assert not torch.allclose(model(ids).last_hidden_state, before)
    plain = framed("ATGCATTTT")
    after = model(plain).last_hidden_state
    with torch.no_grad():
        model.backbone.codon_embedding.weight.zero_()
    assert torch.equal(model(plain).last_hidden_state, after)


def test_padding_and_packing_with_codons() -> None:
    model = make(num_layers=3, pattern="dma")
    first, second = framed("GATGCATTTT", (1, 10)), framed("TGACCATTA", (0, 3), (3, 9, "-"))
    separate = [model(ids).logits[0] for ids in (first, second)]
    segments = torch.tensor([[0] * 10 + [1] * 9])
    packed = model(torch.cat([first, second], 1), segment_ids=segments).logits[0]
    torch.testing.assert_close(packed, torch.cat(separate))
    padded = torch.nn.functional.pad(first, (4, 3), value=tokenizer.pad_id)
    output = model(padded, padded != tokenizer.pad_id).logits[0, 4:14]
    torch.testing.assert_close(output, separate[0])


def test_a_codon_is_of_one_sequence() -> None:
    ids = framed("ATG", (0, 3))
    assert CodonReader()(ids, torch.tensor([[0, 0, 1]])).tolist() == [[-1, -1, -1]]
    assert CodonReader()(ids, torch.tensor([[2, 2, 2]])).tolist() == [[14, -1, -1]]


def test_its_folder_is_read_back(tmp_path: Path) -> None:
    model = make().float()
    model.save(tmp_path)
    again = genoseq.load(tmp_path)
    assert isinstance(again.backbone, LifeCode)
    assert isinstance(again.head, LifeCodeHead)
    assert again.tokenizer == tokenizer
    ids = framed("GATGCATTTT", (1, 10))
    assert torch.equal(again(ids).logits, model(ids).logits)
    assert {name for name, _ in again.head.named_parameters()} >= {"codon.weight", "distillation.bias"}
    for name, tensor in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name
    # Where no annotation is, it reads plain DNA.
    assert again.embed("ACGTTGCA").shape == (1, 8)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"pattern": "dh"}, "pattern='dh': give one letter a layer, of m .mamba2., a .attention.,"),
        ({"pattern": "dda"}, "do not divide num_layers=2"),
        ({"delta": None}, "delta is null"),
        ({"sequence_tile": 0}, "sequence_tile=0"),
        ({"activation_checkpointing": "all"}, "activation_checkpointing='all'"),
    ],
)
def test_refusals(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make(**changed)


def test_a_teacher_has_a_width() -> None:
    with pytest.raises(ConfigError, match="teacher_width=0"):
        LifeCodeHead(make().backbone, teacher_width=0)
