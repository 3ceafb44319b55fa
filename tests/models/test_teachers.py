"""Teachers: what they say of residues, and of which they say nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from Bio.Align import substitution_matrices
from Bio.SeqUtils.ProtParamData import kd

from genoseq.errors import ConfigError, RecordError, SequenceError
from genoseq.models import ESM2Teacher, LifeCode, LifeCodeHead, ResidueProperties, SequenceModel
from genoseq.sequence import RESIDUES, encode_residues


def test_properties_are_the_librarys_tables() -> None:
    teacher = ResidueProperties(matrix="BLOSUM62", scales=["kd"])
    states = teacher.states(RESIDUES).double()
    assert states.shape == (20, teacher.width) == (20, 21)
    torch.testing.assert_close(states.mean(0), torch.zeros(21).double(), atol=1e-6, rtol=0)
    torch.testing.assert_close(states.std(0, correction=0), torch.ones(21).double())
    hydropathy = torch.tensor([kd[residue] for residue in RESIDUES])
    assert torch.corrcoef(torch.stack([states[:, -1], hydropathy.double()]))[0, 1] > 1 - 1e-6
    blosum = substitution_matrices.load("BLOSUM62")
    scores = torch.tensor([blosum[residue, "W"] for residue in RESIDUES]).double()
    column = RESIDUES.index("W")
    assert torch.corrcoef(torch.stack([states[:, column], scores]))[0, 1] > 1 - 1e-6
    torch.testing.assert_close(teacher.states("B")[0].double(), states[[2, 11]].mean(0))


def test_a_window_is_the_mean_over_neighbours_that_are_known() -> None:
    alone, smooth = ResidueProperties(), ResidueProperties(window=3)
    single = alone.states("MKVLA")
    expected = torch.stack([single[max(0, i - 1) : i + 2].mean(0) for i in range(5)])
    torch.testing.assert_close(smooth.states("MKVLA"), expected)
    # Neither a stop, nor an unknown residue, nor what fills a row up counts.
    for protein, filled in (("MKVLA*", 0), ("MKVLAX", 0), ("MKVLA", 4)):
        residues = torch.from_numpy(encode_residues(protein + filled * "W"))[None]
        mask = torch.arange(len(protein) + filled)[None] < len(protein)
        torch.testing.assert_close(smooth(residues, mask)[0, :5], expected)


def test_esm2_reads_proteins_in_its_own_tokens(shared: Path) -> None:
    teacher = ESM2Teacher(checkpoint=shared / "golden" / "esm2" / "model")
    tokens = torch.tensor([[0, 20, 15, 7, 4, 5, 2]])  # <cls> M K V L A <eos>
    expected = teacher.model(tokens).last_hidden_state[0, 1:-1]
    torch.testing.assert_close(teacher.states("MKVLA"), expected)
    rows = torch.stack([torch.from_numpy(encode_residues(x)) for x in ("MKVLA*WW", "MMMMMMMM")])
    states = teacher(rows, torch.tensor([[True] * 6 + [False] * 2, [True] * 8]))
    torch.testing.assert_close(states[0, :5], expected)
    assert states.shape == (2, 8, teacher.width)
    assert not states.requires_grad
    first = ESM2Teacher(checkpoint=shared / "golden" / "esm2" / "model", layer=0).states("MM")
    torch.testing.assert_close(first[0], first[1])


@pytest.mark.parametrize(
    ("ask", "error", "words"),
    [
        (lambda: ResidueProperties().states("MKU"), SequenceError, "knows nothing of 'U' at residue 2"),
        (lambda: ResidueProperties().states("*"), SequenceError, "no residue"),
        (lambda: ResidueProperties().states("MK?"), RecordError, "unknown|is no residue"),
        (lambda: ResidueProperties(window=4), ConfigError, "window=4: give an odd number"),
        (
            lambda: ResidueProperties(matrix="BLOSUM63"),
            ConfigError,
            "choose one of .*BLOSUM62",
        ),
        (lambda: ResidueProperties(matrix="NUC.4.4"), ConfigError, "NUC.4.4 lacks"),
        (lambda: ResidueProperties(scales=["pH"]), ConfigError, "scales='pH'"),
        (lambda: ResidueProperties(matrix=None, scales=[]), ConfigError, "nothing to teach"),
    ],
)
def test_refusals(ask: Callable[[], Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        ask()


def test_a_teacher_of_proteins_is_an_esm2(tmp_path: Path, shared: Path) -> None:
    backbone = LifeCode(d_model=8, num_layers=1, pattern="a", attention={"num_heads": 2})
    SequenceModel(backbone, LifeCodeHead(backbone)).save(tmp_path)
    with pytest.raises(ConfigError, match="is a LifeCode of 48 tokens"):
        ESM2Teacher(checkpoint=tmp_path)
    with pytest.raises(ConfigError, match="layer=9: the teacher has layers 0 to"):
        ESM2Teacher(checkpoint=shared / "golden" / "esm2" / "model", layer=9)
