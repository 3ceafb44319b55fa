"""Windows of a genome and ten signals of where transcription starts, from bigWig files, for DNALongBench.

Files, tracks and what replaces what are as in the authors' loader, after Dudnyk et al., Science 2024.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from genoseq.benchmark.suites.base import chromosome_of
from genoseq.benchmark.suites.windows import draw_window, is_known
from genoseq.data.bed import read_bed
from genoseq.data.fasta import Fasta
from genoseq.errors import ConfigError, DataError

_FOLDER = "transcription_initiation_signal_prediction"
_GENOME = f"{_FOLDER}/seqs/Homo_sapiens.GRCh38.dna.primary_assembly.fa"
_BIGWIGS = {
    "cage_plus": "agg.plus.bw.bedgraph.bw",
    "encodecage_plus": "agg.encodecage.plus.v2.bedgraph.bw",
    "encoderampage_plus": "agg.encoderampage.plus.v2.bedgraph.bw",
    "grocap_plus": "agg.plus.grocap.bedgraph.sorted.merged.bw",
    "procap_plus": "agg.plus.allprocap.bedgraph.sorted.merged.bw",
    "procap_minus": "agg.minus.allprocap.bedgraph.sorted.merged.bw",
    "grocap_minus": "agg.minus.grocap.bedgraph.sorted.merged.bw",
    "encoderampage_minus": "agg.encoderampage.minus.v2.bedgraph.bw",
    "encodecage_minus": "agg.encodecage.minus.v2.bedgraph.bw",
    "cage_minus": "agg.minus.bw.bedgraph.bw",
}
TRACKS = tuple(_BIGWIGS)
# In stretches that FANTOM's CAGE cannot be trusted in, ENCODE's stands in for it, scaled.
_REPLACED = {
    "fantom.blacklist8.plus.bed.gz": ("cage_plus", "encodecage_plus"),
    "fantom.blacklist8.minus.bed.gz": ("cage_minus", "encodecage_minus"),
}
_SCALE = 0.61357
_STEP = 2  # windows of validation and test begin every half window
FILES = (
    _GENOME,
    *(f"{_FOLDER}/targets/{name}" for name in _BIGWIGS.values()),
    *(f"{_FOLDER}/targets/blacklists/{name}" for name in _REPLACED),
)


@dataclass(frozen=True)
class SignalWindows:
    """Windows of one length: to train on drawn anywhere outside the held-out chromosomes; else side by side,
    half a window apart. Windows of which more than a tenth is N are none.

    Attributes:
        folder: of the benchmark.
        length: bases of a window.
        windows: of each part; of those side by side, evenly spaced ones.
        chromosomes: held out, by part.
        seed: of the draw.
    """

    folder: Path
    length: int
    windows: Mapping[str, int]
    chromosomes: Mapping[str, Sequence[str]]
    seed: int

    def table(self, part: str) -> pd.DataFrame:
        """The windows of a part: `sequence`, a column a track with a number a base, `name`, `chromosome`.

        Raises:
            ConfigError: pyBigWig is not installed. DataError: no chromosome is long enough.
        """
        fasta = Fasta(self.folder / _GENOME)
        places = self._drawn(fasta) if part == "train" else self._tiles(fasta, part)
        return pd.DataFrame([self._row(*place) for place in places])

    def _drawn(self, fasta: Fasta) -> list[tuple[str, int, str]]:
        held_out = {chromosome_of(str(name), fasta) for names in self.chromosomes.values() for name in names}
        long = [name for name, size in fasta.lengths.items() if size >= self.length and name not in held_out]
        # What is no chromosome of the signals has no label.
        names = [name for name in long if self._signals.knows(name)]
        if not names:
            raise DataError(
                f"{fasta.path}: no chromosome with signals to train on has {self.length:,} bases."
            )
        generator = np.random.default_rng(self.seed)
        return [draw_window(fasta, names, self.length, generator) for _ in range(self.windows["train"])]

    def _tiles(self, fasta: Fasta, part: str) -> list[tuple[str, int, str]]:
        names = [chromosome_of(str(name), fasta) for name in self.chromosomes[part]]
        starts = [
            (name, start)
            for name in names
            if name is not None
            for start in range(0, fasta.lengths[name] - self.length + 1, self.length // _STEP)
        ]
        count = min(self.windows[part], len(starts))
        chosen = np.linspace(0, len(starts) - 1, count).round().astype(int)
        found = [
            (*starts[row], fasta.fetch(starts[row][0], starts[row][1], starts[row][1] + self.length).upper())
            for row in chosen
        ]
        known = [place for place in found if is_known(place[2])]
        if not known:
            raise DataError(
                f"{fasta.path}: {part} has no window of {self.length:,} bases in {self.chromosomes[part]}."
            )
        return known

    def _row(self, chromosome: str, start: int, letters: str) -> dict[str, Any]:
        end = start + self.length
        values = self._signals.values(chromosome, start, end)
        texts = {track: ",".join(f"{value:.6g}" for value in row) for track, row in values.items()}
        place = {"name": f"{chromosome}:{start}-{end}", "chromosome": chromosome}
        return {"sequence": letters, **texts, **place}

    @cached_property
    def _signals(self) -> _Signals:
        return _Signals(self.folder / _FOLDER / "targets")


class _Signals:
    """The tracks, opened."""

    def __init__(self, folder: Path) -> None:
        try:
            import pyBigWig
        except ImportError as error:
            raise ConfigError("bigWig files want pyBigWig: `pip install genoseq[bigwig]`.") from error
        self._open = {track: _opened(pyBigWig, folder / name) for track, name in _BIGWIGS.items()}
        self._replaced = {name: read_bed(folder / "blacklists" / name) for name in _REPLACED}

    def knows(self, chromosome: str) -> bool:
        """Whether every track has it."""
        return all(_known_as(chromosome, track.chroms()) for track in self._open.values())

    def values(self, chromosome: str, start: int, end: int) -> dict[str, np.ndarray]:
        """(L,) float32 a track; 0 where it has none."""
        found = {
            track: np.nan_to_num(file.values(_known_as(chromosome, file.chroms()), start, end, numpy=True))
            for track, file in self._open.items()
        }
        for name, (track, other) in _REPLACED.items():
            for place in self._replaced[name]:
                if place.start < end and place.end > start and _known_as(chromosome, [place.chromosome]):
                    inside = slice(max(place.start - start, 0), place.end - start)
                    found[track][inside] = found[other][inside] * _SCALE
        return found


def _opened(library: Any, path: Path) -> Any:
    try:
        return library.open(str(path))
    except RuntimeError as error:
        raise DataError(f"{path} is no bigWig: {error}. Was its download cut short?") from error


def _known_as(chromosome: str, names: Any) -> str | None:
    """A chromosome's name among others, with or without `chr`."""
    bare = chromosome.removeprefix("chr")
    return next((name for name in (bare, f"chr{bare}") if name in names), None)
