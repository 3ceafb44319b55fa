"""The benchmarks of design, codec and align, at the smallest size."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from genoseq.data.fasta import Fasta
from genoseq.sequence import reverse_complement

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """A script of the folder, imported as when it runs, and nothing of it left behind."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    for name in ("alignment", "designs", "judging", "codec", "conditional_generation"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module


def test_repeats_of_either_strand_are_told(script, tmp_path):
    generator = np.random.default_rng(0)
    unique, twice = ("".join(generator.choice(list("ACGT"), size=n)) for n in (400, 100))
    path = tmp_path / "x.fa"
    path.write_text(f">a\n{unique}{twice}\n>b\n{reverse_complement(twice)}\n")
    flags = script("alignment").repeated(Fasta(path))
    assert not flags["a"][:370].any()
    assert flags["a"][400:].all()
    assert flags["b"].all()
    assert {name: len(found) for name, found in flags.items()} == {"a": 470, "b": 70}


def test_recall_is_of_places_and_strands(script):
    alignment = script("alignment")
    truths = [
        alignment.Truth("a", 100, "+", repeat=False, held_out=False),
        alignment.Truth("a", 900, "-", repeat=False, held_out=True),
        alignment.Truth("a", 500, "+", repeat=True, held_out=False),
    ]
    places = {0: ("a", 108, "+"), 1: ("a", 900, "+")}
    row = alignment.scored(truths, places, seconds=2)
    assert row["unique"] == "0.5000 of 2"
    assert row["repeats"] == "0.0000 of 1"
    assert row["last fifth"] == "0.0000 of 1"
    assert row["unmapped"] == "0.3333 of 3"


def test_simulated_reads_are_where_they_are_said_to_be(script, tiny_fasta):
    alignment, fasta = script("alignment"), Fasta(tiny_fasta)
    flags = alignment.repeated(fasta)
    for read, truth in alignment.simulate(fasta, flags, 20, 0.0, seed=1):
        text = fasta.fetch(truth.chromosome, truth.start, truth.start + 250)
        assert read.sequence == (text if truth.strand == "+" else reverse_complement(text))
        assert not truth.repeat
        assert truth.held_out == (truth.start >= 0.8 * fasta.lengths[truth.chromosome])


def test_halves_share_no_word(script, tmp_path):
    generator = np.random.default_rng(2)
    texts = ["".join(generator.choice(list("ACGT"), size=60)) for _ in range(40)]
    texts += [text[10:] + "ACGTACGTAC" for text in texts[:10]]
    table = tmp_path / "x.tsv"
    pd.DataFrame({"sequence": texts, "label": "1"}).to_csv(table, sep="\t", index=False)
    halves = [
        pd.read_table(path)["sequence"].tolist() for path in script("designs").halves(str(table), tmp_path)
    ]
    assert sorted([*halves[0], *halves[1]]) == sorted(texts)
    words = [{text[i : i + 32] for text in half for i in range(len(text) - 31)} for half in halves]
    assert not words[0] & words[1]


def test_the_codec_script_says_what_holds(script, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["codec.py", "--megabytes", "0.01", "--block-bytes", "40"])
    script("codec").main()
    told = capsys.readouterr().out
    assert "longest run 3" in told
    assert "all 594 single substitutions put right" in told


def test_labels_of_other_tables(script):
    conditional = script("conditional_generation")
    assert conditional.tables("a.tsv", None) == ["data.labelled.train=a.tsv"]
    rows = pd.DataFrame({"group": "g", "label": ["b", "a", "a"], "prediction": ["b", "b", "a"]})
    (row,) = conditional.verdicts(rows).to_dict("records")
    assert (row["of a"], row["of b"]) == ("0.500", "1.000")
