"""The report on tokenizers: what it counts, and where it looks for codons."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from genoseq.sequence import decode_bases, encode_bases, reverse_complement

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    for name in ("pretraining_floors", "tokenizer_report"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module("tokenizer_report")


def test_open_frames_have_no_stop(script: ModuleType) -> None:
    gene = "ATG" + "GCC" * 120 + "TAA"
    sequence = "TAGTTAATTAA" + gene + "TTAATTAATTAATAGATAGATAG" + reverse_complement(gene) + "CTAACTAACTA"
    sequence = sequence.replace("GCC", "GCT", 3) + "TAANTAG" * 60
    codes = encode_bases(sequence)
    frames = list(script.open_frames(codes))
    assert {frame.strand for frame in frames} == {"+", "-"}
    for frame in frames:
        assert frame.stop - frame.start >= 300
        assert (frame.stop - frame.start) % 3 == 0
        bases = sequence[frame.start : frame.stop]
        read = bases if frame.strand == "+" else reverse_complement(bases)
        codons = {read[place : place + 3] for place in range(0, len(read), 3)}
        assert not codons & {"TAA", "TAG", "TGA"}
        assert "N" not in bases
    start = sequence.index("ATG")
    assert any(f.strand == "+" and f.start <= start and f.stop == start + len(gene) - 3 for f in frames)


def test_rows_and_files(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    letters = decode_bases(np.random.default_rng(0).integers(0, 4, 6000, dtype=np.uint8))
    (tmp_path / "x.fa").write_text(f">x\n{letters}\n")
    arguments = [str(tmp_path / "x.fa"), "--vocab-size=30", f"--out={tmp_path / 'out'}"]
    monkeypatch.setattr(sys, "argv", ["tokenizer_report.py", *arguments])
    script.main()
    table = capsys.readouterr().out
    assert (tmp_path / "out" / "tokenizers.md").read_text() == table
    assert len(table.splitlines()) == 2 + 5
    rows = {row["tokenizer"]: row for row in json.loads((tmp_path / "out" / "tokenizers.json").read_text())}
    assert rows["6-mers side by side (GENERator)"]["tokens"] == 1000
    assert rows["6-mers overlapping (DNABERT)"]["tokens"] == 5995
    assert rows["BPE, learnt here"]["vocabulary"] == 30
    single = rows["single nucleotides"]
    assert single["entropy_of_a_base"] == pytest.approx(2, abs=0.01)
    assert single["bases_a_token"] == 1
