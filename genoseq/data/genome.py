"""Windows of genomes: random ones to learn from, and tiles that score every base once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from torch.utils.data import Dataset

from genoseq.data.genome_coding import GenomeCoding
from genoseq.data.genomes import Genomes
from genoseq.data.length_schedule import LengthSchedule
from genoseq.data.loading import IGNORED_LABEL, ExampleKey
from genoseq.data.planted_repeats import plant_repeats
from genoseq.errors import ConfigError, DataError
from genoseq.sequence import BASES, Interval, Strands, reverse_complement, strand_policy
from genoseq.tokenizers import CodingTokenizer, Tokenizer

_N = BASES.index("N")
_DRAWS = 100


class _GenomeDataset(Dataset[dict[str, Any]]):
    """Windows of genomes: a genome is double-stranded, so that either strand is a valid reading."""

    strand: Literal["unstranded"] = "unstranded"
    groups = None

    def __init__(self, genomes: Genomes, tokenizer: Tokenizer, coding: GenomeCoding | None) -> None:
        self._genomes = genomes
        self._tokenizer = tokenizer
        self._coding = coding

    def _encode(self, codes: np.ndarray, place: Interval) -> np.ndarray:
        """Token ids of the bases at a place; on its strand "-" they are turned already."""
        if self._coding is None:
            return self._tokenizer.encode_codes(codes)
        assert isinstance(self._tokenizer, CodingTokenizer), "others were refused"
        coding = self._coding.within(place.chromosome, place.start, place.end)
        if place.strand == "-":
            coding = [region.turned(len(codes)) for region in coding]
        return self._tokenizer.encode_codes(codes, coding=coding)


class GenomeWindows(_GenomeDataset):
    """Windows to learn from, drawn anew in each epoch.

    With `examples_per_epoch`, windows begin anywhere in the regions with the same chance (by genome weight,
    where there are weights). Without, an epoch is one pass over the regions in windows side by side, each
    moved by up to `jitter` bases.

    Args:
        genomes: where the bases are.
        regions: disjoint intervals that windows stay inside of.
        tokenizer: makes ids, without special tokens: a window is cut out of the middle of a sequence.
        length: bases of a window.
        length_schedule: length warm-up: epoch from which on -> bases of a window; the last is `length`. None
            is `length` throughout.
        examples_per_epoch: windows of an epoch; None for one pass.
        jitter: in bases, for passes.
        strands: what becomes of the two strands: "augment" turns half of the windows, at random.
        planted_repeats: share of the windows that get copies of their own stretches, see `plant_repeats`.
        max_n_fraction: windows with a larger share of N are passed over.
        coding: where codons are, for a `CodingTokenizer`; None where nothing is known.
        seed: example i of epoch e is a function of (seed, e, i).

    Raises:
        ConfigError: settings that contradict each other. DataError: no region has room for a window.
    """

    def __init__(
        self,
        genomes: Genomes,
        regions: Sequence[Interval],
        tokenizer: Tokenizer,
        *,
        length: int,
        length_schedule: Mapping[int, int] | None = None,
        examples_per_epoch: int | None = None,
        jitter: int = 0,
        strands: Strands = "none",
        planted_repeats: float = 0.0,
        max_n_fraction: float = 1.0,
        coding: GenomeCoding | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(genomes, tokenizer, coding)
        _require_settings(length, length_schedule, examples_per_epoch, jitter)
        _require_shares(max_n_fraction=max_n_fraction, planted_repeats=planted_repeats)
        self._regions = list(regions)
        self._schedule = LengthSchedule(length, length_schedule)
        self._jitter = jitter
        self._turns = strand_policy(strands).turns
        self._planted_repeats = planted_repeats
        self._max_n_fraction = max_n_fraction
        self._seed = seed
        self._examples_per_epoch = examples_per_epoch
        if examples_per_epoch is None:
            self._grid = self._side_by_side(length)
        else:
            self._cumulative = {
                size: np.cumsum(genomes.draw_weights(self._regions, self._room(size)))
                for size in self._schedule.lengths
            }

    def __len__(self) -> int:
        return len(self._grid) if self._examples_per_epoch is None else self._examples_per_epoch

    def __getitem__(self, key: ExampleKey) -> dict[str, Any]:
        place, codes = self._window(key)
        return {"input_ids": self._encode(codes, place), "index": key.index, "counted": key.counted}

    def window(self, key: ExampleKey) -> np.ndarray:
        """Base codes of an example, (L,) uint8."""
        return self._window(key)[1]

    def _window(self, key: ExampleKey) -> tuple[Interval, np.ndarray]:
        generator = np.random.default_rng([self._seed, key.epoch, key.index])
        if self._examples_per_epoch is None:
            place, codes = self._from_grid(key.index, generator)
        else:
            place, codes = self._draw(self.length_at(key.epoch), generator)
        if self._turns and generator.random() < 0.5:
            place, codes = replace(place, strand="-"), reverse_complement(codes)
        # No number is drawn where nothing is planted: what such runs see stays as it was.
        if self._planted_repeats and generator.random() < self._planted_repeats:
            codes = plant_repeats(codes, generator)
        return place, codes

    def length_at(self, epoch: int) -> int:
        """Bases of a window in an epoch."""
        return self._schedule.at(epoch)

    def _room(self, length: int) -> np.ndarray:
        """Places where a window can begin in each region, (R,)."""
        widths = np.array([region.width for region in self._regions])
        room = np.maximum(widths - length + 1, 0)
        if not room.any():
            raise DataError(
                f"no region of the split has room for a window of {length:,} bases; the longest has "
                f"{widths.max():,}. Give a smaller length, or a split with longer regions."
            )
        return room

    def _draw(self, length: int, generator: np.random.Generator) -> tuple[Interval, np.ndarray]:
        cumulative = self._cumulative[length]
        for _ in range(_DRAWS):
            number = int(np.searchsorted(cumulative, generator.random() * cumulative[-1], side="right"))
            region = self._regions[number]
            start = int(generator.integers(region.start, region.end - length + 1))
            place, codes = self._at(region.chromosome, start, start + length)
            if self._is_known(codes):
                return place, codes
        raise DataError(
            f"{_DRAWS} windows of {length:,} bases in a row have more than {self._max_n_fraction:.0%} N. "
            "Raise max_n_fraction, give a smaller length, or split by intervals that leave the unknown "
            "parts out."
        )

    def _from_grid(self, index: int, generator: np.random.Generator) -> tuple[Interval, np.ndarray]:
        number, start, end = self._grid[index].tolist()
        region = self._regions[number]
        offset = int(generator.integers(-self._jitter, self._jitter + 1))
        moved = min(max(start + offset, region.start), max(region.end - (end - start), region.start))
        place, codes = self._at(region.chromosome, moved, moved + end - start)
        return (place, codes) if self._is_known(codes) else self._at(region.chromosome, start, end)

    def _at(self, chromosome: str, start: int, end: int) -> tuple[Interval, np.ndarray]:
        return Interval(chromosome, start, end), self._genomes.codes(chromosome, start, end)

    def _side_by_side(self, length: int) -> np.ndarray:
        """(W, 3) int64: region, start and end of windows that cover the regions; short regions are whole."""
        windows = [
            (number, max(min(start, region.end - length), region.start), min(start + length, region.end))
            for number, region in enumerate(self._regions)
            for start in range(region.start, region.end, length)
        ]
        known = [
            window
            for window in windows
            if self._is_known(self._genomes.codes(self._regions[window[0]].chromosome, *window[1:]))
        ]
        if not known:
            raise DataError(
                f"every window of {length:,} bases has more than {self._max_n_fraction:.0%} N. Raise "
                "max_n_fraction."
            )
        return np.array(known, dtype=np.int64)

    def _is_known(self, codes: np.ndarray) -> bool:
        if self._max_n_fraction >= 1:
            return True
        return bool(np.count_nonzero(codes == _N) <= self._max_n_fraction * len(codes))


class GenomeTiles(_GenomeDataset):
    """Windows that score every base of the regions once, each with the bases before it as context.

    The first base of a region has nothing before it and is not scored; nor is an N. Windows are `length`
    bases, or the region where it is shorter; each scores the `stride` last ones (the first of a region: all
    but one), and the labels of the others are -100.

    A token of several bases is scored by the tile that it begins in, and no base twice. What is left out, a
    few bases a tile, is what a token has in common with the context, or is no token of known bases alone: of
    k-mers side by side nothing but the first, where `length` and `stride` are multiples of k.

    Args:
        genomes, tokenizer: as for `GenomeWindows`.
        regions: disjoint intervals; no window looks outside of them.
        length: bases of a window.
        stride: 1 to length - 1; None for all of a window but the longest token. A smaller one gives each base
            more context, at more cost.
        coding: as for `GenomeWindows`.

    Attributes:
        table: one row a tile: `chromosome`, `window`, where its context begins, and `start` and `end` of the
            bases it scores.

    Raises:
        ConfigError: a stride out of range. DataError: the regions have no base to score.
    """

    def __init__(
        self,
        genomes: Genomes,
        regions: Sequence[Interval],
        tokenizer: Tokenizer,
        *,
        length: int,
        stride: int | None = None,
        coding: GenomeCoding | None = None,
    ) -> None:
        super().__init__(genomes, tokenizer, coding)
        stride = length - tokenizer.longest_token if stride is None else stride
        if not 1 <= stride < length:
            raise ConfigError(
                f"stride={stride} must be at least 1 and less than the length of a window, {length}."
            )
        tiles = [tile for region in regions for tile in _tiles(region, length, stride)]
        if not tiles:
            raise DataError("no region of the split has two bases, the fewest in which one can be predicted.")
        columns = ["chromosome", "window", "start", "end"]
        self.table = pd.DataFrame(tiles, columns=columns)
        self._places = tiles

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, key: ExampleKey) -> dict[str, Any]:
        chromosome, window, start, end = self._places[key.index]
        codes = self._genomes.codes(chromosome, window, end)
        ids = self._encode(codes, Interval(chromosome, window, end))
        # Of words that overlap, each is scored by the bases that the one before has not.
        new = self._tokenizer.offsets(ids, len(codes))[:, 1] - self._tokenizer.num_bases[ids]
        scored = self._tokenizer.is_known[ids] & (new >= start - window)
        labels = np.where(scored, ids, IGNORED_LABEL)
        return {"input_ids": ids, "labels": labels, "index": key.index, "counted": key.counted}


def _tiles(region: Interval, length: int, stride: int) -> list[tuple[str, int, int, int]]:
    """Chromosome, start of the window, and start and end of what it scores."""
    tiles = []
    start, end = region.start + 1, min(region.start + length, region.end)
    while start < end:
        tiles.append((region.chromosome, max(end - length, region.start), start, end))
        start, end = end, min(end + stride, region.end)
    return tiles


def _require_settings(
    length: int,
    length_schedule: Mapping[int, int] | None,
    examples_per_epoch: int | None,
    jitter: int,
) -> None:
    if min([length, *(length_schedule or {}).values()]) < 2:
        raise ConfigError("a window has at least 2 bases: give a larger length.")
    if length_schedule and examples_per_epoch is None:
        raise ConfigError("a length schedule needs examples_per_epoch.")
    if examples_per_epoch is not None and examples_per_epoch < 1:
        raise ConfigError(f"examples_per_epoch={examples_per_epoch} must be at least 1.")
    if jitter < 0 or (jitter and examples_per_epoch is not None):
        raise ConfigError(
            f"jitter={jitter} moves the windows of a pass over the genome: give examples_per_epoch=null "
            "with it. Random windows begin anywhere already."
        )


def _require_shares(**shares: float) -> None:
    for name, share in shares.items():
        if not 0 <= share <= 1:
            raise ConfigError(f"{name}={share} must be between 0 and 1.")
