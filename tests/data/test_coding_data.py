"""Coding sequences as examples: windows in frame, what is hidden, splits by gene; and DNA between genes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genoseq.data import (
    CodingDataModule,
    CodingExamples,
    find_leaks,
    read_between_genes,
    read_coding_pairs,
    read_coding_sequences,
)
from genoseq.data.loading import ExampleKey, collate
from genoseq.errors import ConfigError, DataError, RecordError
from genoseq.sequence import RESIDUE_LETTERS, count_codons, genetic_code, unify_cds, unify_dna, unify_protein
from genoseq.tokenizers import CharacterTokenizer, FrameTokenizer

tokenizer = FrameTokenizer()


def genes(number: int, *, length: int = 60) -> list[Any]:
    generator = np.random.default_rng(0)
    usage = count_codons([], pseudocount=1)
    proteins = ["M" + "".join(generator.choice(list("ACDEFGHIKL"), size=length)) + "*" for _ in range(number)]
    return [
        unify_protein(f"g{row}", protein, usage, choice="sample", generator=generator)
        for row, protein in enumerate(proteins)
    ]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rows = [f"{record.name}\t{record.letters}\t{record.protein}" for record in genes(30)]
    path = tmp_path / "pairs.tsv"
    # A gene and a part of it: one cluster.
    whole = genes(30)[0]
    rows.append(f"part\t{whole.letters[30:150]}\t{whole.protein[10:50]}")
    path.write_text("\n".join(["locus\tcds\tprotein", *rows]) + "\n")
    return path


def module(table: Path | None, **changed: Any) -> CodingDataModule:
    settings: dict[str, Any] = {
        "tokenizer": tokenizer,
        "table": table,
        "annotation": None,
        "fasta": None,
        "code": None,
        "phases": "check",
        "on_error": "raise",
        "between_genes": False,
        "length": 90,
        "min_length": 60,
        "hidden_fraction": 0.2,
        "framed_fraction": 0.5,
        "validation_fraction": 0.2,
        "test_fraction": 0.2,
        "split_seed": 0,
        "leak_k": 24,
        "global_batch_size": 4,
        "micro_batch_size": None,
        "num_workers": 0,
        "pin_memory": False,
        "seed": 0,
    }
    return CodingDataModule(**settings | changed)


def examples(records: list[Any], **changed: Any) -> CodingExamples:
    settings = {"length": 90, "hidden_fraction": 0.3, "framed_fraction": 1.0, "seed": 0}
    return CodingExamples(records, tokenizer, **settings | changed)


@pytest.mark.parametrize("framed", [1.0, 0.0])
def test_an_example_is_a_window_in_frame(framed: float) -> None:
    records = genes(8)
    data = examples(records, framed_fraction=framed)
    for row, record in enumerate(records):
        example = data[ExampleKey(0, row)]
        hidden = example["labels"] != -100
        ids = np.where(hidden, example["labels"], example["input_ids"])
        letters = tokenizer.decode(ids)
        start = record.letters.index(letters)
        assert start % 3 == 0
        assert len(letters) == 90
        assert (tokenizer.places[ids] == (np.arange(90) % 3 if framed else -1)).all()
        # Whole codons are hidden, and nothing but they.
        assert (hidden.reshape(-1, 3).all(1) == hidden.reshape(-1, 3).any(1)).all()
        assert (example["input_ids"][hidden] == tokenizer.hidden_ids[ids[hidden]]).all()
        assert (example["residues"].reshape(-1, 3)[:, 1:] == -100).all()
        residues = "".join(RESIDUE_LETTERS[code] for code in example["residues"][::3])
        assert residues == (record.protein + "*")[start // 3 : start // 3 + 30]


def test_an_example_is_of_seed_epoch_and_row_alone() -> None:
    records = genes(4)

    def ids(key: ExampleKey, **changed: Any) -> list[int]:
        return examples(records, **changed)[key]["input_ids"].tolist()

    assert ids(ExampleKey(1, 2)) == ids(ExampleKey(1, 2))
    assert len({tuple(ids(ExampleKey(epoch, 2))) for epoch in range(5)}) > 1
    assert ids(ExampleKey(1, 2)) != ids(ExampleKey(1, 2), seed=1)


def test_a_share_of_windows_has_no_frames() -> None:
    data = examples(genes(1), framed_fraction=0.5, hidden_fraction=0.1)
    framed = [tokenizer.places[data[ExampleKey(epoch, 0)]["input_ids"]].max() >= 0 for epoch in range(200)]
    assert 70 < sum(framed) < 130


def test_parts_that_do_not_code_have_single_bases_hidden() -> None:
    whole = unify_dna("u", "GG" + "ATGAAATAG" + "CCCCC" * 30, coding=(2, 11))
    data = examples([whole, unify_dna("none", "ACGT" * 40)], length=100, hidden_fraction=0.5)
    singles = 0
    for epoch in range(20):
        example = data[ExampleKey(epoch, 1)]
        assert (example["residues"] == -100).all()
        hidden = example["labels"] != -100
        singles += int((hidden[1:-1] & ~hidden[:-2] & ~hidden[2:]).sum())
    assert singles > 20
    starts = set()
    for epoch in range(60):
        residues = data[ExampleKey(epoch, 0)]["residues"]
        found = np.flatnonzero(residues != -100).tolist()
        starts.add(tuple(found))
        assert "MK*".endswith("".join(RESIDUE_LETTERS[code] for code in residues[found]))
    assert (2, 5, 8) in starts or (0, 3, 6) in starts
    assert () in starts


def test_frames_of_cut_genes_and_residues_beyond_the_code() -> None:
    record = unify_cds("s", "GATGTGATGGTAG", frame=1, recoded={1: "U"})
    example = examples([record], hidden_fraction=0.01)[ExampleKey(0, 0)]
    places = np.flatnonzero(example["residues"] >= 0)
    assert places.tolist() == [1, 4, 7, 10]
    assert "".join(RESIDUE_LETTERS[code] for code in example["residues"][places]) == "MUW*"
    framed = CodingExamples(
        [record],
        FrameTokenizer(special_tokens="cls_sep"),
        length=90,
        hidden_fraction=0.01,
        framed_fraction=1.0,
        seed=0,
    )[ExampleKey(0, 0)]
    assert np.flatnonzero(framed["residues"] >= 0).tolist() == [2, 5, 8, 11]


def test_batches_pad_residues() -> None:
    data = examples([genes(1)[0], unify_cds("short", "ATGTAG")])
    batch = collate(tokenizer)([data[ExampleKey(0, 0)], data[ExampleKey(0, 1)]])
    assert batch["residues"].shape == batch["labels"].shape == batch["input_ids"].shape == (2, 90)
    assert (batch["residues"][1, 6:] == -100).all()
    assert batch["attention_mask"].sum(1).tolist() == [90, 6]


def test_splits_are_by_gene(table: Path) -> None:
    data = module(table)
    letters = {split: [r.letters for r in data.records(split)] for split in ("train", "validation", "test")}
    assert sum(map(len, letters.values())) == 31
    assert min(map(len, letters.values())) >= 4
    for earlier, later in (("train", "validation"), ("train", "test"), ("validation", "test")):
        assert not find_leaks(letters[earlier], letters[later], k=24).any()
    groups = {
        name: group
        for split in letters
        for name, group in data.examples(split)[["name", "group"]].itertuples(index=False)
    }
    assert groups["part"] == groups["g0"]
    assert len(set(groups.values())) == 30
    assert data.leaked("test") is None
    assert module(table, seed=5).examples("test").equals(data.examples("test"))


def test_evaluation_has_all_frames_or_none(table: Path) -> None:
    for fraction, wanted in ((0.5, True), (0.0, False)):
        data = module(table, framed_fraction=fraction, hidden_fraction=0.01).dataset("validation")
        framed = [
            tokenizer.places[data[ExampleKey(0, row)]["input_ids"]].max() >= 0 for row in range(len(data))
        ]
        assert set(framed) == {wanted}


def test_real_pairs(shared: Path) -> None:
    path = shared / "data/embed/central_dogma/leptospira_kirschneri_H1_cds_protein.tsv.gz"
    kept = read_coding_pairs(path, code=11)
    assert (len(kept.records), kept.skipped) == (3697, [])
    with pytest.raises(RecordError, match="does not give the protein"):
        read_coding_pairs(path, code=2)


@pytest.fixture
def genome(tmp_path: Path) -> tuple[Path, Path]:
    """Two genes on a chromosome of 1,000 bases, one of them on the other strand, and one without genes."""
    generator = np.random.default_rng(3)
    first, second = (gene.letters for gene in genes(2, length=30))
    noise = ["".join(generator.choice(list("ACGT"), size=size)) for size in (200, 300, 1000)]
    turned = second[::-1].translate(str.maketrans("ACGT", "TGCA"))
    chromosome = noise[0] + first + noise[1] + turned + "N" * 304
    fasta, annotation = tmp_path / "g.fa", tmp_path / "g.gff3"
    fasta.write_text(f">c1\n{chromosome}\n>c2\n{noise[2]}\n")
    rows = []
    for name, start, strand in (("a", 200, "+"), ("b", 500 + len(first), "-")):
        place = f"c1\tx\t{{}}\t{start + 1}\t{start + len(first)}\t.\t{strand}\t"
        rows += [
            place.format("gene") + f".\tID=gene-{name}",
            place.format("mRNA") + f".\tID={name};Parent=gene-{name}",
            place.format("CDS") + f"0\tID=cds-{name};Parent={name}",
        ]
    annotation.write_text("##gff-version 3\n" + "\n".join(rows) + "\n")
    return annotation, fasta


def test_what_is_between_genes(genome: tuple[Path, Path]) -> None:
    annotation, fasta = genome
    records = read_coding_sequences(annotation, fasta).records
    assert [record.protein for record in records] == [gene.protein for gene in genes(2, length=30)]
    pieces = list(read_between_genes(records, fasta, length=120, least=50))
    names = [piece.name for piece in pieces]
    # The last of c1 are all N, and the rests of stretches too short.
    end = len(records[0].letters)
    assert names[:5] == [
        *("c1:0-120", "c1:120-200"),
        *(f"c1:{200 + end}-{320 + end}", f"c1:{320 + end}-{440 + end}", f"c1:{440 + end}-{500 + end}"),
    ]
    assert len(names) == 5 + 8
    assert all(piece.coding is None for piece in pieces)
    data = module(
        None, annotation=annotation, fasta=fasta, between_genes=True, length=120, min_length=50, leak_k=32
    )
    assert sum(data.num_examples(split) for split in ("train", "validation", "test")) == 15
    with pytest.raises(DataError, match="no record of 500 bases"):
        module(None, annotation=annotation, fasta=fasta, length=900, min_length=500).records("train")


def test_records_that_cannot_be_read_are_counted(table: Path, caplog: pytest.LogCaptureFixture) -> None:
    with table.open("a") as file:
        file.write("wrong\tATGAAATAG\tMW\n")
    with pytest.raises(RecordError, match=r"^wrong: the coding sequence does not give the protein"):
        module(table).records("train")
    assert len(module(table, on_error="skip").records("train"))
    assert "1 skipped: 1 translation" in caplog.text


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"table": None}, "give a table, or an annotation"),
        ({"fasta": "x.fa"}, "give a table, or an annotation"),
        ({"table": None, "fasta": "x.fa"}, "give a table, or an annotation"),
        ({"between_genes": True}, "wants a genome"),
        ({"min_length": 91}, "min_length=91, length=90"),
        ({"hidden_fraction": 0.0}, "hidden_fraction=0.0"),
        ({"framed_fraction": 1.5}, "framed_fraction=1.5"),
        ({"test_fraction": 0.9}, "leave records for training"),
        ({"code": 99}, "no genetic code 99"),
        ({"tokenizer": CharacterTokenizer()}, "tokenizer=frame, not CharacterTokenizer"),
    ],
)
def test_refusals(table: Path, changed: dict[str, Any], words: str) -> None:
    make: Callable[..., CodingDataModule] = module
    with pytest.raises(ConfigError, match=words):
        make(changed.pop("table", table), **changed).dataset("train")


def test_the_code_is_what_the_residues_are_of() -> None:
    record = unify_cds("m", "ATGTGACCATAA", code=2)
    assert genetic_code(2).read("TGA") == "W"
    example = examples([record], hidden_fraction=0.01)[ExampleKey(0, 0)]
    codes = example["residues"][example["residues"] >= 0]
    assert "".join(RESIDUE_LETTERS[code] for code in codes) == (record.protein + "*" * record.has_stop)
