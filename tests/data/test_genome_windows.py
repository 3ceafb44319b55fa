"""Windows are functions of (seed, epoch, index) that stay in their split; tiles score every base once."""

from __future__ import annotations

import gzip
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from genoseq.data import BlockSplit, GenomeDataModule, Genomes, GenomeTiles, GenomeWindows
from genoseq.data.loading import ExampleKey
from genoseq.errors import ConfigError, DataError
from genoseq.sequence import Interval, reverse_complement
from genoseq.tokenizers import BpeTokenizer, CharacterTokenizer, KmerTokenizer, Tokenizer

TOKENIZER = CharacterTokenizer()


@pytest.fixture
def genomes(tiny_fasta: Path) -> Genomes:
    return Genomes([tiny_fasta])


def windows(genomes: Genomes, regions: list[Interval], **settings: Any) -> GenomeWindows:
    return GenomeWindows(genomes, regions, TOKENIZER, **{"length": 64, "examples_per_epoch": 200, **settings})


def letters(dataset: GenomeWindows | GenomeTiles, index: int, epoch: int = 0) -> str:
    return TOKENIZER.decode(dataset[ExampleKey(epoch, index)]["input_ids"])


def text(genomes: Genomes, region: Interval) -> str:
    return TOKENIZER.decode(
        TOKENIZER.encode_codes(genomes.codes(region.chromosome, region.start, region.end))
    )


def test_random_windows_stay_inside_their_regions(genomes: Genomes) -> None:
    regions = [Interval("chr1", 100, 400), Interval("chr2", 2900, 3000)]
    texts = [text(genomes, region) for region in regions]
    dataset = windows(genomes, regions)
    found = [[letters(dataset, i) in whole for whole in texts] for i in range(len(dataset))]
    assert all(any(row) for row in found)
    # 237 of 274 places are in the first region.
    assert 0.75 < np.mean([row[0] for row in found]) < 0.95


def test_an_example_is_a_function_of_seed_epoch_and_index(genomes: Genomes) -> None:
    regions = [Interval("chr1", 0, 5000)]
    first, again = (windows(genomes, regions, seed=3, strands="augment") for _ in range(2))
    backwards = {i: letters(again, i, epoch=2) for i in reversed(range(50))}
    assert all(letters(first, i, epoch=2) == backwards[i] for i in range(50))
    assert letters(first, 0, epoch=3) != backwards[0]
    assert letters(windows(genomes, regions, seed=4), 0, epoch=2) != backwards[0]
    assert len(set(backwards.values())) > 40


def test_half_of_the_windows_are_turned(genomes: Genomes) -> None:
    region = Interval("chr1", 0, 5000)
    forward, turned = text(genomes, region), reverse_complement(text(genomes, region))
    dataset = windows(genomes, [region], strands="augment")
    strands = [(letters(dataset, i) in forward, letters(dataset, i) in turned) for i in range(200)]
    assert all(one != other for one, other in strands)
    assert 70 < sum(one for one, _ in strands) < 130


def test_a_pass_covers_the_regions(genomes: Genomes) -> None:
    regions = [Interval("chr1", 10, 210), Interval("chr2", 0, 40)]
    dataset = windows(genomes, regions, examples_per_epoch=None)
    whole = text(genomes, regions[0])
    assert [letters(dataset, i) for i in range(4)] == [
        whole[:64],
        whole[64:128],
        whole[128:192],
        whole[136:200],
    ]
    assert letters(dataset, 4) == text(genomes, regions[1])
    assert len(dataset) == 5


def test_jitter_moves_windows_a_little_and_never_out(genomes: Genomes) -> None:
    region = Interval("chr1", 10, 522)
    whole = text(genomes, region)
    dataset = windows(genomes, [region], examples_per_epoch=None, jitter=5)
    offsets = {whole.index(letters(dataset, i, epoch)) - 64 * i for i in range(8) for epoch in range(20)}
    assert offsets == set(range(-5, 6))
    assert min(whole.index(letters(dataset, 0, epoch)) for epoch in range(20)) == 0


def test_windows_of_unknown_bases_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "n.fa"
    path.write_text(">a\n" + "N" * 500 + "ACGTA" * 100 + "\n")
    genomes = Genomes([path])
    region = Interval("a", 0, 1000)
    kept = windows(genomes, [region], max_n_fraction=0.25)
    counts = [letters(kept, i).count("N") for i in range(200)]
    assert 0 < max(counts) <= 16
    side_by_side = windows(genomes, [region], max_n_fraction=0.25, examples_per_epoch=None)
    assert len(side_by_side) == 8
    with pytest.raises(DataError, match="more than 0% N"):
        windows(genomes, [Interval("a", 0, 500)], max_n_fraction=0)[ExampleKey(0, 0)]
    with pytest.raises(DataError, match="more than 0% N"):
        windows(genomes, [Interval("a", 0, 500)], max_n_fraction=0, examples_per_epoch=None)


def test_soft_masked_bases_are_masked_on_request(tmp_path: Path) -> None:
    path = tmp_path / "soft.fa"
    path.write_text(">a\nACgt\n")
    assert Genomes([path]).codes("a", 0, 4).tolist() == [0, 1, 2, 3]
    assert Genomes([path], lowercase="mask").codes("a", 0, 4).tolist() == [0, 1, 4, 4]


def test_several_genomes_are_mixed_by_weight(tiny_fasta: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.fa"
    other.write_text(">chr1\n" + "A" * 20_000 + "\n")
    for weights, low, high in (([3, 1], 0.65, 0.85), (None, 0.15, 0.45), ([0, 1], 0, 0)):
        genomes = Genomes([tiny_fasta, other], weights=weights)
        assert list(genomes.lengths) == ["tiny:chr1", "tiny:chr2", "other:chr1"]
        regions = BlockSplit().regions(genomes.lengths, "train")
        dataset = windows(genomes, regions)
        share = np.mean([letters(dataset, i) != "A" * 64 for i in range(200)])
        assert low <= share <= high
    with pytest.raises(ConfigError, match="weights"):
        Genomes([tiny_fasta, other], weights=[1])
    with pytest.raises(ConfigError, match="at least one FASTA"):
        Genomes([])
    with pytest.raises(DataError, match="have the name 'tiny'"):
        Genomes([tiny_fasta, tiny_fasta])


def test_windows_grow_as_scheduled(genomes: Genomes) -> None:
    dataset = windows(genomes, [Interval("chr1", 0, 5000)], length_schedule={0: 16, 2: 32, 5: 64})
    assert [len(letters(dataset, 0, epoch)) for epoch in range(7)] == [16, 16, 32, 32, 32, 64, 64]


@pytest.mark.parametrize(
    "settings",
    [
        {"length": 1},
        {"examples_per_epoch": 0},
        {"jitter": 3},
        {"jitter": -1, "examples_per_epoch": None},
        {"max_n_fraction": 1.5},
        {"planted_repeats": -0.1},
        {"length_schedule": {0: 16, 2: 32}},
        {"length_schedule": {1: 64}},
        {"length_schedule": {0: 64}, "examples_per_epoch": None},
    ],
)
def test_settings_that_contradict_each_other(genomes: Genomes, settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        windows(genomes, [Interval("chr1", 0, 5000)], **settings)


def test_no_room_for_a_window_is_said(genomes: Genomes) -> None:
    with pytest.raises(DataError, match="the longest has 100"):
        windows(genomes, [Interval("chr1", 0, 100)], length=101)


@pytest.mark.parametrize(("length", "stride"), [(64, None), (64, 63), (64, 10), (2, 1), (5000, 1000)])
def test_tiles_score_every_base_once_with_its_context(
    genomes: Genomes, length: int, stride: int | None
) -> None:
    regions = [Interval("chr1", 5, 500), Interval("chr2", 2990, 3000), Interval("chr2", 0, 1)]
    dataset = GenomeTiles(genomes, regions, TOKENIZER, length=length, stride=stride)
    scored: list[tuple[str, int]] = []
    for index, row in dataset.table.iterrows():
        item = dataset[ExampleKey(0, int(str(index)))]
        ids, labels = item["input_ids"], item["labels"]
        end, labelled = int(row["end"]), np.flatnonzero(labels != -100)
        start = end - len(ids)
        assert len(ids) <= length
        region = next(
            r for r in regions if r.chromosome == row["chromosome"] and r.start <= start and end <= r.end
        )
        assert TOKENIZER.decode(ids) == text(genomes, Interval(region.chromosome, start, end))
        assert labelled.tolist() == list(range(int(row["start"]) - start, len(ids)))
        np.testing.assert_array_equal(labels[labelled], ids[labelled])
        # Every scored base has something before it in its window, and `stride` keeps its context.
        assert labelled[0] >= 1
        if start > region.start:
            assert labelled[0] >= length - (stride or length - 1)
        scored += [(region.chromosome, start + int(place)) for place in labelled]
    expected = [(r.chromosome, base) for r in regions for base in range(r.start + 1, r.end)]
    assert sorted(scored) == sorted(expected)


@pytest.mark.parametrize("stride", [None, 24])
@pytest.mark.parametrize(
    ("tokenizer", "first", "lost"),
    [
        (KmerTokenizer(k=6), 6, 0),
        (KmerTokenizer(k=6, overlapping=True, layout="dnabert"), 6, 0),
        (BpeTokenizer(merges=["A C", "G T", "AC GT", "A A", "ACGT AA"], special_tokens="none"), 1, 6),
    ],
)
def test_longer_tokens_score_each_base_once(
    genomes: Genomes, tokenizer: Tokenizer, first: int, lost: int, stride: int | None
) -> None:
    """All but the first token of the region and, where words begin anywhere, a few bases a tile."""
    region = Interval("chr1", 5, 5 + 60 * 10)
    dataset = GenomeTiles(genomes, [region], tokenizer, length=60, stride=stride)
    scored = np.zeros(region.end, dtype=int)
    for index, row in dataset.table.iterrows():
        item = dataset[ExampleKey(0, int(str(index)))]
        window = max(int(row["end"]) - 60, region.start)
        # The first token of a row is predicted from nothing.
        labelled = np.flatnonzero(item["labels"][1:] != -100) + 1
        offsets = tokenizer.offsets(item["input_ids"], int(row["end"]) - window)[labelled]
        for (_, stop), bases in zip(offsets, tokenizer.num_bases[item["input_ids"][labelled]], strict=True):
            scored[window + stop - bases : window + stop] += 1
            assert row["start"] <= window + stop - bases < window + stop <= row["end"]
    assert scored.max() == 1
    missing = np.count_nonzero(scored[region.start :] == 0)
    assert first <= missing <= first + lost * len(dataset)


def test_unknown_bases_are_not_scored(tmp_path: Path) -> None:
    path = tmp_path / "n.fa"
    path.write_text(">a\nACNNGT\n")
    dataset = GenomeTiles(Genomes([path]), [Interval("a", 0, 6)], TOKENIZER, length=6)
    assert (dataset[ExampleKey(0, 0)]["labels"] != -100).tolist() == [False, True, False, False, True, True]


def test_bad_tiles(genomes: Genomes) -> None:
    with pytest.raises(ConfigError, match="stride=64"):
        GenomeTiles(genomes, [Interval("chr1", 0, 500)], TOKENIZER, length=64, stride=64)
    with pytest.raises(DataError, match="two bases"):
        GenomeTiles(genomes, [Interval("chr1", 0, 1)], TOKENIZER, length=64)


def datamodule(fasta: Path | str, **settings: Any) -> GenomeDataModule:
    arguments = {
        "tokenizer": TOKENIZER, "fasta": fasta, "weights": None, "split": BlockSplit(), "length": 64,
        "length_schedule": None, "constant_tokens": False, "examples_per_epoch": 32, "jitter": 0,
        "strands": "augment", "planted_repeats": 0.0, "max_n_fraction": 0.1, "evaluation_length": None,
        "stride": None,
        "global_batch_size": 8, "micro_batch_size": None, "num_workers": 0, "pin_memory": False, "seed": 0,
    }  # fmt: skip
    return GenomeDataModule(**{**arguments, **settings})  # type: ignore[arg-type]


def test_the_datamodule_gives_tiles_in_the_order_of_their_table(tiny_fasta: Path) -> None:
    data = datamodule(tiny_fasta, evaluation_length=32)
    tiles = data.tiles("validation")
    batches = list(data.evaluation_loader("validation"))
    index = np.concatenate([batch["index"].numpy() for batch in batches])
    np.testing.assert_array_equal(index, np.arange(len(tiles)))
    scored = sum(int((batch["labels"] != -100).sum()) for batch in batches)
    assert scored == (tiles["end"] - tiles["start"]).sum() == 800 - 2
    assert [(str(region), len(codes)) for region, codes in data.sequences("test")] == [
        ("chr1:4000-5000(.)", 1000),
        ("chr2:2400-3000(.)", 600),
    ]


@pytest.mark.parametrize(("constant_tokens", "rows"), [(True, [8, 8, 8, 4, 4, 2]), (False, [8] * 6)])
def test_stages_of_longer_windows(tiny_fasta: Path, constant_tokens: bool, rows: list[int]) -> None:
    schedule = [[0, 16], [3, 32], [5, 64]]
    data = datamodule(
        tiny_fasta,
        length_schedule=schedule,
        constant_tokens=constant_tokens,
        examples_per_epoch=16,
        micro_batch_size=4,
    )
    data.trainer = SimpleNamespace(world_size=2, global_rank=0, max_steps=6, global_step=0)  # type: ignore[assignment]
    shapes = [tuple(batch["input_ids"].shape) for batch in data.train_dataloader()]
    lengths = [16, 16, 16, 32, 32, 64]
    assert shapes == [(count // 2, length) for count, length in zip(rows, lengths, strict=True)]
    longest = next(iter(data.val_dataloader()))["input_ids"]
    assert longest.shape == (4 // (64 // 16 if constant_tokens else 1), 64)


@pytest.mark.parametrize(
    ("settings", "mend"),
    [
        ({"length_schedule": [[0, 16], [2, 24], [4, 64]]}, "whole multiple of the first, 16"),
        ({"length_schedule": [[1, 16], [2, 64]]}, "the first of step 0"),
        ({"length_schedule": [[0, 16], [2, 64]], "examples_per_epoch": None}, "needs random windows"),
        ({"length_schedule": [[0, 16], [2, 32]]}, "let the last be the length"),
        ({"length_schedule": {0: 16, 2: 64}}, "give pairs"),
        ({"length_schedule": [[0, 8], [2, 64]], "micro_batch_size": 4}, "give micro_batch_size=8"),
    ],
)
def test_stages_that_cannot_be(tiny_fasta: Path, settings: dict[str, Any], mend: str) -> None:
    def prepare() -> None:
        data = datamodule(tiny_fasta, constant_tokens=True, **settings)
        data.setup("fit")
        data.plan(1)

    with pytest.raises(ConfigError, match=mend):
        prepare()


def test_workers_give_the_same_windows(tiny_fasta: Path) -> None:
    alone, helped = (datamodule(tiny_fasta, num_workers=count).evaluation_loader("test") for count in (0, 2))
    for first, second in zip(alone, helped, strict=True):
        assert (first["input_ids"] == second["input_ids"]).all()


def test_human_windows_skip_the_unknown_telomere(shared: Path, tmp_path: Path) -> None:
    source = shared / "data" / "bench" / "genomes" / "human_b37_chr20_first2Mb.fa.gz"
    path = tmp_path / "chr20.fa"
    path.write_bytes(gzip.decompress(source.read_bytes()))
    data = datamodule(path, length=1024, examples_per_epoch=300, max_n_fraction=0.0)
    train = data.dataset("train")
    ids = np.stack([train[ExampleKey(0, i)]["input_ids"] for i in range(300)])  # type: ignore[index]
    assert not (ids == TOKENIZER.token_id("N")).any()
    assert data.sequences("train")[0][1][:60_000].min() == 4
